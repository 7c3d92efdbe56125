"""matplotlib figures of attention maps over a photograph, with text in any script that has a font.

Figures do not use pyplot, so they need no display and change no global state. All lengths of the layout are
in inches. Letters: H/W image, h/w feature grid, T tokens, L layers, N heads.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from caption_tx.errors import CaptionTxError
from caption_tx.inference.drawing.fonts import TextFont, choose_font
from caption_tx.inference.drawing.overlay import (
    check_maps,
    check_words,
    color_bar,
    color_map,
    format_probability,
    heatmap_rgba,
    photo_and_gray,
    scale_maximum,
)
from caption_tx.inference.drawing.style import DEFAULT_STYLE, HeatmapStyle

_MARGIN = 0.25
_GAP = 0.16
_TITLE_HEIGHT = 0.30
_NOTE_HEIGHT = 0.22
_LINE_HEIGHT = 0.28
_BAR_HEIGHT = 0.75
_MAX_WIDTH = 12.0
_MIN_WIDTH = 4.6
_INK, _FAINT = "#1a1a1a", "#666666"


def _text_width(text: str, font: FontProperties) -> float:
    """Width in inches of a text on one line."""
    return text_to_path.get_text_width_height_descent(text, font, False)[0] / 72


def _fit_text(text: str, fonts: TextFont, size: float, width: float, min_size: float = 6.0) -> tuple[str, float]:
    """The text, and the font size in points at which it is at most `width` wide; truncates only at `min_size`."""
    full_width = _text_width(text, fonts.properties(size))
    if full_width > width:
        size = max(min_size, size * width / full_width)
    font = fonts.properties(size)
    while len(text) > 2 and _text_width(text, font) > width * 1.01:
        text = text.rstrip(".")[:-1] + "..."
        if len(text) <= 4:
            break
    return text, size


def _wrap_text(text: str, font: FontProperties, width: float) -> list[str]:
    """Lines of at most `width`, broken at spaces, and inside a word only if the word is wider than a line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if _text_width(longer, font) <= width:
            lines[-1] = longer
            continue
        pieces = [word] if _text_width(word, font) <= width else list(word)
        lines.append("")
        for piece in pieces:
            if lines[-1] and _text_width(lines[-1] + piece, font) > width:
                lines.append("")
            lines[-1] += piece
    return [line for line in lines if line]


