"""BLEU against sacrebleu and worked examples, ROUGE-L and CIDEr-D against worked examples, and bootstrap intervals."""

import math
import sys

import numpy as np
import pytest
import sacrebleu

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation.intervals import Bootstrap, Interval, ratio_interval
from caption_tx.evaluation.metrics import METRICS, BleuCounts, corpus_bleu, sentence_bleu
from caption_tx.evaluation.protocol import Protocol
from caption_tx.evaluation.scores import score


@pytest.mark.parametrize(("language", "unit"), [("zh", "words"), ("zh", "characters"), ("en", "words")])
def test_bleu_equals_sacrebleu(make_captions, language, unit):
    hypotheses, references = make_captions(language, 60)
    row = score(hypotheses, references, language, bootstrap=None).rows[unit]
    protocol = Protocol(language, "" if unit == "words" else unit)
    spaced = [" ".join(protocol.tokenize(text)) for text in hypotheses.values()]
    columns = [[" ".join(protocol.tokenize(texts[k])) for texts in references.values()] for k in range(3)]
    for order in range(1, 5):
        bleu = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=order)
        expected = bleu.corpus_score(spaced, columns).score
        assert 1 < expected < 99
        assert row[f"bleu{order}"].value == pytest.approx(expected, rel=1e-6)


def test_sentence_bleu_equals_sacrebleu_with_add_one_smoothing(make_captions):
    hypotheses, references = make_captions("en", 30)
    scores = score(hypotheses, references, "en", bootstrap=None)
    bleu = sacrebleu.BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, effective_order=True)
    for name, text in hypotheses.items():
        assert len(text.split()) >= 4
        expected = bleu.sentence_score(text, references[name]).score
        assert scores.by_image[name]["bleu4"] == pytest.approx(expected, rel=1e-6)


