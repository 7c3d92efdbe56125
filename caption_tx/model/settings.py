"""What defines a captioner besides its weights, and the shapes that its weights must have."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from caption_tx.config import ModelConfig
from caption_tx.config.fields import Bounds, check
from caption_tx.config.text import VOCABULARY_SIZE
from caption_tx.errors import ConfigError

MAX_WEIGHTS = 2**28
"""A captioner has at most this many weights, 1 GiB in float32."""

_GRID, _CHANNELS, _EMBEDDING = (Bounds(minimum=1, maximum=maximum) for maximum in (4096, 65_536, 16_384))


@dataclass(frozen=True)
class CaptionerSettings:
    """Everything that defines a captioner besides its weights; a bundle's config.json stores these fields.

    Attributes:
        vocabulary_size: V.
        feature_shape: (h, w, C) of the backbone's features.
        hidden_dim, num_layers, num_heads: D, L, N.
        intermediate_dim: width of the feed-forward layers.
        max_length: the most tokens in a caption, including the start token.
        dropout: rate on every residual branch and before the output.
        attention_dropout: rate on the attention scores.
        feature_dropout: rate on the features.
        norm_order: "pre" or "post" (see `DecoderBlock`).
        tie_embeddings: the output layer uses the token embeddings.
        embedding_dim: width of pretrained word vectors, or None to learn token embeddings from scratch.
        freeze_embeddings: do not train the word vectors.

    Raises:
        ConfigError: a value has the wrong type or is out of range (see `ModelConfig`), or there would be more than
            `MAX_WEIGHTS` weights.
    """

    vocabulary_size: int
    feature_shape: tuple[int, int, int]
    hidden_dim: int
    intermediate_dim: int
    num_layers: int
    num_heads: int
    max_length: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    feature_dropout: float = 0.0
    norm_order: str = "post"
    tie_embeddings: bool = True
    embedding_dim: int | None = None
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        ModelConfig(**{item.name: getattr(self, item.name) for item in fields(ModelConfig)})
        _check_integer("vocabulary_size", self.vocabulary_size, VOCABULARY_SIZE)
        is_shape = isinstance(self.feature_shape, (list, tuple)) and len(self.feature_shape) == 3
        check(is_shape, "model.feature_shape", self.feature_shape, "a list of three integers: height, width, channels")
        for size, bounds in zip(self.feature_shape, (_GRID, _GRID, _CHANNELS), strict=True):
            _check_integer("feature_shape", size, bounds)
        if self.embedding_dim is not None:
            _check_integer("embedding_dim", self.embedding_dim, _EMBEDDING)
        object.__setattr__(self, "feature_shape", tuple(self.feature_shape))  # a list in JSON
        if (count := sum(map(math.prod, weight_shapes(self).values()))) > MAX_WEIGHTS:
            raise ConfigError(
                f"The captioner would have {count:,} weights, more than the limit of {MAX_WEIGHTS:,}; reduce "
                "model.hidden_dim, model.num_layers or text.max_vocabulary_size."
            )


def _check_integer(name: str, value: Any, bounds: Bounds) -> None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    check(is_integer and bounds.contain(value), f"model.{name}", value, f"an integer, {bounds}")


def weight_shapes(settings: CaptionerSettings) -> dict[str, tuple[int, ...]]:
    """The shape of every weight of a captioner, by its path in `model.weights.h5`.

    Nothing is allocated, so that a file can be compared with its settings before a captioner is built.

    Example:
        >>> weight_shapes(captioner.settings)["embedding/vars/0"]  # (V, D)
        (1722, 256)
    """
    vocabulary, dim, wide = settings.vocabulary_size, settings.hidden_dim, settings.intermediate_dim
    height, width, channels = settings.feature_shape
    embedding_dim = settings.embedding_dim or dim
    embedding: list[tuple[int, ...]] = [(vocabulary, embedding_dim), (settings.max_length, dim)]
    embedding += [(embedding_dim, dim)] if embedding_dim != dim else []
    embedding += [()] if settings.embedding_dim is not None else []
    embedding += [(vocabulary,)] if settings.freeze_embeddings else []
    kernel: list[tuple[int, ...]] = [] if settings.tie_embeddings else [(vocabulary, dim)]
    norm = [(dim,), (dim,)]
    layers: dict[str, list[tuple[int, ...]]] = {
        "embedding": embedding,
        "layers/image_memory": [(height, 1, dim), (1, width, dim)],
        "layers/image_memory/project": _dense(channels, dim),
        "layers/image_memory/norm": norm,
        "layers/token_output": [(vocabulary,), *kernel, (vocabulary,)],
    }
    if settings.norm_order == "pre":
        layers["final_norm"] = norm
    block = {
        "self_attention/query_key_value": _dense(dim, 3 * dim),
        "self_attention/output_projection": _dense(dim, dim),
        "cross_attention/query": _dense(dim, dim),
        "cross_attention/key_value": _dense(dim, 2 * dim),
        "cross_attention/output_projection": _dense(dim, dim),
        "feed_forward/expand": _dense(dim, wide),
        "feed_forward/contract": _dense(wide, dim),
    } | {f"norms/{_numbered('layer_normalization', index)}": norm for index in range(3)}
    for index in range(settings.num_layers):
        layers |= {f"blocks/{_numbered('decoder_block', index)}/{name}": shapes for name, shapes in block.items()}
    return {f"{name}/vars/{index}": shape for name, shapes in layers.items() for index, shape in enumerate(shapes)}


def _dense(inputs: int, outputs: int) -> list[tuple[int, ...]]:
    return [(inputs, outputs), (outputs,)]


def _numbered(name: str, index: int) -> str:
    """The name that Keras gives an item of a list."""
    return f"{name}_{index}" if index else name
