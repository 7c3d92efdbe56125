"""Explanation options: ranges and incompatible combinations."""

import pytest

from caption_tx.config import DecodingOptions, ExplanationOptions
from caption_tx.errors import ConfigError


def test_rank_raises_n_best():
    beam = DecodingOptions(beam_width=4)
    assert ExplanationOptions(decoding=beam).decoding == beam
    assert ExplanationOptions(rank=2, decoding=beam).decoding == DecodingOptions(beam_width=4, n_best=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": -1}, "rank must be at least 0, got -1"),
        ({"rank": 1, "decoding": DecodingOptions()}, "set beam_width to 2 or more"),
        ({"caption": "狗", "rank": 1}, "do not apply to a given caption"),
        ({"caption": "狗", "decoding": DecodingOptions(beam_width=2)}, "do not apply to a given caption"),
        ({"alpha": 0.0}, r"alpha must be above 0 and at most 1, got 0\.0"),
        ({"pool": "min"}, "pool must be one of sharp, mean, max, spread, rollout"),
        ({"seconds": 0.01}, r"seconds must be at least 0\.02 and at most 60"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(ConfigError, match=message):
        ExplanationOptions(**options)
