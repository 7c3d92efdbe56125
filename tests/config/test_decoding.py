"""Decoding options: ranges, types and incompatible combinations."""

import dataclasses
import math

import pytest

from caption_tx.config import DecodingOptions
from caption_tx.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"max_length": 0}, "max_length"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
        ({"length_penalty": -0.1}, "length_penalty"),
        ({"diversity_penalty": float("inf")}, "diversity_penalty"),
        ({"repetition_penalty": 0.5}, "repetition_penalty"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram"),
        ({"min_length": 0}, "min_length"),
        ({"beam_width": 0}, "beam_width"),
        ({"samples": 0}, "samples"),
        ({"n_best": 0}, "n_best"),
        ({"temperature": 1.0, "top_k": 0}, "top_k"),
        ({"temperature": 1.0, "top_p": 0.0}, "top_p"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p"),
        ({"temperature": 1.0, "top_p": 1e-7}, "top_p"),
        ({"temperature": 1.0, "top_k": 2**31}, "top_k"),
        ({"temperature": 9e-5}, "temperature must be 0, or at least 0.0001 and at most 10000, got 9e-05"),
        ({"temperature": 1.1e4}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"beam_width": 2, "beam_groups": 2, "diversity_penalty": 1.1e4}, "diversity_penalty"),
        ({"length_penalty": 10.5}, "length_penalty must be at least 0 and at most 10, got 10.5"),
        ({"repetition_penalty": 1.1e4}, "repetition_penalty must be at least 1 and at most 10000"),
        ({"suppress_words": "狗"}, "suppress_words must be a list, got '狗'"),
        ({"suppress_words": ("狗", 3)}, "suppress_words must be of type str, got 3"),
        ({"force_words": ("狗", " "), "beam_width": 2}, "force_words"),
        ({"beam_width": 2.5}, "beam_width must be of type int, got 2.5"),
        ({"beam_width": True}, "beam_width must be of type int, got True"),
        ({"min_length": "3"}, "min_length must be of type int, got '3'"),
        ({"max_length": 3.0}, "max_length must be of type int"),
        ({"seed": None}, "seed must be of type int, got None"),
        ({"temperature": "warm"}, "temperature must be of type float, got 'warm'"),
        ({"temperature": 1.0, "top_p": True}, "top_p must be of type float"),
        ({"prefix": 3}, "prefix must be of type str, got 3"),
        ({"prefix": None}, "prefix must be of type str"),
    ],
)
def test_error_names_option_of_wrong_type_or_range(options, name):
    with pytest.raises(ConfigError, match=name):
        DecodingOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 2, "temperature": 1.0}, "a temperature above 0 are incompatible"),
        ({"top_k": 5}, "top_k and top_p require sampling"),
        ({"top_p": 0.5}, "top_k and top_p require sampling"),
        ({"samples": 2}, "all samples are the same"),
        ({"n_best": 2}, "exceeds the number of captions"),
        ({"n_best": 3, "beam_width": 2}, "exceeds the number of captions"),
        ({"n_best": 3, "samples": 2, "temperature": 1.0}, "exceeds the number of captions"),
        ({"consensus": 0.3, "beam_width": 2}, "at least 3 captions"),
        ({"consensus": 0.3}, "at least 3 captions"),
        ({"consensus": -0.1, "beam_width": 4}, "consensus"),
        ({"beam_width": 4, "beam_groups": 3, "diversity_penalty": 1.0}, "must divide beam_width"),
        ({"beam_width": 4, "beam_groups": 2}, "require each other"),
        ({"beam_width": 4, "diversity_penalty": 1.0}, "require each other"),
        ({"force_words": ("狗",)}, "force_words requires beam search"),
        (
            {"force_words": ("狗",), "beam_width": 4, "beam_groups": 2, "diversity_penalty": 1.0},
            "leave out beam_groups",
        ),
        ({"force_words": ("狗", "狗"), "beam_width": 4}, "more than once"),
        (
            {"force_words": ("狗",), "suppress_words": ("猫", "狗"), "beam_width": 4},
            "force_words and suppress_words both contain",
        ),
        ({"min_length": 5, "max_length": 4}, "above max_length"),
        ({"force_words": ("狗", "猫"), "beam_width": 4, "max_length": 1}, "do not fit in max_length 1"),
    ],
)
def test_incompatible_options_are_rejected(options, message):
    with pytest.raises(ConfigError, match=message):
        DecodingOptions(**options)


def test_limits_of_ranges_are_valid():
    for temperature in (0, 1e-4, 1e4):
        assert DecodingOptions(temperature).temperature == temperature
    DecodingOptions(1.0, top_k=2**31 - 1, top_p=1e-6, length_penalty=10, repetition_penalty=1e4, no_repeat_ngram=50)
    DecodingOptions(beam_width=2, beam_groups=2, diversity_penalty=1e4, length_penalty=0)


def test_lists_of_words_become_tuples():
    options = DecodingOptions(suppress_words=["狗"], force_words=["猫"], beam_width=2)
    assert options == DecodingOptions(suppress_words=("狗",), force_words=("猫",), beam_width=2)
    assert hash(options) == hash(DecodingOptions(suppress_words=("狗",), force_words=("猫",), beam_width=2))


STORED = DecodingOptions(beam_width=20, consensus=0.4, no_repeat_ngram=2)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, STORED),
        ({"consensus": 0.2}, DecodingOptions(beam_width=20, consensus=0.2, no_repeat_ngram=2)),
        ({"consensus": None}, DecodingOptions(beam_width=20, no_repeat_ngram=2)),
        ({"n_best": 3, "force_words": ["狗"]}, {"n_best": 3, "force_words": ("狗",)}),
        ({"beam_groups": 4, "diversity_penalty": 0.5}, {"beam_groups": 4, "diversity_penalty": 0.5}),
        ({"beam_width": 4}, DecodingOptions(beam_width=4, no_repeat_ngram=2)),
        ({"beam_width": 1}, DecodingOptions(no_repeat_ngram=2)),
        ({"temperature": 0}, DecodingOptions(no_repeat_ngram=2)),
        ({"temperature": 0.7, "top_k": 5}, DecodingOptions(temperature=0.7, top_k=5, no_repeat_ngram=2)),
        ({"beam_width": 1, "no_repeat_ngram": 0}, DecodingOptions()),
    ],
)
def test_overriding_a_search_keeps_it_unless_another_kind_is_selected(options, expected):
    expected = dataclasses.replace(STORED, **expected) if isinstance(expected, dict) else expected
    assert STORED.override(**options) == expected


def test_overrides_that_do_not_fit_are_rejected():
    with pytest.raises(ConfigError, match="top_k and top_p require sampling"):
        STORED.override(top_k=3)
    with pytest.raises(ConfigError, match="n_best 21 exceeds"):
        STORED.override(n_best=21)
    with pytest.raises(ConfigError, match=r"Unknown option 'beam_with'\. Did you mean 'beam_width'"):
        STORED.override(beam_with=3)


def test_a_search_is_described_by_what_differs_from_greedy_search():
    assert DecodingOptions().describe() == "greedy"
    assert STORED.describe() == "beam_width 20, consensus 0.4, no_repeat_ngram 2"
    assert DecodingOptions(suppress_words=("狗", "猫"), max_length=9).describe() == (
        "greedy, max_length 9, suppress_words 狗,猫"
    )
