"""Reading a picture as a viewer shows it. No TensorFlow."""

from __future__ import annotations

import hashlib
import io
import os
import stat

import numpy as np
from PIL import ExifTags, Image

from caption_tx.errors import ImageError

MAX_PIXELS = 89_000_000
"""A picture that claims more pixels than this is refused before it is decoded (270 MB as RGB; Pillow warns above)."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


def content_hash(data: bytes) -> str:
    """What tells two image files apart, 32 hex digits: BLAKE2b of their bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_picture(path: str, size: int | None = None) -> tuple[str, Image.Image]:
    """An image file as (hex content hash, RGB picture), upright, transparency on white.

    Grey, palette, 16-bit, CMYK and animated files (their first frame) are converted; the EXIF
    orientation is applied. With `size`, a large JPEG may be decoded at a reduced scale of at
    least twice that many pixels a side.

    Raises:
        ImageError: not a file, unreadable, truncated, no picture, or above `MAX_PIXELS`.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageError(f"{path} is not a file.")
        with open(path, "rb") as file:
            data = file.read()
        if not data:
            raise ImageError(f"{path} is empty (0 bytes).")
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"{path} is too large: {width}x{height} pixels, at most {MAX_PIXELS:,} are read.")
            if size is not None:
                picture.draft(None, (2 * size, 2 * size))
            return content_hash(data), _to_rgb(_upright(picture))
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # damaged files raise nearly anything from inside the decoders
        raise ImageError(f"{path} cannot be read: {type(error).__name__}: {error}.") from error


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what shows the stored picture upright."""


def _upright(picture: Image.Image) -> Image.Image:
    picture.load()
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF, which `ImageOps.exif_transpose` fails on, keeps no viewer from showing it
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float32)
        # 16-bit greys come as I;16 or as I, depending on the decoder; convert() would clip both.
        scale = 255.0 / 65535.0 if values.max(initial=0) > 255 else 1.0
        return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(page, picture).convert("RGB")
    return picture.convert("RGB")


def resize(picture: Image.Image, size: int) -> np.ndarray:
    """An RGB picture squashed to a square: uint8 (size, size, 3), antialiased bilinear."""
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def read_image(path: str, size: int) -> tuple[str, np.ndarray]:
    """(hex content hash, uint8 (size, size, 3)) of an image file; see `read_picture` for errors."""
    content, picture = read_picture(path, size)
    return content, resize(picture, size)
