"""Captions and references -> BLEU, ROUGE-L and CIDEr with intervals, and what tells whether to believe them.

    BLEU-1..4  Papineni et al. 2002, over the corpus, the closest reference length (of two, the shorter)
    ROUGE-L    Lin 2004, beta 1.2, the mean over images
    CIDEr      Vedantam et al. 2015: CIDEr-D, idf from the references that are scored, the mean over images

All three come from pycocoevalcap, as most publications have them, and are given times 100. No TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.evaluation.protocol import UNITS, WORDS, cut, joined, plain

METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")

TITLES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr")
_ORDERS = 4
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A score times 100, and the ends of its bootstrap 95% interval, None where none was asked for."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Health:
    """What scores hide. Shares lie in [0, 1]; None means that it is not known.

    Attributes:
        images: scored.
        mean_length, reference_length: in words, of the captions and of all references.
        distinct: captions that differ, compared as they are scored.
        empty: captions without a word.
        cut: share that was cut at the length limit.
        repeated: share in which a run of one or more words stands twice in direct succession.
        copied: share that stands word for word in the training split.
    """

    images: int
    mean_length: float
    reference_length: float
    distinct: int
    empty: int
    cut: float | None
    repeated: float
    copied: float | None


@dataclass(frozen=True)
class Scores:
    """Scores of one system.

    Attributes:
        rows: for each unit ("words", and of Chinese "characters") the scores by metric, see `METRICS`.
        by_image: for each image, in words and times 100, "bleu4" (see `sentence_bleu`), "rouge_l" and "cider".
        left_out: images without a word in any reference, which cannot be scored.
        resamples: of the bootstrap; 0 where there are no intervals.
    """

    language: str
    rows: dict[str, dict[str, Interval]]
    health: Health
    by_image: dict[str, dict[str, float]] = field(repr=False)
    left_out: tuple[str, ...] = ()
    resamples: int = 0

    def __getitem__(self, metric: str) -> float:
        """The score in words, times 100, e.g. `scores["cider"]`."""
        return self.rows[WORDS][metric].value

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, without the scores of each image."""
        values = asdict(self)
        del values["by_image"]
        return values | {"left_out": list(self.left_out)}


def require_scorers() -> None:
    """Raises ConfigError where pycocoevalcap is not installed."""
    try:
        import pycocoevalcap.bleu.bleu_scorer  # noqa: F401
    except ImportError as error:
        raise ConfigError("Scores need pycocoevalcap; install it with `pip install 'caption_tx[eval]'`.") from error


