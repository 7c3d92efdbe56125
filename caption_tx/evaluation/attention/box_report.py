"""The result of a grounding measurement on boxes: groups of words, and scores with intervals, as tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from caption_tx.config import POOL_NAMES
from caption_tx.evaluation.attention.baselines import BASELINES
from caption_tx.evaluation.intervals import Interval, ratio_interval

ALL, SMALL = "all", "objects under a quarter"
"""Names of groups: all words, and words for objects (not scenes) whose boxes cover less than a quarter of the image."""

UNLIKELY, LIKELY = "probability under 5%", "probability over 50%"
"""Names of groups: words that the model hardly expected, and words that it did expect, whatever they name."""

_SMALL_AREA = 0.25
_MIN_WORDS = 20
"""A category with fewer words is not reported."""

CORRECTNESS_NOTE = (
    "Attention correctness proves nothing without the Gaussian beside it: objects are in the middle of photographs."
)


@dataclass
class WordScores:
    """Scores of words, or of phrases, in lists that grow by one entry per image batch.

    Attributes:
        image: (W,) index of the image.
        area: (W,) share of the image that the boxes cover.
        values: (W, M, K) scores of each map: for words pointing game and mass, for phrases correctness.
        category: (W,) of the boxes; "" for phrases.
        probability: (W,) of the word after the words before it; NaN for phrases.
    """

    image: list[int] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    category: list[str] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)

    def add(
        self, image: int, area: float, values: np.ndarray, category: str = "", probability: float = float("nan")
    ) -> None:
        """Adds one word or phrase; values are (M, K)."""
        self.image.append(image)
        self.area.append(area)
        self.values.append(values.astype(np.float32))
        self.category.append(category)
        self.probability.append(probability)


@dataclass(frozen=True)
class MapScores:
    """Scores of one kind of map on one group of words: pointing game and mass inside the boxes, in [0, 1]."""

    maps: str
    pointing: Interval
    mass: Interval


@dataclass(frozen=True)
class WordGroup:
    """Words whose boxes are of one size or category, or that are equally likely.

    Attributes:
        name: `ALL`, `SMALL`, "smallest third", "middle third", "largest third", a category, `UNLIKELY`, "probability 5%
            to 50%" or `LIKELY`.
        words: number of words.
        area: mean share of the image that the boxes cover.
        scores: of the baselines, then of the maps.
    """

    name: str
    words: int
    area: float
    scores: tuple[MapScores, ...]

    def score(self, maps: str) -> MapScores:
        """The scores of one kind of map."""
        return next(score for score in self.scores if score.maps == maps)


@dataclass(frozen=True)
class Correctness:
    """Attention correctness of one kind of map, mean over phrases."""

    maps: str
    value: Interval


@dataclass(frozen=True)
class BoxGrounding:
    """The result of `measure_box_grounding`.

    Attributes:
        images: number of images with measured words.
        has_prior: whether training boxes gave the prior of each word; otherwise it is the Gaussian, and not shown.
        groups: of words.
        phrases: number of phrases whose correctness was measured.
        correctness: of the baselines, then of the maps.
        by_image: name of each image -> mean mass of the first map that is no baseline.
    """

    images: int
    has_prior: bool
    groups: tuple[WordGroup, ...]
    phrases: int
    correctness: tuple[Correctness, ...]
    by_image: Mapping[str, float]

    def group(self, name: str = ALL) -> WordGroup | None:
        """A group of words by its name; None if it has too few words."""
        return next((group for group in self.groups if group.name == name), None)

    def table(self, maps: Sequence[str] | None = None) -> str:
        """Scores as tables for the terminal, with intervals in brackets.

        Args:
            maps: baselines and maps to show; by default the baselines, the poolings and the layers.
        """
        lines = []
        for group in self.groups:
            is_main = group.name in (ALL, SMALL)
            names = ("Gaussian", "word prior", *POOL_NAMES) if maps is None and not is_main else maps
            shown = [score for score in group.scores if self._is_shown(score.maps, names, is_main)]
            lines.append(
                f"{group.name}: {group.words:,} words of {self.images:,} images; boxes cover {group.area:.1%} of the "
                "image"
            )
            lines.append(f"  {'maps':<18}{'pointing game':<24}mass inside")
            lines += [f"  {score.maps:<18}{_cell(score.pointing):<24}{_cell(score.mass)}" for score in shown]
        if self.correctness:
            lines.append(f"attention correctness (Liu et al. 2017), {self.phrases:,} phrases")
            lines += [
                f"  {item.maps:<18}{_cell(item.value)}"
                for item in self.correctness
                if self._is_shown(item.maps, maps, False)
            ]
            lines.append(f"  {CORRECTNESS_NOTE}")
        return "\n".join(lines)

    def _is_shown(self, name: str, maps: Sequence[str] | None, with_layers: bool) -> bool:
        if name == "word prior" and not self.has_prior:
            return False
        if maps is not None:
            return name in maps
        return name in BASELINES or name in POOL_NAMES or (with_layers and name.endswith("mean"))

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"note": CORRECTNESS_NOTE}


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def summarize(
    labels: Sequence[str], words: WordScores, phrases: WordScores, names: Sequence[str], has_prior: bool, seed: int
) -> BoxGrounding:
    """Means over the words of each group, with bootstrap intervals over images.

    Args:
        labels: names of the M maps.
        words: pointing game and mass of each word.
        phrases: correctness of each phrase.
        names: of the images.
    """
    images = len(names)
    image, area, values = np.array(words.image), np.array(words.area), np.stack(words.values)  # (W,), (W,), (W, M, 2)
    first = values[:, len(BASELINES), 1]
    by_image = {names[index]: float(first[image == index].mean()) for index in np.unique(image)}
    groups = []
    for name, mask in _groups(area, np.array(words.category), np.array(words.probability)).items():
        scores = tuple(
            MapScores(
                label,
                *(_mean(values[mask, index, kind], image[mask], images, seed) for kind in range(2)),
            )
            for index, label in enumerate(labels)
        )
        groups.append(WordGroup(name, int(mask.sum()), float(area[mask].mean()), scores))
    correctness: tuple[Correctness, ...] = ()
    if phrases.values:
        image, values = np.array(phrases.image), np.stack(phrases.values)
        correctness = tuple(
            Correctness(label, _mean(values[:, index, 0], image, images, seed)) for index, label in enumerate(labels)
        )
    return BoxGrounding(images, has_prior, tuple(groups), len(phrases.values), correctness, by_image)


def _groups(area: np.ndarray, category: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Masks (W,) of the groups of words that are large enough; all words always are."""
    first, second = np.quantile(area, (1 / 3, 2 / 3))
    groups = {
        SMALL: (area < _SMALL_AREA) & (category != "scene"),
        "smallest third": area <= first,
        "middle third": (area > first) & (area <= second),
        "largest third": area > second,
    } | {name: category == name for name in sorted(set(category.tolist()) - {""})}
    groups |= {
        UNLIKELY: probability < 0.05,
        "probability 5% to 50%": (probability >= 0.05) & (probability <= 0.5),
        LIKELY: probability > 0.5,
    }
    large = {name: mask for name, mask in groups.items() if mask.sum() >= _MIN_WORDS}
    return {ALL: np.ones(len(area), bool)} | large


def _mean(values: np.ndarray, image: np.ndarray, images: int, seed: int) -> Interval:
    sums = np.bincount(image, weights=values, minlength=images)
    return ratio_interval(sums, np.bincount(image, minlength=images).astype(np.float64), seed)
