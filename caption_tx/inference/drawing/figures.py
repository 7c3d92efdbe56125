"""Attention maps over a photograph as matplotlib figures, in any script that a font can be found for.

Figures are made without pyplot, so nothing here depends on a display or on global state.
Lengths of the layout are in inches. Letters: H/W image, h/w feature grid, T tokens, L layers, N heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import OWN_UNIT, UNIT
from caption_tx.inference.drawing.fonts import check_glyphs, font_for
from caption_tx.inference.drawing.overlay import (
    ALPHA,
    COLOR_MAP,
    check_maps,
    color_map,
    heat_colors,
    probability_text,
    split_photo,
)

_MARGIN = 0.25
_GAP = 0.16
_TITLE_STRIP = 0.30
_NOTE_STRIP = 0.22
_BAR_STRIP = 0.75
_MAX_WIDTH = 12.0
_MIN_WIDTH = 4.6
_INK, _FAINT = "#1a1a1a", "#666666"


def _width(text: str, font: FontProperties) -> float:
    """Width in inches of a text on one line."""
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def _fitting(text: str, path: str, size: float, width: float, smallest: float = 6.0) -> tuple[str, float]:
    """The text and the font size (points) at which it is at most `width` inches wide; cut only as a last resort."""
    wide = _width(text, FontProperties(fname=path, size=size))
    if wide > width:
        size = max(smallest, size * width / wide)
    font = FontProperties(fname=path, size=size)
    while len(text) > 2 and _width(text, font) > width * 1.01:
        text = text.rstrip(".")[:-1] + "..."
        if len(text) <= 4:
            break
    return text, size


def _wrapped(text: str, font: FontProperties, width: float) -> list[str]:
    """Lines of at most `width` inches, broken at spaces, and within a word where it fills more than a line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if _width(longer, font) <= width:
            lines[-1] = longer
            continue
        pieces = [word] if _width(word, font) <= width else list(word)
        lines.append("")
        for piece in pieces:
            if lines[-1] and _width(lines[-1] + piece, font) > width:
                lines.append("")
            lines[-1] += piece
    return [line for line in lines if line]


