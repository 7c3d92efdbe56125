"""A caption word by word over its photograph, as frames of an animated GIF or WebP."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically
from caption_tx.inference.drawing.fonts import choose_font
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

ANIMATION_FORMATS = ("gif", "webp")

SIDE = 480
"""Length in pixels of the longer side of the photograph in a frame."""

_MIN_WIDTH = 400
_MARGIN, _LINE_HEIGHT, _PADDING, _FOOTER_HEIGHT = 12, 34, 6, 64
_INK, _FAINT, _PAPER = (26, 26, 26), (90, 90, 90), (255, 255, 255)


class _WordBox(NamedTuple):
    """The box of one word: pixels from the left, index of its line, and width in pixels."""

    x: int
    line: int
    width: int


def _load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    # In a collection (.ttc) matplotlib stores the face index beside the path.
    return ImageFont.truetype(str(getattr(path, "path", path)), size, index=getattr(path, "face_index", 0))


def _fit_font(text: str, path: str, width: int, max_size: int) -> ImageFont.FreeTypeFont:
    """The font in the largest size, at most `max_size`, in which a text is at most `width` pixels wide."""
    sizes = range(max_size, 7, -1)
    return next(
        (font for font in (_load_font(path, size) for size in sizes) if font.getlength(text) <= width),
        _load_font(path, 8),
    )


def _word_boxes(words: Sequence[str], font: ImageFont.FreeTypeFont, max_width: int) -> list[_WordBox]:
    """Places the words in lines of at most `max_width` pixels."""
    boxes, x, line = [], 0, 0
    for word in words:
        width = round(font.getlength(word)) + 2 * _PADDING
        if x and x + width > max_width:
            x, line = 0, line + 1
        boxes.append(_WordBox(x, line, width))
        x += width
    return boxes


class Animation(list[Image.Image]):
    """The frames of an animation, which a notebook plays.

    Example:
        >>> animation = maps.animation()
        >>> animation.save("dog.webp")
    """

    def __repr__(self) -> str:
        width, height = self[0].size
        return f"Animation({len(self)} frames of {width}x{height} pixels)"

    def save(self, path: str | Path, seconds: float = 1.0) -> None:
        """Writes a GIF or WebP file.

        Args:
            path: its suffix is the format.
            seconds: time per word, 0.02 to 60.

        Raises:
            CaptionTxError: the format is unknown, the time is out of range, or the file cannot be written.
        """
        data = encode_animation(self, Path(path).suffix.lower().removeprefix("."), seconds)
        try:
            write_atomically(path, data)
        except OSError as error:
            raise CaptionTxError(f"Cannot write {path}: {error.strerror}.") from error

    def _repr_html_(self) -> str:
        data = base64.b64encode(encode_animation(self, "webp")).decode()
        return f'<img alt="The caption word by word" src="data:image/webp;base64,{data}">'


@dataclass(frozen=True)
class _Layout:
    """What all frames share: images, fonts and positions in pixels."""

    photo: Image.Image
    gray: Image.Image
    titles: Sequence[str]
    boxes: Sequence[_WordBox]
    word_font: ImageFont.FreeTypeFont
    note_font: ImageFont.FreeTypeFont
    label_font: ImageFont.FreeTypeFont
    style: HeatmapStyle

    @classmethod
    def make(cls, image: np.ndarray, titles: Sequence[str], style: HeatmapStyle) -> _Layout:
        fonts = choose_font(style.font_path, style.unit, *titles, fallbacks=False)
        font_path, titles = fonts.path, [fonts.drawable(title) for title in titles]
        photo, gray = (Image.fromarray(pixels) for pixels in photo_and_gray(image))
        scale = SIDE / max(photo.size)
        size = tuple(max(1, round(side * scale)) for side in photo.size)
        photo, gray = (layer.resize(size, Image.Resampling.LANCZOS) for layer in (photo, gray))
        text_width = max(_MIN_WIDTH, photo.width + 2 * _MARGIN) - 2 * _MARGIN
        word_font = _load_font(font_path, 20)
        boxes = _word_boxes(titles, word_font, text_width)
        label_font = _fit_font(style.bar_label, font_path, text_width, 13)
        return cls(photo, gray, titles, boxes, word_font, _load_font(font_path, 14), label_font, style)

    @property
    def width(self) -> int:
        return max(_MIN_WIDTH, self.photo.width + 2 * _MARGIN)

    @property
    def photo_corner(self) -> tuple[int, int]:
        return (self.width - self.photo.width) // 2, _MARGIN

    @property
    def words_top(self) -> int:
        return _MARGIN + self.photo.height + 10

    @property
    def footer_top(self) -> int:
        return self.words_top + (self.boxes[-1].line + 1) * _LINE_HEIGHT + 6

    def draw_frame(self, background: Image.Image, current: int | None) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """A frame with a photograph and all words; the word with the index `current` is highlighted."""
        frame = Image.new("RGB", (self.width, self.footer_top + _FOOTER_HEIGHT), _PAPER)
        draw = ImageDraw.Draw(frame)
        frame.paste(background, self.photo_corner)
        for index, (box, word) in enumerate(zip(self.boxes, self.titles, strict=True)):
            left, top = _MARGIN + box.x, self.words_top + box.line * _LINE_HEIGHT
            if index == current:
                draw.rounded_rectangle((left, top, left + box.width - 1, top + _LINE_HEIGHT - 3), 6, _INK)
            draw.text((left + _PADDING, top + 4), word, _PAPER if index == current else _INK, self.word_font)
        return frame, draw

    def draw_footer(self, draw: ImageDraw.ImageDraw, probability: str, maximum: float) -> None:
        """The word's probability, and the color bar from 0 to `maximum` with its label."""
        top, left, right = self.footer_top, self.width - _MARGIN - 150, self.width - _MARGIN - 50
        draw.text((_MARGIN, top + 2), probability, _INK, self.note_font)
        for x, color in enumerate(255 * color_bar(self.style, right - left), left):
            draw.line([(x, top + 6), (x, top + 16)], fill=tuple(round(value) for value in color.tolist()))
        draw.text((left - 8, top + 2), "0", _FAINT, self.note_font, anchor="ra")
        draw.text((right + 6, top + 2), f"{maximum:.2f}", _FAINT, self.note_font)
        draw.text((_MARGIN, top + 32), self.style.bar_label, _FAINT, self.label_font)


