"""Scores against sacrebleu and against figures worked out by hand, what distorts them, and their intervals."""

import math
import sys

import numpy as np
import pytest
import sacrebleu

from caption_tx.config import TextConfig
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation import METRICS, score, score_humans
from caption_tx.evaluation.protocol import cut, joined, plain, reference_converter
from caption_tx.evaluation.scores import corpus_bleu, repeats, sentence_bleu

PARTS = {
    "zh": (
        ("一个男人", "两只棕色的狗", "穿红衣服的女孩", "一群孩子", "滑板少年"),
        ("在草地上", "在海边", "在雪地里", "在球场", "在街道上"),
        ("奔跑", "玩耍", "踢足球", "骑自行车", "拍照", "跳跃"),
    ),
    "en": (
        ("a man", "two brown dogs", "a girl in a red shirt", "some children", "the skateboarder"),
        ("runs", "plays soccer", "takes a photo", "jumps high", "rides a bike"),
        ("on the grass", "at the beach", "in the snow", "on the street", "near a fence"),
    ),
}


def make_captions(language, images, seed=0):
    """(hypotheses, three references each) of random parts, half of which an image's captions share."""
    random = np.random.default_rng(seed)
    space = "" if language == "zh" else " "
    hypotheses, references = {}, {}
    for number in range(images):
        scene = [int(random.integers(len(part))) for part in PARTS[language]]
        texts = []
        for _ in range(4):
            places = [own if random.random() < 0.6 else int(random.integers(5)) for own in scene]
            texts.append(space.join(part[place] for part, place in zip(PARTS[language], places, strict=True)))
        hypotheses[f"{number}.jpg"], references[f"{number}.jpg"] = texts[0], texts[1:]
    return hypotheses, references


# --- Against others


@pytest.mark.parametrize(("language", "unit"), [("zh", "words"), ("zh", "characters"), ("en", "words")])
def test_bleu_is_that_of_sacrebleu(language, unit):
    hypotheses, references = make_captions(language, 60)
    row = score(hypotheses, references, language, resamples=0).rows[unit]
    spaced = [" ".join(cut(text, language, unit)) for text in hypotheses.values()]
    columns = [[" ".join(cut(texts[k], language, unit)) for texts in references.values()] for k in range(3)]
    for order in range(1, 5):
        bleu = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
        wanted = bleu.corpus_score(spaced, columns).score
        assert 1 < wanted < 99
        assert row[f"bleu{order}"].value == pytest.approx(wanted, rel=1e-6)


def test_bleu_of_an_image_is_that_of_sacrebleu_with_one_added():
    hypotheses, references = make_captions("en", 30)
    scores = score(hypotheses, references, "en", resamples=0)
    bleu = sacrebleu.BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, effective_order=True)
    for name, text in hypotheses.items():
        assert len(text.split()) >= 4
        wanted = bleu.sentence_score(text, references[name]).score
        assert scores.by_image[name]["bleu4"] == pytest.approx(wanted, rel=1e-6)


def test_bleu_of_a_short_caption_goes_by_the_ngrams_that_it_has():
    # Two words, both right, of which one run is in the reference of four: exp(1 - 4/2).
    counts = np.array([[2, 1, 0, 0, 2, 1, 0, 0, 2, 4], [0, 0, 0, 0, 2, 1, 0, 0, 2, 2], [0] * 9 + [3]], float)
    assert sentence_bleu(counts) == pytest.approx([math.exp(-1), 0, 0])


HAND = {
    "x": ("a b", ["a b e f"]),
    "y": ("c c", ["a c d"]),
    "z": ("g", ["a h", "g"]),
}


