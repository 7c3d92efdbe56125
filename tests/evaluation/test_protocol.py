"""Normalization and tokenization of captions for scoring."""

import pytest

from caption_tx.config import TextConfig
from caption_tx.errors import ConfigError
from caption_tx.evaluation.protocol import Protocol, reference_converter


def test_captions_are_tokenized_into_words_and_characters():
    assert Protocol("zh").tokenize("两只狗，在草地上 奔跑。") == ["两只", "狗", "在", "草地", "上", "奔跑"]
    assert Protocol("zh", "characters").tokenize("T恤！") == ["t", "恤"]
    assert Protocol("en").tokenize("A dog's ball-game, 3 men.") == ["a", "dog's", "ball", "game", "3", "men"]
    for text, language in (("两只狗。", "zh"), ("Two dogs!", "en")):
        protocol = Protocol(language)
        assert protocol.join(protocol.tokenize(text)) == protocol.normalize(text)


def test_segmented_captions_keep_their_words_as_in_the_evaluation_of_ms_coco():
    """The expected words are those of Stanford's PTBTokenizer 3.4.1 with the punctuation that MS COCO removes."""
    for text, expected in {
        "一 个 NBA 球员 , 在 跑 .": "一 个 nba 球员 在 跑",
        "消防 栓 ( 红色 ： 绿色 )": "消防 栓 ( 红色 ： 绿色 )",
        "狗 。 猫 ， 鸟 、": "狗 。 猫 ， 鸟 、",
        "“ 狗 ” 《 猫 》 … —— -- '' - ! ? ; :": "狗 猫",
        "雪。 雪, 上衣. “红色” 白色（红）": "雪 。 雪 上衣 红色 白色 （ 红 ）",
        "11点 11:30 3.5 3,000 50% t-shirt 狗—猫": "11点 11:30 3.5 3,000 50 % t-shirt 狗 猫",
        "狗\u3000 猫\t跑": "狗 猫 跑",
        "": "",
    }.items():
        assert Protocol("zh", "spaces").tokenize(text) == expected.split(), text


def test_unknown_units_are_rejected():
    with pytest.raises(ConfigError, match="in segmentation 'characters'; choose one of english, spaces"):
        Protocol("en", "characters")
    with pytest.raises(ConfigError, match="language 'fr'; known: zh, en"):
        Protocol("fr")


def test_references_are_converted_like_training_captions():
    assert reference_converter(TextConfig()) is None
    assert reference_converter(TextConfig(nfkc=True))("Ｔ恤，两 件") == "t恤两件"
