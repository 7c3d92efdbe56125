"""What Keras `fit` trains: the captioner behind its input, one step on a batch at once or in parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from caption_tx.config import ModelConfig
from caption_tx.data.features.backbone import Backbone, dequantize, quantize
from caption_tx.data.text.word_vectors import WordVectors
from caption_tx.model.captioner import Captioner, CaptionerSettings
from caption_tx.threads import has_fast_bfloat16


def resolve_precision() -> str:
    """What the precision "auto" is on this machine, another of `config.PRECISIONS`."""
    return "mixed_bfloat16" if has_fast_bfloat16() else "float32"


def make_captioner(
    vocabulary_size: int,
    feature_shape: tuple[int, int, int],
    config: ModelConfig,
    precision: str = "float32",
    vectors: WordVectors | None = None,
) -> Captioner:
    """A new captioner of these sizes that computes in `precision`, with `vectors` of its words."""
    sizes = asdict(config) | {"embedding_dim": vectors and vectors.embedding_dim}
    captioner = Captioner(CaptionerSettings(vocabulary_size, feature_shape, **sizes), dtype=precision)
    if vectors is not None:
        captioner.embedding.assign_vectors(vectors.matrix, vectors.has_vector)
    return captioner


def all_reduce_sum(values: list[Any]) -> list[Any]:
    """Each value summed over the replicas that a batch is divided among; where it is not, the values."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


class TrainingModel(keras.Model):
    """What `fit` sees: the captioner behind stored features, or behind pictures and the frozen backbone.

    Both ways round the activations as the cache stores them, so both give the captioner the same numbers.

    Args:
        accumulation_steps: a batch is computed in so many parts, one after another, with the gradient of the
            whole: the weight of each label is that in the whole batch.
        parallel_chunks: a batch, or part, is divided among so many cores, side by side (see
            `threads.configure_threads`), again with the gradient of the whole.
    """

    def __init__(
        self,
        captioner: Captioner,
        backbone: Backbone | None = None,
        accumulation_steps: int = 1,
        parallel_chunks: int = 1,
    ) -> None:
        super().__init__(name="training", dtype=captioner.dtype_policy)
        self.captioner = captioner
        self._encode = None if backbone is None else backbone.network
        self._storage = None if backbone is None else backbone.config.storage
        self._accumulation_steps, self._lanes = accumulation_steps, parallel_chunks

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's, with an optimizer that is built: else its first step is traced twice, seconds at every start."""
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """`features` as stored (B, h, w, C) or `images` uint8 (B, H, W, 3), and packed captions -> logits (B, T, V)."""
        inputs = dict(inputs)
        if "images" in inputs:
            images = keras.ops.cast(inputs.pop("images"), "float32")
            rows = tf.shape(images)[0]
            # A part of a batch may be empty; convolutions fail there.
            images = tf.pad(images, [[0, tf.maximum(0, 1 - rows)], [0, 0], [0, 0], [0, 0]])
            inputs["features"] = quantize(self._encode(images, training=False)[:rows], self._storage)
        inputs["features"] = dequantize(inputs["features"])
        return self.captioner(inputs, training=training)

    def _in_lanes(self, begin: tf.Tensor, end: tf.Tensor, compute: Callable[..., Any], data: Any) -> list[Any]:
        """What `compute` makes of the rows from `begin` to `end`, for each lane its share of them.

        Nothing in one lane waits for another, so TensorFlow computes them side by side.
        """
        size = -(-(end - begin) // self._lanes)
        return [
            compute(*tf.nest.map_structure(lambda values, slot=slot: values[slot], data))
            for slot in (
                slice(tf.minimum(end, begin + lane * size), tf.minimum(end, begin + (lane + 1) * size))
                for lane in range(self._lanes)
            )
        ]

    def train_step(self, data: Any) -> Any:
        """One update of the weights from (inputs, labels (B, T), sample_weight (B, T))."""
        rows = tf.shape(data[1])[0]
        [count] = all_reduce_sum([tf.reduce_sum(data[2])])
        variables = self.trainable_variables

        def lane(inputs: Any, labels: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
            """Loss and gradients of some rows, as their share of the whole batch's."""
            with tf.GradientTape() as tape:
                logits = self(inputs, training=True)
                own = tf.math.divide_no_nan(self.loss.sum(labels, logits, weights), count)
                scaled = self.optimizer.scale_loss(own)
            # Where there is one cell, where to look is not learned.
            zero = tf.UnconnectedGradients.ZERO
            found = tape.gradient(scaled, [variable.value for variable in variables], unconnected_gradients=zero)
            self.compute_metrics(inputs, labels, logits, weights)
            return [own, *map(tf.convert_to_tensor, found)]

        def step(begin: tf.Tensor, end: tf.Tensor) -> list[tf.Tensor]:
            return [tf.add_n(found) for found in zip(*self._in_lanes(begin, end, lane, data), strict=True)]

        if self._accumulation_steps == 1:
            loss, *gradients = step(tf.constant(0), rows)
        else:
            size = -(-rows // self._accumulation_steps)

            def add_step(begin: tf.Tensor, *sums: tf.Tensor) -> tuple:
                end = tf.minimum(rows, begin + size)
                return (end, *(old + more for old, more in zip(sums, step(begin, end), strict=True)))

            start = (tf.constant(0), tf.constant(0.0), *(tf.zeros(variable.shape) for variable in variables))
            # One at a time: steps that run side by side need the memory of them all.
            _, loss, *gradients = tf.while_loop(lambda begin, *_: begin < rows, add_step, start, parallel_iterations=1)
        [loss] = all_reduce_sum([loss])
        self._loss_tracker.update_state(loss, sample_weight=rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> Any:
        """Loss and metrics of a batch (inputs, labels (B, T), sample_weight (B, T))."""
        rows = tf.shape(data[1])[0]

        def lane(inputs: Any, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            logits = self(inputs, training=False)
            self.compute_metrics(inputs, labels, logits, weights)
            return self.loss.sum(labels, logits, weights)

        own = tf.add_n(self._in_lanes(tf.constant(0), rows, lane, data))
        total, count = all_reduce_sum([own, tf.reduce_sum(data[2])])
        self._loss_tracker.update_state(tf.math.divide_no_nan(total, count), sample_weight=rows)
        return self.get_metrics_result()
