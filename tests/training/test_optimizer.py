"""The fused Adam update, compared with that of Keras."""

import keras
import numpy as np
import tensorflow as tf

from caption_tx.training.optimizer import FusedAdam


def run(optimizer, convert=lambda gradient: gradient, steps=25):
    """Weights and moments of a matrix and a vector after some steps, with gradients of very different sizes."""
    random = np.random.default_rng(0)
    shapes = ((5, 7), (3,))
    variables = [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in shapes]
    optimizer.build(variables)
    apply = tf.function(lambda *gradients: optimizer.apply(gradients, variables))
    for step in range(steps):
        scale = 10.0 ** random.integers(-4, 2)
        dense = tf.constant(scale * random.normal(size=shapes[0]), tf.float32)
        rows = tf.IndexedSlices(dense[:2], tf.constant([step % 5, 0]), tf.constant([5, 7]))  # a row twice
        apply(convert(rows) if step % 3 == 0 else dense, tf.constant(scale * random.normal(size=shapes[1]), tf.float32))
    return [np.asarray(variable) for variable in (*variables, *optimizer.variables)]


def test_weights_and_moments_equal_those_of_keras():
    schedule = keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=0.05, warmup_steps=5)
    ours = run(FusedAdam(schedule, global_clipnorm=1.0))
    theirs = run(keras.optimizers.Adam(schedule, global_clipnorm=1.0), tf.convert_to_tensor)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
