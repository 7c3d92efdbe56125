"""The decoder's layers. Letters in shapes: B batch, T target, S source cells, D hidden_dim, N heads, P max_length."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from einops import rearrange
from keras import ops

from caption_tx.model.fused_layers import Dense, Dropout, LayerNormalization, gelu

EMBEDDING_STDDEV = 0.02
"""Small enough that the tied output adds little to the log prior before training."""


def embedding_initializer() -> keras.initializers.Initializer:
    """A new one for every weight: one Keras initializer used twice draws the same numbers twice."""
    return keras.initializers.RandomNormal(stddev=EMBEDDING_STDDEV)


def _split_heads(x: Any, num_heads: int) -> Any:
    return rearrange(x, "b t (n k) -> b n t k", n=num_heads)


def attend(query: Any, key: Any, value: Any, mask: Any = None, dropout: Any = None) -> tuple[Any, Any]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    Args:
        query: (B, N, T, K) with K the width of a head. key, value: (B, N, S, K).
        mask: boolean, broadcastable to (B, N, T, S); False may not be looked at.
        dropout: applied to the scores on their way to the values.

    Returns:
        Context (B, T, N*K), and the scores (B, N, T, S) in float32: after softmax, before dropout.
    """
    scale = float(query.shape[-1]) ** -0.5
    logits = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))  # (B, N, T, S)
    logits = ops.cast(logits, "float32")
    if mask is not None:
        # Finite, so that a row that may look nowhere (padding) stays free of NaN.
        logits = ops.where(mask, logits, -1e9)
    # Keras warns of a softmax over a single source, which is right here and always 1.
    scores = ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
    weights = ops.cast(scores, value.dtype)
    weights = weights if dropout is None else dropout(weights)
    return rearrange(ops.matmul(weights, value), "b n t k -> b t (n k)"), scores


