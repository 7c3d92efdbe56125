"""Masked loss and metrics: labels have the weight of their caption, padding and unknown labels have weight 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


def _label_indices(labels: Any) -> Any:
    """Labels int (B, T) -> int (B*T, 2), the index of each label in logits (B*T, V)."""
    flat = ops.reshape(ops.cast(labels, "int32"), (-1,))  # (B*T,)
    return ops.stack([ops.arange(ops.size(flat)), flat], axis=-1)


def token_losses(labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of every token in nats, float32 (B, T).

    Args:
        labels: int (B, T).
        logits: float (B, T, V).
        label_smoothing: e in [0, 1): the target is 1-e on the label plus e/V on every token (Szegedy et al. 2016).
    """
    size = logits.shape[-1]

    @tf.custom_gradient
    def cross_entropy(rows: Any) -> tuple[Any, Any]:
        probabilities = tf.nn.softmax(rows)  # (B*T, V)
        # The normalizer comes from the likeliest token, whose probability is at least 1/V: the label's may underflow.
        losses = tf.reduce_max(rows, axis=-1) - tf.math.log(tf.reduce_max(probabilities, axis=-1))  # (B*T,)
        losses -= (1 - label_smoothing) * tf.gather_nd(rows, indices)
        if label_smoothing:
            losses -= label_smoothing * tf.reduce_mean(rows, axis=-1)

        def gradient(upstream: Any) -> Any:
            smoothed = probabilities - label_smoothing / size if label_smoothing else probabilities
            return tf.tensor_scatter_nd_sub(smoothed * upstream[:, None], indices, (1 - label_smoothing) * upstream)

        return losses, gradient

    indices = _label_indices(labels)
    rows = ops.reshape(ops.cast(logits, "float32"), (-1, size))  # (B*T, V)
    return ops.reshape(cross_entropy(rows), ops.shape(labels))  # (B, T)


@keras.saving.register_keras_serializable("caption_tx")
class MaskedLoss(keras.losses.Loss):
    """Mean of `token_losses` over the labels of a batch, weighted by sample weight.

    Example:
        >>> loss = caption_tx.MaskedLoss(label_smoothing=0.1)
        >>> labels, logits = np.array([[1, 0]]), np.zeros((1, 2, 4), np.float32)
        >>> round(float(loss(labels, logits, sample_weight=np.array([[1.0, 0.0]]))), 3)  # the log of 4
        1.386
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "masked_loss") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.label_smoothing = label_smoothing

    def call(self, labels: Any, logits: Any) -> Any:
        """The loss of every label: int (B, T), float (B, T, V) -> float32 (B, T)."""
        return token_losses(labels, logits, self.label_smoothing)

    def sum(self, labels: Any, logits: Any, weights: Any) -> Any:
        """The weighted sum over part of a batch: int (B, T), float (B, T, V), float (B, T) -> float32 ()."""
        losses = self.call(labels, logits)  # (B, T)
        return ops.sum(losses * ops.cast(weights, losses.dtype))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"label_smoothing": self.label_smoothing, "name": self.name}


class TokenMean(keras.metrics.Mean):
    """Weighted mean of a value over all labels, exact over any number of batches.

    Args:
        measure: maps labels int (B, T) and logits float (B, T, V) to values float32 (B, T).
        name: of the metric.
    """

    def __init__(self, measure: Callable[[Any, Any], Any], name: str) -> None:
        super().__init__(name=name)
        self._measure = measure

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        values = self._measure(y_true, y_pred)
        weights = ops.ones_like(values) if sample_weight is None else ops.cast(sample_weight, values.dtype)
        # Flat, since Keras averages the weights of a row: labels of short batches would count more.
        super().update_state(ops.reshape(values, (-1,)), ops.reshape(weights, (-1,)))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable("caption_tx")
class TokenLoss(TokenMean):
    """Cross-entropy per counted label, in nats, without label smoothing."""

    def __init__(self, name: str = "token_loss") -> None:
        super().__init__(token_losses, name)


def token_hits(labels: Any, logits: Any) -> Any:
    """1.0 if no token is likelier than the label: int (B, T), float (B, T, V) -> float32 (B, T)."""
    rows = ops.reshape(ops.cast(logits, "float32"), (-1, logits.shape[-1]))  # (B*T, V)
    hits = tf.gather_nd(rows, _label_indices(labels)) >= tf.reduce_max(rows, axis=-1)
    return ops.reshape(ops.cast(hits, "float32"), ops.shape(labels))


@keras.saving.register_keras_serializable("caption_tx")
class TokenAccuracy(TokenMean):
    """Fraction of counted labels that are the likeliest token, in [0, 1]."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(token_hits, name)
