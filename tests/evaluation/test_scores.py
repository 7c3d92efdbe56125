"""Scores, caption statistics and the human baseline."""

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.metrics import METRICS
from caption_tx.evaluation.scores import repeats, score, score_humans


def test_punctuation_is_ignored_but_a_full_stop_as_a_word_would_raise_scores(make_captions):
    hypotheses, references = make_captions("zh", 40)
    expected = score(hypotheses, references)
    punctuated = {name: f" {text[:2]} {text[2:]}。" for name, text in hypotheses.items()}
    exclaimed = {name: [f"{text}！" for text in texts] for name, texts in references.items()}
    assert score(punctuated, exclaimed) == expected
    with_word = score(
        {name: f"{text} 句号" for name, text in hypotheses.items()},
        {name: [f"{text} 句号" for text in texts] for name, texts in references.items()},
    )
    assert with_word["bleu1"] > expected["bleu1"] + 2
    assert with_word["rouge_l"] > expected["rouge_l"] + 2


def test_chinese_is_also_scored_in_characters(make_captions):
    rows = score(*make_captions("zh", 40)).rows
    assert list(rows) == ["words", "characters"]
    assert rows["characters"]["bleu4"].value > rows["words"]["bleu4"].value + 5
    assert list(score(*make_captions("en", 5), "en").rows) == ["words"]
    assert list(score(*make_captions("zh", 5), characters=False).rows) == ["words"]


def test_images_that_cannot_be_scored_are_reported():
    with pytest.raises(CaptionTxError, match="1 of 2 images have no caption, for example 'b'"):
        score({"a": "x"}, {"a": ["x"], "b": ["y"]}, "en")
    with pytest.raises(CaptionTxError, match="1 captions have no references, for example 'b'"):
        score({"a": "x", "b": "x"}, {"a": ["x"]}, "en")
    with pytest.raises(CaptionTxError, match="no image has a reference with a word"):
        score({"a": "x"}, {"a": ["..."]}, "en")
    scores = score({"a": "x", "b": "", "c": "y"}, {"a": ["!"], "b": ["x y", "?"], "c": ["y"]}, "en", bootstrap=None)
    assert (scores.left_out, list(scores.by_image)) == (("a",), ["b", "c"])
    assert scores.by_image["b"] == {"bleu4": 0, "rouge_l": 0, "cider": 0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [("a b a b", True), ("a a", True), ("x a b c a b c y", True), ("a b a", False), ("", False), ("a b c", False)],
)
def test_repeated_words_are_detected(words, expected):
    assert repeats(words.split()) is expected


def test_caption_statistics():
    captions = {"1": "a dog runs", "2": "A dog runs!", "3": "dog dog", "4": ""}
    references = {"1": ["a dog", "a big dog runs"], "2": ["dogs"], "3": ["x"], "4": ["y"]}
    statistics = score(
        captions,
        references,
        "en",
        finished={"1": True, "2": False},
        training=["a DOG runs.", "a cat"],
        bootstrap=None,
    ).statistics
    assert (statistics.images, statistics.distinct, statistics.empty) == (4, 3, 1)
    assert (statistics.mean_length, statistics.reference_length) == (2.0, 9 / 5)
    assert (statistics.cut, statistics.repeated, statistics.copied) == (0.5, 0.25, 0.5)
    unknown = score(captions, references, "en", bootstrap=None).statistics
    assert (unknown.cut, unknown.copied) == (None, None)


def test_human_baseline_scores_each_caption_against_the_others(make_captions):
    _, references = make_captions("zh", 12)
    baseline = score_humans(references)
    rows = []
    for k in range(3):
        own = {name: texts[k] for name, texts in references.items()}
        others = {name: texts[:k] + texts[k + 1 :] for name, texts in references.items()}
        rows.append(score(own, others, bootstrap=None).rows)
    for unit in ("words", "characters"):
        for metric in METRICS:
            assert baseline[unit][metric] == pytest.approx(np.mean([row[unit][metric].value for row in rows]))
    with pytest.raises(CaptionTxError, match="at least two captions"):
        score_humans({"a": ["x"]}, "en")


@pytest.mark.parametrize("arguments", [("一只狗", ["狗"]), ({"a.jpg": "狗"}, ["狗"]), (["狗"], {"a.jpg": ["狗"]})])
def test_scores_need_mappings(arguments):
    with pytest.raises(CaptionTxError, match="to score must be a mapping of image names"):
        score(*arguments)
