"""The captioner: features of an image and the tokens so far -> logits of the next tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
from einops import rearrange
from keras import ops

from caption_tx.model.embedding import TokenAndPositionEmbedding
from caption_tx.model.fused_layers import Dropout, LayerNormalization
from caption_tx.model.layers import DecoderBlock, ImageMemory
from caption_tx.model.settings import CaptionerSettings
from caption_tx.model.token_output import TokenOutput


def segment_mask(segment_ids: Any) -> Any:
    """Boolean (B, 1, T, T): target t attends to source s if s <= t and both are in the same segment.

    Args:
        segment_ids: int (B, T).
    """
    order = ops.arange(ops.shape(segment_ids)[1])
    same_segment = segment_ids[:, :, None] == segment_ids[:, None, :]  # (B, T, T)
    return ops.logical_and(same_segment, order[None, :, None] >= order[None, None, :])[:, None]  # (B, 1, T, T)


@keras.saving.register_keras_serializable("caption_tx")
class Captioner(keras.Model):
    """A stack of decoder blocks that attend to an image's features. The constructor builds it.

    Example:
        >>> settings = caption_tx.CaptionerSettings(50, (2, 3, 8), 16, 32, num_layers=2, num_heads=4, max_length=20)
        >>> captioner = caption_tx.Captioner(settings)
        >>> ids = np.ones((2, 6), np.int32)
        >>> tokens = {"token_ids": ids, "positions": ids, "segment_ids": ids}
        >>> captioner({"features": np.zeros((2, 2, 3, 8), np.float32), **tokens}).shape  # (B, T, V)
        TensorShape([2, 6, 50])
    """

    def __init__(self, settings: CaptionerSettings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_jit = False  # in `fit`: batches have many lengths, and XLA would compile each
        self.settings = settings
        self.vocabulary_size, self.max_length = settings.vocabulary_size, settings.max_length
        self.num_heads, self.tie_embeddings = settings.num_heads, settings.tie_embeddings
        hidden_dim, policy = settings.hidden_dim, self.dtype_policy
        self.memory = ImageMemory(hidden_dim, settings.feature_dropout, dtype=policy)
        self.embedding = TokenAndPositionEmbedding(
            settings.vocabulary_size,
            settings.max_length,
            hidden_dim,
            settings.embedding_dim,
            settings.freeze_embeddings,
            dtype=policy,
        )
        self.embedding_dropout = Dropout(settings.dropout, dtype=policy)
        self.blocks = [
            DecoderBlock(
                hidden_dim,
                settings.intermediate_dim,
                settings.num_heads,
                settings.dropout,
                settings.attention_dropout,
                settings.norm_order,
                dtype=policy,
            )
            for _ in range(settings.num_layers)
        ]
        # Post-norm blocks end with their own normalization.
        self.final_norm = LayerNormalization(epsilon=1e-6, dtype=policy) if settings.norm_order == "pre" else None
        self.output_dropout = Dropout(settings.dropout, dtype=policy)
        self.token_output = TokenOutput(
            settings.vocabulary_size, hidden_dim, tied=settings.tie_embeddings, dtype=policy
        )

        hidden_shape = (None, None, hidden_dim)
        self.memory.build((None, *settings.feature_shape))
        for layer in (self.embedding, *self.blocks, self.token_output):
            layer.build(hidden_shape)
        if self.final_norm is not None:
            self.final_norm.build(hidden_shape)
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | asdict(self.settings)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Captioner:
        config = dict(config)
        settings = {name: config.pop(name) for name in CaptionerSettings.__dataclass_fields__}
        return cls(CaptionerSettings(**settings), **config)

    def make_train_function(self, force: bool = False) -> None:
        """Prepares `fit` as Keras does, and builds the optimizer: else the first step is traced twice, for seconds."""
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def keys_values(self, features: Any, training: bool | None = None) -> list[tuple[Any, Any]]:
        """Features (B, h, w, C) -> per layer the cross-attention key and value, (B, N, S, K) each."""
        memory = self.memory(features, training=training)
        return [block.cross_attention.keys_values(memory) for block in self.blocks]

    def keys_values_of_cells(self, features: Any) -> list[tuple[Any, Any]]:
        """`keys_values` of images that consist of one of the cells each, which keeps its position: (B*S, N, 1, K)."""
        pairs = self.keys_values(features, training=False)
        return [tuple(rearrange(part, "b n s k -> (b s) n 1 k") for part in pair) for pair in pairs]

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
            inputs: `features`, float (B, h, w, C); `token_ids`, `positions` and `segment_ids`, int (B, T). Positions
                restart with every caption. A caption is one segment; padding has segment id 0.
            return_attention_scores: also return the cross-attention scores, float32 (B, L, N, T, S). Row t belongs to
                the token predicted from position t.
            return_self_attention_scores: also return the self-attention scores, float32 (B, L, N, T, T).

        Returns:
            Logits, float32 (B, T, V), or a tuple of them and the requested scores.
        """
        logits, *all_scores = self._read(inputs, self.keys_values(inputs["features"], training), training)
        results = [logits]
        for scores, requested in zip(all_scores, (return_attention_scores, return_self_attention_scores), strict=True):
            if requested:
                results.append(rearrange(scores, "l b n t s -> b l n t s"))
        return tuple(results) if len(results) > 1 else results[0]

    def _read(
        self, tokens: dict[str, Any], keys_values: list[tuple[Any, Any]], training: bool | None
    ) -> tuple[Any, list[Any], list[Any]]:
        """Logits (B, T, V) of packed captions, and per layer the cross-attention and self-attention scores."""
        mask = segment_mask(tokens["segment_ids"])
        x = self.embedding(tokens["token_ids"], tokens["positions"])  # (B, T, D)
        x = self.embedding_dropout(x, training=training)
        all_scores, all_self_scores = [], []
        for block, memory in zip(self.blocks, keys_values, strict=True):
            x, scores, self_scores = block(x, memory, mask, training=training)
            all_scores.append(scores)
            all_self_scores.append(self_scores)
        return self._logits(x, training), all_scores, all_self_scores

    def logits_of_cells(self, inputs: dict[str, Any]) -> Any:
        """What the model would predict if an image consisted of one of its cells: for every cell, float32 (B, S, T, V).

        Args:
            inputs: as for `call`.
        """
        keys_values = self.keys_values_of_cells(inputs["features"])
        count = self.memory.grid[0] * self.memory.grid[1]
        tokens = {name: ops.repeat(inputs[name], count, axis=0) for name in ("token_ids", "positions", "segment_ids")}
        logits, _, _ = self._read(tokens, keys_values, training=False)
        return rearrange(logits, "(b s) t v -> b s t v", s=count)

    def empty_cache(self, batch_size: Any, length: int, group: int = 1) -> list[tuple[Any, Any]]:
        """An empty self-attention cache for `length` positions of `group` captions per image.

        Returns:
            Per layer the key and value, (B, N, length*group, K) each, in `compute_dtype`. The captions at a position
            are adjacent.
        """
        width = self.settings.hidden_dim // self.num_heads
        shape = (batch_size, self.num_heads, length * group, width)
        return [tuple(ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)) for _ in self.blocks]

    def step(
        self, token_ids: Any, index: Any, keys_values: list, cache: list, ancestors: Any = None
    ) -> tuple[Any, list]:
        """Compute the logits at position `index` (scalar) for G captions per image, which share its keys and values.

        Args:
            token_ids: int (B, G), the token at `index` of each caption.
            cache: from `empty_cache` or the previous step.
            ancestors: int (B, G, P), which of the G captions wrote each position of a caption; None if each wrote
                its own. A beam reads its ancestors' positions in place, so the cache is never copied.

        Returns:
            Logits, float32 (B, G, V), and the updated cache.
        """
        group = token_ids.shape[1]
        length = cache[0][0].shape[2] // group
        written = ops.arange(length) <= index  # (P,)
        if group > 1:
            captions = ops.arange(group)
            own = captions[:, None, None] == captions if ancestors is None else ancestors[..., None] == captions
            mask = rearrange(ops.logical_and(own, written[:, None]), "... g p s -> ... 1 g (p s)")  # (.., 1, G, P*G)
        else:
            mask = written
        x = self.embedding(token_ids, ops.broadcast_to(index, (1, 1)))  # (B, G, D)
        new_cache = []
        for block, memory, past in zip(self.blocks, keys_values, cache, strict=True):
            x, past = block.step(x, memory, past, index, mask)
            new_cache.append(past)
        x = x if self.final_norm is None else self.final_norm(x)
        return self.token_output.step(*self._output_inputs(x)), new_cache