def score(
    hypotheses: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    language: str = "zh",
    *,
    finished: Mapping[str, bool] | None = None,
    training: Iterable[str] | None = None,
    characters: bool = True,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Scores one caption of each image against its references; texts as people and systems write them.

    Args:
        hypotheses: a caption for every image of `references`; "" counts as one and scores 0.
        language: "zh" or "en", which decides how texts are compared (`protocol`).
        finished: of images, whether the caption ended before the length limit.
        training: captions of the training split, to find copies among them.
        characters: give the second row of Chinese too.
        resamples: of the bootstrap (Efron 1979): so many times as many images are drawn with replacement, and
            the interval holds the middle 95% of their scores. BLEU is added up anew from each image's counts
            (Koehn 2004); ROUGE-L and CIDEr are means of each image's score, the idf that of all images. It
            tells what another choice of images would change, not what another training run would. 0 leaves
            it out.

    Raises:
        CaptionTxError: there are no images, or the two mappings have other ones.
        ConfigError: pycocoevalcap is missing, or the language is unknown.
    """
    require_scorers()
    if missing := [name for name in references if name not in hypotheses]:
        raise CaptionTxError(f"{len(missing):,} of {len(references):,} images have no caption, {missing[0]!r} for one.")
    if surplus := [name for name in hypotheses if name not in references]:
        raise CaptionTxError(f"{len(surplus):,} captions are of images without references, {surplus[0]!r} for one.")
    told: dict[str, list[str]] = {}
    said: dict[str, list[list[str]]] = {}
    for name, texts in references.items():
        if kept := [words for text in texts if (words := cut(text, language))]:
            said[name] = kept
            told[name] = cut(hypotheses[name], language)
    if not said:
        raise CaptionTxError("There is no image with a reference to score.")
    names = list(said)
    measured = _measure(list(told.values()), list(said.values()))
    rows = {WORDS: _intervals(measured, resamples, seed)}
    for unit in UNITS[language][1:] if characters else ():
        letters = [cut(hypotheses[name], language, unit) for name in names]
        listed = [[cut(text, language, unit) for text in references[name]] for name in names]
        rows[unit] = _intervals(_measure(letters, [list(filter(None, texts)) for texts in listed]), resamples, seed)
    by_image = np.stack([sentence_bleu(measured.counts), measured.rouge, measured.cider], axis=1) * 100
    return Scores(
        language=language,
        rows=rows,
        health=_health(told, said, language, finished, training),
        by_image={
            name: dict(zip(("bleu4", "rouge_l", "cider"), values.tolist(), strict=True))
            for name, values in zip(names, by_image, strict=True)
        },
        left_out=tuple(name for name in references if name not in said),
        resamples=resamples,
    )


def score_humans(references: Mapping[str, Sequence[str]], language: str = "zh") -> dict[str, dict[str, float]]:
    """What people reach: the caption k of each image against its others, the mean over k; by unit and metric.

    An image counts for as many k as it has captions, and not at all with a single one. A system has one
    reference more than a person has here, which favors it by a little.

    Raises:
        CaptionTxError: no image has two captions.
    """
    found: dict[str, list[dict[str, Interval]]] = {}
    most = max((len(texts) for texts in references.values()), default=0)
    for k in range(most if most > 1 else 0):
        several = {name: list(texts) for name, texts in references.items() if len(texts) > max(k, 1)}
        own = {name: texts.pop(k) for name, texts in several.items()}
        for unit, row in score(own, several, language, resamples=0).rows.items():
            found.setdefault(unit, []).append(row)
    if not found:
        raise CaptionTxError("No image has two captions, so people cannot be scored against each other.")
    return {
        unit: {metric: float(np.mean([row[metric].value for row in rows])) for metric in METRICS}
        for unit, rows in found.items()
    }


# --- What pycocoevalcap measures


@dataclass(frozen=True)
class _Measured:
    """Scores in [0, 1] (CIDEr in [0, 10]): `bleu` (4,) of all; `rouge` and `cider` (n,), and what BLEU counts.

    `counts` (n, 10): matches of 1- to 4-grams, n-grams of 1 to 4 words, words, words of the closest reference.
    """

    bleu: np.ndarray
    counts: np.ndarray
    rouge: np.ndarray
    cider: np.ndarray


def _measure(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> _Measured:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    told = {number: [" ".join(words)] for number, words in enumerate(hypotheses)}
    said = {number: [" ".join(words) for words in lists] for number, lists in enumerate(references)}
    scorer = BleuScorer(n=_ORDERS)
    for number, [hypothesis] in told.items():
        scorer += (hypothesis, said[number])
    bleu, _ = scorer.compute_score(option="closest", verbose=0)
    counts = []
    for test in scorer.ctest:
        length = test["testlen"]
        closest = min(test["reflen"], key=lambda other: (abs(other - length), other))
        counts.append([*test["correct"], *test["guess"], length, closest])
    _, rouge = Rouge().compute_score(said, told)
    _, cider = Cider().compute_score(said, told)
    return _Measured(np.array(bleu), np.array(counts, float), np.asarray(rouge, float), np.asarray(cider, float))


def corpus_bleu(counts: np.ndarray) -> np.ndarray:
    """Added-up counts (.., 10) as `_Measured` has them -> BLEU-1..4 (.., 4) in [0, 1], as pycocoevalcap computes it."""
    matches, ngrams, length, closest = counts[..., :4], counts[..., 4:8], counts[..., 8:9], counts[..., 9:10]
    logs = np.cumsum(np.log((matches + 1e-15) / (ngrams + 1e-9)), axis=-1) / np.arange(1, _ORDERS + 1)
    return np.exp(logs + np.minimum(0, 1 - (closest + 1e-9) / (length + 1e-15)))


def sentence_bleu(counts: np.ndarray) -> np.ndarray:
    """Counts (n, 10) of images -> BLEU-4 (n,) of each caption, in [0, 1], smoothed.

    One is added to matches and number of 2- to 4-grams (Lin and Och 2004); a caption shorter than four words
    is judged by the n-grams that it has. Their mean is another quantity than BLEU-4 of the corpus.
    """
    matches, ngrams, length, closest = counts[:, :4], counts[:, 4:8], counts[:, 8], counts[:, 9]
    more = np.array([0, 1, 1, 1])
    has = ngrams > 0
    with np.errstate(divide="ignore"):
        logs = np.where(has, np.log((matches + more) / np.where(has, ngrams + more, 1)), 0).sum(axis=1)
    means = np.exp(logs / np.maximum(1, has.sum(axis=1)))
    return np.where(length > 0, means * np.exp(np.minimum(0, 1 - closest / np.maximum(1, length))), 0)


def _intervals(measured: _Measured, resamples: int, seed: int) -> dict[str, Interval]:
    values = [*measured.bleu, measured.rouge.mean(), measured.cider.mean()]
    if not resamples:
        return {metric: Interval(100 * float(value)) for metric, value in zip(METRICS, values, strict=True)}
    low, high = 100 * np.percentile(_resample(measured, resamples, seed), [2.5, 97.5], axis=0)
    return {
        metric: Interval(100 * float(value), float(low[place]), float(high[place]))
        for place, (metric, value) in enumerate(zip(METRICS, values, strict=True))
    }


def _resample(measured: _Measured, resamples: int, seed: int) -> np.ndarray:
    """The scores (resamples, 6) of as many images drawn with replacement, some resamples at a time."""
    table = np.concatenate([measured.counts, measured.rouge[:, None], measured.cider[:, None]], axis=1)  # (n, 12)
    images = len(table)
    random = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, size := max(1, _BLOCK // images)):
        rows = min(size, resamples - start)
        drawn = random.multinomial(images, np.full(images, 1 / images), size=rows)  # (rows, n): how often each
        sums = drawn @ table
        found.append(np.concatenate([corpus_bleu(sums[:, :10]), sums[:, 10:] / images], axis=1))
    return np.concatenate(found)


# --- Health


def repeats(words: Sequence[str]) -> bool:
    """Whether a run of one or more words stands twice in direct succession."""
    words = list(words)
    return any(
        words[start : start + size] == words[start + size : start + 2 * size]
        for size in range(1, len(words) // 2 + 1)
        for start in range(len(words) - 2 * size + 1)
    )


def _health(
    told: Mapping[str, Sequence[str]],
    said: Mapping[str, Sequence[Sequence[str]]],
    language: str,
    finished: Mapping[str, bool] | None,
    training: Iterable[str] | None,
) -> Health:
    captions = [joined(words, language) for words in told.values()]
    ended = [finished[name] for name in told if name in finished] if finished else []
    copies = None if training is None else {plain(text, language) for text in training}.intersection(captions)
    lengths = [len(words) for lists in said.values() for words in lists]
    return Health(
        images=len(captions),
        mean_length=float(np.mean([len(words) for words in told.values()])),
        reference_length=float(np.mean(lengths)),
        distinct=len(set(captions)),
        empty=captions.count(""),
        cut=1 - float(np.mean(ended)) if ended else None,
        repeated=float(np.mean([repeats(words) for words in told.values()])),
        copied=None if copies is None else float(np.mean([caption in copies for caption in captions])),
    )
