"""The model that Keras `fit` trains: one step on a batch, as a whole, accumulated, or in parallel chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from caption_tx.config import ModelConfig
from caption_tx.data.features.backbone import Backbone, dequantize, quantize
from caption_tx.data.text.word_vectors import WordVectors
from caption_tx.model.captioner import Captioner
from caption_tx.model.settings import CaptionerSettings
from caption_tx.threads import has_fast_bfloat16
from caption_tx.training.box_loss import BoxLoss, BoxMass


def resolve_precision() -> str:
    """The precision that "auto" means on this machine, one of `config.PRECISIONS`."""
    return "mixed_bfloat16" if has_fast_bfloat16() else "float32"


def make_captioner(
    vocabulary_size: int,
    feature_shape: tuple[int, int, int],
    config: ModelConfig,
    precision: str = "float32",
    vectors: WordVectors | None = None,
) -> Captioner:
    """A new captioner with random weights.

    Args:
        vocabulary_size: V.
        feature_shape: (h, w, C) of the backbone.
        config: the other dimensions.
        precision: Keras dtype policy that the captioner computes in.
        vectors: word vectors that the embedding starts from.
    """
    sizes = asdict(config) | {"embedding_dim": vectors and vectors.embedding_dim}
    captioner = Captioner(CaptionerSettings(vocabulary_size, feature_shape, **sizes), dtype=precision)
    if vectors is not None:
        captioner.embedding.assign_vectors(vectors.matrix, vectors.has_vector)
    return captioner


def all_reduce_sum(values: list[Any]) -> list[Any]:
    """Sums each value over all replicas; without replicas, the values themselves."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


