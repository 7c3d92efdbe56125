"""Decode image files as an image viewer shows them, without TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import threading

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from caption_tx.data.images.content import describe_content, heic_advice, is_heic, strip_png_metadata
from caption_tx.data.images.interpretation import SEVERAL
from caption_tx.data.images.pages import count_pictures, describe_pictures
from caption_tx.data.images.suffixes import FORMATS, RAW_SUFFIXES
from caption_tx.errors import ImageError, TooManyPixelsError

MAX_PIXELS = 89_000_000
"""An image whose header claims more pixels is rejected before it is decoded (Pillow warns above this number)."""

MAX_BYTES = 512 * 2**20
"""A larger file is rejected before it is read: twice the uncompressed size of `MAX_PIXELS`."""

LARGE_PIXELS = 16_000_000
"""Images with more pixels are decoded one at a time: 89 million pixels take 0.3 to 1.7 GB, depending on the format."""

BAND_PIXELS = 4_000_000
"""Images with more pixels are converted to RGB in bands, because the conversion takes up to 20 bytes per pixel."""

_large_image_lock = threading.Lock()


def content_hash(data: bytes) -> str:
    """BLAKE2b hash of the bytes of an image file, 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def pixel_hash(image: Image.Image) -> str:
    """BLAKE2b hash of the mode, size and pixels of an image that is not in a file, 32 hex digits."""
    digest = hashlib.blake2b(f"{image.mode} {image.width} {image.height} ".encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.hexdigest()


def read_bytes(path: str) -> bytes:
    """Reads a local file. Never blocks on a pipe or a device.

    Raises:
        ImageError: the path is not a file, is unreadable, or is larger than `MAX_BYTES`.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is {'a folder, ' if stat.S_ISDIR(status.st_mode) else ''}not a file.")
        check_length(status.st_size, path)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a null byte in the name
        raise ImageError(f"{path} cannot be read: {error}.") from error


def check_length(length: int, name: str) -> None:
    """Raises ImageError if a file has more than `MAX_BYTES`."""
    if length > MAX_BYTES:
        raise ImageError(f"{name} is too large: {length:,} bytes; the limit is {MAX_BYTES:,} bytes.")


def read_pil_image(path: str, size: int | None = None) -> tuple[str, Image.Image]:
    """Reads a local image file: (hex content hash, RGB image). See `decode_image`.

    Raises:
        ImageError: the path is not a file, or the file is unreadable, truncated, not an image, or too large.
    """
    return decode_image(read_bytes(path), path, size)


def read_image(path: str, size: int) -> tuple[str, np.ndarray]:
    """Reads a local image file: (hex content hash, uint8 (size, size, 3)). Raises the errors of `read_pil_image`."""
    content, image = read_pil_image(path, size)
    return content, resize(image, size)


def resize(image: Image.Image, size: int) -> np.ndarray:
    """Squashes an RGB image to a square: uint8 (size, size, 3), antialiased bilinear."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8)


def decode_image(
    data: bytes | Image.Image, name: str, size: int | None = None, found: dict[str, str] | None = None
) -> tuple[str, Image.Image]:
    """Decodes an image: (hex content hash, RGB image), upright, transparency on white.

    Grayscale, palette, 16-bit, CMYK and animated files (their first frame) are converted. The EXIF orientation is
    applied.

    Args:
        data: the whole image file, or an image that is decoded already.
        name: of the image, for error messages.
        size: side that the image will be resized to. A large JPEG, and any image above `BAND_PIXELS`, may then be
            returned at a reduced scale, with sides of at least `2 * size`.
        found: filled with what is read differently from how a viewer shows it: a kind of `interpretation.KINDS` and a
            detail.

    Raises:
        ImageError: the data is truncated or not an image. The message begins with `name`.
        TooManyPixelsError: it has more than `MAX_PIXELS`.
    """
    found = {} if found is None else found
    if isinstance(data, Image.Image):
        try:
            return pixel_hash(data), _to_upright_rgb(data, name, size, found)
        except (OSError, ValueError, SyntaxError) as error:  # a file that is closed or damaged
            raise ImageError(f"{name} cannot be read: {error}.") from error
    if not data:
        raise ImageError(f"{name} is empty (0 bytes).")
    if name.lower().endswith(RAW_SUFFIXES):  # Pillow would read the small preview of some of them
        raise ImageError(f"{name} is a camera raw file, which is not read; convert it to JPEG.")
    try:
        return content_hash(data), _decode(data, name, size, found)
    except ImageError:
        raise
    except Exception as error:  # the decoders raise errors of almost any type for damaged files
        if (stripped := strip_png_metadata(data)) is not None:  # Pillow fails for large or damaged metadata
            with contextlib.suppress(Exception):
                return content_hash(data), _decode(stripped, name, size, found)
        if isinstance(error, Image.DecompressionBombError):
            message = f"{name} is too large: {claimed_size(error)}; the limit is {MAX_PIXELS:,} pixels."
            raise TooManyPixelsError(message) from error
        raise ImageError(_explain(error, data, name)) from error


def claimed_size(error: Image.DecompressionBombError) -> str:
    """The size that the header of an image claims, as far as Pillow's error tells it.

    Example:
        >>> claimed_size(Image.DecompressionBombError("Image size (400000000 pixels) exceeds limit of .."))
        '400,000,000 pixels'
    """
    match = re.search(r"\((\d+) pixels\)", str(error))
    return f"{int(match[1]):,} pixels" if match else f"more than {MAX_PIXELS:,} pixels"


def _decode(data: bytes, name: str, size: int | None, found: dict[str, str]) -> Image.Image:
    formats: tuple[str, ...] = FORMATS
    if is_heic(data):
        try:
            import pillow_heif
        except ImportError as error:
            raise ImageError(f"{name} cannot be read: {heic_advice()}.") from error
        pillow_heif.register_heif_opener()
        formats = ("HEIF",)
    if pictures := describe_pictures(*count_pictures(io.BytesIO(data))):
        found[SEVERAL] = pictures
    with Image.open(io.BytesIO(data), formats=formats) as image:
        return _to_upright_rgb(image, name, size, found)


def _to_upright_rgb(image: Image.Image, name: str, size: int | None, found: dict[str, str]) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise TooManyPixelsError(f"{name} is too large: {width}x{height} pixels; the limit is {MAX_PIXELS:,} pixels.")
    if size is not None:
        image.draft(None, (2 * size, 2 * size))
        if "progressive" not in image.info:  # a progressive JPEG is buffered at full scale
            width, height = image.size
    with _large_image_lock if width * height > LARGE_PIXELS else contextlib.nullcontext():
        image.load()
        transpose = _exif_transpose(image)
        if image.mode == "CMYK" and image.info.get("icc_profile"):
            found["color_profile_ignored"] = ""
        is_negative = image.mode == "I;16" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
        image = _to_rgb(image, size, found)
        if is_negative:  # Pillow inverts only 8 bits and 1
            image = ImageOps.invert(image)
        return image if transpose is None else image.transpose(transpose)


def _explain(error: Exception, data: bytes, name: str) -> str:
    """The message about an image that cannot be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return f"{name} cannot be read: {describe_content(data)}."
    if isinstance(error, OSError):
        return f"{name} cannot be read: {error.strerror or error}."
    return f"{name} cannot be read: {type(error).__name__}: {error}."


_PHOTOMETRIC = 262
"""The tag of TIFF files that is 0 if the lowest value is white."""

_BITS = 258

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the operation that turns the stored image upright."""


def _exif_transpose(image: Image.Image) -> Image.Transpose | None:
    try:
        return _TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # `ImageOps.exif_transpose` fails for damaged EXIF data, which image viewers ignore
        return None


def _to_rgb(image: Image.Image, size: int | None, found: dict[str, str]) -> Image.Image:
    """Converts to RGB, in bands if the image is large. A large image is also reduced as far as `size` allows."""
    width, height = image.size
    factor = 1 if size is None or width * height <= BAND_PIXELS else max(1, min(width, height) // (2 * size))
    if factor == 1 and image.mode == "RGB" and "transparency" not in image.info:
        return image
    rows = max(1, BAND_PIXELS // (width * factor)) * factor
    boxes = [(0, top, width, min(top + rows, height)) for top in range(0, height, rows)]
    scale = _scale_of(image, boxes, found) if _is_deep(image) else 1.0
    rgb = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for box in boxes:
        rgb.paste(_band_to_rgb(image.crop(box), scale, found).reduce(factor), (0, box[1] // factor))
    return rgb


def _is_deep(image: Image.Image) -> bool:
    """Whether a channel has more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def _scale_of(image: Image.Image, boxes: list[tuple[int, int, int, int]], found: dict[str, str]) -> float:
    """The factor from the values of a deep image to 0 to 255.

    16-bit grayscale has mode I;16 or I, depending on the decoder.
    """
    bands = (np.asarray(image.crop(box)) for box in boxes)
    if image.mode == "F":
        bands = (np.nan_to_num(band, posinf=0, neginf=0) for band in bands)
    lows, highs = zip(*((float(band.min()), float(band.max())) for band in bands), strict=True)
    low, high = min(lows), max(highs)
    if image.mode == "F":
        top = next((top for top in (1.0, 255.0, 65535.0) if high <= top), high)
        found["float_image"] = f"from {low:.4g} to {high:.4g}, read as 0 to {top:.6g}"
        return 255.0 / top
    if getattr(image, "tag_v2", {}).get(_BITS) == (12,):
        return 255.0 / 4095
    if 0 < high <= 255:
        found["dark_image"] = f"up to {high:.0f}"
    return 1.0 if high <= 255 else 255.0 / max(65535.0, high)


def _band_to_rgb(band: Image.Image, scale: float, found: dict[str, str]) -> Image.Image:
    if _is_deep(band):  # `convert` would clip values above 255
        values = np.nan_to_num(np.asarray(band, np.float32) * scale)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if band.mode in ("RGBA", "LA", "PA") or "transparency" in band.info:
        band = band.convert("RGBA")
        if band.getextrema()[3][0] < 255:
            found["transparent_image"] = ""
        background = Image.new("RGBA", band.size, "white")
        return Image.alpha_composite(background, band).convert("RGB")
    return band.convert("RGB")
