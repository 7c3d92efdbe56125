"""Settings of a training run: optimization, augmentation, validation scores, features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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

SCHEDULES = ("stage", "run")
"""What the learning rate schedule spans: each stage, or the whole run."""

MONITORS = ("loss", "cider", "bleu4", "last")
"""What selects the best epoch: the validation loss, a score of generated captions, or nothing: the last one is kept."""

COMPRESSIONS = ("none", "zlib")
"""Compression of the records of a feature cache."""


FROM_SCRATCH: dict[str, Any] = {"epochs": 14, "patience": 3, "flips": False, "crops": 0, "retrieval_images": 0}
"""Values of settings that are unset, for a run that starts from random weights."""

FINE_TUNING: dict[str, Any] = {"epochs": 20, "flips": True, "crops": 4, "retrieval_images": 20_000}
"""Values of settings that are unset, for a run that starts from a bundle: experiments/fine_tuning.py."""


@dataclass(frozen=True)
class TrainingConfig:
    """Optimization, augmentation, validation scores and features of one training run."""

    init: str | None = setting(
        None,
        "start from the weights of a bundle: a folder, or the name of a shipped bundle",
        flag="--init",
        metavar="BUNDLE",
        unset="random weights",
    )
    keep_words: bool = setting(
        False,
        "the vocabulary also has all words of the bundle that init names, even if no caption contains them",
        flag="--keep-words",
    )
    epochs: int | None = setting(
        None,
        "number of epochs, all stages together",
        flag="--epochs",
        bounds=POSITIVE,
        unset=f"{FROM_SCRATCH['epochs']}, or {FINE_TUNING['epochs']} with init",
    )
    stage_epochs: tuple[int, ...] = setting(
        (),
        "epochs of each stage except the last",
        flag="--stage-epochs",
        metavar="N,..",
        bounds=POSITIVE,
        unset="the stages before the last share 3 of 10 epochs",
    )
    schedule: str = setting(
        "stage",
        "the learning rate warms up and falls to zero once in each stage, or once in the whole run",
        flag="--schedule",
        choices=SCHEDULES,
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
    patience: int | None = setting(
        None,
        "stop after this many epochs without improvement",
        bounds=POSITIVE,
        unset=f"{FROM_SCRATCH['patience']}, or all epochs with init",
    )
    monitor: str = setting(
        "loss",
        "what selects the best epoch and stops training; cider and bleu4 require score_every; last keeps the last "
        "epoch and never stops early",
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
    flips: bool | None = setting(
        None, "also use a mirrored copy of each image", flag="--flips", unset="false, or true with init"
    )
    crops: int | None = setting(
        None,
        "also use N random crops of each image, half of them mirrored; requires flips",
        flag="--crops",
        bounds=Bounds(minimum=0, maximum=64),
        unset=f"{FROM_SCRATCH['crops']}, or {FINE_TUNING['crops']} with init",
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
    retrieval_images: int | None = setting(
        None,
        "the bundle keeps the captions and compressed features of up to N training images, for --retrieval",
        flag="--retrieval-images",
        bounds=Bounds(minimum=0, maximum=1_000_000),
        unset=f"{FROM_SCRATCH['retrieval_images']}, or {FINE_TUNING['retrieval_images']} with init",
    )
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
        values = self._values_of_unset() | {name: value for name, value in vars(self).items() if value is not None}
        check(
            self.monitor in ("loss", "last") or 1 <= self.score_every <= values["patience"],
            "training.score_every",
            self.score_every,
            f"at least 1 and at most training.patience ({values['patience']}) if training.monitor is {self.monitor!r}",
        )
        check(
            self.accumulation_steps <= self.batch_size,
            "training.accumulation_steps",
            self.accumulation_steps,
            f"at most training.batch_size ({self.batch_size})",
        )
        check(
            sum(self.stage_epochs) < values["epochs"],
            "training.stage_epochs",
            list(self.stage_epochs),
            f"less than training.epochs ({values['epochs']}) in total, to leave an epoch for the last stage",
        )
        check(not self.keep_words or self.init is not None, "training.keep_words", True, "false without training.init")
        check(self.init != "", "training.init", self.init, "a folder or the name of a shipped bundle")
        check(not values["crops"] or values["flips"], "training.crops", values["crops"], "0 without training.flips")

    def _values_of_unset(self) -> dict[str, Any]:
        if self.init is None:
            return FROM_SCRATCH
        # Early stopping would end a run before its learning rate has fallen.
        epochs = self.epochs or FINE_TUNING["epochs"]
        return FINE_TUNING | {"epochs": epochs, "patience": epochs} | ({"crops": 0} if self.flips is False else {})

    def resolved(self) -> TrainingConfig:
        """These settings with values for those that are unset and depend on `init`: `epochs`, `patience`, `flips`,
        `crops` and `retrieval_images`.

        Example:
            >>> TrainingConfig().resolved().epochs
            14
        """
        unset = {name: value for name, value in self._values_of_unset().items() if getattr(self, name) is None}
        return replace(self, **unset)
