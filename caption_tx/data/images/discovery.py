"""Find the images that a user names: files, folders, tables of images and the standard input."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from caption_tx.data.images.decoding import MAX_BYTES, check_length
from caption_tx.data.images.forms import NamedImage
from caption_tx.data.images.parquet_images import PARQUET_SUFFIX, ImageParquet
from caption_tx.data.images.sources import open_images
from caption_tx.data.images.stores import ARCHIVE_SUFFIXES, check_address, explain_file, is_remote
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.images.tables import TABLE_SUFFIX, ImageTable
from caption_tx.errors import CaptionTxError

STANDARD_INPUT = "-"

_CHUNK = 65536
_SIGNATURE_LENGTH = 32

_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0{4}|RIFF.{4}WEBP|II[*+]\0|MM\0[*+]"  # JPEG .. TIFF
    rb"|\0{3}.ftyp|\0{3}\x0cjP  |\xff\x4f\xff\x51|P[1-6f]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s",  # AVIF, JPEG 2000, PPM
    re.DOTALL,
)
"""First bytes of the formats that `decode_image` reads. No list of paths begins with them."""


def find_images(
    paths: Sequence[str | Path], report: Callable[[str], None] = lambda text: None, stdin: BinaryIO | None = None
) -> Iterator[NamedImage]:
    """Finds images in files, folders, tables and on the standard input.

    The paths are checked now. Folders are listed while the images are consumed, so that no list of all images is
    built. The name of an image is its path: the path as given, followed by the path below it for a folder.

    Args:
        paths: image files; folders, which are searched recursively without hidden files (`ImageSource.walk`); TSV
            tables of images in base64; any of these on a remote store (`gs://...`); Parquet files with images; and "-"
            for the standard input, see `read_standard_input`.
        report: called with a message for each subfolder that cannot be listed, and for each of
            `ImageSource.notes`, such as the number of picture files that cannot be read.
        stdin: replaces the standard input.

    Raises:
        CaptionTxError: a path does not exist or is a web address, or a folder contains no image or cannot be listed.

    Example:
        >>> list(find_images(["photos", "cat.jpg"]))
        ['photos/a.jpg', 'photos/trip/b.png', 'cat.jpg']
    """
    texts = [str(path) for path in paths]
    if texts.count(STANDARD_INPUT) > 1:
        raise CaptionTxError("The standard input ('-') can be read only once; name it once.")
    return chain.from_iterable([_open(text, report, stdin) for text in texts])


def count_images(paths: Sequence[str | Path]) -> int | None:
    """The number of images that `find_images` yields, or None if counting takes more than listing local folders."""
    texts = [str(path) for path in paths]
    if any(
        text == STANDARD_INPUT or is_remote(text) or text.endswith((TABLE_SUFFIX, PARQUET_SUFFIX)) for text in texts
    ):
        return None
    return sum(1 for _ in find_images(texts))


def _open(path: str, report: Callable[[str], None], stdin: BinaryIO | None) -> Iterator[NamedImage]:
    if path == STANDARD_INPUT:
        if stdin is None and sys.stdin is None:
            raise CaptionTxError("The standard input ('-') is closed; pipe an image or a list of paths into it.")
        # Unbuffered: otherwise Python cannot exit while a thread that waits for input has the buffer's lock.
        return read_standard_input(sys.stdin.buffer.raw if stdin is None else stdin)
    check_address(path)
    if is_remote(path):
        # A missing remote image is reported when it is read.
        return iter([path]) if path.lower().endswith(IMAGE_SUFFIXES) else _walk(path, report)
    path = str(Path(path))
    if path.lower().endswith(ARCHIVE_SUFFIXES) and (advice := explain_file(path)):
        raise CaptionTxError(advice)
    if os.path.isdir(path) or (path.endswith((TABLE_SUFFIX, PARQUET_SUFFIX)) and os.path.isfile(path)):
        return _walk(path, report)
    if os.path.exists(path):
        return iter([path])
    raise CaptionTxError(f"There is no image or folder '{path}'.")


def _walk(path: str, report: Callable[[str], None]) -> Iterator[str]:
    images = open_images(path)
    names = images.walk()
    first = next(names, None)  # now, so that a wrong folder is reported before any work is done

    def walk() -> Iterator[str]:
        for name in chain([first], names):
            yield name if path == "." else f"{path.rstrip('/')}/{name}"
        for folder, reason in images.unlisted.items():
            report(f"Skipped the folder {images.label(folder)}, which cannot be listed: {reason}.")
        for note in images.notes():
            report(f"{note}.")

    if first is None:
        if isinstance(images, (ImageTable, ImageParquet)):
            raise CaptionTxError(f"The table of images {path} has no rows.")
        if notes := images.notes():
            raise CaptionTxError(f"There are no images that can be read in the folder {path}; {notes[0]}.")
        unlisted = "".join(f"; {images.label(name)}: {reason}" for name, reason in list(images.unlisted.items())[:1])
        raise CaptionTxError(f"There are no images (.jpg, .png, .webp ..) in the folder {path}{unlisted}.")
    return walk()


def read_standard_input(stream: BinaryIO) -> Iterator[NamedImage]:
    """Reads one image, named "-", or a list of image paths from a stream.

    A list has one path per line (UTF-8; blank lines are ignored), or ends each path with a null byte as `find -print0`
    does. Paths are yielded as soon as they arrive. Folders in a list are not searched.

    Raises:
        CaptionTxError: the stream is empty, or the image is larger than `MAX_BYTES`.
    """
    head = b""
    while len(head) < _SIGNATURE_LENGTH and (more := stream.read(_CHUNK)):
        head += more
    if _SIGNATURE.match(head):
        data = bytearray(head)
        while len(data) <= MAX_BYTES and (more := stream.read(_CHUNK)):
            data += more
        check_length(len(data), "The image on the standard input")
        yield STANDARD_INPUT, bytes(data)
        return
    paths = _split(stream, head)
    first = next(paths, None)
    if first is None:
        raise CaptionTxError("The standard input is empty; pipe an image or a list of paths into it.")
    yield first
    yield from paths


def _split(stream: BinaryIO, rest: bytes) -> Iterator[str]:
    """Yields the paths in `rest` and the remaining stream."""
    while b"\0" not in rest and b"\n" not in rest and len(rest) <= _CHUNK and (more := stream.read(_CHUNK)):
        rest += more  # the first path may arrive in pieces
    rest = rest.removeprefix(b"\xef\xbb\xbf")
    separator = b"\0" if b"\0" in rest else b"\n"
    more = rest
    while more:
        *paths, rest = rest.split(separator)
        yield from _decode_paths(paths, separator)
        if len(rest) > _CHUNK:
            raise CaptionTxError("The standard input is neither an image of a known format nor a list of paths.")
        more = stream.read(_CHUNK)  # returns what is available, so that a slow list is not waited for
        rest += more
    yield from _decode_paths([rest], separator)


def _decode_paths(parts: list[bytes], separator: bytes) -> Iterator[str]:
    for part in parts:
        path = part.removesuffix(b"\r") if separator == b"\n" else part
        if path.strip():
            yield os.fsdecode(path)
