"""Where images lie: a folder, here or on a remote store, or a TSV file with one image in base64 a row.

`open_images` gives either behind one interface. An image's name is its path relative to the folder,
with "/", or its id in the table; `pictures.tsv/1000002` is a row of a table that lies in a folder.
TensorFlow is loaded for remote stores ("gs://...") only.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from caption_tx.data.images.decoding import IMAGE_SUFFIXES, check_length, content_hash, decode_image, resize
from caption_tx.data.images.decoding import read_bytes as read_local
from caption_tx.errors import ImageError

TABLE_SUFFIX = ".tsv"
_CHUNK = 4 * 2**20
_LONGEST_ID = 64 * 1024
_LENGTH_BITS = 40
_EXPECTED = "expected rows of id<TAB>base64, or of id<TAB>image id<TAB>caption<TAB>objects<TAB>base64"


class MissingImageError(ImageError):
    """The image is not there at all; any other `ImageError` is of one that is there and cannot be read."""


class ImageSource:
    """Images by name. Safe to share between threads.

    Attributes:
        unlisted: the folders below that `names` or `walk` could not list and left out, and why.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.unlisted: dict[str, str] = {}

    def read_bytes(self, name: str) -> bytes:
        """The image file `name`.

        Raises:
            MissingImageError: it is not there.
            ImageError: it cannot be read; the message names location, name and reason.
        """
        raise NotImplementedError

    def names(self) -> list[str]:
        """Names of all images, sorted.

        Raises:
            ImageError: they cannot be listed.
        """
        raise NotImplementedError

    def walk(self) -> Iterator[str]:
        """Names of all images as they are found, without those that systems and programs hide.

        Hidden is what begins with a dot (thumbnails, the `._` doubles of macOS) or lies in `__MACOSX`.

        Raises:
            ImageError: they cannot be listed.
        """
        yield from self.names()

    def stamp(self, name: str) -> str | None:
        """What changes when the image does and costs little to ask, or None if it is gone."""
        raise NotImplementedError

    def read_pil_image(self, name: str, size: int | None = None) -> tuple[str, Image.Image]:
        """(hex content hash, RGB picture), as `images.decode_image`."""
        return decode_image(self.read_bytes(name), self.label(name), size)

    def read_image(self, name: str, size: int) -> tuple[str, np.ndarray]:
        """(hex content hash, uint8 (size, size, 3)); raises as `images.decode_image`."""
        content, picture = self.read_pil_image(name, size)
        return content, resize(picture, size)

    def label(self, name: str) -> str:
        """The image as messages call it."""
        return os.path.join(self.location, name)

    def tables(self) -> list[ImageTable]:
        """The tables that images were read from so far."""
        return []


def open_images(location: str) -> ImageSource:
    """The images in a folder or in a TSV file, local or on a store that TensorFlow knows.

    A location that does not exist opens too: every image of it is then missing.

    Raises:
        ImageError: the TSV file has no tabs.
    """
    if location.endswith(TABLE_SUFFIX) and not _is_folder(location):
        return ImageTable(location)
    return ImageFolder(location)


