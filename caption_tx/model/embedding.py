"""Token and position embeddings, optionally with pretrained word vectors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

EMBEDDING_STDDEV = 0.02
"""Small enough that tied output logits start close to the log prior."""


def embedding_initializer() -> keras.initializers.Initializer:
    """A new initializer, needed for every weight: one Keras initializer used twice draws the same numbers twice."""
    return keras.initializers.RandomNormal(stddev=EMBEDDING_STDDEV)


@keras.saving.register_keras_serializable("caption_tx")
class TokenAndPositionEmbedding(keras.layers.Layer):
    """Learned token embeddings, scaled by sqrt(D), plus learned position embeddings.

    With an `embedding_dim` E the token embeddings are pretrained word vectors (`assign_vectors`), which a learned
    matrix projects to D if E differs. With `freeze`, the pretrained rows never change; the others are trained.
    """

    def __init__(
        self,
        vocabulary_size: int,
        max_length: int,
        hidden_dim: int,
        embedding_dim: int | None = None,
        freeze: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.max_length, self.hidden_dim = vocabulary_size, max_length, hidden_dim
        self.embedding_dim, self.freeze = embedding_dim, freeze

    def build(self, *_: Any) -> None:
        width = self.embedding_dim or self.hidden_dim
        tokens, positions = (self.vocabulary_size, width), (self.max_length, self.hidden_dim)
        self.tokens = self.add_weight(tokens, embedding_initializer(), name="tokens")
        self.positions = self.add_weight(positions, embedding_initializer(), name="positions")
        self.frozen = self.scale = self.projection = None
        if self.embedding_dim is not None:
            # The weight contains the word vectors unchanged; the scale gives them the size of learned embeddings.
            self.scale = self.add_weight((), "ones", trainable=False, name="scale")
        if self.freeze:
            self.frozen = self.add_weight((self.vocabulary_size,), "zeros", trainable=False, name="frozen")
        if width != self.hidden_dim:
            # This standard deviation preserves the size of the embeddings.
            initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
            self.projection = self.add_weight((width, self.hidden_dim), initializer, name="projection")

    def assign_vectors(self, vectors: np.ndarray, has_vector: np.ndarray) -> None:
        """Set the token embeddings to word vectors.

        Args:
            vectors: float (V, E).
            has_vector: boolean (V,). Rows without a vector keep random values, scaled to the size of the vectors.

        Raises:
            ValueError: the shapes differ, or no row has a vector.
        """
        shape = (self.vocabulary_size, self.embedding_dim)
        if np.shape(vectors) != shape or np.shape(has_vector) != shape[:1] or not np.any(has_vector):
            raise ValueError(
                f"Expected vectors of shape {shape} for at least one token, "
                f"got shape {np.shape(vectors)} and vectors for {np.sum(has_vector)} tokens."
            )
        size = float(np.sqrt(np.mean(np.square(vectors[has_vector], dtype=np.float64)))) or 1.0
        random = np.asarray(self.tokens) * (size / EMBEDDING_STDDEV)
        self.tokens.assign(np.where(has_vector[:, None], vectors, random))
        self.scale.assign(EMBEDDING_STDDEV / size)
        if self.frozen is not None:
            self.frozen.assign(has_vector.astype(np.float32))

    def _scale_rows(self, rows: Any, frozen: Any) -> Any:
        """Scale rows (.., E) of `tokens`, and stop the gradient of the frozen ones (..,)."""
        if self.frozen is not None:
            rows = ops.where(frozen[..., None] > 0, ops.stop_gradient(rows), rows)
        return rows if self.scale is None else rows * self.scale

    def call(self, token_ids: Any, positions: Any) -> Any:
        """int (B, T), int (B, T) in [0, P) -> (B, T, D)."""
        frozen = None if self.frozen is None else ops.take(self.frozen, token_ids, axis=0)
        embedded = self._scale_rows(ops.take(self.tokens, token_ids, axis=0), frozen)  # (B, T, E)
        if self.projection is not None:
            embedded = ops.matmul(embedded, self.projection)  # (B, T, D)
        embedded = embedded + ops.take(self.positions, positions, axis=0)
        return ops.cast(embedded * self.hidden_dim**0.5, self.compute_dtype)

    def tied(self, x: Any) -> tuple[Any, Any]:
        """The two factors of tied output logits: hidden states (B, T, E) and token embeddings (V, E).

        If the embeddings are projected, the transposed projection maps the hidden states (B, T, D) back to width E.
        """
        if self.projection is not None:
            x = ops.matmul(x, ops.transpose(ops.cast(self.projection, x.dtype)))  # (B, T, E)
        return x, self._scale_rows(self.tokens, self.frozen)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "max_length": self.max_length,
            "hidden_dim": self.hidden_dim,
            "embedding_dim": self.embedding_dim,
            "freeze": self.freeze,
        }
