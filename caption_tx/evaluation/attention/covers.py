"""Covers of grid cells, in an image or in its features.

Letters: h/w feature grid, H/W image, C channels.
"""

from __future__ import annotations

import numpy as np


def cover_pixels(image: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) image, bool (h, w) cells -> the image with these cells painted in its mean color."""
    row_edges, column_edges = (
        np.round(np.arange(count + 1) * pixels / count).astype(int)
        for count, pixels in zip(cells.shape, image.shape[:2], strict=True)
    )
    covered = image.copy()
    color = np.round(image.mean(axis=(0, 1))).astype(np.uint8)
    for row, column in np.argwhere(cells):
        covered[row_edges[row] : row_edges[row + 1], column_edges[column] : column_edges[column + 1]] = color
    return covered


def cover_features(features: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """float (h, w, C) features, bool (h, w) cells -> the features with these cells replaced by the mean feature."""
    return np.where(cells[..., None], features.mean(axis=(0, 1)), features)
