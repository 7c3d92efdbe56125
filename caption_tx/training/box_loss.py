"""The loss that keeps the attention of words inside the boxes they name.

Letters: B batch, L layers, N heads, T tokens, S = h*w cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from caption_tx.config import BoxesConfig

_MIN_MASS = 1e-4
"""The logarithm of less attention than this inside the boxes has no gradient."""


@dataclass(frozen=True)
class BoxLoss:
    """The negative log of the attention that words pay to the boxes they name.

    The attention of the guided heads and layers is averaged first; with `each_head`, every head has its own loss, and
    their mean counts.

    Attributes:
        weight: beside the cross-entropy of the word.
        layers: indices of the guided layers; empty for all.
        heads: number of guided heads in each layer; 0 for all.
    """

    weight: float
    layers: tuple[int, ...] = ()
    heads: int = 0
    each_head: bool = False

    @classmethod
    def from_config(cls, config: BoxesConfig) -> BoxLoss | None:
        """The loss of a run; None without boxes."""
        if not config.sources:
            return None
        return cls(config.weight, config.guided_layers, config.guided_heads, config.each_head)

    def __call__(self, scores: Any, coverage: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Sums over the words of part of a batch.

        Args:
            scores: cross-attention, float (B, L, N, T, S), sums are 1.
            coverage: uint8 (B, T, S), the share of each cell that a word's boxes cover, times 255; 0 without boxes.
            weights: float (B, T), the weight of each label.

        Returns:
            The loss, and the sum of the mean map's mass inside the boxes and of the words' weights, for a metric;
            float32 () each.
        """
        weights = weights * ops.cast(ops.any(coverage > 0, axis=-1), "float32")  # (B, T)
        coverage = ops.cast(coverage, "float32") / 255
        guided = scores if not self.layers else ops.take(scores, list(self.layers), axis=1)
        guided = guided[:, :, : self.heads] if self.heads else guided
        if self.each_head:
            mass = ops.einsum("blnts,bts->blnt", guided, coverage)
            losses = -ops.mean(ops.log(ops.maximum(mass, _MIN_MASS)), axis=(1, 2))  # (B, T)
        else:
            mass = ops.sum(ops.mean(guided, axis=(1, 2)) * coverage, axis=-1)
            losses = -ops.log(ops.maximum(mass, _MIN_MASS))  # (B, T)
        shown = ops.sum(ops.mean(scores, axis=(1, 2)) * coverage, axis=-1)  # (B, T)
        return self.weight * ops.sum(losses * weights), ops.sum(shown * weights), ops.sum(weights)


class BoxMass(keras.metrics.Mean):
    """Share of the mean attention map inside the boxes that a word names, in [0, 1]."""

    def __init__(self, name: str = "box_mass") -> None:
        super().__init__(name=name)

    def add(self, total: Any, count: Any) -> None:
        """Adds the sums of part of a batch."""
        self.update_state(tf.math.divide_no_nan(total, count), sample_weight=count)
