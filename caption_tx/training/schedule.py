"""Divides the epochs of a run among its stages, and schedules the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def learning_rate_schedule(config: TrainingConfig, stages: Sequence[Stage]) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up to `learning_rate`, then a cosine to zero at the last step (Loshchilov and Hutter 2017)."""
    total = sum((stage.end - stage.begin) * stage.steps for stage in stages)
    warmup = min(round(config.warmup_epochs * stages[0].steps), total - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=total - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
