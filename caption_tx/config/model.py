"""Settings of the decoder's size and regularization."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import POSITIVE, RATE, Bounds, check, setting, validate

NORM_ORDERS = ("pre", "post")
"""Layer normalization before or after each residual addition."""


@dataclass(frozen=True)
class ModelConfig:
    """Size and regularization of the decoder."""

    hidden_dim: int = setting(256, "width of the decoder", bounds=Bounds(minimum=1, maximum=16_384))
    intermediate_dim: int = setting(1024, "width of the feed-forward layers", bounds=Bounds(minimum=1, maximum=65_536))
    num_layers: int = setting(3, "number of decoder blocks", flag="--layers", bounds=Bounds(minimum=1, maximum=100))
    num_heads: int = setting(4, "number of attention heads; divides hidden_dim", bounds=POSITIVE)
    max_length: int = setting(
        40, "maximum caption length in tokens, end token included", bounds=Bounds(minimum=2, maximum=4096)
    )
    dropout: float = setting(0.3, "dropout rate of embeddings and residual branches", bounds=RATE)
    attention_dropout: float = setting(0.1, "dropout rate of attention scores", bounds=RATE)
    feature_dropout: float = setting(0.3, "dropout rate of image features", bounds=RATE)
    # "post" scores higher: experiments/norm_order.py.
    norm_order: str = setting("post", "layer normalization before or after each residual addition", choices=NORM_ORDERS)
    tie_embeddings: bool = setting(True, "share the weights of token embedding and output projection")
    freeze_embeddings: bool = setting(
        False, "keep the word vectors of text.word_vectors unchanged in training", flag="--freeze-embeddings"
    )

    def __post_init__(self) -> None:
        validate(self, "model.")
        check(
            self.hidden_dim % self.num_heads == 0,
            "model.hidden_dim",
            self.hidden_dim,
            f"a multiple of num_heads ({self.num_heads})",
        )
