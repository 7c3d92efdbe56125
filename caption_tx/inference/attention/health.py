"""Whether attention maps can be believed: a few numbers for every layer and head, over many captions. No TensorFlow.

Letters: L layers, N heads, T tokens, h and w rows and columns of the feature grid, S = h*w cells.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from einops import einsum

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.maps import END_MARK, AttentionMaps
from caption_tx.inference.attention.pooling import AXES, entropy
from caption_tx.inference.page.ui_strings import texts

ROW_SUM = 1e-3
"""A row may differ so much from 1; sums of float32 differ by 1e-6."""

SAME = 0.1
"""Two maps are nearly the same where so little of the attention would have to move to make one of the other (the total
variation distance): one part in ten, hardly seen in a heatmap. Between two words of a trained model, a third to two
thirds moves."""

MOSTLY = 0.8
"""A head does the same for every word where at least this share of its words do."""

EVEN = 0.97
"""A map is even where its entropy is at least this share of ln S: of 49 cells, as if 44 had the same and 5 nothing."""

CENTERED = 1.5
"""A head is drawn to the center where this many times its even share lies there. Photographs have their subject there
too (Tatler 2007), so this alone is no fault; see `FIXED`."""

FIXED = 0.1
"""A head does the same for every picture where so little of the attention, on average over pictures, would have to move
from a picture's mean map to the mean of all pictures."""

FEW = 5
"""Pictures from which on they are compared with each other."""

MANY = 2000
"""Captions whose pictures are compared with each other, at most; all others are measured alike."""


def center_window(h: int, w: int) -> np.ndarray:
    """(h, w) share in [0, 1] of each cell that lies in the middle half of the rows and columns of the picture."""

    def inside(count: int) -> np.ndarray:
        edges = np.arange(count + 1) / count
        covered = np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25)
        return np.clip(covered, 0, None) * count

    return inside(h)[:, None] * inside(w)


@dataclass(frozen=True, eq=False)
class MapHealth:
    """What `measure_health` found; every array has the shape (L + 1, N), or NaN where nothing could be compared.

    Row L holds the mean over all layers and heads, in its first column: the map that is shown by default.

    Attributes:
        captions, words: how many were measured.
        row_sum_error: the largest difference of a map's sum from 1.
        entropy: mean over words of the map's entropy as a share of ln S: 0 all on one cell, 1 even.
        same_as_previous: share of words, from the second of each caption, whose map is nearly that of the word before:
            their total variation distance is at most `SAME`.
        center: the center-blob index: attention in the middle half of the rows and columns, divided by the
            quarter that an even map has there, so from 0 to 4; mean over words.
        center_deviation: standard deviation of that over pictures, of each picture's mean.
        picture_difference: total variation distance of a picture's mean map from the mean of all pictures' mean
            maps, mean over pictures, in [0, 1]; NaN for fewer than `FEW` captions.
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

    def _places(self) -> list[tuple[int | str, int | str, tuple[int, int]]]:
        """(layer, head, index) of every head, and of the mean over all as "all", "mean"."""
        layers, heads = len(self.entropy) - 1, self.entropy.shape[1]
        single = [(i, j, (i, j)) for i in range(layers) for j in range(heads)]
        return [*single, ("all", "mean", (layers, 0))]

    def warnings(self, language: str = "en") -> list[str]:
        """In plain words, where maps should not be believed; [] where nothing was found.

        Raises:
            ConfigError: `language` is none of `LANGUAGES`.
        """
        found, told = [], texts(language)["health"]
        for layer, head, place in self._places():
            name = told["mean"] if layer == "all" else told["head"].format(layer=layer, head=head)
            if self.row_sum_error[place] > ROW_SUM:
                found.append(told["no_attention"].format(name=name, value=self.row_sum_error[place]))
            if self.entropy[place] >= EVEN:
                found.append(told["everywhere"].format(name=name, value=self.entropy[place]))
            elif self.same_as_previous[place] >= MOSTLY:
                found.append(told["same"].format(name=name, value=self.same_as_previous[place]))
            elif self.picture_difference[place] <= FIXED:
                where = "center" if self.center[place] >= CENTERED else "fixed"
                found.append(told[where].format(name=name, value=self.picture_difference[place]))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; what could not be measured is null."""
        measures = (
            "row_sum_error", "entropy", "same_as_previous", "center", "center_deviation", "picture_difference",
        )  # fmt: skip
        rows = []
        for layer, head, place in self._places():
            values = {name: float(getattr(self, name)[place]) for name in measures}
            row: dict[str, Any] = {"layer": layer, "head": head}
            row |= {name: None if math.isnan(value) else float(f"{value:.4g}") for name, value in values.items()}
            rows.append(row)
        return {
            "captions": self.captions,
            "words": self.words,
            "grid": list(self.grid),
            "thresholds": {
                "row_sum_error": ROW_SUM,
                "entropy": EVEN,
                "same_map": SAME,
                "same_as_previous": MOSTLY,
                "center": CENTERED,
                "picture_difference": FIXED,
            },
            "heads": rows,
            "warnings": self.warnings(),
        }

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def table(self) -> str:
        """For a terminal: a row for every layer and head, what the columns are, and the warnings."""

        def share(value: float) -> str:
            return "-" if math.isnan(value) else f"{value:.0%}"

        def number(value: float) -> str:
            return "-" if math.isnan(value) else f"{value:.2f}"

        lines = [
            f"{self.captions:,} captions, {self.words:,} words, maps of {self.grid[0]} x {self.grid[1]} cells.",
            "layer  head  entropy  same  center  (+-)  pictures",
        ]
        for layer, head, place in self._places():
            cells = (layer, head, share(self.entropy[place]), share(self.same_as_previous[place]))
            cells += (number(self.center[place]), number(self.center_deviation[place]))
            cells += (share(self.picture_difference[place]),)
            lines.append(
                "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, (5, 4, 7, 4, 6, 4, 8), strict=True))
            )
        lines += [
            f"entropy   of a word's map, of that of an even one ({EVEN:.0%} and more: shows nothing)",
            f"same      words whose map is nearly that of the word before ({MOSTLY:.0%} and more: the same for all)",
            "center    attention on the middle quarter against an even map, 0 to 4; (+-) from picture to picture",
            f"pictures  of the attention differs from picture to picture ({FIXED:.0%} and less: sees no picture)",
            f"Rows sum to 1 to within {np.nanmax(self.row_sum_error):.1e}.",
        ]
        warnings = self.warnings()
        return "\n".join([*lines, *(f"Warning: {text}" for text in warnings)] + ["No warnings."] * (not warnings))


