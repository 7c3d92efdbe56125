"""Health checks of attention maps: statistics per layer and head over many captions, and warnings.

Letters: L layers, N heads, T tokens, K = L*N + 1 (every head, and the mean of all), h/w feature grid, S = h*w cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.health_warnings import check_language, warning_text
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.pooling import AXES, entropy
from caption_tx.inference.attention.words import END_TOKEN

MAX_ROW_SUM_ERROR = 1e-3
"""Largest accepted difference of a map's sum from 1; sums of float32 differ by about 1e-6."""

SAME_MAP_DISTANCE = 0.1
"""Two maps with at most this total variation distance count as the same: a tenth of the attention differs, which is
hardly visible in a heatmap. Between two words of a trained model the distance is 0.3 to 0.7."""

SAME_MAP_SHARE = 0.8
"""A head looks at the same place for every word if at least this share of its maps repeat the previous word's."""

UNIFORM_ENTROPY = 0.97
"""A map is uniform if its entropy is at least this share of ln S. Of 49 cells, 44 equal and 5 empty ones reach it."""

CENTER_INDEX = 1.5
"""A head prefers the center if it has this many times the attention of a uniform map there. Photographs have their
subject in the center (Tatler 2007), so this alone is no problem; see `FIXED_MAP_DISTANCE`."""

FIXED_MAP_DISTANCE = 0.1
"""A head ignores the image if its mean map per image has at most this mean distance from the mean over all images."""

MIN_IMAGES = 5
"""Images are compared with each other only if there are at least this many."""

MAX_COMPARED_IMAGES = 2000
"""Only the first images, up to this many, are compared with each other, which bounds the memory."""

MEASURES = ("row_sum_error", "entropy", "same_as_previous", "center", "center_deviation", "picture_difference")
"""Statistics of `MapHealth`, one array each."""


def center_window(h: int, w: int) -> np.ndarray:
    """(h, w) share in [0, 1] of each cell's area inside the middle half of the rows and columns of the image."""

    def share_inside(count: int) -> np.ndarray:
        edges = np.arange(count + 1) / count
        covered = np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25)
        return np.clip(covered, 0, None) * count

    return share_inside(h)[:, None] * share_inside(w)


