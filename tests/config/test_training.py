"""Settings of training: stages and sample temperatures."""

import math

import pytest

from caption_tx.config import TrainingConfig
from caption_tx.config.training import FINE_TUNING
from caption_tx.errors import ConfigError


@pytest.mark.parametrize("value", [1e-5, math.inf, -1.0])
def test_sample_temperatures_are_those_of_decoding(value):
    with pytest.raises(
        ConfigError, match=r"training\.sample_temperatures must be 0, or at least 0\.0001 and at most 10000"
    ):
        TrainingConfig(sample_temperatures=(1.0, value))


def test_last_stage_has_an_epoch():
    with pytest.raises(ConfigError, match=r"stage_epochs must be less than training\.epochs \(5\)"):
        TrainingConfig(epochs=5, stage_epochs=(3, 2))


def test_unset_settings_depend_on_the_start_of_a_run():
    def values(**settings):
        training = TrainingConfig(**settings).resolved()
        assert training.resolved() == training
        return training.epochs, training.patience, training.flips, training.crops

    assert values() == (14, 3, False, 0)
    assert values(flips=True, patience=5) == (14, 5, True, 0)
    assert values(init="b") == (FINE_TUNING["epochs"], FINE_TUNING["epochs"], True, 4)
    assert values(init="b", flips=False, epochs=9) == (9, 9, False, 0)
    assert values(init="b", epochs=7, crops=1, patience=2) == (7, 2, True, 1)
    assert TrainingConfig(init="b", epochs=9, monitor="cider", score_every=5).score_every == 5


@pytest.mark.parametrize("settings", [{"crops": 2}, {"init": "b", "flips": False, "crops": 2}])
def test_crops_require_flips(settings):
    with pytest.raises(ConfigError, match=r"training\.crops must be 0 without training\.flips"):
        TrainingConfig(**settings)


def test_stages_must_leave_an_epoch_of_the_default():
    assert TrainingConfig(init="b", stage_epochs=(FINE_TUNING["epochs"] - 1,)).stage_epochs
    with pytest.raises(ConfigError, match=r"less than training\.epochs \(14\)"):
        TrainingConfig(stage_epochs=(14,))