def animation_frames(
    image: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    log_probabilities: np.ndarray,
    style: HeatmapStyle = DEFAULT_STYLE,
) -> Animation:
    """The photograph with its caption, then one frame per word with the word's heatmap.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w), non-negative.
        titles: T words.
        log_probabilities: (T,) natural logarithms.
        style: colors, scale and font.

    Returns:
        T + 1 RGB images of one size.

    Raises:
        CaptionTxError: shapes or settings do not match.
        FontError: `style.font_path` lacks a character, or no CJK font is installed for East Asian text.

    Example:

        frames = animation_frames(image, maps, ["a", "dog"], np.log([0.9, 0.5]))
        Path("dog.gif").write_bytes(encode_animation(frames, "gif"))
    """
    maps = check_maps(maps, 3, "T, h, w")
    check_words(maps, titles, log_probabilities)
    color_map(style)
    layout = _Layout.make(image, titles, style)
    highest = scale_maximum(maps, style)
    frames = [layout.draw_frame(layout.photo, current=None)[0]]
    for index, attention_map in enumerate(maps):
        frame, draw = layout.draw_frame(layout.gray, current=index)
        maximum = highest if style.common_scale else scale_maximum(attention_map, style)
        pixels = (255 * heatmap_rgba(attention_map, maximum, style)).round().astype(np.uint8)
        heatmap = Image.fromarray(pixels).resize(layout.photo.size, Image.Resampling.BILINEAR)
        frame.paste(heatmap, layout.photo_corner, heatmap)
        probability = format_probability(float(log_probabilities[index]))
        layout.draw_footer(draw, probability, maximum if style.common_scale else 1.0)
        frames.append(frame)
    return Animation(frames)


def encode_animation(frames: Sequence[Image.Image], file_format: str, seconds: float = 1.0) -> bytes:
    """Encodes frames as an animation that repeats forever.

    Args:
        frames: RGB images of one size.
        file_format: "gif", with 256 colors per frame, or "webp".
        seconds: time per frame, from 0.02 to 60; the last frame is shown twice as long.

    Raises:
        CaptionTxError: the format is unknown or the time is out of range.
    """
    if file_format not in ANIMATION_FORMATS:
        raise CaptionTxError(f"Unknown animation format '{file_format}'; choose from {', '.join(ANIMATION_FORMATS)}.")
    if not 0.02 <= seconds <= 60:
        raise CaptionTxError(f"The time per word must be 0.02 to 60 seconds, got {seconds}.")
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(2000 * seconds)]
    if file_format == "gif":
        # A palette of the most common colors would cover the photograph but not the few bright cells.
        frames = [frame.quantize(256, Image.Quantize.MAXCOVERAGE) for frame in frames]
        options = {"disposal": 1, "optimize": False}
    else:
        options = {"quality": 85}
    stream = io.BytesIO()
    frames[0].save(stream, file_format, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return stream.getvalue()