def test_cider_and_rouge_by_hand():
    """Every word but "a", which stands with all three images, has idf log 3; "a" has none.

    CIDEr-D of each length of n-grams: sum of min(h, r) r / (|h| |r|), times exp(-d^2 / 72) where captions
    differ by d (in pairs of words, as coco-caption counts); the mean over four lengths, times 10.
    """
    scores = score(
        {name: told for name, (told, _) in HAND.items()}, {name: said for name, (_, said) in HAND.items()}, "en"
    )
    cider = {
        "x": 10 / 4 * (1 / math.sqrt(3) + 1 / math.sqrt(3)) * math.exp(-4 / 72),
        "y": 10 / 4 * (1 / (2 * math.sqrt(2))) * math.exp(-1 / 72),
        "z": 10 / 4 * (0 + 1) / 2,
    }
    # Of precision P and recall R, each its best over the references: 2.44 P R / (R + 1.44 P).
    rouge = {"x": 2.44 * 0.5 / (0.5 + 1.44), "y": 2.44 * (1 / 2) * (1 / 3) / (1 / 3 + 1.44 / 2), "z": 1}
    for name in HAND:
        assert scores.by_image[name]["cider"] == pytest.approx(100 * cider[name])
        assert scores.by_image[name]["rouge_l"] == pytest.approx(100 * rouge[name])
    assert scores["cider"] == pytest.approx(100 * sum(cider.values()) / 3)
    assert scores["rouge_l"] == pytest.approx(100 * sum(rouge.values()) / 3)


def test_cider_of_a_single_image_is_zero():
    assert score({"x": "a dog runs"}, {"x": ["a dog runs"]}, "en")["cider"] == 0


# --- The protocol


def test_punctuation_and_spaces_change_nothing_and_a_full_stop_as_a_word_raises_scores():
    hypotheses, references = make_captions("zh", 40)
    usual = score(hypotheses, references)
    written = {name: f" {text[:2]} {text[2:]}。" for name, text in hypotheses.items()}
    assert score(written, {name: [f"{text}！" for text in texts] for name, texts in references.items()}) == usual
    kept = score(
        {name: f"{text} 句号" for name, text in hypotheses.items()},
        {name: [f"{text} 句号" for text in texts] for name, texts in references.items()},
    )
    assert kept["bleu1"] > usual["bleu1"] + 2
    assert kept["rouge_l"] > usual["rouge_l"] + 2


def test_characters_are_a_row_of_their_own_and_flatter():
    rows = score(*make_captions("zh", 40)).rows
    assert list(rows) == ["words", "characters"]
    assert rows["characters"]["bleu4"].value > rows["words"]["bleu4"].value + 5
    assert list(score(*make_captions("en", 5), "en").rows) == ["words"]
    assert list(score(*make_captions("zh", 5), characters=False).rows) == ["words"]


def test_text_is_cut_as_the_protocol_says():
    assert cut("两只狗，在草地上 奔跑。", "zh") == ["两只", "狗", "在", "草地", "上", "奔跑"]
    assert cut("T恤！", "zh", "characters") == ["t", "恤"]
    assert cut("A dog's ball-game, 3 men.", "en") == ["a", "dog's", "ball", "game", "3", "men"]
    for text, language in (("两只狗。", "zh"), ("Two dogs!", "en")):
        assert joined(cut(text, language), language) == plain(text, language)
    with pytest.raises(ConfigError, match="characters"):
        cut("a", "en", "characters")
    assert reference_converter(TextConfig()) is None
    assert reference_converter(TextConfig(nfkc=True))("Ｔ恤，两 件") == "t恤两件"


def test_what_cannot_be_scored_is_said():
    with pytest.raises(CaptionTxError, match="1 of 2 images have no caption, 'b'"):
        score({"a": "x"}, {"a": ["x"], "b": ["y"]}, "en")
    with pytest.raises(CaptionTxError, match="without references, 'b'"):
        score({"a": "x", "b": "x"}, {"a": ["x"]}, "en")
    with pytest.raises(CaptionTxError, match="no image with a reference"):
        score({"a": "x"}, {"a": ["..."]}, "en")
    scores = score({"a": "x", "b": "", "c": "y"}, {"a": ["!"], "b": ["x y", "?"], "c": ["y"]}, "en", resamples=0)
    assert (scores.left_out, list(scores.by_image)) == (("a",), ["b", "c"])
    assert scores.by_image["b"] == {"bleu4": 0, "rouge_l": 0, "cider": 0}


def test_a_missing_scorer_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu_scorer", None)
    with pytest.raises(ConfigError, match=r"pip install 'caption_tx\[eval\]'"):
        score({"a": "x"}, {"a": ["x"]}, "en")


