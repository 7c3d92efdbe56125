"""The decoder's layers: image memory, self-attention, cross-attention, feed-forward and the block of them.

Shape letters: B batch, T target tokens, S source cells, D hidden_dim, N heads, K = D / N, P positions of the cache,
and G captions per image that a search extends at once.
"""

from __future__ import annotations

from typing import Any

import keras
from einops import rearrange
from keras import ops

from caption_tx.model.embedding import embedding_initializer
from caption_tx.model.fused_layers import Dense, Dropout, LayerNormalization, gelu


def _split_heads(x: Any, num_heads: int) -> Any:
    return rearrange(x, "b t (n k) -> b n t k", n=num_heads)


def attend(query: Any, key: Any, value: Any, mask: Any = None, dropout: Any = None) -> tuple[Any, Any]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    Args:
        query: (B, N, T, K).
        key, value: (B, N, S, K).
        mask: boolean, broadcastable to (B, N, T, S); False positions get no attention.
        dropout: applied to the scores before they weight the values.

    Returns:
        The context (B, T, D), and the scores, float32 (B, N, T, S): after softmax, before dropout.
    """
    scale = float(query.shape[-1]) ** -0.5
    logits = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))  # (B, N, T, S)
    logits = ops.cast(logits, "float32")
    if mask is not None:
        # Finite, so that a fully masked row (padding) does not become NaN.
        logits = ops.where(mask, logits, -1e9)
    # Keras warns about a softmax over a single source cell, whose score is always 1.
    scores = ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
    weights = ops.cast(scores, value.dtype)
    weights = weights if dropout is None else dropout(weights)
    return rearrange(ops.matmul(weights, value), "b n t k -> b t (n k)"), scores  # (B, T, D), (B, N, T, S)


def _attend_step(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """The context (B, G, D) of `attend` for queries (B, N, G, K), without the scores.

    It transposes the query instead of the key, which XLA would copy at every step.
    """
    scale = float(query.shape[-1]) ** -0.5
    logits = ops.swapaxes(ops.matmul(key, ops.swapaxes(query * scale, -1, -2)), -1, -2)  # (B, N, G, S)
    logits = ops.cast(logits, "float32")
    if mask is not None:
        logits = ops.where(mask, logits, -1e9)
    scores = ops.ones_like(logits) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)
    return rearrange(ops.matmul(ops.cast(scores, value.dtype), value), "b n g k -> b g (n k)")


@keras.saving.register_keras_serializable("caption_tx")
class ImageMemory(keras.layers.Layer):
    """Features (B, h, w, C) -> memory (B, S, D): projected, normalized, plus row and column embeddings.

    Raises:
        ValueError: the features have another grid than those that the layer was built for.
    """

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
        cells = rearrange(self.dropout(features, training=training), "b h w c -> b (h w) c")  # (B, S, C)
        memory = self.norm(self.project(cells))  # (B, S, D)
        positions = rearrange(self.rows + self.columns, "h w d -> 1 (h w) d") * self.hidden_dim**0.5  # (1, S, D)
        return memory + ops.cast(positions, memory.dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"hidden_dim": self.hidden_dim, "dropout": self.rate}


@keras.saving.register_keras_serializable("caption_tx")
class CausalSelfAttention(keras.layers.Layer):
    """Self-attention under a mask that lets a position attend to its segment up to itself (see `segment_mask`)."""

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
        """x (B, T, D), mask boolean (B, 1, T, T) -> output (B, T, D), scores (B, N, T, T)."""
        query, key, value = self._project(x)
        context, scores = attend(query, key, value, mask, lambda part: self.dropout(part, training=training))
        return self.output_projection(context), scores

    def step(self, x: Any, cache: tuple[Any, Any], index: Any, mask: Any) -> tuple[Any, tuple[Any, Any]]:
        """Attend from one position of G captions per image: x (B, G, D) -> output (B, G, D) and the updated cache.

        Args:
            cache: key and value, (B, N, P*G, K) each; this step writes rows index*G to index*G + G - 1.
            mask: boolean, broadcastable to (B, 1, G, P*G), what each caption attends to.
        """
        query, *new = self._project(x)  # (B, N, G, K) each
        # Separate keys and values in the layout that attention reads; otherwise XLA copies them at every step.
        cache = tuple(
            ops.slice_update(past, (0, 0, index * x.shape[1], 0), ops.cast(part, past.dtype))
            for past, part in zip(cache, new, strict=True)
        )
        return self.output_projection(_attend_step(query, *cache, mask)), cache

    def get_config(self) -> dict[str, Any]:
        config = {"hidden_dim": self.hidden_dim, "num_heads": self.num_heads, "attention_dropout": self.rate}
        return super().get_config() | config


@keras.saving.register_keras_serializable("caption_tx")
class CrossAttention(keras.layers.Layer):
    """Attention from every token to the image's cells. Keys and values are computed once per image."""

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
        """x (B, T, D), keys and values of the memory -> output (B, T, D), scores (B, N, T, S)."""
        query = _split_heads(self.query(x), self.num_heads)
        key, value = keys_values
        context, scores = attend(query, key, value, dropout=lambda part: self.dropout(part, training=training))
        return self.output_projection(context), scores

    def step(self, x: Any, keys_values: tuple[Any, Any]) -> Any:
        """x (B, G, D) of G captions per image, keys and values of the memory -> output (B, G, D)."""
        return self.output_projection(_attend_step(_split_heads(self.query(x), self.num_heads), *keys_values))

    def get_config(self) -> dict[str, Any]:
        config = {"hidden_dim": self.hidden_dim, "num_heads": self.num_heads, "attention_dropout": self.rate}
        return super().get_config() | config


@keras.saving.register_keras_serializable("caption_tx")
class FeedForward(keras.layers.Layer):
    """Two dense layers with a GELU in between; (B, T, D) -> (B, T, D)."""

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


@keras.saving.register_keras_serializable("caption_tx")
class DecoderBlock(keras.layers.Layer):
    """Causal self-attention, cross-attention and feed-forward, each a residual branch.

    With `norm_order` "pre" the input of each branch is normalized (Xiong et al. 2020), with "post" each sum (Vaswani et
    al. 2017).
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
        """Add the output of `branch` to x; also return the branch's second result."""
        out, second = branch(norm(x) if self.norm_order == "pre" else x)
        x = x + self.dropout(out, training=training)
        return (x if self.norm_order == "pre" else norm(x)), second

    def call(self, x: Any, keys_values: Any, mask: Any, training: bool | None = None) -> tuple[Any, Any, Any]:
        """Apply the block to all positions.

        Args:
            x: (B, T, D).
            keys_values: key and value of the memory, (B, N, S, K) each.
            mask: boolean (B, 1, T, T).

        Returns:
            The output (B, T, D), the cross-attention scores (B, N, T, S) and the self-attention scores (B, N, T, T).
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
        """Apply the block to one position of G captions per image: (B, G, D) -> (B, G, D) and the updated cache."""
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
