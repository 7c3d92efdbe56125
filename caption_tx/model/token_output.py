"""The output layer: hidden states -> logits, with an output bias that starts at the log prior of the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from caption_tx.model.embedding import embedding_initializer


def log_prior(counts: np.ndarray) -> np.ndarray:
    """The log of each token's relative frequency with add-one (Laplace) smoothing.

    Smoothing keeps the value of tokens with count 0 finite.

    Args:
        counts: (V,), how often each token is a label.

    Returns:
        float32 (V,).

    Raises:
        ValueError: counts are not a vector, contain a negative number, or are all zero.

    Example:
        >>> log_prior(np.array([0, 1, 5]))
        array([-2.1972246 , -1.5040774 , -0.40546511], dtype=float32)
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim != 1 or counts.size == 0 or (counts < 0).any() or not counts.any():
        raise ValueError(f"Expected a vector of token counts with at least one above 0, got {counts}.")
    return np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)


@dataclass(frozen=True)
class Entropies:
    """Cross-entropy in nats per token of a model that predicts all tokens equally, or by their frequency (marginal)."""

    uniform: float
    marginal: float

    def __str__(self) -> str:
        return f"uniform entropy {self.uniform:.2f}, marginal entropy {self.marginal:.2f} nats per token"


def entropies(counts: np.ndarray) -> Entropies:
    """The uniform and the marginal entropy of token counts (V,)."""
    frequencies = np.asarray(counts, np.float64) / np.sum(counts)
    nonzero = frequencies[frequencies > 0]
    return Entropies(float(np.log(len(frequencies))), float(-(nonzero * np.log(nonzero)).sum()))


@keras.saving.register_keras_serializable("caption_tx")
class TokenOutput(keras.layers.Layer):
    """Hidden states (B, T, D) -> float32 logits (B, T, V).

    The bias is the sum of two weights: `log_prior`, which `adapt` sets, training does not change and the model's weight
    file stores; and `bias`, which is trained and starts at zero. A tied layer gets the token embeddings at every call;
    an untied one has its own kernel.
    """

    def __init__(self, vocabulary_size: int, hidden_dim: int, tied: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.hidden_dim, self.tied = vocabulary_size, hidden_dim, tied

    def build(self, *_: Any) -> None:
        size = self.vocabulary_size
        # Never cast to half precision, which would round logits to the nearest 1/128.
        full = {"dtype": "float32", "autocast": False}
        self.log_prior = self.add_weight((size,), "zeros", trainable=False, name="log_prior", **full)
        self.bias = self.add_weight((size,), "zeros", name="bias", **full)
        if not self.tied:
            self.kernel = self.add_weight((size, self.hidden_dim), embedding_initializer(), name="kernel")

    def adapt(self, counts: np.ndarray) -> Entropies:
        """Set the log prior from the label counts (V,).

        Returns:
            The entropies to compare a loss with.

        Raises:
            ValueError: there is not one count per token of the vocabulary.
        """
        if np.shape(counts) != (self.vocabulary_size,):
            raise ValueError(f"Expected counts of shape ({self.vocabulary_size},), got {np.shape(counts)}.")
        self.log_prior.assign(log_prior(counts))
        return entropies(counts)

    def call(self, x: Any, embeddings: Any = None) -> Any:
        """Hidden states (B, T, D) and, if tied, embeddings (V, D) -> logits, float32 (B, T, V).

        Raises:
            ValueError: the layer is tied and there are no embeddings, or the reverse.
        """
        if (embeddings is not None) != self.tied:
            raise ValueError("A tied TokenOutput needs the embeddings (V, D); an untied one takes none.")
        kernel = ops.cast(embeddings if self.tied else self.kernel, self.compute_dtype)
        logits = ops.matmul(ops.cast(x, self.compute_dtype), ops.transpose(kernel))  # (B, T, V)
        return ops.cast(logits, "float32") + (self.log_prior + self.bias)

    def step(self, x: Any, embeddings: Any = None) -> Any:
        """Like `call`, for one position of the captions in a search: (B, G, D) -> (B, G, V).

        For a single caption the kernel is the left factor: XLA would copy a transposed right factor at every step.
        """
        if x.shape[0] != 1 or x.shape[1] != 1:
            return self(x, embeddings)
        kernel = ops.cast(embeddings if self.tied else self.kernel, self.compute_dtype)
        logits = ops.matmul(kernel, ops.reshape(ops.cast(x, self.compute_dtype), (-1, 1)))  # (V, 1)
        return ops.cast(ops.reshape(logits, (1, 1, -1)), "float32") + (self.log_prior + self.bias)

    def get_config(self) -> dict[str, Any]:
        config = {"vocabulary_size": self.vocabulary_size, "hidden_dim": self.hidden_dim, "tied": self.tied}
        return super().get_config() | config
