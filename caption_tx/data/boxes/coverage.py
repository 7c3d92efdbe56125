"""Geometry of boxes: the share of each grid cell that their union covers, and the window of an augmentation.

A box is (x0, y0, x1, y1) in fractions of the image's width and height, from the upper left corner. Fractions fit an
image of any size. Letters: h/w feature grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caption_tx.data.images.augmentation import Window

Corners = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in fractions of width and height."""

MIN_VISIBLE = 0.5
"""A word keeps its boxes in a crop if this share of their area is inside."""


def box_coverage(boxes: Sequence[Corners], grid: tuple[int, int]) -> np.ndarray:
    """The share of each cell that the union of boxes covers, float64 (h, w) in [0, 1]; exact.

    Example:
        >>> box_coverage([(0.0, 0.0, 0.75, 0.5)], (2, 2))
        array([[1. , 0.5],
               [0. , 0. ]])
    """
    h, w = grid
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    if len(corners) == 1:
        [[x0, y0, x1, y1]] = corners
        return np.outer(_overlap(np.array([y0, y1]), h)[:, 0], _overlap(np.array([x0, x1]), w)[:, 0])
    # No edge of a box crosses a rectangle between neighboring edges, so each is inside or outside as a whole.
    columns, rows = np.unique(corners[:, 0::2]), np.unique(corners[:, 1::2])
    inside = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for x0, y0, x1, y1 in corners:
        inside |= np.outer((rows[:-1] >= y0) & (rows[1:] <= y1), (columns[:-1] >= x0) & (columns[1:] <= x1))
    return _overlap(rows, h) @ inside @ _overlap(columns, w).T


def _overlap(edges: np.ndarray, cells: int) -> np.ndarray:
    """(cells, E - 1): the share of each cell of one axis that lies between neighboring edges (E,), in fractions."""
    borders = np.linspace(0, 1, cells + 1)
    starts = np.maximum(borders[:-1, None], edges[None, :-1])
    return np.clip(np.minimum(borders[1:, None], edges[None, 1:]) - starts, 0, None) * cells


def covered_area(boxes: Sequence[Corners]) -> float:
    """The share of the image that the union of boxes covers, in [0, 1]."""
    return float(box_coverage(boxes, (1, 1))[0, 0])


def contains(boxes: Sequence[Corners], points: np.ndarray) -> np.ndarray:
    """Whether points (P, 2), x and y in fractions, are in one of the boxes: bool (P,)."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 1, 4)
    is_inside = (corners[..., :2] <= points) & (points <= corners[..., 2:])  # (boxes, P, 2)
    return is_inside.all(axis=2).any(axis=0)


def boxes_in_window(boxes: Sequence[Corners], window: Window) -> list[Corners]:
    """The boxes in an augmented image, in fractions of it, cut at its edges.

    Returns:
        Nothing if less than `MIN_VISIBLE` of the boxes' area is inside.
    """
    width, height = window.right - window.left, window.bottom - window.top
    cut = [
        (max(x0, window.left), max(y0, window.top), min(x1, window.right), min(y1, window.bottom))
        for x0, y0, x1, y1 in boxes
    ]
    cut = [(x0, y0, x1, y1) for x0, y0, x1, y1 in cut if x0 < x1 and y0 < y1]
    if not cut or covered_area(cut) < MIN_VISIBLE * covered_area(boxes):
        return []
    moved = [
        ((x0 - window.left) / width, (y0 - window.top) / height, (x1 - window.left) / width, (y1 - window.top) / height)
        for x0, y0, x1, y1 in cut
    ]
    return [(1 - x1, y0, 1 - x0, y1) for x0, y0, x1, y1 in moved] if window.mirrored else moved
