"""Attention map -> heatmap -> overlay: where the heatmap is computed and blended with the photograph.

`heatmap_rgba` turns a map into colors with an opacity (alpha channel). Figures (`_FigureGrid.add_cell`) and
animations (`animation_frames`) draw these colors over the gray photograph of `photo_and_gray` by ordinary alpha
blending. On the HTML page, `paint` in `page.js` computes the same colors and the browser blends them.

Letters: H/W image, h/w feature grid, T words, L layers, N heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.inference.drawing.spline import spread
from caption_tx.inference.drawing.style import HeatmapStyle

PHOTO_SIDE = 640
"""Maximum length in pixels of the longer side of a photograph that maps are drawn on."""

_HEATMAP_SIDE = 336


def upsample(maps: np.ndarray, smooth: bool = True) -> np.ndarray:
    """Enlarges maps: (.., h, w) -> (.., h * factor, w * factor), at least `_HEATMAP_SIDE` pixels on the longer side.

    Cell (i, j) covers the rows from i * factor to (i + 1) * factor.

    Args:
        maps: values of cells.
        smooth: spread every cell over its surroundings, see `spline`; otherwise repeat each value.
    """
    factor = max(1, math.ceil(_HEATMAP_SIDE / max(maps.shape[-2:])))
    return spread(maps, factor) if smooth else maps.repeat(factor, axis=-2).repeat(factor, axis=-1)


def heatmap_rgba(attention_map: np.ndarray, maximum: float, style: HeatmapStyle) -> np.ndarray:
    """The heatmap of one attention map as colors to blend over a photograph.

    Args:
        attention_map: (h, w), non-negative.
        maximum: the value that gets the last color and the opacity `style.alpha`, see `scale_maximum`.
        style: color map, opacity and interpolation.

    Returns:
        (rows, columns, 4) RGBA in [0, 1], a whole number of pixels per cell.
    """
    share = np.clip(upsample(attention_map, style.smooth) / maximum, 0, 1)  # (h * factor, w * factor)
    rgba = color_map(style)(share)  # (h * factor, w * factor, 4)
    rgba[..., 3] = _opacity(share, style)
    return rgba


def color_bar(style: HeatmapStyle, count: int = 256) -> np.ndarray:
    """(count, 3) RGB in [0, 1] from no attention to the maximum, blended over middle gray like an overlay."""
    share = np.linspace(0, 1, count)
    opacity = _opacity(share, style)[:, None]
    return opacity * color_map(style)(share)[:, :3] + (1 - opacity) * 0.5


def _opacity(share: np.ndarray, style: HeatmapStyle) -> np.ndarray:
    # The square root keeps medium attention visible. With a linear opacity only the peak would show.
    return style.alpha * np.sqrt(share)


def color_map(style: HeatmapStyle) -> matplotlib.colors.Colormap:
    """The matplotlib color map of a style.

    Raises:
        ConfigError: matplotlib has no such color map, or `style.alpha` is out of range.
    """
    if not 0 < style.alpha <= 1:
        raise ConfigError(f"alpha must be greater than 0 and at most 1, got {style.alpha}.")
    if style.cmap not in matplotlib.colormaps:
        raise ConfigError(f"matplotlib has no color map '{style.cmap}'; try inferno, viridis or cividis.")
    return matplotlib.colormaps[style.cmap]


def scale_maximum(maps: np.ndarray, style: HeatmapStyle) -> float:
    """The largest value of the heatmaps of maps (.., h, w), or 1 if all are 0, so that it can be divided by."""
    return float(upsample(maps, style.smooth).max()) or 1.0


def photo_and_gray(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photograph at drawing size, and a low-contrast gray copy for overlays.

    On the gray copy, color always means attention.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        Two (rows, columns, 3) uint8 images; the longer side has at most `PHOTO_SIDE` pixels.

    Raises:
        CaptionTxError: `image` has another shape or dtype, or is empty.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise CaptionTxError(f"Expected an image of shape (H, W, 3) and dtype uint8, got {image.shape} {image.dtype}.")
    photo = Image.fromarray(image)
    photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
    gray = np.asarray(photo.convert("L"), dtype=np.float32)
    return np.asarray(photo), np.repeat((40 + 0.72 * gray).astype(np.uint8)[..., None], 3, axis=-1)


def check_maps(maps: np.ndarray, ndim: int, letters: str) -> np.ndarray:
    """Converts maps to float32 and validates them.

    Args:
        maps: the attention.
        ndim: the required number of axes.
        letters: the axes as an error message shows them, such as "T, h, w".

    Raises:
        CaptionTxError: another number of axes, an empty axis, or a value that is negative or not finite.
    """
    maps = np.asarray(maps, dtype=np.float32)
    if maps.ndim != ndim or 0 in maps.shape:
        raise CaptionTxError(f"Expected attention of shape ({letters}), got {maps.shape}.")
    if not np.isfinite(maps).all() or maps.min() < 0:
        raise CaptionTxError("Attention must be finite and not negative.")
    return maps


def check_words(maps: np.ndarray, titles: Sequence[str], log_probabilities: np.ndarray | None) -> None:
    """Checks that there is one title, and one log-probability if given, for each of the T maps.

    Raises:
        CaptionTxError: the lengths differ.
    """
    if len(titles) != len(maps):
        raise CaptionTxError(f"Expected one title per map: the maps are {maps.shape}, the titles ({len(titles)},).")
    if log_probabilities is not None and np.shape(log_probabilities) != (len(maps),):
        raise CaptionTxError(
            f"Expected one log-probability per map: the maps are {maps.shape}, "
            f"the log-probabilities {np.shape(log_probabilities)}."
        )


def format_probability(log_probability: float) -> str:
    """A natural log-probability as text, for example `p = 0.53, ln p = -0.63`."""
    log_probability = min(0.0, log_probability)
    probability = math.exp(log_probability)
    text = f"{probability:.2f}" if probability >= 0.01 else f"{probability:.1g}"
    return f"p = {text}, ln p = {log_probability:z.2f}"