class TrainingModel(keras.Model):
    """The captioner behind stored features, or behind images and the frozen backbone.

    Both inputs give the captioner the same numbers, since features are rounded to the storage format either way.
    Dividing a batch does not change its gradient: each label keeps its weight in the whole batch.

    Args:
        captioner: the model that learns.
        backbone: encodes images in every step; None if batches contain features.
        accumulation_steps: a batch is computed in this many parts, one after another.
        parallel_chunks: a batch, or part, is divided into this many chunks that are computed side by side (see
            `threads.configure_threads`).
        box_loss: keeps attention inside the boxes of words; batches then have `coverage` among the inputs.
    """

    def __init__(
        self,
        captioner: Captioner,
        backbone: Backbone | None = None,
        accumulation_steps: int = 1,
        parallel_chunks: int = 1,
        box_loss: BoxLoss | None = None,
    ) -> None:
        super().__init__(name="training", dtype=captioner.dtype_policy)
        self.captioner = captioner
        self._encode = None if backbone is None else backbone.network
        self._storage = None if backbone is None else backbone.config.storage
        self._accumulation_steps, self._parallel_chunks = accumulation_steps, parallel_chunks
        self._box_loss = box_loss
        if box_loss is not None:
            self.box_mass = BoxMass()
            self.box_scale = tf.Variable(1.0, trainable=False, name="box_scale")  # 0 before the first epoch with boxes

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles as Keras does, and builds the optimizer: else `fit` traces its first step twice, for seconds."""
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: dict[str, Any], training: bool | None = None, return_attention_scores: bool = False) -> Any:
        """Predicts logits (B, T, V) from packed captions and the images they describe.

        Args:
            inputs: `token_ids`, `positions` and `segment_ids` int (B, T), and either `features` as stored (B, h, w, C)
                or `images` uint8 (B, H, W, 3).
            return_attention_scores: also return the cross-attention scores, float32 (B, L, N, T, S).
        """
        inputs = dict(inputs)
        if "images" in inputs:
            images = keras.ops.cast(inputs.pop("images"), "float32")  # (B, H, W, 3)
            rows = tf.shape(images)[0]
            # A chunk may have no rows, for which convolutions fail.
            images = tf.pad(images, [[0, tf.maximum(0, 1 - rows)], [0, 0], [0, 0], [0, 0]])
            inputs["features"] = quantize(self._encode(images, training=False)[:rows], self._storage)  # (B, h, w, C)
        inputs["features"] = dequantize(inputs["features"])
        return self.captioner(inputs, training=training, return_attention_scores=return_attention_scores)

    def _loss_sum(self, inputs: dict[str, Any], labels: tf.Tensor, weights: tf.Tensor, training: bool) -> tf.Tensor:
        """The weighted sum of the losses of part of a batch, whose metrics are updated."""
        if self._box_loss is None:
            logits = self(inputs, training=training)  # (B, T, V)
            loss = self.loss.sum(labels, logits, weights)
        else:
            inputs = dict(inputs)
            coverage = inputs.pop("coverage")  # (B, T, S)
            logits, scores = self(inputs, training=training, return_attention_scores=True)
            outside, inside, count = self._box_loss(scores, coverage, weights)
            self.box_mass.add(inside, count)
            loss = self.loss.sum(labels, logits, weights) + self.box_scale * outside
        self.compute_metrics(inputs, labels, logits, weights)
        return loss

    def _map_chunks(self, begin: tf.Tensor, end: tf.Tensor, compute: Callable[..., Any], data: Any) -> list[Any]:
        """Calls `compute` on each chunk of the rows from `begin` to `end`.

        No chunk depends on another, so TensorFlow computes them in parallel.
        """
        size = -(-(end - begin) // self._parallel_chunks)
        return [
            compute(*tf.nest.map_structure(lambda values, rows=rows: values[rows], data))
            for rows in (
                slice(tf.minimum(end, begin + chunk * size), tf.minimum(end, begin + (chunk + 1) * size))
                for chunk in range(self._parallel_chunks)
            )
        ]

    def train_step(self, data: Any) -> Any:
        """Updates the weights once from (inputs, labels (B, T), sample_weight (B, T))."""
        rows = tf.shape(data[1])[0]
        [count] = all_reduce_sum([tf.reduce_sum(data[2])])
        variables = self.trainable_variables

        def chunk_gradients(inputs: Any, labels: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
            """The loss and gradients of a chunk, weighted by its share of the batch."""
            with tf.GradientTape() as tape:
                loss = tf.math.divide_no_nan(self._loss_sum(inputs, labels, weights, training=True), count)
                scaled = self.optimizer.scale_loss(loss)
            # With a single cell the attention weights get no gradient.
            zero = tf.UnconnectedGradients.ZERO
            gradients = tape.gradient(scaled, [variable.value for variable in variables], unconnected_gradients=zero)
            return [loss, *map(tf.convert_to_tensor, gradients)]

        def step(begin: tf.Tensor, end: tf.Tensor) -> list[tf.Tensor]:
            return [tf.add_n(parts) for parts in zip(*self._map_chunks(begin, end, chunk_gradients, data), strict=True)]

        if self._accumulation_steps == 1:
            loss, *gradients = step(tf.constant(0), rows)
        else:
            size = -(-rows // self._accumulation_steps)

            def add_step(begin: tf.Tensor, *sums: tf.Tensor) -> tuple:
                end = tf.minimum(rows, begin + size)
                return (end, *(old + more for old, more in zip(sums, step(begin, end), strict=True)))

            start = (tf.constant(0), tf.constant(0.0), *(tf.zeros(variable.shape) for variable in variables))
            # One iteration at a time: parallel iterations would need the memory of all of them.
            _, loss, *gradients = tf.while_loop(lambda begin, *_: begin < rows, add_step, start, parallel_iterations=1)
        [loss] = all_reduce_sum([loss])
        self._loss_tracker.update_state(loss, sample_weight=rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> Any:
        """Computes loss and metrics of (inputs, labels (B, T), sample_weight (B, T))."""
        rows = tf.shape(data[1])[0]

        def chunk_loss(inputs: Any, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            return self._loss_sum(inputs, labels, weights, training=False)

        own = tf.add_n(self._map_chunks(tf.constant(0), rows, chunk_loss, data))
        total, count = all_reduce_sum([own, tf.reduce_sum(data[2])])
        self._loss_tracker.update_state(tf.math.divide_no_nan(total, count), sample_weight=rows)
        return self.get_metrics_result()