class ImageFolder(ImageSource):
    """A folder of image files, and of tables of images in base64 (`NAME.tsv`)."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._tables: dict[str, ImageTable | None] = {}
        self._lock = threading.Lock()

    def _table(self, name: str) -> tuple[ImageTable, str] | None:
        """The table that `name` points into, and the id in it."""
        folder, found, row = name.partition(f"{TABLE_SUFFIX}/")
        if not found:
            return None
        path = self.label(folder + TABLE_SUFFIX)
        with self._lock:
            if path not in self._tables:
                self._tables[path] = None if _is_folder(path) else ImageTable(path)
            table = self._tables[path]
        return None if table is None else (table, row)

    def read_bytes(self, name: str) -> bytes:
        """See `ImageSource`."""
        if table := self._table(name):
            return table[0].read_bytes(table[1])
        return _read_file(self.label(name))

    def stamp(self, name: str) -> str | None:
        """See `ImageSource`."""
        if table := self._table(name):
            return table[0].stamp(table[1])
        return _stamp(self.label(name))

    def names(self) -> list[str]:
        """See `ImageSource`; rows of tables are not listed."""
        return sorted(self._list(lambda name: False))

    def walk(self) -> Iterator[str]:
        """See `ImageSource`; the files of a folder before those of the folders in it, each sorted."""
        return self._list(lambda name: name.startswith(".") or name == "__MACOSX")

    def _list(self, leave_out: Callable[[str], bool]) -> Iterator[str]:
        self.unlisted = unlisted = {}
        if is_remote(self.location):
            files = _remote_files(self.location, leave_out)
        else:
            files = _local_files(self.location, unlisted, leave_out)
        return (name for name in files if name.lower().endswith(IMAGE_SUFFIXES))

    def tables(self) -> list[ImageTable]:
        """See `ImageSource`."""
        with self._lock:
            return [table for _, table in sorted(self._tables.items()) if table is not None]


class ImageTable(ImageSource):
    """A TSV file with one image in base64 a row; of rows with the same id the first counts.

    MUGE (ECommerce-IC) and Chinese-CLIP write `id<TAB>base64`; OFA writes `id<TAB>image
    id<TAB>caption<TAB>objects<TAB>base64`, where the image id is the name. The file is read once, in
    pieces, when the first image is asked for; some 150 bytes a row are kept.

    Attributes, once it has been read:
        rows: how many there are, blank lines left out.
        repeated: (line, id) of rows with the id of an earlier one.
        malformed: lines without a tab or without an id.

    Raises:
        ImageError: the file begins with no tab.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.rows = 0
        self.repeated: list[tuple[int, str]] = []
        self.malformed: list[int] = []
        self._places: dict[bytes, int] | None = None
        self._lock = threading.Lock()
        if _stamp(location) is not None:
            with _open(location) as file:
                begin = _read(file, location, 0, _LONGEST_ID)
            if b"\t" not in begin:
                raise ImageError(f"{location} holds no table of images: no tab at its beginning; {_EXPECTED}.")

    def _index(self) -> dict[bytes, int]:
        """id -> where its base64 begins and how long it is, in one number."""
        with self._lock:
            if self._places is None:
                self._places = self._read_index()
            return self._places

    def _read_index(self) -> dict[bytes, int]:
        places: dict[bytes, int] = {}
        rows, repeated, malformed = 0, [], []
        for number, (head, tabs, begin, length) in enumerate(_scan(self.location), 1):
            columns = head.split(b"\t")
            name = (columns[1] if tabs >= 4 and len(columns) > 2 else columns[0]).strip()
            if not tabs and not name:
                continue
            rows += 1
            if not tabs or not name:
                malformed.append(number)
            elif name in places:
                repeated.append((number, name.decode("utf-8", "surrogateescape")))
            else:
                places[name] = begin << _LENGTH_BITS | length
        self.rows, self.repeated, self.malformed = rows, repeated, malformed
        return places

    def read_bytes(self, name: str) -> bytes:
        """See `ImageSource`."""
        place = self._index().get(name.encode("utf-8", "surrogateescape"))
        if place is None:
            raise MissingImageError(f"{self.label(name)}: {self.location} has no row with the id '{name}'.")
        begin, length = place >> _LENGTH_BITS, place & (1 << _LENGTH_BITS) - 1
        check_length(length, self.label(name))
        with _open(self.location) as file:
            return _decode_base64(_read(file, self.location, begin, length), self.label(name))

    def stamp(self, name: str) -> str | None:
        """See `ImageSource`; the stamp of the whole file, so that nothing needs to be read for it."""
        return _stamp(self.location)

    def names(self) -> list[str]:
        """See `ImageSource`."""
        return sorted(name.decode("utf-8", "surrogateescape") for name in self._index())

    def tables(self) -> list[ImageTable]:
        """See `ImageSource`."""
        return [self]


def _scan(path: str) -> Iterator[tuple[bytes, int, int, int]]:
    """(beginning, number of tabs, where the last column begins, its length) of each row; holds one chunk at a time."""
    head, tabs, column, offset = b"", 0, 0, 0
    with _open(path) as file:
        while chunk := _read(file, path, offset, _CHUNK):
            place = 0
            while place < len(chunk):
                line_end = chunk.find(b"\n", place)
                end = len(chunk) if line_end < 0 else line_end
                if (last := chunk.rfind(b"\t", place, end)) >= 0:
                    tabs += chunk.count(b"\t", place, end)
                    column = offset + last + 1
                if len(head) < _LONGEST_ID:
                    head += chunk[place : min(end, place + _LONGEST_ID)]
                if line_end >= 0:
                    yield head.removeprefix(b"\xef\xbb\xbf"), tabs, column, offset + end - column
                    head, tabs = b"", 0
                place = end + 1
            offset += len(chunk)
    if head:
        yield head, tabs, column, offset - column


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _decode_base64(text: bytes, name: str) -> bytes:
    """Standard or URL-safe base64, with or without padding or a `data:image/...;base64,` before it."""
    text = text.strip()
    if text.startswith(b"data:"):
        text = text.partition(b",")[2]
    text = text.rstrip(b"=").translate(_URL_SAFE)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ImageError(f"{name} cannot be read: its last column is no base64 ({error}).") from error


