"""Measures whether attention maps lie on the objects that words name, on rendered scenes with known masks.

Every word that names an object is compared with the pixels of the object by two metrics:

- Attention mass: the share of the map inside the mask, divided by the mask's share of the image (Liu et al. 2017,
  "Attention Correctness in Neural Image Captioning"). A uniform map has a ratio of 1.
- Pointing game: whether the highest point of the map, drawn as a heatmap (`inference/drawing/spline.py`), is on the
  mask or within `TOLERANCE` pixels of it (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop", with
  their margin of 15 pixels). If points tie, the share of them that hit counts.

As a control, the captioner reads the same caption with the image of another scene. Whatever its maps score above
chance against the masks of the original scene does not come from the image.

Letters: K classes of words, M selections of maps, h/w feature grid, S = h*w cells, P points of a heatmap, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.extraction import extract_features
from caption_tx.data.images.forms import ImageLike
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.cells import (
    cell_centers,
    cell_coverage,
    distances,
    heatmap_points,
    mass_inside,
    peaks,
)
from caption_tx.evaluation.attention.grounding_report import ClassBaseline, Grounding, MapScore
from caption_tx.evaluation.attention.selections import all_selections, selection_name
from caption_tx.evaluation.attention.targets import WORD_CLASSES, WordTarget, find_targets
from caption_tx.evaluation.intervals import ratio_interval
from caption_tx.inference.attention.pooling import MapSelection
from caption_tx.inference.attention.teacher_forcing import TeacherForced, needs_cells, teacher_forced_pass
from caption_tx.inference.captioner import ImageCaptioner

TOLERANCE = 15
"""Distance from a mask that still counts as a hit, in pixels: that of Zhang et al., and half a cell of a 7x7 grid at
224 pixels."""


def measure_grounding(
    captioner: ImageCaptioner,
    images: str | Path | Mapping[str, ImageLike],
    scenes: Mapping[str, Sequence[SceneObject]],
    captions: Mapping[str, Sequence[str]],
    selections: Sequence[MapSelection] | None = None,
    tolerance: int = TOLERANCE,
    seed: int = 0,
) -> Grounding:
    """Compares the attention maps of scene captions with the masks of the objects that their words name.

    Args:
        images: folder of the scene images, or a mapping of their names to images in any form of `ImageLike`.
        scenes: file name -> objects, as `read_scenes` returns them.
        captions: file name -> captions in the captioner's language, human or generated.
        selections: maps to measure; by default every pooling, layer and head.
        tolerance: of the pointing game, in pixels.
        seed: of the bootstrap over scenes.

    Raises:
        CaptionTxError: there are fewer than two scenes, which the control needs, or no word names an object.
        ImageError: an image cannot be read.
    """
    names = list(scenes)
    if len(names) < 2:
        raise CaptionTxError(f"Grounding needs at least 2 scenes for its control, got {len(names)}.")
    bundle = captioner.bundle
    segmenter, language = bundle.segmenter(), bundle.text.language
    image_rows = [row for row, name in enumerate(names) for _ in captions.get(name, ())]
    words = [segmenter.segment(caption) for name in names for caption in captions.get(name, ())]
    targets = [
        find_targets(caption, scenes[names[row]], language) for row, caption in zip(image_rows, words, strict=True)
    ]
    if not any(targets):
        raise CaptionTxError(f"No caption names an object of its scene; are the captions in '{language}'?")
    extracted = extract_features(captioner.backbone, images if isinstance(images, Mapping) else str(images), names)
    for error in extracted.errors.values():
        raise error
    features = np.asarray(dequantize(extracted.features))  # (scenes, h, w, C)
    token_lists = bundle.tokenizer.tokenize(words)
    if selections is None:
        settings = bundle.captioner.settings
        selections = all_selections(settings.num_layers, settings.num_heads)
    other_rows = [(row + 1) % len(names) for row in image_rows]
    own, shuffled = (
        teacher_forced_pass(bundle.captioner, features, token_lists, rows, with_cells=needs_cells(selections))
        for rows in (image_rows, other_rows)
    )

    masks = [_SceneMasks(scenes[name], features.shape[1:3], tolerance) for name in names]
    sums = _Sums.zeros(len(selections), len(names))
    for index, (row, caption_targets) in enumerate(zip(image_rows, targets, strict=True)):
        own_maps, shuffled_maps = (_pooled(passes[index], selections) for passes in (own, shuffled))
        for target in caption_targets:
            sums.add(row, target, masks[row], own_maps[:, target.position], shuffled_maps[:, target.position])
    return _report(sums, selections, len(token_lists), tolerance, seed)


def _pooled(passed: TeacherForced, selections: Sequence[MapSelection]) -> np.ndarray:
    """(M, T, h, w): the maps of one caption."""
    return np.stack([passed.pooled(selection) for selection in selections])


@dataclass(frozen=True)
class _Hits:
    """Whether points hit a mask, 1 or 0: the center of each cell (S,), and the center of the image."""

    cells: np.ndarray
    center: float


class _SceneMasks:
    """The masks of the objects of one scene, on the grid of the maps."""

    def __init__(self, objects: Sequence[SceneObject], grid: tuple[int, int], tolerance: int) -> None:
        self._masks = masks = [item.mask() for item in objects]
        size = masks[0].shape
        self._points = heatmap_points(grid, size)
        points = np.concatenate([cell_centers(grid, size), [np.array(size) / 2]])
        self._coverage = np.stack([cell_coverage(mask, grid) for mask in masks])  # (objects, h, w)
        self._distances = np.stack([distances(mask, points) for mask in masks])  # (objects, S + 1)
        self._tolerance = tolerance

    def coverage(self, objects: tuple[int, ...]) -> np.ndarray:
        """(h, w) share of each cell that these objects cover; objects of a scene do not overlap."""
        return self._coverage[list(objects)].sum(axis=0)

    def hits(self, objects: tuple[int, ...], exact: bool = False) -> _Hits:
        """Which points lie on one of these objects, or within the tolerance unless `exact`."""
        nearest = self._distances[list(objects)].min(axis=0)
        is_hit = self._is_hit(nearest, exact)
        return _Hits(is_hit[:-1], float(is_hit[-1]))

    def pointing(self, objects: tuple[int, ...], maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For maps (M, h, w): the share of each peak within the tolerance of these objects, and on them; (M,) each."""
        peak = peaks(maps)  # (M, P)
        used = np.flatnonzero(peak.any(axis=0))
        nearest = np.min([distances(self._masks[index], self._points[used]) for index in objects], axis=0)
        return peak[:, used] @ self._is_hit(nearest), peak[:, used] @ self._is_hit(nearest, exact=True)

    def _is_hit(self, nearest: np.ndarray, exact: bool = False) -> np.ndarray:
        return ((nearest < 1) | (nearest <= (0 if exact else self._tolerance))).astype(np.float64)