class _Entry(NamedTuple):
    """One row of a report: a head, or the mean of all if `head` is None, and its index into the arrays."""

    head: tuple[int, int] | None
    index: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MapHealth:
    """Statistics of attention maps, as `measure_health` returns them.

    Every array has the shape (L + 1, N). Row L contains in its first column the mean over all layers and heads,
    of which the default pooling "sharp" shows the squares. NaN marks what could not be measured.

    Attributes:
        captions: number of captions measured.
        words: number of words measured.
        grid: (h, w) of the feature grid.
        row_sum_error: largest difference of a map's sum from 1.
        entropy: mean over words of the map's entropy as a share of ln S: 0 on one cell, 1 uniform.
        same_as_previous: share of words, from the second of each caption, whose map is at most `SAME_MAP_DISTANCE`
            (total variation distance) away from the previous word's map.
        center: center index, mean over words: attention in the middle half of the rows and columns, divided by the
            quarter that a uniform map has there; from 0 to 4.
        center_deviation: standard deviation over images of the mean center index per image.
        picture_difference: mean over images of the total variation distance between the image's mean map and the
            mean over all images, in [0, 1]; NaN for fewer than `MIN_IMAGES` images.
    """

    captions: int
    words: int
    grid: tuple[int, int]
    row_sum_error: np.ndarray
    entropy: np.ndarray
    same_as_previous: np.ndarray
    center: np.ndarray
    center_deviation: np.ndarray
    picture_difference: np.ndarray

    def _entries(self) -> list[_Entry]:
        layers, heads = len(self.entropy) - 1, self.entropy.shape[1]
        entries = [_Entry((layer, head), (layer, head)) for layer in range(layers) for head in range(heads)]
        return [*entries, _Entry(None, (layers, 0))]

    def warnings(self, language: str = "en") -> list[str]:
        """Sentences that say which maps are not reliable, and why; empty if there are no problems.

        Args:
            language: "en" or "zh".

        Raises:
            ConfigError: there are no warnings in that language.
        """
        check_language(language)
        texts = []
        for head, index in self._entries():
            kinds = []
            if self.row_sum_error[index] > MAX_ROW_SUM_ERROR:
                kinds.append(("not_normalized", self.row_sum_error))
            if self.entropy[index] >= UNIFORM_ENTROPY:
                kinds.append(("uniform", self.entropy))
            elif self.same_as_previous[index] >= SAME_MAP_SHARE:
                kinds.append(("same", self.same_as_previous))
            elif self.picture_difference[index] <= FIXED_MAP_DISTANCE:
                kind = "center" if self.center[index] >= CENTER_INDEX else "fixed"
                kinds.append((kind, self.picture_difference))
            texts += [warning_text(kind, values[index], head, language) for kind, values in kinds]
        return texts

    def to_dict(self) -> dict[str, Any]:
        """The statistics, thresholds and English warnings, ready for JSON; NaN becomes None."""
        rows = []
        for head, index in self._entries():
            layer, head_name = ("all", "mean") if head is None else head
            values = {name: float(getattr(self, name)[index]) for name in MEASURES}
            row: dict[str, Any] = {"layer": layer, "head": head_name}
            row |= {name: None if math.isnan(value) else float(f"{value:.4g}") for name, value in values.items()}
            rows.append(row)
        return {
            "captions": self.captions,
            "words": self.words,
            "grid": list(self.grid),
            "thresholds": {
                "row_sum_error": MAX_ROW_SUM_ERROR,
                "entropy": UNIFORM_ENTROPY,
                "same_map": SAME_MAP_DISTANCE,
                "same_as_previous": SAME_MAP_SHARE,
                "center": CENTER_INDEX,
                "picture_difference": FIXED_MAP_DISTANCE,
            },
            "heads": rows,
            "warnings": self.warnings(),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def table(self) -> str:
        """A table for a terminal: a row per layer and head, a legend, and the warnings."""

        def percent(value: float) -> str:
            return "-" if math.isnan(value) else f"{value:.0%}"

        def decimal(value: float) -> str:
            return "-" if math.isnan(value) else f"{value:.2f}"

        lines = [
            f"{self.captions:,} captions, {self.words:,} words, maps of {self.grid[0]} x {self.grid[1]} cells.",
            "layer  head  entropy  same  center  (+-)  images",
        ]
        for head, index in self._entries():
            cells = (
                *(("all", "mean") if head is None else head),
                percent(self.entropy[index]),
                percent(self.same_as_previous[index]),
                decimal(self.center[index]),
                decimal(self.center_deviation[index]),
                percent(self.picture_difference[index]),
            )
            lines.append(
                "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, (5, 4, 7, 4, 6, 4, 6), strict=True))
            )
        lines += [
            f"entropy  of the maps, as a share of a uniform map's ({UNIFORM_ENTROPY:.0%} or more: they show nothing)",
            f"same     maps that repeat the previous word's ({SAME_MAP_SHARE:.0%} or more: the same for every word)",
            "center   attention in the central quarter, relative to a uniform map, 0 to 4; (+-) varies between images",
            f"images   attention that differs between images ({FIXED_MAP_DISTANCE:.0%} or less: ignores the image)",
            f"The maps sum to 1 within {np.nanmax(self.row_sum_error):.1e}.",
        ]
        warnings = self.warnings()
        return "\n".join([*lines, *(f"Warning: {text}" for text in warnings)] + ["No warnings."] * (not warnings))


def measure_health(captions: Iterable[np.ndarray | AttentionMaps]) -> MapHealth:
    """Measures the attention maps of many captions.

    Args:
        captions: one item per caption: scores (L, N, T, h, w) without the end token, whose map has no meaning;
            or `AttentionMaps`, whose end token is left out here.

    Raises:
        CaptionTxError: there are no captions, or they come from different models.

    Example:

        health = measure_health(captioner.explain(path) for path in paths)
        print(health.table())
    """
    totals: _Totals | None = None
    for item in captions:
        scores = _scores_without_end(item)
        layers, heads, _, h, w = scores.shape
        totals = totals or _Totals((layers, heads, h, w))
        totals.add(scores)
    if totals is None or not totals.words:
        raise CaptionTxError("There are no captions to measure the attention of.")
    return totals.result()


def _scores_without_end(item: np.ndarray | AttentionMaps) -> np.ndarray:
    if isinstance(item, AttentionMaps):
        return item.scores[:, :, : -1 if item.words[-1] == END_TOKEN else None]
    scores = np.asarray(item)
    if scores.ndim != len(AXES):
        raise CaptionTxError(f"Attention scores need the axes ({', '.join(AXES)}), got the shape {scores.shape}.")
    return scores


@dataclass
class _Totals:
    """Sums over captions of one model; arrays have the shape (K,)."""

    shape: tuple[int, int, int, int]
    words: int = 0
    pairs: int = 0
    row_sum_error: np.ndarray | float = 0.0
    entropy: np.ndarray | float = 0.0
    same: np.ndarray | float = 0.0
    center: np.ndarray | float = 0.0
    image_centers: list[np.ndarray] = field(default_factory=list)
    image_maps: list[np.ndarray] = field(default_factory=list)

    def add(self, scores: np.ndarray) -> None:
        """Adds the scores (L, N, T, h, w) of one caption."""
        layers, heads, tokens, h, w = scores.shape
        if (layers, heads, h, w) != self.shape:
            raise CaptionTxError(
                "All maps must come from one model; "
                f"got maps of {self.shape} and {(layers, heads, h, w)} (layers, heads, h, w)."
            )
        if not tokens:
            return
        flat = scores.reshape(layers * heads, tokens, h, w).astype(np.float64)
        maps = np.concatenate([flat, flat.mean(axis=0, keepdims=True)])  # (K, T, h, w)
        row_sum_error = np.abs(maps.sum(axis=(2, 3)) - 1).max(axis=1)
        distance = np.abs(np.diff(maps, axis=1)).sum(axis=(2, 3)) / 2  # (K, T - 1)
        center = np.einsum("kthw,hw->kt", maps, center_window(h, w)) / 0.25
        self.row_sum_error = np.maximum(self.row_sum_error, row_sum_error)
        self.entropy += entropy(maps).sum(axis=1) / math.log(h * w)
        self.same += (distance <= SAME_MAP_DISTANCE).sum(axis=1)
        self.center += center.sum(axis=1)
        self.image_centers.append(center.mean(axis=1))
        if len(self.image_maps) < MAX_COMPARED_IMAGES:
            self.image_maps.append(maps.mean(axis=1).astype(np.float32))
        self.words += tokens
        self.pairs += tokens - 1

    def result(self) -> MapHealth:
        """The statistics of all captions."""
        layers, heads, h, w = self.shape

        def arrange(values: np.ndarray) -> np.ndarray:  # (K,) -> (L + 1, N)
            table = np.full((layers + 1, heads), np.nan)
            table[:layers] = values[:-1].reshape(layers, heads)
            table[layers, 0] = values[-1]
            return table

        missing = np.full(layers * heads + 1, np.nan)
        image_maps = np.stack(self.image_maps)  # (images, K, h, w)
        difference = np.abs(image_maps - image_maps.mean(axis=0)).sum(axis=(2, 3)).mean(axis=0) / 2
        centers = self.image_centers
        return MapHealth(
            captions=len(centers),
            words=self.words,
            grid=(h, w),
            row_sum_error=arrange(np.asarray(self.row_sum_error)),
            entropy=arrange(self.entropy / self.words),
            same_as_previous=arrange(self.same / self.pairs if self.pairs else missing),
            center=arrange(self.center / self.words),
            center_deviation=arrange(np.std(centers, axis=0) if len(centers) > 1 else missing),
            picture_difference=arrange(difference if len(image_maps) >= MIN_IMAGES else missing),
        )
