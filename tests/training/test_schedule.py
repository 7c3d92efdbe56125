"""Epochs by stage, and the learning rate by step."""

import numpy as np
import pytest

from caption_tx.config import TrainingConfig
from caption_tx.errors import ConfigError
from caption_tx.training.schedule import Stage, learning_rate_schedule, plan_stages


@pytest.mark.parametrize(
    ("stage_epochs", "stages", "ends"),
    [((), [1], [10]), ((), [1, 2], [3, 10]), ((4,), [2, 7], [4, 10]), ((), [1, 2, 3], [2, 4, 10])],
)
def test_epochs_are_divided_among_the_stages(stage_epochs, stages, ends):
    config = TrainingConfig(epochs=10, stage_epochs=stage_epochs)
    plan = plan_stages(config, {stage: 10 * stage for stage in stages})
    assert [stage.end for stage in plan] == ends
    assert [stage.begin for stage in plan] == [0, *ends[:-1]]
    assert [(stage.stage, stage.steps) for stage in plan] == [(stage, 10 * stage) for stage in stages]


@pytest.mark.parametrize(
    ("epochs", "stage_epochs", "stages", "message"),
    [
        (10, (4,), [1], r"stage_epochs has 1 values, but the sources have 1 stages \(1\)"),
        (10, (4,), [1, 2, 3], r"stage_epochs has 1 values, but the sources have 3 stages \(1, 2, 3\)"),
        (2, (), [1, 2, 3], r"training\.epochs \(2\)"),
    ],
)
def test_stage_epochs_that_do_not_fit_the_sources_are_rejected(epochs, stage_epochs, stages, message):
    with pytest.raises(ConfigError, match=message):
        plan_stages(TrainingConfig(epochs=epochs, stage_epochs=stage_epochs), dict.fromkeys(stages, 5))


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 100.0])
def test_the_learning_rate_rises_to_its_peak_and_ends_at_zero(warmup):
    stages = [Stage(1, 0, 2, 10), Stage(2, 2, 3, 20)]  # 40 steps, 10 of them in the first epoch
    schedule = learning_rate_schedule(TrainingConfig(epochs=3, warmup_epochs=warmup, learning_rate=0.1), stages)
    rates = np.array([float(schedule(step)) for step in range(41)])
    peak = min(round(warmup * 10), 39)
    assert rates.argmax() == peak
    assert rates.max() == pytest.approx(0.1)
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] == pytest.approx(0, abs=1e-6)