def measure_health(captions: Iterable[np.ndarray | AttentionMaps]) -> MapHealth:
    """Measures the maps of many captions, one after another.

    Args:
        captions: the scores (L, N, T, h, w) of one caption each, without its end mark, which has nothing to
            look at; or `AttentionMaps`, whose end mark is left out here.

    Raises:
        CaptionTxError: there are no captions, or they come from different models.
    """
    expected: tuple[int, ...] | None = None
    row_sum_error = np.zeros(0)
    totals: dict[str, np.ndarray] = {}
    means: list[np.ndarray] = []
    centers: list[np.ndarray] = []
    words = pairs = 0
    for item in captions:
        scores = _scores(item)
        layers, heads, tokens, h, w = scores.shape
        shape = (layers, heads, h, w)
        if expected is None:
            expected = shape
            totals = {name: np.zeros(layers * heads + 1) for name in ("entropy", "same", "center")}
            row_sum_error = np.zeros(layers * heads + 1)
        if shape != expected:
            raise CaptionTxError(
                f"Maps of one model are needed; they have {expected} and {shape} (layers, heads, h, w)."
            )
        if not tokens:
            continue
        flat = scores.reshape(layers * heads, tokens, h, w).astype(np.float64)
        maps = np.concatenate([flat, flat.mean(axis=0, keepdims=True)])  # (heads of all layers + 1, T, h, w)
        row_sum_error = np.maximum(row_sum_error, np.abs(maps.sum(axis=(2, 3)) - 1).max(axis=1))
        moved = np.abs(np.diff(maps, axis=1)).sum(axis=(2, 3)) / 2
        center = einsum(maps, center_window(h, w), "k t h w, h w -> k t") / 0.25
        totals["entropy"] += entropy(maps).sum(axis=1) / math.log(h * w)
        totals["same"] += (moved <= SAME).sum(axis=1)
        totals["center"] += center.sum(axis=1)
        if len(means) < MANY:
            means.append(maps.mean(axis=1).astype(np.float32))
        centers.append(center.mean(axis=1))
        words += tokens
        pairs += tokens - 1
    if expected is None or not words:
        raise CaptionTxError("There are no captions whose attention could be measured.")
    layers, heads, h, w = expected

    def arrange(values: np.ndarray) -> np.ndarray:
        table = np.full((layers + 1, heads), np.nan)
        table[:layers] = values[:-1].reshape(layers, heads)
        table[layers, 0] = values[-1]
        return table

    nothing = np.full(layers * heads + 1, np.nan)
    of_pictures = np.stack(means)  # (captions, heads of all layers + 1, h, w)
    difference = np.abs(of_pictures - of_pictures.mean(axis=0)).sum(axis=(2, 3)).mean(axis=0) / 2
    return MapHealth(
        captions=len(centers),
        words=words,
        grid=(h, w),
        row_sum_error=arrange(row_sum_error),
        entropy=arrange(totals["entropy"] / words),
        same_as_previous=arrange(totals["same"] / pairs if pairs else nothing),
        center=arrange(totals["center"] / words),
        center_deviation=arrange(np.std(centers, axis=0) if len(centers) > 1 else nothing),
        picture_difference=arrange(difference if len(means) >= FEW else nothing),
    )


def _scores(item: np.ndarray | AttentionMaps) -> np.ndarray:
    if isinstance(item, AttentionMaps):
        return item.scores[:, :, : -1 if item.words[-1] == END_MARK else None]
    scores = np.asarray(item)
    if scores.ndim != len(AXES):
        raise CaptionTxError(f"Attention scores need the axes ({', '.join(AXES)}), got the shape {scores.shape}.")
    return scores
