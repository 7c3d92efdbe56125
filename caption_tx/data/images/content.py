"""What the bytes of a file are: HEIC, a PNG file with its metadata, or something that is not an image."""

from __future__ import annotations

import re
import zlib

from caption_tx.data.images.suffixes import INSTALL_HEIC

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_ORIENTATION_CHUNKS = (b"eXIf", b"iTXt")
_LONGEST_XMP = 1 << 20  # Pillow's limit of a text
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
_HEAD_BYTES = 1024

_CONTENTS = (
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image; convert it to JPEG or PNG"),
    (rb"\s*(?:<\?xml.*?)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg.*?)?<svg", "an SVG drawing; convert it to PNG"),
    (rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)", "a web page, not an image; download it again"),
    (rb"\s*<\?xml|\s*<Error", "an XML document, not an image; download it again"),
    (rb"version https://git-lfs", "a Git LFS pointer, not an image; fetch the file with `git lfs pull`"),
    (
        rb"II[*+]\0|MM\0[*+]",
        "a TIFF image that is damaged or has pixels that are not read, such as colors in floating-point numbers; "
        "convert it to PNG",
    ),
    (rb"%!PS", "a PostScript file; convert it to PNG"),
    (rb"%PDF", "a PDF document; convert its pages to PNG"),
    (rb"PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b", "an archive; extract it first"),
    (rb"\0\0\x01\0|icns", "an icon; convert it to PNG"),
    (rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI ", "a video; extract a frame as JPEG"),
    (rb"(?:\xff\xd8\xff|\x89PNG|GIF8|data:image)", "a damaged image"),
    (rb"\s*[{\[]\s*[\"{\[]", "JSON text, not an image; download it again"),
    (rb"\0+\Z", "only null bytes; copy or download it again"),
)


def describe_content(data: bytes) -> str:
    """What bytes are that Pillow does not identify as an image, with advice.

    Example:
        >>> describe_content(b"<!DOCTYPE html><html>")
        'it is a web page, not an image; download it again'
    """
    head = data[:_HEAD_BYTES]
    matches = (text for pattern, text in _CONTENTS if re.match(pattern, head, re.DOTALL | re.IGNORECASE))
    text = next(matches, None)
    if text in ("a damaged image", None):
        return "it is not an image of a known format" if text is None else "the image is damaged"
    return f"it is {text}"


def is_heic(data: bytes) -> bool:
    """Whether bytes are a HEIC image, whatever the file is called. AVIF, which is similar, is not."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[8:12] in _HEIC_BRANDS or (data[8:12] in (b"mif1", b"msf1") and b"avif" not in brands)


def heic_advice() -> str:
    """What to do about a HEIC image without pillow-heif."""
    return f"it is a HEIC image; {INSTALL_HEIC.format('it')}"


def strip_png_metadata(data: bytes) -> bytes | None:
    """A PNG file without color profile, text and other chunks that are not pixels; None if it is no PNG file.

    The orientation is kept: it is in an eXIf chunk, or in XMP that is not compressed.
    """
    if not data.startswith(_PNG_SIGNATURE):
        return None
    parts, position = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        chunk = data[position : position + 12 + length]
        kind = chunk[4:8]
        if kind in _PIXEL_CHUNKS or (kind in _ORIENTATION_CHUNKS and _has_orientation(chunk)):
            parts.append(chunk)
        if kind == b"IEND":
            break
        position += len(chunk)
    return b"".join(parts)


def _has_orientation(chunk: bytes) -> bool:
    """Whether an undamaged chunk contains EXIF data, or XMP that is not compressed."""
    data = chunk[8:-4]
    is_xmp = data.startswith(b"XML:com.adobe.xmp\0\0") and len(data) < _LONGEST_XMP
    valid = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
    return valid and (is_xmp if chunk[4:8] == b"iTXt" else bool(data))