def test_nothing_is_printed(capfd):
    score(*make_captions("zh", 4))
    assert capfd.readouterr() == ("", "")


# --- Intervals


def test_intervals_hold_the_score_and_shrink_with_more_images():
    few, many = (score(*make_captions("zh", count), resamples=400) for count in (40, 640))
    for scores in (few, many):
        for row in scores.rows.values():
            assert set(row) == set(METRICS)
            for interval in row.values():
                assert 0 < interval.low < interval.value < interval.high
    for metric in METRICS:
        wide, narrow = (scores.rows["words"][metric] for scores in (few, many))
        assert 0 < narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_intervals_are_those_of_scores_computed_anew():
    """BLEU of drawn images, counted by pycocoevalcap once more, lies in the interval as often as it should."""
    hypotheses, references = make_captions("en", 50)
    interval = score(hypotheses, references, "en").rows["words"]["bleu4"]
    random = np.random.default_rng(5)
    names = list(hypotheses)
    found = []
    for _ in range(60):
        drawn = {f"{place}": names[number] for place, number in enumerate(random.integers(50, size=50))}
        told = {place: hypotheses[name] for place, name in drawn.items()}
        found.append(
            score(told, {place: references[name] for place, name in drawn.items()}, "en", resamples=0)["bleu4"]
        )
    inside = np.mean([interval.low <= value <= interval.high for value in found])
    assert 0.8 < inside < 1


def test_intervals_depend_on_the_seed_alone_and_can_be_left_out():
    captions = make_captions("en", 20)
    first, again, other = (score(*captions, "en", resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    without = score(*captions, "en", resamples=0)
    assert without.rows["words"]["cider"].low is None
    assert without["cider"] == first["cider"]


def test_added_up_counts_give_the_bleu_of_the_corpus():
    counts = np.array([[5, 3, 1, 0, 6, 5, 4, 3, 6, 7], [4, 3, 2, 1, 4, 3, 2, 1, 4, 4]], float)
    found = corpus_bleu(counts.sum(axis=0))
    penalty = math.exp(1 - 11 / 10)
    precisions = [9 / 10, 6 / 8, 3 / 6, 1 / 4]
    wanted = [penalty * math.prod(precisions[:order]) ** (1 / order) for order in range(1, 5)]
    assert found == pytest.approx(wanted, rel=1e-6)


# --- Health and people


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("a b a b", True), ("a a", True), ("x a b c a b c y", True), ("a b a", False), ("", False), ("a b c", False)],
)
def test_a_repeated_run_of_words_is_found(words, wanted):
    assert repeats(words.split()) is wanted


def test_health_tells_what_scores_hide():
    told = {"1": "a dog runs", "2": "A dog runs!", "3": "dog dog", "4": ""}
    said = {"1": ["a dog", "a big dog runs"], "2": ["dogs"], "3": ["x"], "4": ["y"]}
    health = score(
        told, said, "en", finished={"1": True, "2": False}, training=["a DOG runs.", "a cat"], resamples=0
    ).health
    assert (health.images, health.distinct, health.empty) == (4, 3, 1)
    assert (health.mean_length, health.reference_length) == (2.0, 9 / 5)
    assert (health.cut, health.repeated, health.copied) == (0.5, 0.25, 0.5)
    unknown = score(told, said, "en", resamples=0).health
    assert (unknown.cut, unknown.copied) == (None, None)


def test_people_are_scored_against_each_other():
    _, references = make_captions("zh", 12)
    people = score_humans(references)
    rows = []
    for k in range(3):
        own = {name: texts[k] for name, texts in references.items()}
        others = {name: texts[:k] + texts[k + 1 :] for name, texts in references.items()}
        rows.append(score(own, others, resamples=0).rows)
    for unit in ("words", "characters"):
        for metric in METRICS:
            assert people[unit][metric] == pytest.approx(np.mean([row[unit][metric].value for row in rows]))
    with pytest.raises(CaptionTxError, match="two captions"):
        score_humans({"a": ["x"]}, "en")
