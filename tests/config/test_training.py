"""Settings of training: stages and sample temperatures."""

import math

import pytest

from caption_tx.config import TrainingConfig
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
