"""Open a folder or a table of images, local or on a remote store, as an `ImageSource`.

An image's name is its path relative to the folder, with "/", or its id in the table. `images.tsv/1000002` is row
1000002 of a table in the folder; so is `train.parquet/cat.jpg` of a Parquet file.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from caption_tx.config import Config
from caption_tx.data.images.file_names import FolderNames, undecoded_note
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.parquet_images import PARQUET_SUFFIX, ImageParquet
from caption_tx.data.images.stores import (
    check_address,
    explain_file,
    file_stamp,
    is_folder,
    is_remote,
    list_files,
    read_file,
)
from caption_tx.data.images.suffixes import explain_unreadable, readable_suffixes, suffix_of
from caption_tx.data.images.system_files import is_system_name, left_out_note, list_left_out
from caption_tx.data.images.tables import TABLE_SUFFIX, ImageTable
from caption_tx.errors import ConfigError, ImageError


def require_images(config: Config) -> None:
    """Raises a ConfigError if there is no image folder, or if it is an archive or another file."""
    location = config.corpus.images
    if not location:
        raise ConfigError("No image folder; name it with images (--images).")
    if not is_remote(location) and not os.path.exists(location):
        raise ConfigError(f"Image folder '{location}' does not exist; name it with images (--images).")
    if advice := explain_file(location, (TABLE_SUFFIX, PARQUET_SUFFIX)):
        raise ConfigError(f"images (--images): {advice}")


def require_some(images: ImageSource, names: Iterable[str]) -> None:
    """Raises a ConfigError if a local location has none of the images, since it is probably the wrong one."""
    names = list(names)
    if names and not is_remote(images.location) and all(images.stamp(name) is None for name in names):
        raise ConfigError(
            f"None of the {len(names):,} images of the captions is in '{images.location}', for example {names[0]!r}; "
            "check images (--images) and the names."
        )


def open_images(location: str) -> ImageSource:
    """Opens a folder of images, a table of images (TSV), or a Parquet file with images.

    A location that does not exist is not an error here: all of its images are missing.

    Args:
        location: a path, local or on a remote store that TensorFlow supports (`gs://...`). With "" a name is a path.

    Raises:
        ImageError: the TSV file does not begin with a row that has a tab, or the location is a web address, an archive
            or another file.

    Example:
        >>> images = open_images("photos")
        >>> content, pixels = images.read_image("pets/cat.jpg", 224)  # uint8 (224, 224, 3)
    """
    check_address(location)
    if location.endswith(TABLE_SUFFIX) and not is_folder(location):
        return ImageTable(location)
    if location.endswith(PARQUET_SUFFIX) and not is_folder(location):
        return ImageParquet(location)
    if advice := explain_file(location):
        raise ImageError(advice)
    return ImageFolder(location)


def _open_table(path: str) -> ImageTable | ImageParquet:
    return ImageParquet(path) if path.endswith(PARQUET_SUFFIX) else ImageTable(path)


class ImageFolder(ImageSource):
    """A folder of image files and of tables of images (`NAME.tsv`)."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._tables: dict[str, ImageTable | ImageParquet | None] = {}
        self._unreadable: Counter[str] = Counter()
        self._renamed: Counter[str] = Counter()
        self._skipped: list[str] = []
        self._lock = threading.Lock()

    def read_bytes(self, name: str) -> bytes:
        """See `ImageSource`."""
        if row := self._table_row(name):
            table, row_id = row
            return table.read_bytes(row_id)
        return read_file(self.label(name))

    def stamp(self, name: str) -> str | None:
        """See `ImageSource`."""
        if row := self._table_row(name):
            table, row_id = row
            return table.stamp(row_id)
        return file_stamp(self.label(name))

    def names(self) -> list[str]:
        """See `ImageSource`. Rows of tables are not listed."""
        return sorted(self.walk())

    def walk(self) -> Iterator[str]:
        """See `ImageSource`. The files of a folder come before those of its subfolders, each sorted."""
        self.unlisted, self._unreadable, self._renamed, self._skipped = {}, Counter(), Counter(), []
        suffixes, names = readable_suffixes(), FolderNames(self.location)
        for name in list_files(self.location, is_system_name, self.unlisted, self._skipped):
            if name.lower().endswith(suffixes):
                if encoding := names.encoding_of(name):
                    self._renamed[encoding] += 1
                yield names.decode(name)
            elif suffix := suffix_of(name):
                self._unreadable[suffix] += 1

    def tables(self) -> list[ImageSource]:
        """See `ImageSource`."""
        with self._lock:
            return [table for _, table in sorted(self._tables.items()) if table is not None]

    def notes(self) -> list[str]:
        """See `ImageSource`. About the files that `names` or `walk` listed, and the tables that were read."""
        notes = [f"{self.location}: {text}" for text in [explain_unreadable(self._unreadable)] if text]
        if left_out := list_left_out(self.location, self._skipped):
            notes.append(f"{self.location}: {len(left_out):,} {left_out_note(left_out)}")
        for encoding, count in self._renamed.items():
            notes.append(f"{self.location}: {count:,} {undecoded_note(encoding)}")
        return notes + [note for table in self.tables() for note in table.notes()]

    def _table_row(self, name: str) -> tuple[ImageTable | ImageParquet, str] | None:
        """The table and the row id that `name` refers to, or None if it refers to a file."""
        match = re.match(rf"(.*?(?:{re.escape(TABLE_SUFFIX)}|{re.escape(PARQUET_SUFFIX)}))/(.*)", name, re.DOTALL)
        if not match:
            return None
        path, row_id = self.label(match[1]), match[2]
        with self._lock:
            if path not in self._tables:
                self._tables[path] = None if is_folder(path) else _open_table(path)
            table = self._tables[path]
        return None if table is None else (table, row_id)
