"""Do attention maps lie on what the words speak of? Measured on rendered scenes, whose masks are known.

Every word that names an object is held against the pixels of that object, by two measures:

- attention mass: the share of the map that lies inside the mask, beside the share of the picture that the
  mask fills (Liu et al. 2017, "Attention Correctness in Neural Image Captioning"). A map that looks
  everywhere alike has a ratio of 1.
- pointing game: whether the highest point of the map, upsampled as a heatmap is drawn, lies on the mask or
  within `TOLERANCE` pixels of it (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop",
  with their margin of 15 pixels). Where cells tie, the share of them that hits counts.

The control gives the captioner the same caption with the picture of another scene and holds its maps
against the masks of this one: what is left above chance then does not come from the picture.

Letters: M maps, h/w feature grid, H/W picture, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from caption_tx.config import POOL_NAMES
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.extraction import extract_features
from caption_tx.data.scenes.captions import named_objects, word_class
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner

CLASSES = ("shape", "color", "relation")
"""Kinds of words that are measured."""

TOLERANCE = 15
"""Pixels around a mask that still count as a hit: that of Zhang et al., and half a cell of a 7x7 grid at 224 pixels."""

RESAMPLES = 2000
"""Of the bootstrap."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval, the percentiles 2.5 and 97.5 over resampled images."""

    value: float
    low: float
    high: float


def interval(values: np.ndarray, weights: np.ndarray, seed: int = 0) -> Interval:
    """The ratio sum(values) / sum(weights), resampled image by image (Efron and Tibshirani 1993, chapter 13).

    Words of one image are no independent samples, so whole images are drawn.

    Args:
        values: (images,) sum over the words of each image.
        weights: (images,) what it is divided by, such as the number of words; 0 for an image without any.

    Raises:
        CaptionTxError: the shapes differ or no image has any weight.
    """
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if values.shape != weights.shape or values.ndim != 1:
        raise CaptionTxError(f"One weight per image is needed, got {values.shape} values and {weights.shape} weights.")
    if not weights.sum() > 0:
        raise CaptionTxError("There is nothing to take a mean of: no image has a word to measure.")
    counts = _resamples(len(values), seed)
    totals = counts @ weights
    drawn = (counts @ values)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values.sum() / weights.sum()), float(low), float(high))


@lru_cache(maxsize=4)
def _resamples(images: int, seed: int) -> np.ndarray:
    """(RESAMPLES, images): how often each image is drawn."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), RESAMPLES).astype(np.float64)


def distances(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels from each point to the middle of the nearest pixel of a mask.

    Args:
        mask: bool (H, W), not empty. points: (P, 2) rows and columns, counted from the upper left corner.

    Returns:
        (P,). Less than 1 where one of the pixels that touch the point is in the mask.
    """
    pixels = np.argwhere(mask) + 0.5
    return np.sqrt(((points[:, None] - pixels) ** 2).sum(axis=2).min(axis=1))


