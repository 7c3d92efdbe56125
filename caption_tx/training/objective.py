"""Masked loss and metrics. A label weighs what its caption weighs; padding and unknown labels weigh 0."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


def token_losses(labels: Any, logits: Any, label_smoothing: float = 0.0) -> Any:
    """Cross-entropy of every token in nats: int (B, T), float (B, T, V) -> float32 (B, T).

    With label smoothing e the target is 1-e on the label and e/V on every token (Szegedy et al. 2016).
    """
    logits = ops.cast(logits, "float32")
    normalizer = ops.logsumexp(logits, axis=-1)
    chosen = ops.take_along_axis(logits, ops.cast(labels, "int32")[..., None], axis=-1)[..., 0]
    if not label_smoothing:
        return normalizer - chosen
    return normalizer - (1 - label_smoothing) * chosen - label_smoothing * ops.mean(logits, axis=-1)


class MaskedLoss(keras.losses.Loss):
    """Mean `token_losses` over the labels of the batch, each by its sample weight.

    Where a batch is divided among replicas it is the mean over the whole batch: the sum of their gradients
    is that of one process, however the weighed labels are spread, and each replica's value is the whole
    batch's, divided by their number as Keras expects.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "masked_loss") -> None:
        super().__init__(name=name, reduction="mean_with_sample_weight")
        self.label_smoothing = label_smoothing

    def call(self, labels: Any, logits: Any) -> Any:
        return token_losses(labels, logits, self.label_smoothing)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return super().__call__(y_true, y_pred, sample_weight)
        losses = self.call(y_true, y_pred)  # (B, T)
        weights = ops.ones_like(losses) if sample_weight is None else ops.cast(sample_weight, losses.dtype)
        own = ops.sum(losses * weights)
        total, count = context.all_reduce(tf.distribute.ReduceOp.SUM, [ops.stop_gradient(own), ops.sum(weights)])
        own = ops.divide_no_nan(own, count)
        mean = ops.divide_no_nan(total, count)
        return own + ops.stop_gradient(mean / context.num_replicas_in_sync - own)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "name": self.name}


class TokenLoss(keras.metrics.MeanMetricWrapper):
    """Cross-entropy per counted label in nats, without smoothing, exact over the whole split."""

    def __init__(self, name: str = "token_loss") -> None:
        super().__init__(token_losses, name=name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def token_hits(labels: Any, logits: Any) -> Any:
    """1.0 where the likeliest token is the label: int (B, T), float (B, T, V) -> float32 (B, T)."""
    return ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(labels, "int32")), "float32")


class TokenAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of the counted labels that the model finds likeliest, in [0, 1]."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(token_hits, name=name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}
