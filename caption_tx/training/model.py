"""What Keras `fit` trains: the captioner behind its input, one step on a batch at once or in parts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from caption_tx.config import ModelConfig
from caption_tx.cores import multiplies_bfloat16
from caption_tx.data.backbone import Backbone, dequantize, quantize
from caption_tx.data.word_vectors import WordVectors
from caption_tx.model.captioner import Captioner
from caption_tx.training.objective import over_replicas


def choose_precision(precision: str) -> str:
    """One of `config.PRECISIONS` as Keras names it: what "auto" means on this machine, the others as they are."""
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if multiplies_bfloat16() else "float32"


def make_captioner(
    vocabulary_size: int,
    feature_shape: tuple[int, int, int],
    config: ModelConfig,
    precision: str = "float32",
    vectors: WordVectors | None = None,
) -> Captioner:
    """A new captioner of these sizes that computes in `precision`, with `vectors` of its words."""
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
        lanes: else in so many parts side by side, each on a core of its own (`cores.share_cores`), again with the
            gradient of the whole.
    """

    def __init__(
        self, captioner: Captioner, backbone: Backbone | None = None, accumulation_steps: int = 1, lanes: int = 1
    ) -> None:
        super().__init__(name="training", dtype=captioner.dtype_policy)
        self.captioner = captioner
        self._encode = None if backbone is None else backbone.network
        self._storage = None if backbone is None else backbone.config.storage
        self._accumulation_steps, self._lanes = accumulation_steps, lanes

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
        if self._accumulation_steps == 1 and self._lanes == 1:
            return super().train_step(data)
        inputs, labels, weights = data
        rows = tf.shape(labels)[0]
        size = tf.maximum(1, -(-rows // max(self._accumulation_steps, self._lanes)))
        [count] = over_replicas([tf.reduce_sum(weights)])
        variables = self.trainable_variables

        def part(begin: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            """Loss and gradients of `size` rows, as their share of the whole batch's."""
            rows, labels_part, weights_part = tf.nest.map_structure(
                lambda values: values[begin : begin + size], (inputs, labels, weights)
            )
            with tf.GradientTape() as tape:
                logits = self(rows, training=True)
                own = tf.math.divide_no_nan(self.loss.sums(labels_part, logits, weights_part)[0], count)
                scaled = self.optimizer.scale_loss(own)
            gradients = tape.gradient(scaled, [variable.value for variable in variables])
            self.compute_metrics(rows, labels_part, logits, weights_part)
            return own, [tf.convert_to_tensor(gradient) for gradient in gradients]

        if self._accumulation_steps > 1:

            def add_part(begin: tf.Tensor, loss: tf.Tensor, *gradients: tf.Tensor) -> tuple:
                own, new = part(begin)
                return (begin + size, loss + own, *(old + more for old, more in zip(gradients, new, strict=True)))

            start = (tf.constant(0), tf.constant(0.0), *(tf.zeros(variable.shape) for variable in variables))
            # One at a time: parts that run side by side need the memory of them all.
            _, loss, *gradients = tf.while_loop(lambda begin, *_: begin < rows, add_part, start, parallel_iterations=1)
        else:
            # Nothing in one part waits for another, so TensorFlow computes them side by side.
            losses, parts = zip(*(part(size * lane) for lane in range(self._lanes)), strict=True)
            loss, gradients = tf.add_n(losses), [tf.add_n(found) for found in zip(*parts, strict=True)]
        [loss] = over_replicas([loss])
        self._loss_tracker.update_state(loss, sample_weight=rows)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.get_metrics_result()
