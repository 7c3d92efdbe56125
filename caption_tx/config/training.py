"""Settings of a training run: optimization, augmentation, validation scores, features."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import (
    ABOVE_ZERO,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SEED,
    TEMPERATURE,
    Bounds,
    check,
    setting,
    validate,
)

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
"""Number formats of the decoder's computation; weights, logits and loss are float32 in all of them."""

MONITORS = ("loss", "cider", "bleu4")
"""What selects the best epoch: the validation loss, or a score of generated captions."""

COMPRESSIONS = ("none", "zlib")
"""Compression of the records of a feature cache."""


@dataclass(frozen=True)
class TrainingConfig:
    """Optimization, augmentation, validation scores and features of one training run."""

    epochs: int = setting(14, "number of epochs, all stages together", flag="--epochs", bounds=POSITIVE)
    stage_epochs: tuple[int, ...] = setting(
        (),
        "epochs of each stage except the last",
        flag="--stage-epochs",
        metavar="N,..",
        bounds=POSITIVE,
        unset="the stages before the last share 3 of 10 epochs",
    )
    mix_stages: bool = setting(
        False,
        "each stage also trains on the sources of the later stages; machine translations start with a marker token",
        flag="--mix-stages",
    )
    batch_size: int = setting(32, "images per step, each with all its captions", flag="--batch-size", bounds=POSITIVE)
    learning_rate: float = setting(5e-4, "peak learning rate", flag="--learning-rate", bounds=ABOVE_ZERO)
    warmup_epochs: float = setting(1.0, "epochs of linear learning rate warmup", bounds=NOT_NEGATIVE)
    label_smoothing: float = setting(0.1, "label smoothing of the cross-entropy", bounds=RATE)
    clip_norm: float = setting(1.0, "maximum global norm of the gradient", bounds=ABOVE_ZERO)
    precision: str = setting(
        "auto",
        "number format of the decoder's computation; weights, logits and loss are float32 in all of them; "
        "auto selects mixed_bfloat16 where it is faster than float32",
        flag="--precision",
        choices=PRECISIONS,
    )
    accumulation_steps: int = setting(
        1,
        "compute each batch in N parts, if it does not fit in memory",
        flag="--accumulation-steps",
        bounds=POSITIVE,
    )
    patience: int = setting(3, "stop after this many epochs without improvement", bounds=POSITIVE)
    monitor: str = setting(
        "loss",
        "what selects the best epoch and stops training; cider and bleu4 require score_every",
        flag="--monitor",
        choices=MONITORS,
    )
    score_every: int = setting(
        0,
        "caption and score validation images every N epochs and after the last; 0 never does; needs the extra eval",
        flag="--score-every",
        bounds=NOT_NEGATIVE,
    )
    score_images: int = setting(200, "number of validation images to caption and score", bounds=POSITIVE)
    score_beam_width: int = setting(1, "beam width of the scored captions; 1 is greedy search", bounds=POSITIVE)
    flips: bool = setting(False, "also use a mirrored copy of each image", flag="--flips")
    crops: int = setting(
        0,
        "also use N random crops of each image, half of them mirrored; requires flips",
        flag="--crops",
        bounds=Bounds(minimum=0, maximum=64),
    )
    cached: bool = setting(
        True,
        "if false, encode the images again in every step instead of caching features; needs no disk space",
        flag="--uncached",
    )
    cache: str | None = setting(
        None, "folder of the feature cache", flag="--cache", metavar="DIR", unset="features/ in the workdir"
    )
    compression: str = setting("zlib", "compression of the feature cache", flag="--compression", choices=COMPRESSIONS)
    tensorboard: bool = setting(True, "write TensorBoard logs")
    sample_images: tuple[str, ...] = setting(
        (),
        "images to caption after every epoch, by their names in the corpus",
        flag="--sample-image",
        metavar="NAME",
        unset="the first sample_count validation images",
    )
    sample_count: int = setting(3, "number of sample images if none are named", bounds=NOT_NEGATIVE)
    sample_temperatures: tuple[float, ...] = setting(
        (0.0, 0.5, 1.0), "temperatures of the sample captions", bounds=TEMPERATURE
    )
    seed: int = setting(0, "random seed", flag="--seed", bounds=SEED)

    def __post_init__(self) -> None:
        validate(self, "training.")
        check(
            self.monitor == "loss" or 1 <= self.score_every <= self.patience,
            "training.score_every",
            self.score_every,
            f"at least 1 and at most training.patience ({self.patience}) if training.monitor is {self.monitor!r}",
        )
        check(
            self.accumulation_steps <= self.batch_size,
            "training.accumulation_steps",
            self.accumulation_steps,
            f"at most training.batch_size ({self.batch_size})",
        )
        check(
            sum(self.stage_epochs) < self.epochs,
            "training.stage_epochs",
            list(self.stage_epochs),
            f"less than training.epochs ({self.epochs}) in total, to leave an epoch for the last stage",
        )
        check(not self.crops or self.flips, "training.crops", self.crops, "0 without training.flips")
