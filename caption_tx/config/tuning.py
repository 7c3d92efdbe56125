"""Settings of CIDEr fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from caption_tx.config.fields import POSITIVE, SEED, Bounds, setting, validate

_ABOVE_ZERO = Bounds(above=0, below=math.inf)


@dataclass(frozen=True)
class TuningConfig:
    """CIDEr fine-tuning of a finished run (self-critical training)."""

    epochs: int = setting(3, "number of epochs", flag="--epochs", bounds=POSITIVE)
    learning_rate: float = setting(1e-4, "constant learning rate of Adam", flag="--learning-rate", bounds=_ABOVE_ZERO)
    batch_size: int = setting(64, "images per step", flag="--batch-size", bounds=POSITIVE)
    samples: int = setting(
        5, "captions to sample and reward per image", flag="--samples", bounds=Bounds(minimum=2, maximum=100)
    )
    temperature: float = setting(
        0.5, "sampling temperature", flag="--temperature", bounds=Bounds(minimum=1e-4, maximum=1e4)
    )
    caption_share: float = setting(
        0.2,
        "weight of the cross-entropy of human captions relative to the reward",
        flag="--caption-share",
        bounds=Bounds(minimum=0, below=math.inf),
    )
    clip_norm: float = setting(1.0, "maximum global norm of the gradient", flag="--clip-norm", bounds=_ABOVE_ZERO)
    least_distinct: float = setting(
        0.75,
        "stop if the fraction of distinct validation captions falls below X times its value before tuning",
        flag="--least-distinct",
        bounds=Bounds(minimum=0, maximum=1),
    )
    score_images: int = setting(
        1000, "validation images to caption and score after every epoch", flag="--score-images", bounds=POSITIVE
    )
    seed: int = setting(0, "random seed", flag="--seed", bounds=SEED)

    def __post_init__(self) -> None:
        validate(self, "tuning.")
