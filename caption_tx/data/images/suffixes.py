"""Suffixes of picture files: those that are decoded, and those that need an extra or a conversion."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Container, Mapping

# Importing a plugin registers its suffixes; `Image.init` would import forty.
from PIL import (  # noqa: F401
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", "PSD", "QOI")
"""Pillow's formats that are decoded, whatever the file is called. Not EPS: Pillow would run Ghostscript on the file.
Only formats that begin with a signature, so that other bytes are never taken for an image."""

_OTHER_JPEG_NAMES = (".jif", ".jfi", ".pjpeg", ".pjp", ".jpg_large", ".jpg_orig")  # as browsers and cameras save them
# BMP reads .dib files and JPEG reads .mpo files.
_PILLOW_SUFFIXES = {suffix for suffix, name in Image.EXTENSION.items() if name in (*FORMATS, "DIB", "MPO")}
_DECODED = (*_PILLOW_SUFFIXES, *_OTHER_JPEG_NAMES)

HEIC_SUFFIXES = (".heic", ".heif", ".heics", ".heifs", ".hif")
RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mrw", ".nef", ".nrw", ".orf",
    ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_CONVERTED_SUFFIXES = (
    ".bpg", ".dds", ".eps", ".exr", ".flif", ".hdr", ".icns", ".ico", ".jxl", ".jxr", ".pcx", ".psb", ".svg", ".svgz",
    ".tga", ".wdp", ".xcf",
)  # fmt: skip

IMAGE_SUFFIXES = tuple(
    sorted({*_DECODED, *HEIC_SUFFIXES, *RAW_SUFFIXES, *_CONVERTED_SUFFIXES}, key=lambda suffix: (-len(suffix), suffix))
)
"""Suffixes of all pictures, decoded or not, the longest first. A name that ends in one is the name of an image."""

INSTALL_HEIC = "install the extra that reads HEIC (pip install 'caption_tx[heic]') or convert {} to JPEG"


def readable_suffixes() -> tuple[str, ...]:
    """Suffixes of the pictures that this installation decodes: those of `FORMATS`, and HEIC with pillow-heif.

    Example:
        >>> ".jfif" in readable_suffixes(), ".jxl" in readable_suffixes()
        (True, False)
    """
    return (*_DECODED, *HEIC_SUFFIXES) if _decodes_heic() else _DECODED


def _decodes_heic() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


def is_readable(name: str) -> bool:
    """Whether this installation decodes pictures with the suffix of a name."""
    lower = name.lower()
    return lower.endswith(_DECODED) or (lower.endswith(HEIC_SUFFIXES) and _decodes_heic())


def suffix_of(name: str) -> str:
    """The picture suffix at the end of a name, in lower case; "" if there is none."""
    lower = name.lower()
    return next((suffix for suffix in IMAGE_SUFFIXES if lower.endswith(suffix)), "")


def similar_id(name: str, ids: Container[str]) -> str | None:
    """The only id in a table that differs from an image name by a suffix, or None.

    Example:
        >>> similar_id("1000002.jpg", {"1000002"}), similar_id("dog", {"dog.png"}), similar_id("dog.gif", {"dog.png"})
        ('1000002', 'dog.png', None)
    """
    suffix = suffix_of(name)
    if suffix:
        short = name[: -len(suffix)]
        return short if short in ids else None
    matches = [f"{name}{ending}" for ending in _DECODED if f"{name}{ending}" in ids]
    return matches[0] if len(matches) == 1 else None


def explain_unreadable(suffixes: Mapping[str, int]) -> str:
    """One line about picture files that are not decoded, with advice; "" if there are none.

    Args:
        suffixes: how many files have each suffix.

    Example:
        >>> explain_unreadable({".heic": 2, ".jxl": 1})
        "3 picture files cannot be read (2 .heic, 1 .jxl); install the extra that reads HEIC
        (pip install 'caption_tx[heic]') or convert them to JPEG; convert .jxl to JPEG or PNG"
    """
    counts = Counter(suffixes)
    if not counts:
        return ""
    total = sum(counts.values())
    files = "picture file" if total == 1 else "picture files"
    parts = [f"{total:,} {files} cannot be read ({', '.join(f'{n:,} {suffix}' for suffix, n in counts.most_common())})"]
    if any(suffix in HEIC_SUFFIXES for suffix in counts):
        parts.append(INSTALL_HEIC.format("them"))
    if others := sorted(suffix for suffix in counts if suffix not in HEIC_SUFFIXES):
        parts.append(f"convert {', '.join(others)} to JPEG or PNG")
    return "; ".join(parts)
