"""Normalization and tokenization of captions for scoring."""

import pytest

from caption_tx.config import TextConfig
from caption_tx.errors import ConfigError
from caption_tx.evaluation.protocol import join_words, normalize, reference_converter, tokenize_for_scoring


def test_captions_are_tokenized_into_words_and_characters():
    assert tokenize_for_scoring("两只狗，在草地上 奔跑。", "zh") == ["两只", "狗", "在", "草地", "上", "奔跑"]
    assert tokenize_for_scoring("T恤！", "zh", "characters") == ["t", "恤"]
    assert tokenize_for_scoring("A dog's ball-game, 3 men.", "en") == ["a", "dog's", "ball", "game", "3", "men"]
    for text, language in (("两只狗。", "zh"), ("Two dogs!", "en")):
        assert join_words(tokenize_for_scoring(text, language), language) == normalize(text, language)


def test_unknown_units_are_rejected():
    with pytest.raises(ConfigError, match="characters"):
        tokenize_for_scoring("a", "en", "characters")


def test_references_are_converted_like_training_captions():
    assert reference_converter(TextConfig()) is None
    assert reference_converter(TextConfig(nfkc=True))("Ｔ恤，两 件") == "t恤两件"
