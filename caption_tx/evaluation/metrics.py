"""BLEU, ROUGE-L and CIDEr-D of tokenized captions, computed by pycocoevalcap, without TensorFlow.

    BLEU-1..4  Papineni et al. 2002, over the corpus; the closest reference length, the shorter of two
    ROUGE-L    Lin 2004, beta 1.2, mean over images
    CIDEr      Vedantam et al. 2015: CIDEr-D, idf from the scored references, mean over images

Scores in this module are in [0, 1], and CIDEr is in [0, 10]. n is the number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caption_tx.config import MIN_IMAGES
from caption_tx.errors import ConfigError
from caption_tx.evaluation.intervals import Bootstrap, Interval, resample_counts

METRICS = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")

TITLES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr")
_ORDERS = 4

_RESAMPLED_AT_ONCE = 4_000_000
"""Image counts held in memory at once by the bootstrap."""


def require_scorers() -> None:
    """Raises ConfigError if pycocoevalcap is not installed."""
    try:
        import pycocoevalcap.bleu.bleu_scorer  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "Scoring captions needs pycocoevalcap; install it with `pip install 'caption_tx[eval]'`."
        ) from error


@dataclass(frozen=True)
class BleuCounts:
    """The counts that BLEU is computed from, of each image, or summed over images.

    Attributes:
        matches: (.., 4) clipped matches of 1- to 4-grams.
        ngrams: (.., 4) 1- to 4-grams of the caption.
        length: (..) words of the caption.
        reference_length: (..) words of the reference closest in length.
    """

    matches: np.ndarray
    ngrams: np.ndarray
    length: np.ndarray
    reference_length: np.ndarray

    def sum(self, weights: np.ndarray) -> BleuCounts:
        """Sums of the counts (n, ..) of images, weighted by (.., n)."""
        return BleuCounts(
            weights @ self.matches, weights @ self.ngrams, weights @ self.length, weights @ self.reference_length
        )


@dataclass(frozen=True)
class ImageMetrics:
    """Metrics of every image, and BLEU-1..4 (4,) of the corpus; `rouge_l` and `cider` are (n,)."""

    corpus_bleu: np.ndarray
    counts: BleuCounts
    rouge_l: np.ndarray
    cider: np.ndarray

    def corpus(self) -> np.ndarray:
        """(6,) scores of the corpus in the order of `METRICS`."""
        return np.array([*self.corpus_bleu, self.rouge_l.mean(), self.cider.mean()])

    def per_image(self) -> np.ndarray:
        """(n, 3): smoothed BLEU-4, ROUGE-L and CIDEr of each image."""
        return np.stack([sentence_bleu(self.counts), self.rouge_l, self.cider], axis=1)


def measure(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> ImageMetrics:
    """Metrics of n tokenized captions against the tokenized references of their images."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    captions = {index: [" ".join(words)] for index, words in enumerate(hypotheses)}
    targets = {index: [" ".join(words) for words in texts] for index, texts in enumerate(references)}
    scorer = BleuScorer(n=_ORDERS)
    for index, [caption] in captions.items():
        scorer += (caption, targets[index])
    bleu, _ = scorer.compute_score(option="closest", verbose=0)
    closest = [
        min(test["reflen"], key=lambda length, own=test["testlen"]: (abs(length - own), length))
        for test in scorer.ctest
    ]
    counts = BleuCounts(
        matches=np.array([test["correct"] for test in scorer.ctest], float),
        ngrams=np.array([test["guess"] for test in scorer.ctest], float),
        length=np.array([test["testlen"] for test in scorer.ctest], float),
        reference_length=np.array(closest, float),
    )
    _, rouge = Rouge().compute_score(targets, captions)
    _, cider = Cider().compute_score(targets, captions)
    return ImageMetrics(np.array(bleu), counts, np.asarray(rouge, float), np.asarray(cider, float))


