"""Image files that hold several pictures, of which the first is read: pages, frames of an animation, stereo views.

The smaller copies of one picture that files also hold do not count: thumbnails, the levels of a pyramid, previews and
the gain maps of phones. Nor do the layers of a PSD file, whose merged picture is read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from PIL import Image

from caption_tx.data.images.content import is_heic
from caption_tx.data.images.file_names import find_file

_HEAD_BYTES, _METADATA_BYTES = 4096, 2**18
_READERS = 8
_MAX_JPEGS = 10_000
_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_MOST = 10_000
_SMALLER_COPY, _MASK = 1, 4
_MULTI_PICTURE = b"MPF\0"
_GAIN_MAP_SIGNS = (b"hdrgm:", b"GainMap", b"gainmap")
_VIEW_TYPES = ("Multi-Frame Image (Panorama)", "Multi-Frame Image: (Disparity)", "Multi-Frame Image: (Multi-Angle)")


def count_pictures(file: BinaryIO, limit: int = _MOST) -> tuple[int, str]:
    """How many pictures an image file holds, up to a limit, and what they are: (4, "pages"); (1, "") for most files.

    Only heads are read, except for animations whose frames are counted, and for HEIC.

    Args:
        file: an open image file. A damaged one has one picture: its error is raised when it is decoded.
        limit: 2 tells whether there are several, which is faster; HEIC then has one.

    Example:
        >>> import io
        >>> buffer = io.BytesIO()
        >>> Image.new("L", (8, 8)).save(buffer, "TIFF", save_all=True, append_images=[Image.new("L", (8, 8))] * 3)
        >>> count_pictures(buffer)
        (4, 'pages')
    """
    try:
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        if head.startswith(b"\xff\xd8"):
            return (_count_views(file), "views") if _is_multi_picture(file, head) else (1, "")
        if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
            return _count_pages(file, limit), "pages"
        if head.startswith(b"\x89PNG"):
            return _frames_of_png(file), "frames"
        if head.startswith(b"GIF8"):
            return _count_frames(file, "GIF", limit), "frames"
        if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
            return _frames_of_webp(file) if head[20] & 2 else 1, "frames"
        if head[4:12] == b"ftypavis":
            return _count_frames(file, "AVIF", limit), "frames"
        if is_heic(head) and limit > 2:  # the whole file is read
            return _count_heic(file), "images"
    except Exception:  # the decoders raise errors of almost any type for damaged files
        return 1, ""
    return 1, ""


def describe_pictures(count: int, unit: str) -> str:
    """The number of pictures in words; "" for one.

    Example:
        >>> describe_pictures(4, "pages"), describe_pictures(1, "")
        ('4 pages', '')
    """
    return f"{count:,}{' or more' if count >= _MOST else ''} {unit}" if count > 1 else ""


def _is_multi_picture(file: BinaryIO, head: bytes) -> bool:
    """Whether a JPEG file has an index of several pictures, which is in a segment before the pixels."""
    position = 2
    while True:
        if position + 8 > len(head):  # behind a thumbnail or a color profile
            file.seek(position)
            segment = file.read(8)
        else:
            segment = head[position : position + 8]
        if len(segment) < 8 or segment[0] != 0xFF or segment[1] in (0xDA, 0xD9):
            return False
        if segment[1] == 0xE2 and segment[4:8] == _MULTI_PICTURE:
            return True
        position += 2 + int.from_bytes(segment[2:4], "big")


def _count_views(file: BinaryIO) -> int:
    """The pictures of an MPO file that are views of equal rank, not previews, depth or gain maps of the first."""
    if _is_gain_map(file, 0):
        return 1
    count = 1
    file.seek(0)
    with Image.open(file, formats=("JPEG",)) as image:
        entries, size, mode = getattr(image, "mpinfo", {}).get(0xB002, []), image.size, image.mode
        for number, entry in enumerate(entries[1:], 1):
            kind = entry["Attribute"]["MPType"]
            if kind == "Undefined":
                image.seek(number)
                count += (image.size, image.mode) == (size, mode) and not _is_gain_map(file, image.offset)
            else:
                count += kind in _VIEW_TYPES
    return count


def _is_gain_map(file: BinaryIO, offset: int) -> bool:
    """Whether the metadata of the picture at an offset say that it is a gain map or has one."""
    file.seek(offset)
    data = file.read(_METADATA_BYTES)
    return any(sign in data for sign in _GAIN_MAP_SIGNS)


def _count_pages(file: BinaryIO, limit: int) -> int:
    count = 0
    file.seek(0)
    with Image.open(file, formats=("TIFF",)) as image:
        for number in range(_MOST):
            try:
                image.seek(number)
            except EOFError:
                break
            count += not image.tag_v2.get(254, 0) & (_SMALLER_COPY | _MASK)
            if count >= limit:
                break
    return count


def _count_frames(file: BinaryIO, kind: str, limit: int) -> int:
    file.seek(0)
    with Image.open(file, formats=(kind,)) as image:
        if not getattr(image, "is_animated", False):
            return 1
        return limit if limit == 2 else min(image.n_frames, _MOST)


def _frames_of_png(file: BinaryIO) -> int:
    """The number in the chunk of an animation, which precedes the pixels."""
    position = 8
    while True:
        file.seek(position)
        header = file.read(12)
        if len(header) < 12 or header[4:8] in (b"IDAT", b"IEND"):
            return 1
        if header[4:8] == b"acTL":
            return max(1, int.from_bytes(header[8:12], "big"))
        position += 12 + int.from_bytes(header[:4], "big")


def _frames_of_webp(file: BinaryIO) -> int:
    position, count = 12, 0
    while True:
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return max(1, count)
        count += header[:4] == b"ANMF"
        length = struct.unpack("<I", header[4:])[0]
        position += 8 + length + length % 2


def _count_heic(file: BinaryIO) -> int:
    import pillow_heif

    file.seek(0)
    return len(pillow_heif.open_heif(file.read(), convert_hdr_to_8bit=False))


def find_several(folder: str, names: Sequence[str]) -> dict[str, str]:
    """The images of a local folder that hold several pictures; the first, by name, with their number.

    Files that are called JPEG are looked at only if there are at most 10,000 of them, because few of these hold several
    pictures and opening files on a network takes time.

    Args:
        folder: of the images.
        names: of the images, relative to it. Files that do not exist are ignored.

    Example:
        >>> find_several("photos", ["cat.jpg", "scan.tif"])
        {'scan.tif': '4 pages'}
    """
    jpegs = {name for name in names if name.lower().endswith(_JPEG_SUFFIXES)}
    looked_at = [name for name in names if len(jpegs) <= _MAX_JPEGS or name not in jpegs]

    def count(name: str, limit: int = 2) -> tuple[int, str]:
        try:
            with open(find_file(os.path.join(folder, name)), "rb") as file:
                return count_pictures(file, limit)
        except (OSError, ValueError):  # a missing file, a folder, a null byte
            return 1, ""

    with ThreadPoolExecutor(_READERS) as pool:
        counts = pool.map(count, looked_at, chunksize=64)
        several = sorted(name for name, (number, _) in zip(looked_at, counts, strict=True) if number > 1)
    return {name: "" if at else describe_pictures(*count(name, _MOST)) for at, name in enumerate(several)}