@dataclass(frozen=True)
class _BaselineSums:
    """Sums over words, (K, scenes)."""

    words: np.ndarray
    area: np.ndarray
    center: np.ndarray
    center_exact: np.ndarray
    random: np.ndarray
    random_exact: np.ndarray


@dataclass(frozen=True)
class _MapSums:
    """Sums over words, (M, K, scenes)."""

    pointing: np.ndarray
    pointing_exact: np.ndarray
    mass: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Sums over the words of each class and scene: of the baselines, of the scene's own maps, of another scene's."""

    baseline: _BaselineSums
    own: _MapSums
    shuffled: _MapSums

    @classmethod
    def zeros(cls, selections: int, scenes: int) -> _Sums:
        shape = (len(WORD_CLASSES), scenes)
        return cls(
            _BaselineSums(*(np.zeros(shape) for _ in range(6))),
            *(_MapSums(*(np.zeros((selections, *shape)) for _ in range(3))) for _ in range(2)),
        )

    def add(
        self, scene: int, target: WordTarget, masks: _SceneMasks, own_maps: np.ndarray, shuffled_maps: np.ndarray
    ) -> None:
        """Adds one word; its maps are (M, h, w)."""
        coverage = masks.coverage(target.objects)
        hits, exact_hits = masks.hits(target.objects), masks.hits(target.objects, exact=True)
        index = WORD_CLASSES.index(target.word_class), scene
        baseline = self.baseline
        baseline.words[index] += 1
        baseline.area[index] += coverage.mean()
        baseline.center[index] += hits.center
        baseline.center_exact[index] += exact_hits.center
        baseline.random[index] += hits.cells.mean()
        baseline.random_exact[index] += exact_hits.cells.mean()
        for sums, maps in ((self.own, own_maps), (self.shuffled, shuffled_maps)):
            near, exact = masks.pointing(target.objects, maps)
            sums.pointing[:, *index] += near
            sums.pointing_exact[:, *index] += exact
            sums.mass[:, *index] += mass_inside(maps, coverage)


def _report(sums: _Sums, selections: Sequence[MapSelection], captions: int, tolerance: int, seed: int) -> Grounding:
    """Means over words and their intervals."""
    baseline, own, shuffled = sums.baseline, sums.own, sums.shuffled
    measured = [k for k in range(len(WORD_CLASSES)) if baseline.words[k].any()]
    classes = tuple(
        ClassBaseline(
            name=WORD_CLASSES[k],
            words=int(baseline.words[k].sum()),
            area_share=float(baseline.area[k].sum() / baseline.words[k].sum()),
            center=ratio_interval(baseline.center[k], baseline.words[k], seed),
            random=ratio_interval(baseline.random[k], baseline.words[k], seed),
            center_exact=ratio_interval(baseline.center_exact[k], baseline.words[k], seed),
            random_exact=ratio_interval(baseline.random_exact[k], baseline.words[k], seed),
        )
        for k in measured
    )
    scores = tuple(
        MapScore(
            selection=selection_name(selection),
            word_class=WORD_CLASSES[k],
            pointing=ratio_interval(own.pointing[m, k], baseline.words[k], seed),
            pointing_exact=ratio_interval(own.pointing_exact[m, k], baseline.words[k], seed),
            mass=ratio_interval(own.mass[m, k], baseline.words[k], seed),
            mass_ratio=ratio_interval(own.mass[m, k], baseline.area[k], seed),
            shuffled_pointing=ratio_interval(shuffled.pointing[m, k], baseline.words[k], seed),
            shuffled_mass_ratio=ratio_interval(shuffled.mass[m, k], baseline.area[k], seed),
        )
        for m, selection in enumerate(selections)
        for k in measured
    )
    return Grounding(baseline.words.shape[1], captions, tolerance, classes, scores)