class NotebookFigure(Figure):
    """A figure that a notebook shows as a picture, which it does with others only after `%matplotlib inline`."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()


@dataclass(frozen=True)
class _Cells:
    """The size of equal cells in rows and columns, before the rest of the figure is known."""

    rows: int
    columns: int
    width: float
    height: float

    @classmethod
    def of_image(cls, image: np.ndarray, count: int, columns: int | None, side: float) -> _Cells:
        """`count` cells in the shape of an image, of about `side` x `side`; chooses the columns if they are None."""
        ratio = float(np.clip(image.shape[1] / image.shape[0], 0.35, 2.8))
        width = side * math.sqrt(ratio)
        if columns is None:
            max_columns = max(1, int((_MAX_WIDTH - 2 * _MARGIN + _GAP) // (width + _GAP)))
            columns = math.ceil(count / math.ceil(count / max_columns))
        return cls(math.ceil(count / columns), columns, width, width / ratio)

    @property
    def total_width(self) -> float:
        return self.columns * (self.width + _GAP) - _GAP


@dataclass(frozen=True)
class _Space:
    """Space around the cells: above all, left of all, and above and below each row."""

    header: float
    left: float
    above: float
    below: float


class _FigureGrid:
    """A figure of equal cells with a color bar at the bottom, addressed in inches from the top left."""

    def __init__(self, image: np.ndarray, cells: _Cells, space: _Space, fonts: TextFont) -> None:
        self.cells, self.space, self.fonts = cells, space, fonts
        self.extent = (0, image.shape[1], image.shape[0], 0)
        self.row_height = space.above + cells.height + space.below
        self.width = max(_MIN_WIDTH, cells.total_width + space.left + 2 * _MARGIN)
        self.height = space.header + cells.rows * self.row_height + _BAR_HEIGHT
        self.figure = NotebookFigure(figsize=(self.width, self.height), facecolor="white", dpi=120)
        FigureCanvasAgg(self.figure)

    def add_text(self, x: float, y: float, text: str, size: float, color: str = _INK, **options: object) -> None:
        """Draws a text at inches from the top left; `$` does not start a formula."""
        font = self.fonts.properties(size)
        self.figure.text(x / self.width, 1 - y / self.height, text, font=font, color=color, parse_math=False, **options)

    def add_cell(self, row: int, column: int, layers: Sequence[np.ndarray], title: str = "", note: str = "") -> None:
        """Draws one cell: image layers blended in order, a title above and a note below."""
        cells = self.cells
        x = _MARGIN + self.space.left + column * (cells.width + _GAP)
        y = self.space.header + row * self.row_height + self.space.above
        corner = (x / self.width, 1 - (y + cells.height) / self.height)
        axes = self.figure.add_axes((*corner, cells.width / self.width, cells.height / self.height))
        axes.set_axis_off()
        for layer in layers:
            axes.imshow(layer, extent=self.extent, aspect="equal")
        center = x + cells.width / 2
        if title:
            title, size = _fit_text(title, self.fonts, 13, cells.width + 0.4 * _GAP)
            self.add_text(center, y - 0.085, title, size, ha="center", va="baseline")
        if note:
            self.add_text(center, y + cells.height + 0.04, note, 8.5, _FAINT, ha="center", va="top")

    def add_color_bar(self, style: HeatmapStyle, maximum: float, label: str) -> None:
        """Draws the color bar, with the colors as they look over middle gray."""
        length = min(4.0, self.width - 2 * _MARGIN - 0.2)
        corner = (_MARGIN + self.space.left) / self.width, (_BAR_HEIGHT - 0.22) / self.height
        axes = self.figure.add_axes((*corner, length / self.width, 0.11 / self.height))
        colors = ScalarMappable(Normalize(0, maximum), ListedColormap(color_bar(style)))
        bar = self.figure.colorbar(colors, cax=axes, orientation="horizontal")
        bar.outline.set_visible(False)
        bar.ax.locator_params(nbins=5)
        bar.ax.tick_params(labelsize=8, length=2, colors=_FAINT)
        label, size = _fit_text(label, self.fonts, 8.5, self.width - 2 * _MARGIN)
        bar.ax.set_xlabel(label, font=self.fonts.properties(size), color=_INK, loc="left")


def attention_figure(
    image: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    log_probabilities: np.ndarray | None = None,
    *,
    caption: str = "",
    columns: int | None = None,
    style: HeatmapStyle = DEFAULT_STYLE,
) -> Figure:
    """The photograph, then one overlay per word.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w), non-negative. The grid is stretched over the whole image.
        titles: T words.
        log_probabilities: (T,) natural logarithms, shown with their probabilities below the overlays.
        caption: text at the top.
        columns: cells per row; by default chosen from the shape of the image.
        style: colors, scale and font.

    Raises:
        CaptionTxError: shapes or settings do not match.
        FontError: `style.font_path` lacks a character, or no CJK font is installed for East Asian text.

    Example:

        figure = attention_figure(image, maps, ["a", "dog"], style=HeatmapStyle(alpha=0.5))
        save_figure(figure, "dog.png")
    """
    maps = check_maps(maps, 3, "T, h, w")
    photo, gray = photo_and_gray(image)
    check_words(maps, titles, log_probabilities)
    if columns is not None and columns < 1:
        raise CaptionTxError(f"columns must be at least 1, got {columns}.")
    color_map(style)
    fonts = choose_font(style.font_path, caption, style.unit, *titles)
    cells = _Cells.of_image(image, len(maps) + 1, columns, side=1.75)
    max_width = max(cells.total_width, _MIN_WIDTH - 2 * _MARGIN)
    lines = _wrap_text(fonts.drawable(caption), fonts.properties(14), max_width)
    below = 0.04 if log_probabilities is None else _NOTE_HEIGHT
    grid = _FigureGrid(image, cells, _Space(0.12 + _LINE_HEIGHT * len(lines), 0, _TITLE_HEIGHT, below), fonts)
    for index, line in enumerate(lines):
        grid.add_text(_MARGIN, 0.34 + _LINE_HEIGHT * index, line, 14, ha="left", va="baseline")
    grid.add_cell(0, 0, [photo])
    highest = scale_maximum(maps, style)
    for t, attention_map in enumerate(maps):
        maximum = highest if style.common_scale else scale_maximum(attention_map, style)
        note = "" if log_probabilities is None else format_probability(float(log_probabilities[t]))
        row, column = divmod(t + 1, cells.columns)
        grid.add_cell(row, column, [gray, heatmap_rgba(attention_map, maximum, style)], fonts.drawable(titles[t]), note)
    grid.add_color_bar(style, highest if style.common_scale else 1.0, fonts.drawable(style.bar_label))
    return grid.figure


def attention_heads_figure(
    image: np.ndarray, scores: np.ndarray, title: str, style: HeatmapStyle = DEFAULT_STYLE
) -> Figure:
    """One word's attention over the photograph for every layer (rows) and head (columns), on one color scale.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (L, N, h, w), non-negative.
        title: the word, shown at the top.
        style: colors and font; its scale must be common.

    Raises:
        CaptionTxError: shapes or settings do not match.
        FontError: `style.font_path` lacks a character, or no CJK font is installed for East Asian text.
    """
    scores = check_maps(scores, 4, "L, N, h, w")
    _, gray = photo_and_gray(image)
    if not style.common_scale:
        raise CaptionTxError("A figure of all heads has one color scale; leave out common_scale=False.")
    color_map(style)
    fonts = choose_font(style.font_path, title, style.unit)
    layers, heads = scores.shape[:2]
    cells = _Cells.of_image(image, layers * heads, heads, side=1.5)
    grid = _FigureGrid(image, cells, _Space(0.45 + _TITLE_HEIGHT, 0.32, 0, _GAP), fonts)
    grid.add_text(_MARGIN, 0.34, fonts.drawable(title), 15, ha="left", va="baseline")
    highest = scale_maximum(scores, style)
    for layer in range(layers):
        for head in range(heads):
            name = f"head {head}" if layer == 0 else ""
            grid.add_cell(layer, head, [gray, heatmap_rgba(scores[layer, head], highest, style)], name)
        center = grid.space.header + layer * grid.row_height + cells.height / 2
        grid.add_text(_MARGIN + 0.12, center, f"layer {layer}", 11, rotation=90, ha="center", va="center")
    grid.add_color_bar(style, highest, fonts.drawable(style.bar_label))
    return grid.figure
