"""Divides the epochs of a run among its stages, and schedules the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from caption_tx.config import TrainingConfig
from caption_tx.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """The epochs on the captions of one stage.

    Attributes:
        stage: the stage of the sources.
        begin: index of its first epoch.
        end: index of the epoch after its last.
        steps: batches per epoch.
    """

    stage: int
    begin: int
    end: int
    steps: int


def plan_stages(config: TrainingConfig, steps: Mapping[int, int]) -> list[Stage]:
    """Divides the epochs among the stages.

    Args:
        config: `stage_epochs` lists the epochs of each stage but the last. By default, earlier stages share 30% of the
            epochs.
        steps: batches per epoch of each stage.

    Raises:
        ConfigError: `stage_epochs` does not fit the number of stages, or there are more stages than epochs.
    """
    stages = sorted(steps)
    epochs = list(config.stage_epochs)
    if not epochs and len(stages) > 1:
        epochs = [max(1, round(0.3 * config.epochs / (len(stages) - 1)))] * (len(stages) - 1)
    if len(epochs) != len(stages) - 1:
        raise ConfigError(
            f"training.stage_epochs has {len(epochs)} values, but the sources have {len(stages)} stages "
            f"({', '.join(map(str, stages))}); list the epochs of each stage but the last."
        )
    if sum(epochs) >= config.epochs:
        raise ConfigError(f"training.epochs ({config.epochs}) is too small for {len(stages)} stages; raise it.")
    ends = np.cumsum([*epochs, config.epochs - sum(epochs)]).tolist()
    return [Stage(stage, begin, end, steps[stage]) for stage, begin, end in zip(stages, [0, *ends], ends, strict=False)]


@keras.saving.register_keras_serializable("caption_tx")
class StagedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """One schedule after another.

    Args:
        begins: the first step of each schedule, ascending from 0.
        schedules: each counts steps from its own begin.
    """

    def __init__(
        self, begins: Sequence[int], schedules: Sequence[keras.optimizers.schedules.LearningRateSchedule]
    ) -> None:
        super().__init__()
        self.begins, self.schedules = list(begins), list(schedules)

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rate = self.schedules[0](step)
        for begin, schedule in zip(self.begins[1:], self.schedules[1:], strict=True):
            rate = keras.ops.where(step >= begin, schedule(keras.ops.maximum(step - begin, 0.0)), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        serialized = [keras.optimizers.schedules.serialize(schedule) for schedule in self.schedules]
        return {"begins": self.begins, "schedules": serialized}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StagedSchedule:
        schedules = [keras.optimizers.schedules.deserialize(item) for item in config["schedules"]]
        return cls(config["begins"], schedules)


def learning_rate_schedule(
    config: TrainingConfig, stages: Sequence[Stage]
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up to `learning_rate`, then a cosine to zero (Loshchilov and Hutter 2017).

    The cosine ends with the last step of each stage, or with the last step of the run if `config.schedule` is "run".
    """
    steps = [(stage.end - stage.begin) * stage.steps for stage in stages]
    if config.schedule == "run" or len(stages) == 1:
        return _cosine(config, stages[0].steps, sum(steps))
    begins = np.cumsum([0, *steps[:-1]]).tolist()
    return StagedSchedule(
        begins, [_cosine(config, stage.steps, total) for stage, total in zip(stages, steps, strict=True)]
    )


def _cosine(config: TrainingConfig, steps_per_epoch: int, total: int) -> keras.optimizers.schedules.CosineDecay:
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
