"""The fused layers and their gradients compared with those of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from caption_tx.model.fused_layers import Dense, Dropout, LayerNormalization, gelu

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(0, 2, (3, 5, 7)).astype(np.float32)
UPSTREAM = RANDOM.normal(0, 1, (3, 5, 7)).astype(np.float32)


def _layers(kind, plain, **settings):
    """A fused layer and the Keras layer with the same weights."""
    ours, keras_own = kind(**settings), plain(**settings)
    for layer in (ours, keras_own):
        layer.build(X.shape)
    weights = [RANDOM.normal(0.5, 1, weight.shape) for weight in ours.get_weights()]
    ours.set_weights(weights)
    keras_own.set_weights(weights)
    return ours, keras_own


def _output_and_gradients(function, weights=()):
    """The output for X, and the gradients of its product with `UPSTREAM` with respect to X and the weights."""
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = function(x)
        total = tf.reduce_sum(tf.cast(out, tf.float32) * UPSTREAM[..., : out.shape[-1]])
    variables = [weight.value for weight in weights]
    return [out, *tape.gradient(total, [x, *variables])]


def test_gelu_and_its_gradient_equal_keras():
    actual = _output_and_gradients(gelu)
    expected = _output_and_gradients(lambda x: keras.ops.gelu(x, approximate=True))
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    far = np.float32([-1e4, -50, 0, 50, 1e4])
    np.testing.assert_allclose(gelu(far), [0, 0, 0, 50, 1e4], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "plain", "settings"),
    [
        (Dense, keras.layers.Dense, {"units": 4}),
        (LayerNormalization, keras.layers.LayerNormalization, {"epsilon": 1e-6}),
    ],
)
def test_layer_and_its_gradients_equal_keras(kind, plain, settings):
    ours, keras_own = _layers(kind, plain, **settings)
    actual = _output_and_gradients(ours, ours.trainable_variables)
    expected = _output_and_gradients(keras_own, keras_own.trainable_variables)
    assert len(actual) == 4
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("kind", "plain", "settings"),
    [
        (Dense, keras.layers.Dense, {"units": 4}),
        (LayerNormalization, keras.layers.LayerNormalization, {"epsilon": 1e-6}),
    ],
)
def test_half_precision_is_close_and_has_gradients(precision, kind, plain, settings):
    ours, _ = _layers(kind, plain, dtype=precision, **settings)
    exact = plain(**settings)
    exact.build(X.shape)
    exact.set_weights(ours.get_weights())
    assert keras.backend.standardize_dtype(ours(X).dtype) == precision.removeprefix("mixed_")
    actual = _output_and_gradients(ours, ours.trainable_variables)
    for one, other in zip(actual, _output_and_gradients(exact, exact.trainable_variables), strict=True):
        np.testing.assert_allclose(tf.cast(one, tf.float32), other, rtol=0.05, atol=0.2)


def test_layers_accept_zero_rows():
    """A chunk of a batch may be empty."""
    dense, _ = _layers(Dense, keras.layers.Dense, units=4)
    norm, _ = _layers(LayerNormalization, keras.layers.LayerNormalization)
    x = tf.zeros((0, 5, 7))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(dense(gelu(norm(x))))
    weights = [weight.value for layer in (norm, dense) for weight in layer.trainable_variables]
    assert all(not np.any(gradient) for gradient in tape.gradient(total, weights))


@pytest.mark.parametrize("shape", [(3, 5, 7), (64, 256), (1,)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_dropout_keeps_shape_and_dtype_and_is_inactive_outside_training(shape, dtype):
    layer = Dropout(0.3, dtype=dtype)
    x = np.ones(shape, np.float32)
    out = layer(x, training=True)
    assert tuple(out.shape) == shape
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    np.testing.assert_array_equal(layer(x, training=False), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, training=True), x)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_the_given_fraction_and_preserves_the_mean(rate):
    keras.utils.set_random_seed(0)
    layer = Dropout(rate)
    first, second = (np.asarray(layer(np.ones((500, 401), np.float32), training=True)) for _ in range(2))
    assert (first == 0).mean() == pytest.approx(rate, abs=1 / 512 + 0.005)
    assert first.mean() == pytest.approx(1, abs=0.02)
    assert len(np.unique(first)) == 2
    # Entries are independent: two steps, neighbors and two rows are uncorrelated.
    for one, other in ((first, second), (first[:, 1:], first[:, :-1]), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.01


def test_dropout_in_graph_of_unknown_shape_has_its_mask_as_gradient():
    keras.utils.set_random_seed(0)
    layer = Dropout(0.5)

    @tf.function(input_signature=[tf.TensorSpec((None, None))])
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x, training=True)
        return out, tape.gradient(out, x)

    out, gradient = run(tf.ones((6, 5)))
    np.testing.assert_array_equal(out, gradient)
    assert set(np.unique(out)) == {0.0, 2.0}
    assert not np.array_equal(out, run(tf.ones((6, 5)))[0])