def test_sentence_bleu_of_a_short_caption_uses_the_ngrams_it_has():
    counts = BleuCounts(
        matches=np.array([[2, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], float),
        ngrams=np.array([[2, 1, 0, 0], [2, 1, 0, 0], [0, 0, 0, 0]], float),
        length=np.array([2, 2, 0], float),
        reference_length=np.array([4, 2, 3], float),
    )
    # The first has two correct words, and a reference of four: exp(1 - 4/2).
    assert sentence_bleu(counts) == pytest.approx([math.exp(-1), 0, 0])


def test_corpus_bleu_of_summed_counts():
    counts = BleuCounts(
        matches=np.array([[5, 3, 1, 0], [4, 3, 2, 1]], float),
        ngrams=np.array([[6, 5, 4, 3], [4, 3, 2, 1]], float),
        length=np.array([6, 4], float),
        reference_length=np.array([7, 4], float),
    )
    penalty = math.exp(1 - 11 / 10)
    precisions = [9 / 10, 6 / 8, 3 / 6, 1 / 4]
    expected = [penalty * math.prod(precisions[:order]) ** (1 / order) for order in range(1, 5)]
    assert corpus_bleu(counts.sum(np.ones(2))) == pytest.approx(expected, rel=1e-6)


EXAMPLES = {
    "x": ("a b", ["a b e f"]),
    "y": ("c c", ["a c d"]),
    "z": ("g", ["a h", "g"]),
}


def test_cider_and_rouge_of_worked_examples():
    """Every word except "a", which occurs in all three images, has idf log 3; "a" has 0.

    CIDEr-D for each n-gram length: sum of min(h, r) r / (|h| |r|), times exp(-d^2 / 72) for captions that
    differ in length by d (in pairs of words, as coco-caption counts); the mean over four lengths, times 10.
    """
    scores = score(
        {name: caption for name, (caption, _) in EXAMPLES.items()},
        {name: references for name, (_, references) in EXAMPLES.items()},
        "en",
    )
    cider = {
        "x": 10 / 4 * (1 / math.sqrt(3) + 1 / math.sqrt(3)) * math.exp(-4 / 72),
        "y": 10 / 4 * (1 / (2 * math.sqrt(2))) * math.exp(-1 / 72),
        "z": 10 / 4 * (0 + 1) / 2,
    }
    # For precision P and recall R, each the best over the references: 2.44 P R / (R + 1.44 P).
    rouge = {"x": 2.44 * 0.5 / (0.5 + 1.44), "y": 2.44 * (1 / 2) * (1 / 3) / (1 / 3 + 1.44 / 2), "z": 1}
    for name in EXAMPLES:
        assert scores.by_image[name]["cider"] == pytest.approx(100 * cider[name])
        assert scores.by_image[name]["rouge_l"] == pytest.approx(100 * rouge[name])
    assert scores["cider"] == pytest.approx(100 * sum(cider.values()) / 3)
    assert scores["rouge_l"] == pytest.approx(100 * sum(rouge.values()) / 3)


def test_cider_of_a_single_image_is_zero():
    assert score({"x": "a dog runs"}, {"x": ["a dog runs"]}, "en")["cider"] == 0


def test_missing_scorer_is_reported_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocoevalcap.bleu.bleu_scorer", None)
    with pytest.raises(ConfigError, match=r"pip install 'caption_tx\[eval\]'"):
        score({"a": "x"}, {"a": ["x"]}, "en")


def test_scoring_prints_nothing(make_captions, capfd):
    score(*make_captions("zh", 4))
    assert capfd.readouterr() == ("", "")


def test_intervals_contain_the_score_and_shrink_with_more_images(make_captions):
    few, many = (score(*make_captions("zh", count), bootstrap=Bootstrap(400)) for count in (40, 640))
    for scores in (few, many):
        for row in scores.rows.values():
            assert set(row) == set(METRICS)
            for interval in row.values():
                assert 0 < interval.low < interval.value < interval.high
    for metric in METRICS:
        wide, narrow = (scores.rows["words"][metric] for scores in (few, many))
        assert 0 < narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_bleu_of_resampled_images_lies_in_the_interval(make_captions):
    """The BLEU of resampled images, counted again by pycocoevalcap, lies in the interval as often as it should."""
    hypotheses, references = make_captions("en", 50)
    interval = score(hypotheses, references, "en").rows["words"]["bleu4"]
    random = np.random.default_rng(5)
    names = list(hypotheses)
    values = []
    for _ in range(60):
        drawn = {f"{copy}": names[index] for copy, index in enumerate(random.integers(50, size=50))}
        captions = {copy: hypotheses[name] for copy, name in drawn.items()}
        resampled = {copy: references[name] for copy, name in drawn.items()}
        values.append(score(captions, resampled, "en", bootstrap=None)["bleu4"])
    inside = np.mean([interval.low <= value <= interval.high for value in values])
    assert 0.8 < inside < 1


def test_intervals_depend_only_on_the_seed_and_can_be_omitted(make_captions):
    captions = make_captions("en", 20)
    first, again, other = (score(*captions, "en", bootstrap=Bootstrap(50, seed)) for seed in (1, 1, 2))
    assert first == again != other
    without = score(*captions, "en", bootstrap=None)
    assert without.rows["words"]["cider"].low is None
    assert without["cider"] == first["cider"]


def test_there_is_no_interval_that_says_nothing(make_captions):
    hypotheses, references = make_captions("en", 10)
    whole = score(hypotheses, references, "en").rows["words"]
    assert all(interval.low is not None for interval in whole.values())
    few = score(dict(list(hypotheses.items())[:9]), dict(list(references.items())[:9]), "en")
    assert few.resamples == 0 and {interval.low for interval in few.rows["words"].values()} == {None}
    wrong = score(dict.fromkeys(hypotheses, "zzz"), references, "en").rows["words"]
    assert wrong["cider"] == Interval(0.0)  # every resample has the same score


def test_ratio_interval_resamples_whole_images():
    rng = np.random.default_rng(0)
    words = rng.integers(1, 9, 400)
    rates = rng.uniform(0, 1, 400)
    interval = ratio_interval(rates * words, words)
    mean = (rates * words).sum() / words.sum()
    assert interval.value == pytest.approx(mean)
    # The standard error of a ratio (Cochran 1977, eq. 6.4), times 1.96.
    error = np.sqrt(((rates - mean) ** 2 * words**2).sum()) / words.sum()
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    constant = ratio_interval(np.full(7, 0.25) * 3, np.full(7, 3))
    assert (constant.value, constant.low, constant.high) == pytest.approx((0.25, 0.25, 0.25))
    with pytest.raises(CaptionTxError, match="no image has a word"):
        ratio_interval(np.zeros(3), np.zeros(3))
    with pytest.raises(CaptionTxError, match=r"\(3,\) values and \(2,\) weights"):
        ratio_interval(np.zeros(3), np.zeros(2))
