"""What Keras `fit` trains: the captioner behind its input, one step on a batch at once or in parts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from caption_tx.config import ModelConfig
from caption_tx.data.backbone import Backbone, dequantize, quantize
from caption_tx.data.word_vectors import WordVectors
from caption_tx.model.captioner import Captioner
from caption_tx.training.objective import over_replicas


def make_captioner(
    vocabulary_size: int,
    feature_shape: tuple[int, int, int],
    config: ModelConfig,
    precision: str = "float32",
    vectors: WordVectors | None = None,
) -> Captioner:
    """A new captioner of these sizes that computes in one of `config.PRECISIONS`, with `vectors` of its words."""
    sizes = asdict(config) | {"embedding_dim": vectors and vectors.width}
    captioner = Captioner(vocabulary_size=vocabulary_size, feature_shape=feature_shape, dtype=precision, **sizes)
    if vectors is not None:
        captioner.embedding.assign_vectors(vectors.rows, vectors.found)
    return captioner


class TrainingModel(keras.Model):
    """What `fit` sees: the captioner behind stored features, or behind pictures and the frozen backbone.

    Both ways round the activations as the cache stores them, so both give the captioner the same numbers.

    Args:
        accumulation_steps: a batch is computed in so many parts, one after another, with the gradient of the
            whole: the weight of each label is that in the whole batch.
    """

    def __init__(self, captioner: Captioner, backbone: Backbone | None = None, accumulation_steps: int = 1) -> None:
        super().__init__(name="training", dtype=captioner.dtype_policy)
        self.captioner = captioner
        self._encode = None if backbone is None else backbone.network
        self._storage = None if backbone is None else backbone.config.storage
        self._accumulation_steps = accumulation_steps

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """`features` as stored (B, h, w, C) or `images` uint8 (B, H, W, 3), and packed captions -> logits (B, T, V)."""
        inputs = dict(inputs)
        if "images" in inputs:
            images = keras.ops.cast(inputs.pop("images"), "float32")
            rows = tf.shape(images)[0]
            if tf.distribute.get_strategy().num_replicas_in_sync > 1:  # a part may be empty; convolutions fail there
                images = tf.pad(images, [[0, tf.maximum(0, 1 - rows)], [0, 0], [0, 0], [0, 0]])
            inputs["features"] = quantize(self._encode(images, training=False)[:rows], self._storage)
        inputs["features"] = dequantize(inputs["features"])
        return self.captioner(inputs, training=training)

    def train_step(self, data: Any) -> Any:
        """One update of the weights from (inputs, labels (B, T), sample_weight (B, T))."""
        if self._accumulation_steps == 1:
            return super().train_step(data)
        inputs, labels, weights = data
        rows = tf.shape(labels)[0]
        size = tf.maximum(1, -(-rows // self._accumulation_steps))
        [count] = over_replicas([tf.reduce_sum(weights)])
        variables = self.trainable_variables

        def add_part(begin: tf.Tensor, loss: tf.Tensor, *gradients: tf.Tensor) -> tuple:
            part, labels_part, weights_part = tf.nest.map_structure(
                lambda values: values[begin : begin + size], (inputs, labels, weights)
            )
            with tf.GradientTape() as tape:
                logits = self(part, training=True)
                own = tf.math.divide_no_nan(self.loss.sums(labels_part, logits, weights_part)[0], count)
                scaled = self.optimizer.scale_loss(own)
            new = tape.gradient(scaled, [variable.value for variable in variables])
            self.compute_metrics(part, labels_part, logits, weights_part)
            added = [old + tf.convert_to_tensor(more) for old, more in zip(gradients, new, strict=True)]
            return (begin + size, loss + own, *added)

        start = (tf.constant(0), tf.constant(0.0), *(tf.zeros(variable.shape) for variable in variables))
        # One at a time: parts that run side by side need the memory of them all.
        _, loss, *gradients = tf.while_loop(lambda begin, *_: begin < rows, add_part, start, parallel_iterations=1)
        [loss] = over_replicas([loss])
        self._loss_tracker.update_state(loss, sample_weight=rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.get_metrics_result()
