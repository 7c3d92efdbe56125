"""The captioner: memory of an image and the tokens so far -> logits of the next tokens."""

from __future__ import annotations

from typing import Any

import keras
from einops import rearrange
from keras import ops

from caption_tx.model.fused_layers import Dropout, LayerNormalization
from caption_tx.model.layers import DecoderBlock, ImageMemory, TokenAndPositionEmbedding
from caption_tx.model.token_output import TokenOutput


def segment_mask(segment_ids: Any) -> Any:
    """int (B, T) -> boolean (B, 1, T, T): target t sees source s iff s <= t, both in one segment."""
    order = ops.arange(ops.shape(segment_ids)[1])
    same = segment_ids[:, :, None] == segment_ids[:, None, :]  # (B, T, T)
    return ops.logical_and(same, order[None, :, None] >= order[None, None, :])[:, None]


class Captioner(keras.Model):
    """A stack of decoder blocks over an image's features; built when it is made.

    Args:
        vocabulary_size: V. feature_shape: (h, w, C) of the backbone's features.
        hidden_dim, intermediate_dim, num_layers, num_heads: D, width of the feed-forward, L, N.
        max_length: longest caption, in tokens with its start mark.
        dropout: on every residual branch and before the output; attention_dropout: on the attention
            scores; feature_dropout: on the features.
        norm_order: "pre" or "post". tie_embeddings: the output uses the token embeddings.
        embedding_dim: width of word vectors, to be put into `embedding` by its `assign_vectors`; None where tokens
            are learned from nothing. freeze_embeddings: the word vectors never change.
    """

    def __init__(
        self,
        vocabulary_size: int,
        feature_shape: tuple[int, int, int],
        hidden_dim: int,
        intermediate_dim: int,
        num_layers: int,
        num_heads: int,
        max_length: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        feature_dropout: float = 0.0,
        norm_order: str = "post",
        tie_embeddings: bool = True,
        embedding_dim: int | None = None,
        freeze_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden_dim % num_heads:
            raise ValueError(f"hidden_dim must be a multiple of num_heads, got {hidden_dim} and {num_heads}.")
        self.settings = {
            "vocabulary_size": vocabulary_size,
            "feature_shape": list(feature_shape),
            "hidden_dim": hidden_dim,
            "intermediate_dim": intermediate_dim,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "max_length": max_length,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "feature_dropout": feature_dropout,
            "norm_order": norm_order,
            "tie_embeddings": tie_embeddings,
            "embedding_dim": embedding_dim,
            "freeze_embeddings": freeze_embeddings,
        }
        self.vocabulary_size, self.max_length, self.num_heads = vocabulary_size, max_length, num_heads
        self.tie_embeddings = tie_embeddings
        policy = self.dtype_policy
        self.memory = ImageMemory(hidden_dim, feature_dropout, dtype=policy)
        self.embedding = TokenAndPositionEmbedding(
            vocabulary_size, max_length, hidden_dim, embedding_dim, freeze_embeddings, dtype=policy
        )
        self.embedding_dropout = Dropout(dropout, dtype=policy)
        self.blocks = [
            DecoderBlock(hidden_dim, intermediate_dim, num_heads, dropout, attention_dropout, norm_order, dtype=policy)
            for _ in range(num_layers)
        ]
        # Post-norm blocks end in a norm of their own.
        self.final_norm = LayerNormalization(epsilon=1e-6, dtype=policy) if norm_order == "pre" else None
        self.output_dropout = Dropout(dropout, dtype=policy)
        self.token_output = TokenOutput(vocabulary_size, hidden_dim, tied=tie_embeddings, dtype=policy)

        hidden = (None, None, hidden_dim)
        self.memory.build((None, *feature_shape))
        for layer in (self.embedding, *self.blocks, self.token_output):
            layer.build(hidden)
        if self.final_norm is not None:
            self.final_norm.build(hidden)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self.settings

    def keys_values(self, features: Any, training: bool | None = None) -> list[tuple[Any, Any]]:
        """Float features (B, h, w, C) -> for each layer the key and value (B, N, S, K) of the memory."""
        memory = self.memory(features, training=training)
        return [block.cross_attention.keys_values(memory) for block in self.blocks]

    def _output_inputs(self, x: Any) -> tuple[Any, Any]:
        return self.embedding.tied(x) if self.tie_embeddings else (x, None)

    def _logits(self, x: Any, training: bool | None) -> Any:
        x = x if self.final_norm is None else self.final_norm(x)
        x = self.output_dropout(x, training=training)
        return self.token_output(*self._output_inputs(x))

    def call(
        self,
        inputs: dict[str, Any],
        training: bool | None = None,
        return_attention_scores: bool = False,
        return_self_attention_scores: bool = False,
    ) -> Any:
        """Teacher-forced pass over packed captions.

        Args:
            inputs: `features` float (B, h, w, C); `token_ids`, `positions` and `segment_ids`, int (B, T).
                Positions restart with every caption; a caption is one segment, padding is segment 0.

        Returns:
            Logits (B, T, V) float32; with `return_attention_scores` also the cross-attention scores
            (B, L, N, T, S) float32, row t being where the token predicted from position t looked; with
            `return_self_attention_scores` then those of the self-attention, (B, L, N, T, T) float32.
        """
        keys_values = self.keys_values(inputs["features"], training)
        mask = segment_mask(inputs["segment_ids"])
        x = self.embedding(inputs["token_ids"], inputs["positions"])
        x = self.embedding_dropout(x, training=training)
        all_scores, all_self_scores = [], []
        for block, memory in zip(self.blocks, keys_values, strict=True):
            x, scores, self_scores = block(x, memory, mask, training=training)
            all_scores.append(scores)
            all_self_scores.append(self_scores)
        results = [self._logits(x, training)]
        for scores, asked in ((all_scores, return_attention_scores), (all_self_scores, return_self_attention_scores)):
            if asked:
                results.append(rearrange(scores, "l b n t s -> b l n t s"))
        return tuple(results) if len(results) > 1 else results[0]

    def empty_cache(self, batch_size: Any, length: int, group: int = 1) -> list[tuple[Any, Any]]:
        """Room for the self-attention's keys and values of `length` positions of `group` captions an image.

        Returns:
            Per layer key and value, (B, N, length*group, K) each, in `compute_dtype`; the captions of a
            position lie together.
        """
        width = self.settings["hidden_dim"] // self.num_heads
        shape = (batch_size, self.num_heads, length * group, width)
        return [tuple(ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)) for _ in self.blocks]

    def step(
        self, token_ids: Any, index: Any, keys_values: list, cache: list, ancestors: Any = None
    ) -> tuple[Any, list]:
        """Position `index` (scalar) of G captions an image, which share the image's keys and values.

        Args:
            token_ids: int (B, G), the token at `index` of each caption.
            cache: as `empty_cache` made it and earlier steps returned it.
            ancestors: int (B, G, P), for each caption and position the place among G of the caption that
                wrote it, or None where every caption wrote its own. A beam that goes on from another one
                reads the other's past where it lies, so the cache is never copied.

        Returns:
            Logits (B, G, V) float32, and the grown cache.
        """
        group = token_ids.shape[1]
        length = cache[0][0].shape[2] // group
        seen = ops.arange(length) <= index  # (P,)
        if group > 1:
            places = ops.arange(group)
            own = places[:, None, None] == places if ancestors is None else ancestors[..., None] == places
            mask = rearrange(ops.logical_and(own, seen[:, None]), "... g p s -> ... 1 g (p s)")
        else:
            mask = seen
        x = self.embedding(token_ids, ops.broadcast_to(index, (1, 1)))  # (B, G, D)
        grown = []
        for block, memory, past in zip(self.blocks, keys_values, cache, strict=True):
            x, past = block.step(x, memory, past, index, mask)
            grown.append(past)
        x = x if self.final_norm is None else self.final_norm(x)
        return self.token_output.step(*self._output_inputs(x)), grown
