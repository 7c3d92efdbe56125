"""Epochs by stage, and the learning rate by step."""

import numpy as np
import pytest

from caption_tx.config import TrainingConfig
from caption_tx.errors import ConfigError
from caption_tx.training.schedule import Stage, StagedSchedule, learning_rate_schedule, plan_stages


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


STAGES = [Stage(1, 0, 2, 10), Stage(2, 2, 3, 20)]
"""40 steps, 20 of them in the first stage, 10 in the first epoch."""


def rates(stages=STAGES, **training):
    schedule = learning_rate_schedule(TrainingConfig(epochs=3, learning_rate=0.1, **training), stages)
    return np.array([float(schedule(step)) for step in range(41)])


def assert_rises_and_falls(rates, peak):
    """To 0.1 at step `peak`, then to 0 at the last step."""
    assert rates.argmax() == peak
    assert rates.max() == pytest.approx(0.1)
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 100.0])
def test_a_schedule_of_the_run_rises_to_its_peak_and_ends_at_zero(warmup):
    run = rates(warmup_epochs=warmup, schedule="run")
    assert_rises_and_falls(run, min(round(warmup * 10), 39))
    assert run[-1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0, 100.0])
def test_each_stage_has_its_own_schedule(warmup):
    staged = rates(warmup_epochs=warmup)
    assert_rises_and_falls(staged[:20], min(round(warmup * 10), 19))
    assert_rises_and_falls(staged[20:], min(round(warmup * 20), 19))
    assert staged[-1] == pytest.approx(0, abs=1e-6)


def test_a_single_stage_has_one_schedule_either_way():
    stage = [Stage(1, 0, 2, 20)]
    np.testing.assert_array_equal(rates(stage), rates(stage, schedule="run"))


def test_a_longer_last_stage_does_not_change_the_earlier_ones():
    longer = [STAGES[0], Stage(2, 2, 5, 20)]
    short, long = (rates(stages, warmup_epochs=0.5) for stages in (STAGES, longer))
    np.testing.assert_array_equal(short[:20], long[:20])
    assert long[39] > short[39] > 0


def test_a_staged_schedule_can_be_saved_with_its_optimizer():
    schedule = learning_rate_schedule(TrainingConfig(epochs=3), STAGES)
    again = StagedSchedule.from_config(schedule.get_config())
    assert [float(again(step)) for step in (3, 25)] == [float(schedule(step)) for step in (3, 25)]
