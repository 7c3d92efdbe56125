"""From hidden states to logits, with an output bias that starts at the token frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from caption_tx.model.layers import embedding_initializer


def log_prior(counts: np.ndarray) -> np.ndarray:
    """Log of each token's share, (V,) counts -> (V,) float32, every token counted once more than it was.

    The one extra (Laplace) keeps tokens that were never labels finite, so no dtype overflows.

    Raises:
        ValueError: counts are not a vector, hold a negative, or are all zero.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 1 or counts.size == 0 or (counts < 0).any() or not counts.any():
        raise ValueError(f"Expected a vector of token counts, some above 0, got shape {counts.shape}: {counts}.")
    return np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)


@dataclass(frozen=True)
class Entropies:
    """What a model scores, in nats per token, that knows nothing (uniform) or only frequencies (marginal)."""

    uniform: float
    marginal: float

    def __str__(self) -> str:
        return f"uniform entropy {self.uniform:.2f}, marginal entropy {self.marginal:.2f} nats per token"


def entropies(counts: np.ndarray) -> Entropies:
    """Uniform and marginal entropy of a vector of token counts (V,)."""
    share = np.asarray(counts, np.float64) / np.sum(counts)
    present = share[share > 0]
    return Entropies(float(np.log(len(share))), float(-(present * np.log(present)).sum()))


class TokenOutput(keras.layers.Layer):
    """Hidden states (B, T, D) -> float32 logits (B, T, V).

    The bias is a fixed `log_prior` weight, set by `adapt` and saved with the model, plus a trained
    part that starts at zero. Without `embeddings` passed to the call, it owns its kernel.
    """

    def __init__(self, vocabulary_size: int, hidden_dim: int, tied: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.hidden_dim, self.tied = vocabulary_size, hidden_dim, tied

    def build(self, *_: Any) -> None:
        size = self.vocabulary_size
        # Not cast to half precision on use: a logit may not be rounded to the nearest 1/128.
        full = {"dtype": "float32", "autocast": False}
        self.log_prior = self.add_weight((size,), "zeros", trainable=False, name="log_prior", **full)
        self.bias = self.add_weight((size,), "zeros", name="bias", **full)
        if not self.tied:
            self.kernel = self.add_weight((size, self.hidden_dim), embedding_initializer(), name="kernel")

    def adapt(self, counts: np.ndarray) -> Entropies:
        """Sets the log prior from the label counts (V,); returns the entropies to compare a loss with.

        Raises:
            ValueError: the counts are of another size than the vocabulary.
        """
        if np.shape(counts) != (self.vocabulary_size,):
            raise ValueError(f"Expected counts of shape ({self.vocabulary_size},), got {np.shape(counts)}.")
        self.log_prior.assign(log_prior(counts))
        return entropies(counts)

    def call(self, x: Any, embeddings: Any = None) -> Any:
        if (embeddings is not None) != self.tied:
            raise ValueError("A tied TokenOutput needs the embeddings (V, D); an untied one takes none.")
        kernel = ops.cast(embeddings if self.tied else self.kernel, self.compute_dtype)
        logits = ops.matmul(ops.cast(x, self.compute_dtype), ops.transpose(kernel))
        return ops.cast(logits, "float32") + (self.log_prior + self.bias)

    def step(self, x: Any, embeddings: Any = None) -> Any:
        """As the call, for one position of captions that are being searched.

        For a single caption the kernel is on the left: transposed, XLA would copy all of it at every step.
        """
        if x.shape[0] != 1 or x.shape[1] != 1:
            return self(x, embeddings)
        kernel = ops.cast(embeddings if self.tied else self.kernel, self.compute_dtype)
        logits = ops.matmul(kernel, ops.reshape(ops.cast(x, self.compute_dtype), (-1, 1)))  # (V, 1)
        return ops.cast(ops.reshape(logits, (1, 1, -1)), "float32") + (self.log_prior + self.bias)

    def get_config(self) -> dict[str, Any]:
        config = {"vocabulary_size": self.vocabulary_size, "hidden_dim": self.hidden_dim, "tied": self.tied}
        return super().get_config() | config
