"""Geometry of attention maps on the feature grid: cell centers, peaks, and coverage by a mask.

Letters: M maps, h/w feature grid, H/W image, S = h*w cells, P points of a heatmap.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from caption_tx.inference.drawing.spline import spread

POINTS_PER_CELL = 7
"""Points of a heatmap in each direction of a cell among which the highest is sought; the center is one of them."""


def heatmap_points(grid: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    """(P, 2) row and column of the points of a heatmap, in pixels of an image of `size` (H, W)."""
    return cell_centers((grid[0] * POINTS_PER_CELL, grid[1] * POINTS_PER_CELL), size)


def cell_centers(grid: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    """(S, 2) row and column of the center of every cell, in pixels of an image of `size` (H, W)."""
    rows, columns = [(np.arange(cells) + 0.5) * pixels / cells for cells, pixels in zip(grid, size, strict=True)]
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def distances(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance in pixels from each point to the center of the nearest pixel of a mask.

    Args:
        mask: bool (H, W), not empty.
        points: (P, 2) rows and columns, counted from the upper left corner.

    Returns:
        (P,). Below 1 if a pixel that touches the point is in the mask.
    """
    pixels = np.argwhere(mask) + 0.5
    return np.sqrt(((points[:, None] - pixels) ** 2).sum(axis=2).min(axis=1))


def peaks(maps: np.ndarray) -> np.ndarray:
    """(M, h, w) -> (M, P): 1 at the highest of the `heatmap_points` of each map, divided evenly among those that tie.

    The heatmap is the drawn one, see `spline`. If all cells are alike, their centers tie.
    """
    maps = np.asarray(maps, np.float64)
    # Equal cells may differ in the seventh digit.
    is_flat = maps.min(axis=(1, 2)) >= maps.max(axis=(1, 2)) * (1 - 1e-6)
    heat = spread(maps, POINTS_PER_CELL)  # (M, h * 7, w * 7)
    is_peak = heat >= heat.max(axis=(1, 2), keepdims=True) * (1 - 1e-6)
    middle = slice(POINTS_PER_CELL // 2, None, POINTS_PER_CELL)
    is_peak[is_flat] = False
    is_peak[is_flat, middle, middle] = True
    return is_peak.reshape(len(maps), -1) / is_peak.sum(axis=(1, 2))[:, None]


def cell_coverage(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """bool (H, W) -> (h, w): the share of each cell that the mask covers, in [0, 1]."""
    return _overlap(grid[0], mask.shape[0]) @ mask @ _overlap(grid[1], mask.shape[1]).T


@lru_cache(maxsize=8)
def _overlap(cells: int, pixels: int) -> np.ndarray:
    """(cells, pixels): the share of each cell of one axis that lies in each pixel; rows sum to 1."""
    edges = np.arange(cells + 1)[:, None] * pixels / cells
    starts, ends = np.maximum(edges[:-1], np.arange(pixels)), np.minimum(edges[1:], np.arange(1, pixels + 1))
    return np.clip(ends - starts, 0, None) * cells / pixels


def mass_inside(maps: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """(M, h, w) maps, (h, w) coverage of the cells -> (M,) share of the attention inside, in [0, 1]."""
    return (maps * coverage).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))


def highest_cells(attention_map: np.ndarray, count: int) -> np.ndarray:
    """float (h, w) -> bool (h, w): the `count` highest cells; the first of equal ones."""
    is_highest = np.zeros(attention_map.size, bool)
    is_highest[np.argsort(-attention_map, axis=None, kind="stable")[:count]] = True
    return is_highest.reshape(attention_map.shape)
