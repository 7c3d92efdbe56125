"""A heatmap over a photograph as pixels, for figures, animations and pages alike. No TensorFlow.

Letters: H/W image, h/w feature grid, T words, L layers, N heads.
"""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from PIL import Image

from caption_tx.errors import CaptionTxError

COLOR_MAP = "inferno"
"""Perceptually uniform, and the same order of brightness to every kind of color vision."""

ALPHA = 0.72
"""Opacity of the strongest attention: the photograph shines through everywhere."""

PHOTO_SIDE = 640
"""Pixels of the longer side of a photograph that is drawn on, at most."""

_HEAT_SIDE = 336


def upsample(attention_map: np.ndarray, factor: int, smooth: bool = True) -> np.ndarray:
    """(h, w) -> (h * factor, w * factor), bilinear between the centers of the cells, or flat within each cell.

    Cell (i, j) covers rows i * factor to (i + 1) * factor, and its center keeps its value.
    """
    h, w = attention_map.shape
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    picture = Image.fromarray(np.ascontiguousarray(attention_map, dtype=np.float32))
    return np.asarray(picture.resize((w * factor, h * factor), method))


def heat_colors(
    attention_map: np.ndarray, top: float, cmap: matplotlib.colors.Colormap, alpha: float, smooth: bool
) -> np.ndarray:
    """(h, w) -> (rows, columns, 4) in [0, 1]: color and opacity grow from 0 to `top`, the latter to `alpha`."""
    factor = max(1, math.ceil(_HEAT_SIDE / max(attention_map.shape)))
    share = np.clip(upsample(attention_map, factor, smooth) / top, 0, 1)
    colors = cmap(share)
    # The square root keeps middling attention visible; linear opacity hides all but the peak.
    colors[..., 3] = alpha * np.sqrt(share)
    return colors


def split_photo(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photograph at drawing size, and a calm gray copy on which color means attention only."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise CaptionTxError(f"An image of shape (H, W, 3) and dtype uint8 is needed, got {image.shape} {image.dtype}.")
    picture = Image.fromarray(image)
    picture.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    gray = np.asarray(picture.convert("L"), dtype=np.float32)
    return np.asarray(picture), np.repeat((40 + 0.72 * gray).astype(np.uint8)[..., None], 3, axis=-1)


def check_maps(maps: np.ndarray, ndim: int, letters: str) -> np.ndarray:
    """Maps as float32, or a CaptionTxError where the shape is none of these letters or a value is no attention."""
    maps = np.asarray(maps, dtype=np.float32)
    if maps.ndim != ndim or 0 in maps.shape:
        raise CaptionTxError(f"Attention of shape ({letters}) is needed, got {maps.shape}.")
    if not np.isfinite(maps).all() or maps.min() < 0:
        raise CaptionTxError("Attention must be finite and not negative.")
    return maps


def probability_text(log_probability: float) -> str:
    """A natural log-probability as people read it: `p = 0.53, ln p = -0.63`."""
    probability = math.exp(min(0.0, log_probability))
    text = f"{probability:.2f}" if probability >= 0.01 else f"{probability:.0e}"
    return f"p = {text}, ln p = {min(0.0, log_probability):z.2f}"


def color_map(name: str, alpha: float) -> matplotlib.colors.Colormap:
    """The matplotlib color map of that name, or a CaptionTxError where it or the opacity cannot be."""
    if not 0 < alpha <= 1:
        raise CaptionTxError(f"alpha must be above 0 and at most 1, got {alpha}.")
    if name not in matplotlib.colormaps:
        raise CaptionTxError(f"matplotlib has no color map '{name}'; try inferno, viridis or cividis.")
    return matplotlib.colormaps[name]
