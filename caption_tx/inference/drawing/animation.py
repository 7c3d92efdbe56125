"""A caption word by word over its photograph, as the frames of an animated GIF or WebP. No TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

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

KINDS = ("gif", "webp")
SIDE = 480
"""Pixels of the longer side of the photograph."""

_NARROWEST = 400
_MARGIN, _LINE, _PAD, _FOOT = 12, 34, 6, 64
_INK, _FAINT, _PAPER = (26, 26, 26), (90, 90, 90), (255, 255, 255)


def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    # In a collection (.ttc) matplotlib keeps the face's number beside the path.
    return ImageFont.truetype(str(getattr(path, "path", path)), size, index=getattr(path, "face_index", 0))


def _places(words: Sequence[str], font: ImageFont.FreeTypeFont, width: int) -> list[tuple[int, int, int]]:
    """(x, line, width) of every word, in lines of at most `width` pixels."""
    places, x, line = [], 0, 0
    for word in words:
        wide = round(font.getlength(word)) + 2 * _PAD
        if x and x + wide > width:
            x, line = 0, line + 1
        places.append((x, line, wide))
        x += wide
    return places


def _fitting(text: str, path: str, width: int, largest: int) -> ImageFont.FreeTypeFont:
    """The font of the largest size at which a text is at most `width` pixels wide."""
    sizes = range(largest, 7, -1)
    return next(
        (font for font in (_font(path, size) for size in sizes) if font.getlength(text) <= width), _font(path, 8)
    )


def _bar(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], cmap: matplotlib.colors.Colormap, alpha: float
) -> None:
    """The colors from none to most attention, as they look over the middle gray of a photograph."""
    left, top, right, bottom = box
    for x in range(left, right):
        share = (x - left) / max(1, right - left - 1)
        opacity = alpha * np.sqrt(share)
        color = 255 * (opacity * np.array(cmap(share)[:3]) + (1 - opacity) * 0.5)
        draw.line([(x, top), (x, bottom)], fill=tuple(round(value) for value in color.tolist()))


def animation_frames(
    image: np.ndarray,
    maps: np.ndarray,
    titles: Sequence[str],
    log_probabilities: np.ndarray,
    *,
    alpha: float = ALPHA,
    common_scale: bool = True,
    smooth: bool = True,
    cmap: str = COLOR_MAP,
    unit: str = UNIT,
    font_path: str | None = None,
) -> list[Image.Image]:
    """The photograph with its caption, then one frame for each word with the heatmap over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w), 0 or more.
        titles: T words. log_probabilities: (T,), natural.
        alpha, common_scale, smooth, cmap, unit, font_path: as in `plotting.attention_figure`.

    Returns:
        T + 1 RGB pictures of one size.

    Raises:
        CaptionTxError: shapes or settings do not fit.
        FontError: no font at hand can draw the words.
    """
    maps = check_maps(maps, 3, "T, h, w")
    if not len(maps) == len(titles) == len(log_probabilities):
        raise CaptionTxError(
            f"One word and log-probability per map are needed: the maps are {maps.shape}, "
            f"the words ({len(titles)},), the log-probabilities ({len(log_probabilities)},)."
        )
    colors = color_map(cmap, alpha)
    if font_path is None:
        font_path = font_for(unit, *titles)
    check_glyphs("".join([unit, *titles]), font_path)
    photo, gray = (Image.fromarray(part) for part in split_photo(image))
    scale = SIDE / max(photo.size)
    size = tuple(max(1, round(side * scale)) for side in photo.size)
    photo, gray = (part.resize(size, Image.Resampling.LANCZOS) for part in (photo, gray))

    width = max(_NARROWEST, photo.width + 2 * _MARGIN)
    inner = width - 2 * _MARGIN
    words = _font(font_path, 20)
    places = _places(titles, words, inner)
    text_top = _MARGIN + photo.height + 10
    foot = text_top + (places[-1][1] + 1) * _LINE + 6
    unit_text = unit if common_scale else OWN_UNIT
    page = Image.new("RGB", (width, foot + _FOOT), _PAPER)
    small, note = _fitting(unit_text, font_path, inner, 13), _font(font_path, 14)
    highest = float(maps.max()) or 1.0

    frames = []
    for number in range(-1, len(maps)):
        frame = page.copy()
        draw = ImageDraw.Draw(frame)
        corner = ((width - photo.width) // 2, _MARGIN)
        frame.paste(photo if number < 0 else gray, corner)
        if number >= 0:
            top = highest if common_scale else float(maps[number].max()) or 1.0
            pixels = (255 * heat_colors(maps[number], top, colors, alpha, smooth)).round().astype(np.uint8)
            heat = Image.fromarray(pixels).resize(photo.size, Image.Resampling.BILINEAR)
            frame.paste(heat, corner, heat)
            draw.text((_MARGIN, foot + 2), probability_text(float(log_probabilities[number])), _INK, note)
            _bar(draw, (width - _MARGIN - 150, foot + 6, width - _MARGIN - 50, foot + 16), colors, alpha)
            draw.text((width - _MARGIN - 158, foot + 2), "0", _FAINT, note, anchor="ra")
            draw.text((width - _MARGIN - 44, foot + 2), f"{top if common_scale else 1.0:.2f}", _FAINT, note)
            draw.text((_MARGIN, foot + 32), unit_text, _FAINT, small)
        for place, ((x, line, wide), word) in enumerate(zip(places, titles, strict=True)):
            left, upper = _MARGIN + x, text_top + line * _LINE
            if place == number:
                draw.rounded_rectangle((left, upper, left + wide - 1, upper + _LINE - 3), 6, _INK)
            draw.text((left + _PAD, upper + 4), word, _PAPER if place == number else _INK, words)
        frames.append(frame)
    return frames


def encode_animation(frames: Sequence[Image.Image], kind: str, seconds: float = 1.0) -> bytes:
    """Frames as an animation that repeats.

    Args:
        kind: "gif", in 256 colors a frame, or "webp".
        seconds: each frame stays so long, the last one twice as long; 0.02 or more.

    Raises:
        CaptionTxError: the kind is unknown or the time out of range.
    """
    if kind not in KINDS:
        raise CaptionTxError(f"Unknown kind of animation '{kind}'; known: {', '.join(KINDS)}.")
    if not 0.02 <= seconds <= 60:
        raise CaptionTxError(f"Each word must stay 0.02 to 60 seconds, got {seconds}.")
    times = [round(1000 * seconds)] * (len(frames) - 1) + [round(2000 * seconds)]
    if kind == "gif":
        # The commonest colors are the photograph's; a palette of them would lose those of the few bright cells.
        frames = [frame.quantize(256, Image.Quantize.MAXCOVERAGE) for frame in frames]
        options = {"disposal": 1, "optimize": False}
    else:
        options = {"quality": 85}
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=times, loop=0, **options)
    return stream.getvalue()
