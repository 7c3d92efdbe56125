"""Parquet files with images as bytes, as Hugging Face datasets write them."""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from caption_tx.data.images.decoding import content_hash
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.parquet_columns import (
    base_of,
    describe_columns,
    has_bytes,
    image_column,
    image_columns,
    is_image_list,
)
from caption_tx.data.images.stores import file_stamp, is_remote
from caption_tx.data.images.suffixes import similar_id
from caption_tx.errors import ImageError, MissingImageError

PARQUET_SUFFIX = ".parquet"

_MAX_GROUP_BYTES = 2 << 30
_CACHED_GROUPS = 2
_BATCH_ROWS = 64
_ID_WORDS = re.compile(
    r"image|img|photo|picture|file|name|path|\bid\b|_id|\b(?:__)?key(?:__)?\b|url|link|\bsrc\b|\buri\b|图|照片|文件",
    re.IGNORECASE,
)


class ImageParquet(ImageSource):
    """A Parquet file with an image in each row: `{"bytes": .., "path": ..}`, a list of one such object, or bytes.

    The name of an image is its path. Rows without one, and different images with the same path, are named by their
    number: "row 1", "row 2" and so on. Values of other columns that hold ids or file names are understood too.

    Attributes:
        rows: number of rows; 0 before the file is indexed.
        repeated, malformed: empty; see `ImageTable`.

    Raises:
        ImageError: the file has no column of images, or is not a Parquet file.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.rows = 0
        self.repeated: list[tuple[int, str]] = []
        self.malformed: list[int] = []
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[int, str], Any] = OrderedDict()
        self._others: dict[str, dict[str, int]] = {}
        self._index: dict[str, int] = {}
        self._names: list[str] = []
        self._renamed: set[str] = set()
        if is_remote(location):
            raise ImageError(f"{location} is on a remote store; copy it here first: Parquet files must be local.")
        self._file: Any = None

    def read_bytes(self, name: str) -> bytes:
        """See `ImageSource`."""
        with self._lock:
            self._open()
            column, row = self._column, self._index.get(name)
            if row is None and (found := self._in_other_column(name)) is not None:
                column, row = found
            if row is None and (other := similar_id(name, self._index)) is not None:
                row = self._index[other]
                self._renamed.add(name)
            if row is None:
                raise MissingImageError(f"{self.label(name)}: {self.location} has no image '{name}'.")
            try:
                data = self._read_row(row, column)
            except ImageError:
                raise
            except Exception as error:  # a damaged file raises nearly any exception from inside the decoders
                raise ImageError(f"{self.label(name)} cannot be read: {_one_line(error)}.") from error
        if not data:
            raise ImageError(f"{self.label(name)} cannot be read: row {row + 1:,} has no bytes.")
        return data

    def stamp(self, name: str) -> str | None:
        """See `ImageSource`. This is the stamp of the whole file."""
        return file_stamp(self.location)

    def names(self) -> list[str]:
        """See `ImageSource`. In the order of the rows."""
        with self._lock:
            self._open()
        return list(dict.fromkeys(self._names))

    def notes(self) -> list[str]:
        """See `ImageSource`."""
        count = len(self._renamed)
        return [f"{self.location}: {count:,} image names found after ignoring the suffix"] if count else []

    def tables(self) -> list[ImageSource]:
        """See `ImageSource`."""
        return [self]

    def _open(self) -> None:
        """Opens and indexes the file."""
        if self._file is not None:
            return
        import pyarrow.parquet

        try:
            file = pyarrow.parquet.ParquetFile(self.location)
            column = image_column(file)
            if column is None:
                raise ImageError(
                    f"{self.location} has no column of images: expected bytes, or objects with bytes and path, found "
                    f"{describe_columns(file)}."
                )
            self._names = embedded_names(file, column)
            self._index = _index(file, self._names)
        except FileNotFoundError as error:
            raise MissingImageError(f"{self.location} cannot be read: {error.strerror}.") from error
        except ImageError:
            raise
        except Exception as error:
            raise ImageError(f"{self.location} is not a readable Parquet file: {_one_line(error)}.") from error
        sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        self._file, self._column, self.rows = file, column, len(self._names)
        self._starts = [0, *accumulate(sizes)]

    def _in_other_column(self, name: str) -> tuple[str, int] | None:
        """The column and row of an image that `embedded_names` names after a column that is not the usual one."""
        base = name.partition("/")[0]
        column = next((item for item, _ in image_columns(self._file) if base_of(item) == base), None)
        if column in (None, self._column):
            return None
        if column not in self._others:
            names = embedded_names(self._file, column)
            self._others[column] = {text: row for row, text in reversed(list(enumerate(names)))}
        row = self._others[column].get(name)
        return None if row is None else (column, row)

    def _read_row(self, row: int, column: str) -> bytes | None:
        number = bisect_right(self._starts, row) - 1
        group = (number, column)
        if group not in self._groups:
            metadata = self._file.metadata.row_group(number)
            if metadata.total_byte_size > _MAX_GROUP_BYTES:
                raise ImageError(
                    f"{self.location}: row group {number} has {metadata.total_byte_size:,} bytes, too many to read at "
                    "once; write the file again with small row groups, e.g. row_group_size=100."
                )
            self._groups[group] = self._file.read_row_group(number, columns=[column]).column(0)
            if len(self._groups) > _CACHED_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        return _bytes_of(self._groups[group][row - self._starts[number]].as_py())


def embedded_names(file: Any, column: str) -> list[str]:
    """The name of the image in each row: its path, or "row 1", "row 2" .. where that is missing or ambiguous.

    Names in another column than the usual one begin with it, as in `image_after/1.jpg`, if it has bytes.

    Args:
        file: a `pyarrow.parquet.ParquetFile`.
        column: of the images, see `image_column`.
    """
    names = _names_in(file, column)
    if column == image_column(file) or not has_bytes(file, column):
        return names
    return [f"{base_of(column)}/{name}" for name in names]


def _names_in(file: Any, column: str) -> list[str]:
    count = file.metadata.num_rows
    rows = [f"row {number}" for number in range(1, count + 1)]
    base, separator, _ = column.partition(".")
    kind = file.schema_arrow.field(base).type
    if not separator and not is_image_list(kind):
        return rows
    if (kind if separator else kind.value_type).get_field_index("path") < 0:
        return rows
    paths = []
    for value in _path_values(file, base):
        value = _only_item(value)
        paths.append(value and value.get("path"))
    paths = [path if isinstance(path, str) and path.strip() else None for path in paths]
    known = [path for path in paths if path]
    ambiguous = set() if len(set(known)) == len(known) else _ambiguous(file, column, paths)
    return [path if path and path not in ambiguous else row for path, row in zip(paths, rows, strict=True)]


def rows_of_shared_names(file: Any, column: str, names: list[str | None]) -> set[int]:
    """The rows, from 0, whose name belongs to several images, such as a URL that was downloaded twice.

    Args:
        file: a `pyarrow.parquet.ParquetFile`.
        column: of the images, see `image_column`.
        names: of the images, one per row.
    """
    known = [name for name in names if name]
    ambiguous = set() if len(set(known)) == len(known) else _ambiguous(file, column, names)
    return {row for row, name in enumerate(names) if name in ambiguous}


def count_several(file: Any, column: str) -> int:
    """The number of rows with several images in a column of lists."""
    if not is_image_list(file.schema_arrow.field(column.partition(".")[0]).type):
        return 0
    return sum(value is not None and len(value) > 1 for value in _path_values(file, column))


def _path_values(file: Any, base: str) -> Iterator[Any]:
    """The values of a column of images, without the bytes if they have paths."""
    columns = [item.path for item in (file.schema.column(index) for index in range(len(file.schema)))]
    paths = [path for path in columns if path.startswith(f"{base}.") and path.endswith(".path")]
    for batch in file.iter_batches(_BATCH_ROWS, columns=paths or [base]):
        yield from batch.column(0).to_pylist()


def _ambiguous(file: Any, column: str, paths: list[str | None]) -> set[str]:
    """Paths of different images."""
    contents: dict[str, str] = {}
    ambiguous: set[str] = set()
    row = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=[column]):
        for value in batch.column(0).to_pylist():
            path, data = paths[row], _bytes_of(value)
            row += 1
            if path and data and contents.setdefault(path, digest := content_hash(data)) != digest:
                ambiguous.add(path)
    return ambiguous


def _index(file: Any, names: list[str]) -> dict[str, int]:
    """Name -> row, also for the values of columns with ids or file names. The first row of a name counts."""
    import pyarrow.types as types

    index: dict[str, int] = {}
    for row, name in enumerate(names):
        index.setdefault(name, row)
    schema = file.schema_arrow
    for position, column in enumerate(schema.names):
        kind = schema.field(position).type
        numeric = types.is_integer(kind) or types.is_floating(kind)
        if not _ID_WORDS.search(column) or not (numeric or types.is_string(kind) or types.is_large_string(kind)):
            continue
        values = file.read(columns=[column]).column(0).to_pylist()
        for row, value in enumerate(values):
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if value is not None:
                index.setdefault(str(value), row)
    return index


def _bytes_of(value: Any) -> bytes | None:
    value = _only_item(value)
    return value.get("bytes") if isinstance(value, dict) else value


def _only_item(value: Any) -> Any:
    """The item of a list of one; None for other lists; other values unchanged."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