def _attend_step(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """The context (B, G, N*K) of `attend` for queries (B, N, G, K), without its scores.

    The query is transposed and not the key, which XLA would copy at every step.
    """
    scale = float(query.shape[-1]) ** -0.5
    logits = ops.swapaxes(ops.matmul(key, ops.swapaxes(query * scale, -1, -2)), -1, -2)  # (B, N, G, S)
    logits = ops.cast(logits, "float32")
    if mask is not None:
        logits = ops.where(mask, logits, -1e9)
    scores = ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
    return rearrange(ops.matmul(ops.cast(scores, value.dtype), value), "b n g k -> b g (n k)")


class TokenAndPositionEmbedding(keras.layers.Layer):
    """Learned token embeddings, scaled by sqrt(D), plus learned position embeddings.

    With an `embedding_dim` E the token embeddings are word vectors (`assign_vectors`), projected to D where E is
    another width. With `freeze`, the rows that came from a file never change; the others are learned.
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
            # Word vectors of a file stay as they are there; on use they get the size of learned embeddings.
            self.scale = self.add_weight((), "ones", trainable=False, name="scale")
        if self.freeze:
            self.frozen = self.add_weight((self.vocabulary_size,), "zeros", trainable=False, name="frozen")
        if width != self.hidden_dim:
            # Keeps the size of what it projects.
            initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
            self.projection = self.add_weight((width, self.hidden_dim), initializer, name="projection")

    def assign_vectors(self, vectors: np.ndarray, found: np.ndarray) -> None:
        """Puts word vectors in place, as they are.

        Args:
            vectors: float (V, E). found: bool (V,), the rows that count; the others start random, of their size.

        Raises:
            ValueError: the shapes are others, or no row counts.
        """
        shape = (self.vocabulary_size, self.embedding_dim)
        if np.shape(vectors) != shape or np.shape(found) != shape[:1] or not np.any(found):
            raise ValueError(
                f"Expected vectors {shape}, some found, got {np.shape(vectors)} and {np.sum(found)} found."
            )
        size = float(np.sqrt(np.mean(np.square(vectors[found], dtype=np.float64)))) or 1.0
        random = np.asarray(self.tokens) * (size / EMBEDDING_STDDEV)
        self.tokens.assign(np.where(found[:, None], vectors, random))
        self.scale.assign(EMBEDDING_STDDEV / size)
        if self.frozen is not None:
            self.frozen.assign(found.astype(np.float32))

    def _learned(self, rows: Any, frozen: Any) -> Any:
        """Rows (.., E) of `tokens` as they are used; gradients pass where they are not frozen (..,)."""
        if self.frozen is not None:
            rows = ops.where(frozen[..., None] > 0, ops.stop_gradient(rows), rows)
        return rows if self.scale is None else rows * self.scale

    def call(self, token_ids: Any, positions: Any) -> Any:
        """int (B, T), int (B, T) in [0, P) -> (B, T, D)."""
        frozen = None if self.frozen is None else ops.take(self.frozen, token_ids, axis=0)
        embedded = self._learned(ops.take(self.tokens, token_ids, axis=0), frozen)
        if self.projection is not None:
            embedded = ops.matmul(embedded, self.projection)
        embedded = embedded + ops.take(self.positions, positions, axis=0)
        return ops.cast(embedded * self.hidden_dim**0.5, self.compute_dtype)

    def tied(self, x: Any) -> tuple[Any, Any]:
        """What a tied output multiplies: hidden states (B, T, D) in the embeddings' width, and those, (V, E).

        Where tokens are projected, hidden states go back by the same matrix, transposed.
        """
        if self.projection is not None:
            x = ops.matmul(x, ops.transpose(ops.cast(self.projection, x.dtype)))
        return x, self._learned(self.tokens, self.frozen)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "vocabulary_size": self.vocabulary_size,
            "max_length": self.max_length,
            "hidden_dim": self.hidden_dim,
            "embedding_dim": self.embedding_dim,
            "freeze": self.freeze,
        }


class ImageMemory(keras.layers.Layer):
    """Features (B, h, w, C) -> memory (B, h*w, D): projected, normalized, with row and column embeddings."""

    def __init__(self, hidden_dim: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.rate = hidden_dim, dropout
        self.dropout = Dropout(dropout, dtype=self.dtype_policy)
        self.project = Dense(hidden_dim, dtype=self.dtype_policy)
        self.norm = LayerNormalization(epsilon=1e-6, dtype=self.dtype_policy)

    def build(self, feature_shape: tuple[int | None, int, int, int]) -> None:
        _, h, w, channels = feature_shape
        self.grid = (h, w)
        self.project.build((None, h * w, channels))
        self.norm.build((None, h * w, self.hidden_dim))
        self.rows = self.add_weight((h, 1, self.hidden_dim), embedding_initializer(), name="rows")
        self.columns = self.add_weight((1, w, self.hidden_dim), embedding_initializer(), name="columns")

    def call(self, features: Any, training: bool | None = None) -> Any:
        if tuple(features.shape[1:3]) != self.grid:
            raise ValueError(f"Expected features on a {self.grid} grid, got shape {tuple(features.shape)}.")
        features = ops.cast(features, self.compute_dtype)
        cells = rearrange(self.dropout(features, training=training), "b h w c -> b (h w) c")
        memory = self.norm(self.project(cells))  # (B, S, D)
        place = rearrange(self.rows + self.columns, "h w d -> 1 (h w) d") * self.hidden_dim**0.5
        return memory + ops.cast(place, memory.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden_dim": self.hidden_dim, "dropout": self.rate}


class CausalSelfAttention(keras.layers.Layer):
    """Self-attention in which a position sees its own segment up to itself, given by the mask."""

    def __init__(self, hidden_dim: int, num_heads: int, attention_dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.num_heads, self.rate = hidden_dim, num_heads, attention_dropout
        self.dropout = Dropout(attention_dropout, dtype=self.dtype_policy)
        self.query_key_value = Dense(3 * hidden_dim, dtype=self.dtype_policy)
        self.output_projection = Dense(hidden_dim, dtype=self.dtype_policy)

    def build(self, *_: Any) -> None:
        for layer in (self.query_key_value, self.output_projection):
            layer.build((None, None, self.hidden_dim))

    def _project(self, x: Any) -> list[Any]:
        return [_split_heads(part, self.num_heads) for part in ops.split(self.query_key_value(x), 3, axis=-1)]

    def call(self, x: Any, mask: Any, training: bool | None = None) -> tuple[Any, Any]:
        """(B, T, D), boolean (B, 1, T, T) -> (B, T, D), scores (B, N, T, T)."""
        query, key, value = self._project(x)
        context, scores = attend(query, key, value, mask, lambda part: self.dropout(part, training=training))
        return self.output_projection(context), scores

    def step(self, x: Any, cache: tuple[Any, Any], index: Any, mask: Any) -> tuple[Any, tuple[Any, Any]]:
        """One position of G captions an image: x (B, G, D) and the keys and values so far -> (B, G, D), grown cache.

        Args:
            cache: key and value, (B, N, P*G, K) each; those of x go to places index*G and on.
            mask: boolean, broadcastable to (B, 1, G, P*G): what each caption sees.
        """
        query, *new = self._project(x)  # (B, N, G, K) each
        # Key and value apart and of the shape that they are read in: else XLA copies them at every step.
        cache = tuple(
            ops.slice_update(past, (0, 0, index * x.shape[1], 0), ops.cast(part, past.dtype))
            for past, part in zip(cache, new, strict=True)
        )
        return self.output_projection(_attend_step(query, *cache, mask)), cache

    def get_config(self) -> dict[str, Any]:
        config = {"hidden_dim": self.hidden_dim, "num_heads": self.num_heads, "attention_dropout": self.rate}
        return super().get_config() | config


class CrossAttention(keras.layers.Layer):
    """Attention from every token to the image's cells; keys and values are computed once an image."""

    def __init__(self, hidden_dim: int, num_heads: int, attention_dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.num_heads, self.rate = hidden_dim, num_heads, attention_dropout
        self.dropout = Dropout(attention_dropout, dtype=self.dtype_policy)
        self.query = Dense(hidden_dim, dtype=self.dtype_policy)
        self.key_value = Dense(2 * hidden_dim, dtype=self.dtype_policy)
        self.output_projection = Dense(hidden_dim, dtype=self.dtype_policy)

    def build(self, *_: Any) -> None:
        for layer in (self.query, self.key_value, self.output_projection):
            layer.build((None, None, self.hidden_dim))

    def keys_values(self, memory: Any) -> tuple[Any, Any]:
        """Memory (B, S, D) -> key and value, (B, N, S, K) each."""
        key, value = ops.split(self.key_value(memory), 2, axis=-1)
        return _split_heads(key, self.num_heads), _split_heads(value, self.num_heads)

    def call(self, x: Any, keys_values: tuple[Any, Any], training: bool | None = None) -> tuple[Any, Any]:
        """(B, T, D), keys and values of the memory -> (B, T, D), scores (B, N, T, S)."""
        query = _split_heads(self.query(x), self.num_heads)
        key, value = keys_values
        context, scores = attend(query, key, value, dropout=lambda part: self.dropout(part, training=training))
        return self.output_projection(context), scores

    def step(self, x: Any, keys_values: tuple[Any, Any]) -> Any:
        """(B, G, D) of G captions an image, keys and values of the memory -> (B, G, D)."""
        return self.output_projection(_attend_step(_split_heads(self.query(x), self.num_heads), *keys_values))

    def get_config(self) -> dict[str, Any]:
        config = {"hidden_dim": self.hidden_dim, "num_heads": self.num_heads, "attention_dropout": self.rate}
        return super().get_config() | config


class FeedForward(keras.layers.Layer):
    """Two dense layers with GELU between them; (B, T, D) -> (B, T, D)."""

    def __init__(self, hidden_dim: int, intermediate_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.intermediate_dim = hidden_dim, intermediate_dim
        self.expand = Dense(intermediate_dim, dtype=self.dtype_policy)
        self.contract = Dense(hidden_dim, dtype=self.dtype_policy)

    def build(self, *_: Any) -> None:
        self.expand.build((None, None, self.hidden_dim))
        self.contract.build((None, None, self.intermediate_dim))

    def call(self, x: Any) -> Any:
        return self.contract(gelu(self.expand(x)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden_dim": self.hidden_dim, "intermediate_dim": self.intermediate_dim}


class DecoderBlock(keras.layers.Layer):
    """Causal self-attention, cross-attention and feed-forward, each a residual branch.

    `norm_order` "pre" normalizes the input of each branch (Xiong et al. 2020), "post" normalizes
    each sum (Vaswani et al. 2017).
    """

    def __init__(
        self,
        hidden_dim: int,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        norm_order: str = "post",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.intermediate_dim, self.num_heads = hidden_dim, intermediate_dim, num_heads
        self.rate, self.attention_rate, self.norm_order = dropout, attention_dropout, norm_order
        policy = self.dtype_policy
        self.self_attention = CausalSelfAttention(hidden_dim, num_heads, attention_dropout, dtype=policy)
        self.cross_attention = CrossAttention(hidden_dim, num_heads, attention_dropout, dtype=policy)
        self.feed_forward = FeedForward(hidden_dim, intermediate_dim, dtype=policy)
        self.norms = [LayerNormalization(epsilon=1e-6, dtype=policy) for _ in range(3)]
        self.dropout = Dropout(dropout, dtype=policy)

    def build(self, *_: Any) -> None:
        for layer in (self.self_attention, self.cross_attention, self.feed_forward, *self.norms):
            layer.build((None, None, self.hidden_dim))

    def _residual(self, x: Any, norm: Any, branch: Any, training: bool | None) -> tuple[Any, Any]:
        """x plus what `branch` makes of it, and whatever else the branch returned."""
        out, extra = branch(norm(x) if self.norm_order == "pre" else x)
        x = x + self.dropout(out, training=training)
        return (x if self.norm_order == "pre" else norm(x)), extra

    def call(self, x: Any, keys_values: Any, mask: Any, training: bool | None = None) -> tuple[Any, Any, Any]:
        """One block over all positions.

        Args:
            x: (B, T, D). keys_values: of the memory, (B, N, S, K) each. mask: boolean (B, 1, T, T).

        Returns:
            (B, T, D), the scores of the cross-attention (B, N, T, S) and of the self-attention (B, N, T, T).
        """
        x, self_scores = self._residual(
            x, self.norms[0], lambda y: self.self_attention(y, mask, training=training), training
        )
        x, scores = self._residual(
            x, self.norms[1], lambda y: self.cross_attention(y, keys_values, training=training), training
        )
        x, _ = self._residual(x, self.norms[2], lambda y: (self.feed_forward(y), None), training)
        return x, scores, self_scores

    def step(self, x: Any, keys_values: Any, cache: Any, index: Any, mask: Any) -> tuple[Any, Any]:
        """One position of G captions an image: (B, G, D) -> (B, G, D) and the grown cache of the self-attention."""
        x, cache = self._residual(x, self.norms[0], lambda y: self.self_attention.step(y, cache, index, mask), False)
        x, _ = self._residual(x, self.norms[1], lambda y: (self.cross_attention.step(y, keys_values), None), False)
        x, _ = self._residual(x, self.norms[2], lambda y: (self.feed_forward(y), None), False)
        return x, cache

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.rate,
            "attention_dropout": self.attention_rate,
            "norm_order": self.norm_order,
        }