def is_remote(path: str) -> bool:
    """Whether TensorFlow reaches it, not the operating system."""
    return "://" in path


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _cannot_read(path: str, error: Exception) -> ImageError:
    """A missing image, or one that is there, by what the system says."""
    gone = isinstance(error, (FileNotFoundError, NotADirectoryError)) or (
        getattr(error, "errno", None) == errno.ENAMETOOLONG or type(error).__name__ == "NotFoundError"  # TensorFlow's
    )
    return (MissingImageError if gone else ImageError)(f"{path} cannot be read: {_reason(error)}.")


def _open(path: str) -> Any:
    if is_remote(path):
        return _gfile().GFile(path, "rb")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageError(f"{path} is not a file.")
        return open(path, "rb", buffering=0)
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from error


def _read(file: Any, path: str, offset: int, length: int) -> bytes:
    """Up to `length` bytes from `offset`; fewer at the end of the file only."""
    try:
        file.seek(offset)
        data = file.read(length)
        while 0 < len(data) < length and (more := file.read(length - len(data))):
            data += more
        return data
    except Exception as error:  # TensorFlow has errors of its own
        raise _cannot_read(path, error) from error


def _read_file(path: str) -> bytes:
    if not is_remote(path):
        try:
            return read_local(path)
        except ImageError as error:
            if isinstance(error.__cause__, OSError):
                raise _cannot_read(path, error.__cause__) from error.__cause__
            raise
    try:
        with _gfile().GFile(path, "rb") as file:
            check_length(file.size(), path)
            return file.read()
    except ImageError:
        raise
    except Exception as error:
        if _is_folder(path):
            raise ImageError(f"{path} cannot be read: it is a folder.") from error
        raise _cannot_read(path, error) from error


def _is_folder(path: str) -> bool:
    return bool(_gfile().isdir(path)) if is_remote(path) else os.path.isdir(path)


def _stamp(path: str) -> str | None:
    try:
        if not is_remote(path):
            found = os.stat(path)
            return f"{found.st_size}-{found.st_mtime_ns}"
        found = _gfile().stat(path)
        if found.mtime_nsec:
            return f"{found.length}-{found.mtime_nsec}"
        return f"{found.length}-{content_hash(_read_file(path))}"  # a store that keeps no times
    except Exception:
        return None


def _local_files(folder: str, unlisted: dict[str, str], leave_out: Callable[[str], bool]) -> Iterator[str]:
    """Files below a folder; each real folder once, so that links in a circle end.

    `leave_out` is asked of each file's and folder's own name. A folder below that cannot be listed goes
    into `unlisted`, with the reason.
    """
    seen: set[tuple[int, int]] = set()
    waiting, links = [""], []
    while waiting or links:
        below = waiting.pop() if waiting else links.pop()
        path = os.path.join(folder, below) if below else folder or "."
        try:
            found = os.stat(path)
            if (found.st_dev, found.st_ino) in seen:
                continue
            seen.add((found.st_dev, found.st_ino))
            if not os.access(path, os.X_OK):  # its names can be listed, but nothing behind them is seen
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            with os.scandir(path) as entries:
                listed = sorted(entry.name for entry in entries if not leave_out(entry.name))
        except OSError as error:
            if not below:
                raise ImageError(f"{path} cannot be listed: {_reason(error)}.") from error
            unlisted[below] = _reason(error)
            continue
        folders, linked = [], []
        for entry in listed:
            name, place = f"{below}/{entry}" if below else entry, os.path.join(path, entry)
            if os.path.isdir(place):
                # Linked folders come last, so that a file goes by its own name rather than a link's.
                (linked if os.path.islink(place) else folders).append(name)
            elif os.path.isfile(place):
                yield name
        waiting += reversed(folders)
        links += reversed(linked)


def _remote_files(folder: str, leave_out: Callable[[str], bool]) -> Iterator[str]:
    try:
        if not _gfile().isdir(folder):
            raise ImageError(f"{folder} cannot be listed: there is no such folder.")
        for path, _, files in _gfile().walk(folder):
            below = path[len(folder.rstrip("/")) :].strip("/")
            if not any(map(leave_out, below.split("/"))):
                yield from (f"{below}/{file}" if below else file for file in files if not leave_out(file))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{folder} cannot be listed: {_reason(error)}.") from error