def corpus_bleu(counts: BleuCounts) -> np.ndarray:
    """BLEU-1..4 (.., 4) of summed counts, with pycocoevalcap's formula."""
    length, reference_length = counts.length[..., None], counts.reference_length[..., None]
    logs = np.log((counts.matches + 1e-15) / (counts.ngrams + 1e-9))
    means = np.cumsum(logs, axis=-1) / np.arange(1, _ORDERS + 1)
    return np.exp(means + np.minimum(0, 1 - (reference_length + 1e-9) / (length + 1e-15)))


def sentence_bleu(counts: BleuCounts) -> np.ndarray:
    """Smoothed BLEU-4 (n,) of each caption.

    One is added to the matches and the total of 2- to 4-grams (Lin and Och 2004). A caption shorter than
    four words is scored on the n-grams it has. The mean over images is not BLEU-4 of the corpus.
    """
    smoothing = np.array([0, 1, 1, 1])
    exists = counts.ngrams > 0
    with np.errstate(divide="ignore"):
        precisions = (counts.matches + smoothing) / np.where(exists, counts.ngrams + smoothing, 1)
        logs = np.where(exists, np.log(precisions), 0).sum(axis=1)
    means = np.exp(logs / np.maximum(1, exists.sum(axis=1)))
    penalty = np.exp(np.minimum(0, 1 - counts.reference_length / np.maximum(1, counts.length)))
    return np.where(counts.length > 0, means * penalty, 0)


def with_intervals(metrics: ImageMetrics, bootstrap: Bootstrap | None) -> dict[str, Interval]:
    """Scores of the corpus times 100 by metric.

    There are no intervals without a bootstrap or with fewer than `MIN_IMAGES` images, and none of a score that all
    resamples share, such as 0.
    """
    values = 100 * metrics.corpus()
    if bootstrap is None or len(metrics.cider) < MIN_IMAGES:
        return _arrange(values)
    resampled = 100 * _resample(metrics, bootstrap)
    ends = np.percentile(resampled, [2.5, 97.5], axis=0)
    return _arrange(values, np.where(np.isclose(resampled.min(axis=0), resampled.max(axis=0)), np.nan, ends))


def paired_differences(metrics: ImageMetrics, other: ImageMetrics, bootstrap: Bootstrap) -> dict[str, Interval]:
    """Scores of the corpus minus those of another system on the same images, times 100, by metric.

    Every resample draws the same images for both systems, so that what makes an image hard for both cancels out.
    Fewer than `MIN_IMAGES` images have no intervals.
    """
    values = 100 * (metrics.corpus() - other.corpus())
    if len(metrics.cider) < MIN_IMAGES:
        return _arrange(values)
    differences = _resample(metrics, bootstrap) - _resample(other, bootstrap)  # the seed draws the same images
    return _arrange(values, 100 * np.percentile(differences, [2.5, 97.5], axis=0))


def _arrange(values: np.ndarray, ends: np.ndarray | None = None) -> dict[str, Interval]:
    """Values (6,) and the ends of their intervals (2, 6), NaN without one, by metric."""
    pairs = [(None, None)] * len(METRICS) if ends is None else ends.T.tolist()
    return {
        metric: Interval(float(value)) if low is None or np.isnan(low) else Interval(float(value), low, high)
        for metric, value, (low, high) in zip(METRICS, values, pairs, strict=True)
    }


def _resample(metrics: ImageMetrics, bootstrap: Bootstrap) -> np.ndarray:
    """(resamples, 6) scores of resampled images, in the order of `METRICS`."""
    images, random, parts = len(metrics.cider), np.random.default_rng(bootstrap.seed), []
    for start in range(0, bootstrap.resamples, size := max(1, _RESAMPLED_AT_ONCE // images)):
        counts = resample_counts(random, images, min(size, bootstrap.resamples - start))
        means = np.stack([counts @ metrics.rouge_l, counts @ metrics.cider], axis=1) / images
        parts.append(np.concatenate([corpus_bleu(metrics.counts.sum(counts)), means], axis=1))
    return np.concatenate(parts)