class _Page:
    """A figure cut into equal cells, addressed in inches from the top left."""

    def __init__(self, image_shape: tuple[int, ...], rows: int, columns: int | None, cells: int, side: float) -> None:
        ratio = float(np.clip(image_shape[1] / image_shape[0], 0.35, 2.8))
        self.cell_width = side * math.sqrt(ratio)
        self.cell_height = self.cell_width / ratio
        if columns is None:
            most = max(1, int((_MAX_WIDTH - 2 * _MARGIN + _GAP) // (self.cell_width + _GAP)))
            columns = math.ceil(cells / math.ceil(cells / most))
        self.columns = columns
        self.rows = rows or math.ceil(cells / columns)

    def open(self, header: float, left: float, above: float, below: float, font: str, extent: tuple) -> None:
        """Makes the figure; `header` and `left` stay free at its edge, `above` and `below` around each cell."""
        self.header, self.left, self.above, self.font, self.extent = header, left, above, font, extent
        self.row_height = above + self.cell_height + below
        self.width = max(_MIN_WIDTH, self.inner_width + left + 2 * _MARGIN)
        self.height = header + self.rows * self.row_height + _BAR_STRIP
        self.figure = Figure(figsize=(self.width, self.height), facecolor="white", dpi=120)
        FigureCanvasAgg(self.figure)

    @property
    def inner_width(self) -> float:
        return self.columns * (self.cell_width + _GAP) - _GAP

    def text(self, x: float, y: float, text: str, size: float, color: str = _INK, **options: str) -> None:
        """Text at inches from the top left; a dollar sign is a dollar sign."""
        properties = FontProperties(fname=self.font, size=size)
        self.figure.text(
            x / self.width, 1 - y / self.height, text, font=properties, color=color, parse_math=False, **options
        )

    def cell(self, row: int, column: int, pictures: Sequence[np.ndarray], title: str = "", note: str = "") -> Axes:
        """One cell: pictures over each other on the same extent, the title above, the note beneath."""
        x = _MARGIN + self.left + column * (self.cell_width + _GAP)
        y = self.header + row * self.row_height + self.above
        box = (x / self.width, 1 - (y + self.cell_height) / self.height)
        axes = self.figure.add_axes((*box, self.cell_width / self.width, self.cell_height / self.height))
        axes.set_axis_off()
        for picture in pictures:
            axes.imshow(picture, extent=self.extent, aspect="equal")
        middle = x + self.cell_width / 2
        if title:
            title, size = _fitting(title, self.font, 13, self.cell_width + 0.4 * _GAP)
            self.text(middle, y - 0.085, title, size, ha="center", va="baseline")
        if note:
            self.text(middle, y + self.cell_height + 0.04, note, 8.5, _FAINT, ha="center", va="top")
        return axes

    def bar(self, cmap: matplotlib.colors.Colormap, alpha: float, top: float, label: str) -> None:
        """The color bar at the foot, with the colors as they look over the middle gray of a photograph."""
        share = np.linspace(0, 1, 256)
        opacity = (alpha * np.sqrt(share))[:, None]
        shown = opacity * cmap(share)[:, :3] + (1 - opacity) * 0.5
        length = min(4.0, self.width - 2 * _MARGIN - 0.2)
        box = (_MARGIN + self.left) / self.width, (_BAR_STRIP - 0.22) / self.height
        axes = self.figure.add_axes((*box, length / self.width, 0.11 / self.height))
        bar = self.figure.colorbar(
            ScalarMappable(Normalize(0, top), ListedColormap(shown)), cax=axes, orientation="horizontal"
        )
        bar.outline.set_visible(False)
        bar.ax.locator_params(nbins=5)
        bar.ax.tick_params(labelsize=8, length=2, colors=_FAINT)
        label, size = _fitting(label, self.font, 8.5, self.width - 2 * _MARGIN)
        bar.ax.set_xlabel(label, font=FontProperties(fname=self.font, size=size), color=_INK, loc="left")


def attention_figure(
    image: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    *,
    columns: int | None = None,
    alpha: float = ALPHA,
    common_scale: bool = True,
    smooth: bool = True,
    cmap: str = COLOR_MAP,
    caption: str = "",
    log_probabilities: np.ndarray | None = None,
    unit: str = UNIT,
    font_path: str | None = None,
) -> Figure:
    """The photograph, then one overlay per token.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w), 0 or more. The grid is stretched over the whole image.
        titles: T tokens.
        columns: cells in a row; chosen from the shape of the image by default.
        alpha: opacity of the strongest attention, in (0, 1]; weaker attention is more transparent.
        common_scale: one scale for all tokens; otherwise each map is divided by its own maximum.
        smooth: bilinear between cell centers; otherwise every cell is flat.
        cmap: name of a matplotlib color map; the default is perceptually uniform and safe for color blindness.
        caption: written at the top.
        log_probabilities: (T,) natural logarithms; shown with their probabilities beneath the overlays.
        unit: what the numbers are, for the label of the color bar.
        font_path: font file for all words; found by `font_for` by default.

    Raises:
        CaptionTxError: shapes or settings do not fit.
        FontError: no font at hand can draw the words.
    """
    maps = check_maps(maps, 3, "T, h, w")
    photo, gray = split_photo(image)
    if len(titles) != len(maps):
        raise CaptionTxError(f"One title per map is needed: the maps are {maps.shape}, the titles ({len(titles)},).")
    if log_probabilities is not None and np.shape(log_probabilities) != (len(maps),):
        raise CaptionTxError(
            f"One log-probability per map is needed: the maps are {maps.shape}, "
            f"the log-probabilities {np.shape(log_probabilities)}."
        )
    if columns is not None and columns < 1:
        raise CaptionTxError(f"At least 1 column is needed, got {columns}.")
    colors = color_map(cmap, alpha)
    font = _checked_font(font_path, caption, unit, *titles)
    page = _Page(image.shape, 0, columns, len(maps) + 1, side=1.75)
    properties = FontProperties(fname=font, size=14)
    lines = _wrapped(caption, properties, max(page.inner_width, _MIN_WIDTH - 2 * _MARGIN))
    below = 0.04 if log_probabilities is None else _NOTE_STRIP
    page.open(0.12 + 0.28 * len(lines), 0, _TITLE_STRIP, below, font, _extent(image))
    for index, line in enumerate(lines):
        page.text(_MARGIN, 0.34 + 0.28 * index, line, 14, ha="left", va="baseline")
    page.cell(0, 0, [photo])
    highest = float(maps.max()) or 1.0
    for t, attention_map in enumerate(maps):
        top = highest if common_scale else float(attention_map.max()) or 1.0
        note = "" if log_probabilities is None else probability_text(float(log_probabilities[t]))
        colors_of_map = heat_colors(attention_map, top, colors, alpha, smooth)
        page.cell(*divmod(t + 1, page.columns), [gray, colors_of_map], titles[t], note)
    page.bar(colors, alpha, *((highest, unit) if common_scale else (1.0, OWN_UNIT)))
    return page.figure


def attention_heads_figure(
    image: np.ndarray,
    scores: np.ndarray,
    title: str,
    *,
    alpha: float = ALPHA,
    smooth: bool = True,
    cmap: str = COLOR_MAP,
    unit: str = UNIT,
    font_path: str | None = None,
) -> Figure:
    """Every layer (rows) and head (columns) of one token over the photograph, on one scale.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (L, N, h, w), 0 or more.
        title: the token, written at the top.
        alpha, smooth, cmap, unit, font_path: as in `attention_figure`.

    Raises:
        CaptionTxError: shapes or settings do not fit.
        FontError: no font at hand can draw the title.
    """
    scores = check_maps(scores, 4, "L, N, h, w")
    _, gray = split_photo(image)
    colors = color_map(cmap, alpha)
    font = _checked_font(font_path, title, unit)
    layers, heads = scores.shape[:2]
    page = _Page(image.shape, layers, heads, layers * heads, side=1.5)
    page.open(0.45 + _TITLE_STRIP, 0.32, 0, _GAP, font, _extent(image))
    page.text(_MARGIN, 0.34, title, 15, ha="left", va="baseline")
    highest = float(scores.max()) or 1.0
    for layer in range(layers):
        for head in range(heads):
            name = f"head {head}" if layer == 0 else ""
            page.cell(layer, head, [gray, heat_colors(scores[layer, head], highest, colors, alpha, smooth)], name)
        middle = page.header + layer * page.row_height + page.cell_height / 2
        page.text(_MARGIN + 0.12, middle, f"layer {layer}", 11, rotation=90, ha="center", va="center")
    page.bar(colors, alpha, highest, unit)
    return page.figure


def _extent(image: np.ndarray) -> tuple[float, float, float, float]:
    return 0, image.shape[1], image.shape[0], 0


def _checked_font(font_path: str | None, *texts: str) -> str:
    if font_path is None:
        return font_for(*texts)
    check_glyphs("".join(texts), font_path)
    return font_path