def middles(grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """(h * w, 2) rows and columns of the middle of every cell, in pixels of a picture of the size (H, W)."""
    rows, columns = [(np.arange(cells) + 0.5) * pixels / cells for cells, pixels in zip(grid, size, strict=True)]
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def highest(maps: np.ndarray) -> np.ndarray:
    """(M, h, w) -> (M, h * w): 1 for the highest cell of each map; cells that tie share it.

    Upsampling between the middles of cells, as heatmaps are drawn, leaves the maximum at the middle of the
    highest cell: that is the point that the pointing game asks for.
    """
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    # Rounding makes equal cells differ in the seventh digit.
    top = flat >= flat.max(axis=1, keepdims=True) * (1 - 1e-6)
    return top / top.sum(axis=1, keepdims=True)


@lru_cache(maxsize=8)
def _parts(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels): the share of each cell of an axis that lies in each pixel; rows sum to 1."""
    edges = np.arange(cells + 1)[:, None] * pixels / cells
    begin, end = np.maximum(edges[:-1], np.arange(pixels)), np.minimum(edges[1:], np.arange(1, pixels + 1))
    return np.clip(end - begin, 0, None) * cells / pixels


def on_grid(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """bool (H, W) -> (h, w): the share of each cell that the mask fills."""
    return _parts(grid[0], mask.shape[0]) @ mask @ _parts(grid[1], mask.shape[1]).T


def mass_inside(maps: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(M, h, w) maps and (h, w) shares of cells -> (M,) shares of the attention inside, in [0, 1]."""
    return (maps * cells).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


@dataclass(frozen=True)
class Source:
    """One way to get a map from the attention of layers and heads; None is all of them."""

    pooling: str = "mean"
    layer: int | None = None
    head: int | None = None

    @property
    def name(self) -> str:
        """As it stands in a table."""
        if self.layer is None:
            return self.pooling
        return f"layer {self.layer} " + (self.pooling if self.head is None else f"head {self.head}")

    def maps(self, scores: np.ndarray, self_scores: np.ndarray | None = None) -> np.ndarray:
        """(L, N, T, h, w), and (L, N, T, T) where the pooling is "rollout" -> (T, h, w)."""
        return MapSelection(self.layer, self.head, self.pooling).pooled(scores, self_scores)


def poolings() -> list[Source]:
    """Every pooling over all layers and heads."""
    return [Source(name) for name in POOL_NAMES]


def all_sources(layers: int, heads: int) -> list[Source]:
    """Every pooling, the mean of every layer, and every head alone."""
    apart = [Source("mean", layer, head) for layer in range(layers) for head in (None, *range(heads))]
    return poolings() + apart


@dataclass(frozen=True)
class Target:
    """One word of a caption and the objects that it speaks of, as indices into those of the scene."""

    position: int
    word_class: str
    objects: tuple[int, ...]


def find_targets(words: Sequence[str], objects: Sequence[SceneObject], language: str) -> list[Target]:
    """The words of a caption that speak of objects of the scene.

    A shape or color word speaks of its object. A relation word ("left", "above", "row") speaks of all the
    objects that the caption names; where it names only one, the word tells a place in the picture, and
    is none. Words of objects that are not in the scene are none either.
    """
    found = named_objects(words, objects, language)
    named = tuple(sorted({number for number in found if number is not None}))
    targets = []
    for position, (word, number) in enumerate(zip(words, found, strict=True)):
        kind = word_class(word, language)
        if number is not None:
            targets.append(Target(position, str(kind), (number,)))
        elif kind == "relation" and len(named) > 1:
            targets.append(Target(position, kind, named))
    return targets


@dataclass(frozen=True)
class WordClass:
    """What is known of a class of words before any map is looked at.

    Attributes:
        words: how many were measured.
        area_share: of the picture that their masks fill.
        center, random: pointing game of the picture's center, and of a cell that is drawn blindly.
        center_exact, random_exact: the same without tolerance.
    """

    name: str
    words: int
    area_share: float
    center: Interval
    random: Interval
    center_exact: Interval
    random_exact: Interval


@dataclass(frozen=True)
class MapScore:
    """How the maps of one source lie on the masks of one class of words.

    Attributes:
        pointing, pointing_exact: pointing game with `TOLERANCE`, and with none; shares in [0, 1].
        mass: share of the attention inside the mask; mass_ratio: divided by the mask's share of the area.
        shuffled_pointing, shuffled_mass_ratio: the same where the captioner saw another scene.
    """

    source: str
    word_class: str
    pointing: Interval
    pointing_exact: Interval
    mass: Interval
    mass_ratio: Interval
    shuffled_pointing: Interval
    shuffled_mass_ratio: Interval


@dataclass(frozen=True)
class Grounding:
    """What `measure_grounding` found; `scores` go through the sources, and for each through the classes."""

    scenes: int
    captions: int
    tolerance: int
    classes: tuple[WordClass, ...]
    scores: tuple[MapScore, ...]

    def best(self, word_class: str = "shape", among: Iterable[str] = POOL_NAMES) -> MapScore:
        """The score with the highest pointing game of a class, among the named sources.

        Raises:
            CaptionTxError: none of them was measured for this class.
        """
        among = tuple(among)
        found = [score for score in self.scores if score.word_class == word_class and score.source in among]
        if not found:
            raise CaptionTxError(f"No maps of {', '.join(among)} were measured for {word_class} words.")
        return max(found, key=lambda score: score.pointing.value)

    def line(self, word_class: str = "shape") -> str:
        """One line for a person, of the best pooling."""
        score = self.best(word_class)
        [facts] = [each for each in self.classes if each.name == word_class]
        return (
            f"grounding: pointing game {score.pointing.value:.2f} for {word_class} words "
            f"(center {facts.center.value:.2f}, random {facts.random.value:.2f}, "
            f"maps of another scene {score.shuffled_pointing.value:.2f}), "
            f"mass in the mask {score.mass_ratio.value:.1f} times its area share; pooled by {score.source}"
        )

    def table(self) -> str:
        """All of it for the terminal: the interval stands behind each value."""

        def cell(value: Interval) -> str:
            return f"{value.value:5.2f} [{value.low:.2f}, {value.high:.2f}]"

        lines = []
        for facts in self.classes:
            lines.append(
                f"{facts.name} words: {facts.words:,} in {self.captions:,} captions of {self.scenes:,} scenes; "
                f"masks fill {facts.area_share:.1%} of the picture"
            )
            lines.append(
                f"  {'maps':<18}{'pointing':<20}{'without tolerance':<20}{'mass/area':<20}"
                f"{'another scene: pointing':<25}{'mass/area':<20}"
            )
            lines += [
                f"  {'center':<18}{cell(facts.center):<20}{cell(facts.center_exact)}",
                f"  {'random cell':<18}{cell(facts.random):<20}{cell(facts.random_exact):<20}{1:5.2f}",
            ]
            lines += [
                f"  {score.source:<18}{cell(score.pointing):<20}{cell(score.pointing_exact):<20}"
                f"{cell(score.mass_ratio):<20}{cell(score.shuffled_pointing):<25}{cell(score.shuffled_mass_ratio)}"
                for score in self.scores
                if score.word_class == facts.name
            ]
        return "\n".join(line.rstrip() for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class _Masks:
    """The masks of one scene's objects, and of several together, as the measures need them."""

    def __init__(self, objects: Sequence[SceneObject], grid: tuple[int, int]) -> None:
        masks = [item.mask() for item in objects]
        size = masks[0].shape
        points = np.concatenate([middles(grid, size), [np.array(size) / 2]])
        self._cells = np.stack([on_grid(mask, grid) for mask in masks])
        self._distances = np.stack([distances(mask, points) for mask in masks])

    def cells(self, numbers: tuple[int, ...]) -> np.ndarray:
        """(h, w) shares that these objects fill; objects of a scene do not overlap."""
        return self._cells[list(numbers)].sum(axis=0)

    def hits(self, numbers: tuple[int, ...], tolerance: int) -> np.ndarray:
        """(2, S + 1) with tolerance and without: 1 where the middle of a cell, or last of the picture, hits."""
        near = self._distances[list(numbers)].min(axis=0)
        return np.stack([(near <= tolerance) | (near < 1), near < 1]).astype(np.float64)


def measure_grounding(
    captioner: ImageCaptioner,
    images: str | Path,
    scenes: Mapping[str, Sequence[SceneObject]],
    captions: Mapping[str, Sequence[str]],
    language: str,
    sources: Sequence[Source] | None = None,
    tolerance: int = TOLERANCE,
    seed: int = 0,
) -> Grounding:
    """Holds the attention maps of captions of scenes against the masks of what their words name.

    Args:
        images: folder of the scenes' pictures.
        scenes: file name -> objects, as `read_scenes` gives them.
        captions: file name -> captions to explain, true or made by the model.
        sources: which maps; every pooling, layer and head by default.
        tolerance: of the pointing game, in pixels.
        seed: of the bootstrap over scenes.

    Raises:
        CaptionTxError: there are fewer than two scenes, which the control needs, or no word names an object.
        ImageError: a picture cannot be read.
    """
    names = list(scenes)
    if len(names) < 2:
        raise CaptionTxError(f"At least 2 scenes are needed, one for the control of the other; got {len(names)}.")
    bundle = captioner.bundle
    segmenter, model = bundle.segmenter(), bundle.captioner
    extracted = extract_features(captioner.backbone, str(images), names)
    for error in extracted.errors.values():
        raise error
    features = np.asarray(dequantize(extracted.features))  # (scenes, h, w, C)
    rows, words = [], []
    for row, name in enumerate(names):
        for caption in captions.get(name, ()):
            rows.append(row)
            words.append(segmenter.segment(caption))
    targets = [find_targets(each, scenes[names[row]], language) for row, each in zip(rows, words, strict=True)]
    if not any(targets):
        raise CaptionTxError("No word of the captions names an object of its scene; is the language the right one?")
    token_lists = bundle.tokenizer.tokenize(words)
    others = [(row + 1) % len(names) for row in rows]
    traced = [teacher_forced_pass(model, features, token_lists, chosen) for chosen in (rows, others)]
    if sources is None:
        sources = all_sources(*traced[0][0][0].shape[:2])

    grid = features.shape[1:3]
    shape = (len(CLASSES), len(names))
    counts, areas = np.zeros(shape), np.zeros(shape)
    blind = np.zeros((2, 2, *shape))  # center and random cell; with and without tolerance
    sums = np.zeros((2, len(sources), 3, *shape))  # own picture and another's; pointing, the same exactly, mass
    masks = [_Masks(scenes[name], grid) for name in names]
    for number, (row, found) in enumerate(zip(rows, targets, strict=True)):
        maps = [
            np.stack([source.maps(each[number][0], each[number][2]) for source in sources]) for each in traced
        ]  # (M, T, h, w)
        for target in found:
            cells, hits = masks[row].cells(target.objects), masks[row].hits(target.objects, tolerance)
            place = CLASSES.index(target.word_class), row
            counts[place] += 1
            areas[place] += cells.mean()
            blind[:, :, *place] += hits[:, -1], hits[:, :-1].mean(axis=1)
            for which, each in enumerate(maps):
                own = each[:, target.position]
                sums[which, :, :2, *place] += highest(own) @ hits[:, :-1].T
                sums[which, :, 2, *place] += mass_inside(own, cells)
    return _report(len(token_lists), tolerance, sources, counts, areas, blind, sums, seed)


def _report(
    captions: int,
    tolerance: int,
    sources: Sequence[Source],
    counts: np.ndarray,
    areas: np.ndarray,
    blind: np.ndarray,
    sums: np.ndarray,
    seed: int,
) -> Grounding:
    """Sums over the words of each class and scene -> means with their intervals."""
    present = [number for number in range(len(CLASSES)) if counts[number].any()]
    classes = tuple(
        WordClass(
            name=CLASSES[k],
            words=int(counts[k].sum()),
            area_share=float(areas[k].sum() / counts[k].sum()),
            center=interval(blind[0, 0, k], counts[k], seed),
            random=interval(blind[1, 0, k], counts[k], seed),
            center_exact=interval(blind[0, 1, k], counts[k], seed),
            random_exact=interval(blind[1, 1, k], counts[k], seed),
        )
        for k in present
    )
    scores = tuple(
        MapScore(
            source=source.name,
            word_class=CLASSES[k],
            pointing=interval(sums[0, m, 0, k], counts[k], seed),
            pointing_exact=interval(sums[0, m, 1, k], counts[k], seed),
            mass=interval(sums[0, m, 2, k], counts[k], seed),
            mass_ratio=interval(sums[0, m, 2, k], areas[k], seed),
            shuffled_pointing=interval(sums[1, m, 0, k], counts[k], seed),
            shuffled_mass_ratio=interval(sums[1, m, 2, k], areas[k], seed),
        )
        for m, source in enumerate(sources)
        for k in present
    )
    return Grounding(counts.shape[1], captions, tolerance, classes, scores)
