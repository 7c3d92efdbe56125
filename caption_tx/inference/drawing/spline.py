"""The heatmap of an attention map: every cell's attention spread over its surroundings by a cubic B-spline.

Attention is given per cell, but objects are not aligned with cells. An interpolation through the centers of cells,
such as the bilinear one, has its highest point at the center of a cell always. The spline, a bump of four cells by
four, puts it between cells that share the attention. What is spread is the fourth root of the attention, and the
fourth power of the sum is drawn: so a place among several attended cells is higher than a single cell with more
attention. Nothing is beyond the edge of the image, so the heatmap fades out there, and attention that collects in a
corner is not as high as the same attention inside the image. Heatmaps are scaled to keep the mean of the cells, so
they show attention per area of a cell. Figures, animations, the HTML page (`spread` in `page.js`) and the pointing
game all use this heatmap; experiments/README.md compares it with others.

Letters: h/w feature grid.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

ROOT = 4
"""Which root of the attention is spread."""


@lru_cache(maxsize=16)
def spline_matrix(cells: int, pixels: int) -> np.ndarray:
    """The weight of each cell at each pixel along one axis, (pixels, cells); a single cell weighs 1 everywhere."""
    if cells == 1:
        return np.ones((pixels, 1))
    centers = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    distance = np.abs(centers[:, None] - np.arange(cells))
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far)


def spread(maps: np.ndarray, factor: int) -> np.ndarray:
    """The heatmaps of maps (.., h, w) with `factor` pixels per cell in each direction: (.., h * factor, w * factor).

    Args:
        maps: attention, at least 0.

    Example:
        >>> spread(np.array([[0.0, 3.0, 3.0, 0.0]]), 1).round(1)  # one pixel per cell
        array([[0., 3., 3., 0.]])
    """
    maps = np.asarray(maps, np.float64)
    h, w = maps.shape[-2:]
    heat = (spline_matrix(h, h * factor) @ maps ** (1 / ROOT) @ spline_matrix(w, w * factor).T) ** ROOT
    mean, drawn = (values.mean(axis=(-2, -1), keepdims=True) for values in (maps, heat))
    return heat * np.divide(mean, drawn, out=np.zeros_like(mean), where=drawn > 0)
