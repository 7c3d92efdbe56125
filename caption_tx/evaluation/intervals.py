"""Bootstrap confidence intervals over images, without TensorFlow.

The words of one image are not independent samples, so every resample draws whole images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from caption_tx.errors import CaptionTxError

RATIO_RESAMPLES = 2000
"""Bootstrap resamples of `ratio_interval`."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95% bootstrap interval; the ends are None if no interval was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bootstrap:
    """Number of resamples and random seed of a bootstrap."""

    resamples: int = 1000
    seed: int = 0


DEFAULT_BOOTSTRAP = Bootstrap()


def ratio_interval(values: np.ndarray, weights: np.ndarray, seed: int = 0) -> Interval:
    """The ratio sum(values) / sum(weights) and its interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (images,) sum over the words of each image.
        weights: (images,) denominator of each image, for example its number of words; may be 0.

    Raises:
        CaptionTxError: the shapes differ, or all weights are 0.
    """
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if values.shape != weights.shape or values.ndim != 1:
        raise CaptionTxError(f"Expected one weight per image, got {values.shape} values and {weights.shape} weights.")
    if not weights.sum() > 0:
        raise CaptionTxError("Cannot compute a mean: no image has a word to measure.")
    counts = _ratio_resamples(len(values), seed)
    totals = counts @ weights
    ratios = (counts @ values)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Interval(float(values.sum() / weights.sum()), float(low), float(high))


@lru_cache(maxsize=4)
def _ratio_resamples(images: int, seed: int) -> np.ndarray:
    """(RATIO_RESAMPLES, images): how often each resample draws each image."""
    return resample_counts(np.random.default_rng(seed), images, RATIO_RESAMPLES).astype(np.float64)


def resample_counts(random: np.random.Generator, images: int, resamples: int) -> np.ndarray:
    """int (resamples, images): how often each image is drawn when `images` are drawn with replacement."""
    return random.multinomial(images, np.full(images, 1 / images), size=resamples)
