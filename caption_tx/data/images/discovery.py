"""What a person names -> images one by one: files, folders, tables of images, standard input. No TensorFlow."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from caption_tx.data.images.decoding import IMAGE_SUFFIXES, MAX_BYTES, check_length
from caption_tx.data.images.sources import TABLE_SUFFIX, ImageTable, is_remote, open_images
from caption_tx.errors import CaptionTxError

STANDARD_INPUT = "-"

NamedImage = str | Path | tuple[str, bytes]
"""An image by its name, or one that lies in no file: (name, its bytes)."""

_CHUNK = 65536
_MAGIC_LENGTH = 32

_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0{4}|RIFF.{4}WEBP|II[*+]\0|MM\0[*+]"  # JPEG .. TIFF
    rb"|\0{3}.ftyp|\0{3}\x0cjP  |\xff\x4f\xff\x51|P[1-6f]\s+(?:#[^\n]*\n\s*)*\d+\s+\d+\s",  # AVIF, JPEG 2000, PPM
    re.DOTALL,
)
"""How the formats that `images.decode_image` reads begin; no list of paths does."""


def find_images(
    paths: Sequence[str | Path], report: Callable[[str], None] = lambda text: None, stdin: BinaryIO | None = None
) -> Iterator[NamedImage]:
    """Images as they are named, and those in the folders, tables and on the standard input that are named.

    What is named is looked at now, what lies in it is listed while the images are asked for: no list of
    all is made. An image's name is the path as given and, behind a folder, the path below it.

    Args:
        paths: image files; folders, searched to any depth without what is hidden (`ImageSource.walk`), each
            real folder once however links lead to it; TSV files of images in base64; any of these on a
            store that TensorFlow knows (`gs://..`); and `-`, the standard input, see `read_standard_input`.
        report: is told of folders below that cannot be listed. They are left out.
        stdin: stands in for the standard input.

    Raises:
        CaptionTxError: a path does not exist, a folder holds no image or cannot be listed.
    """
    texts = [str(path) for path in paths]
    if texts.count(STANDARD_INPUT) > 1:
        raise CaptionTxError("The standard input ('-') can be read once; it was named several times.")
    return chain.from_iterable([_open(text, report, stdin) for text in texts])


def count_images(paths: Sequence[str | Path]) -> int | None:
    """How many images `find_images` gives, or None where that takes more than listing local folders."""
    texts = [str(path) for path in paths]
    if any(text == STANDARD_INPUT or is_remote(text) or text.endswith(TABLE_SUFFIX) for text in texts):
        return None
    return sum(1 for _ in find_images(texts))


def _open(path: str, report: Callable[[str], None], stdin: BinaryIO | None) -> Iterator[NamedImage]:
    if path == STANDARD_INPUT:
        if stdin is None and sys.stdin is None:
            raise CaptionTxError("The standard input ('-') is closed; give it an image or a list, or name files.")
        # Unbuffered: Python could not end while a thread waits for more behind the buffer's lock.
        return read_standard_input(sys.stdin.buffer.raw if stdin is None else stdin)
    if is_remote(path):
        # Whether an image is there shows when it is read.
        return iter([path]) if path.lower().endswith(IMAGE_SUFFIXES) else _walk(path, report)
    path = str(Path(path))
    if os.path.isdir(path) or (path.endswith(TABLE_SUFFIX) and os.path.isfile(path)):
        return _walk(path, report)
    if os.path.exists(path):
        return iter([path])
    raise CaptionTxError(f"There is no image or folder '{path}'.")


def _walk(path: str, report: Callable[[str], None]) -> Iterator[str]:
    images = open_images(path)
    names = images.walk()
    first = next(names, None)  # looked for now, so that a wrong folder is told before anything is done

    def walk() -> Iterator[str]:
        for name in chain([first], names):
            yield name if path == "." else f"{path.rstrip('/')}/{name}"
        for folder, reason in images.unlisted.items():
            report(f"{images.label(folder)} cannot be listed and is left out: {reason}.")

    if first is None:
        if isinstance(images, ImageTable):
            raise CaptionTxError(f"There are no rows in the table of images {path}.")
        closed = "".join(f"; {images.label(name)}: {reason}" for name, reason in list(images.unlisted.items())[:1])
        raise CaptionTxError(f"There are no images ({', '.join(IMAGE_SUFFIXES)}) in the folder {path}{closed}.")
    return walk()


def read_standard_input(stream: BinaryIO) -> Iterator[NamedImage]:
    """An image whose bytes the stream holds, called `-`; or the images that a list of paths names, as they come.

    The list has a path a line (UTF-8, blank lines left out), or, as `find -print0` writes it, paths that
    end in a zero byte. It names images only: folders in it are not searched.

    Raises:
        CaptionTxError: the stream is empty, or the image above `MAX_BYTES`.
    """
    head = b""
    while len(head) < _MAGIC_LENGTH and (more := stream.read(_CHUNK)):
        head += more
    if _MAGIC.match(head):
        data = bytearray(head)
        while len(data) <= MAX_BYTES and (more := stream.read(_CHUNK)):
            data += more
        check_length(len(data), "The image on the standard input")
        yield STANDARD_INPUT, bytes(data)
        return
    names = _split(stream, head)
    first = next(names, None)
    if first is None:
        raise CaptionTxError("The standard input holds no image and no list of images.")
    yield first
    yield from names


def _split(stream: BinaryIO, rest: bytes) -> Iterator[str]:
    while b"\0" not in rest and b"\n" not in rest and len(rest) <= _CHUNK and (more := stream.read(_CHUNK)):
        rest += more  # the first path may come in parts
    rest = rest.removeprefix(b"\xef\xbb\xbf")
    separator = b"\0" if b"\0" in rest else b"\n"
    more = rest
    while more:
        *names, rest = rest.split(separator)
        yield from _names(names, separator)
        if len(rest) > _CHUNK:
            raise CaptionTxError("The standard input holds no image of a known format, and no list of images.")
        more = stream.read(_CHUNK)  # what is there already: a slow list is not waited for
        rest += more
    yield from _names([rest], separator)


def _names(parts: list[bytes], separator: bytes) -> Iterator[str]:
    for part in parts:
        name = part.removesuffix(b"\r") if separator == b"\n" else part
        if name.strip():
            yield os.fsdecode(name)
