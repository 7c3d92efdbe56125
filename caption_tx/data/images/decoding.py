"""Reading a picture as a viewer shows it. No TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import threading

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from caption_tx.errors import ImageError

MAX_PIXELS = 89_000_000
"""A picture that claims more pixels than this is refused before it is decoded (Pillow warns above)."""

MAX_BYTES = 512 * 2**20
"""A larger file is refused before it is read: twice what `MAX_PIXELS` need uncompressed."""

LARGE_PIXELS = 16_000_000
"""Pictures that decode to more are decoded one at a time: 89 million pixels take 0.3 to 1.7 GB, by format."""

BAND_PIXELS = 4_000_000
"""More pixels than this are converted to RGB band by band, since conversion takes up to 20 bytes a pixel."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""What a file may hold whatever its name says. Not EPS, for which Pillow runs Ghostscript on the file."""

_decoding_large = threading.Lock()


def content_hash(data: bytes) -> str:
    """What tells two image files apart, 32 hex digits: BLAKE2b of their bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_bytes(path: str) -> bytes:
    """The bytes of a local file; never waits for a pipe or a device.

    Raises:
        ImageError: not a file, unreadable, or above `MAX_BYTES`.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"{path} is {'a folder, ' if stat.S_ISDIR(found.st_mode) else ''}not a file.")
        check_length(found.st_size, path)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a zero byte in the name
        raise ImageError(f"{path} cannot be read: {error}.") from error


def check_length(length: int, name: str) -> None:
    """Refuses, as an ImageError, more bytes than `MAX_BYTES`."""
    if length > MAX_BYTES:
        raise ImageError(f"{name} is too large: {length:,} bytes, at most {MAX_BYTES:,} are read.")


def read_pil_image(path: str, size: int | None = None) -> tuple[str, Image.Image]:
    """(hex content hash, RGB picture) of a local image file; see `decode_image`.

    Raises:
        ImageError: not a file, unreadable, truncated, no picture, or above `MAX_PIXELS`.
    """
    return decode_image(read_bytes(path), path, size)


def decode_image(data: bytes, name: str, size: int | None = None) -> tuple[str, Image.Image]:
    """The bytes of an image file as (hex content hash, RGB picture), upright, transparency on white.

    Gray, palette, 16-bit, CMYK and animated files (their first frame) are converted; the EXIF
    orientation is applied. With `size`, a large JPEG, or any picture above `BAND_PIXELS`, may come
    at a reduced scale of at least twice that many pixels a side.

    Raises:
        ImageError: truncated, no picture, or above `MAX_PIXELS`; the message begins with `name`.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"{name} is too large: {width}x{height} pixels, at most {MAX_PIXELS:,} are read.")
            if size is not None:
                picture.draft(None, (2 * size, 2 * size))
                if "progressive" not in picture.info:  # the decoder holds all of a progressive JPEG at full scale
                    width, height = picture.size
            with _decoding_large if width * height > LARGE_PIXELS else contextlib.nullcontext():
                picture.load()
                upright = _turn(picture)
                picture = _to_rgb(picture, size)
                return content_hash(data), picture if upright is None else picture.transpose(upright)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: at most {MAX_PIXELS:,} pixels are read ({error})") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} cannot be read: it holds no picture of a known format.") from error
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # damaged files raise nearly anything from inside the decoders
        raise ImageError(f"{name} cannot be read: {type(error).__name__}: {error}.") from error


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


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF, which `ImageOps.exif_transpose` fails on, keeps no viewer from showing it
        return None


def _to_rgb(picture: Image.Image, size: int | None) -> Image.Image:
    """As RGB, band by band if it is large, and then also smaller, where `size` leaves room for it."""
    width, height = picture.size
    factor = 1 if size is None or width * height <= BAND_PIXELS else max(1, min(width, height) // (2 * size))
    if factor == 1 and picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    rows = max(1, BAND_PIXELS // (width * factor)) * factor
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    scale = 1.0
    if _is_deep(picture) and max(np.asarray(picture.crop(box)).max() for box in boxes) > 255:
        scale = 255.0 / 65535.0  # 16-bit greys come as I;16 or as I, depending on the decoder
    whole = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for box in boxes:
        whole.paste(_band_to_rgb(picture.crop(box), scale).reduce(factor), (0, box[1] // factor))
    return whole


def _is_deep(picture: Image.Image) -> bool:
    return picture.mode.startswith("I") or picture.mode == "F"


def _band_to_rgb(band: Image.Image, scale: float) -> Image.Image:
    if _is_deep(band):  # convert() would clip above 255
        values = np.nan_to_num(np.asarray(band, np.float32) * scale)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if band.mode in ("RGBA", "LA", "PA") or "transparency" in band.info:
        band = band.convert("RGBA")
        page = Image.new("RGBA", band.size, "white")
        return Image.alpha_composite(page, band).convert("RGB")
    return band.convert("RGB")


def resize(picture: Image.Image, size: int) -> np.ndarray:
    """An RGB picture squashed to a square: uint8 (size, size, 3), antialiased bilinear."""
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8)


def read_image(path: str, size: int) -> tuple[str, np.ndarray]:
    """(hex content hash, uint8 (size, size, 3)) of a local image file; see `read_pil_image` for errors."""
    content, picture = read_pil_image(path, size)
    return content, resize(picture, size)
