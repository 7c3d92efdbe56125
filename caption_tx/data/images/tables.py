"""Tables of images: TSV files with one image in base64 per row."""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from caption_tx.data.images.decoding import check_length
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.stores import file_stamp, open_file, read_range
from caption_tx.data.images.suffixes import similar_id
from caption_tx.errors import ImageError, MissingImageError

TABLE_SUFFIX = ".tsv"

_CHUNK = 4 * 2**20
_LONGEST_ID = 64 * 1024
_LENGTH_BITS = 40
_EXPECTED = "expected rows of id<TAB>base64, or of id<TAB>image id<TAB>caption<TAB>objects<TAB>base64"
_ID = re.compile(r"[\w.\-/\\]*\d[\w.\-/\\]*", re.ASCII)
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


class ImageTable(ImageSource):
    """A TSV file with one image in base64 per row. If an id is repeated, the first row is used.

    MUGE (ECommerce-IC) and Chinese-CLIP write `id<TAB>base64`. OFA writes
    `id<TAB>image id<TAB>caption<TAB>objects<TAB>base64`, where the image id is the name. The file is indexed in one
    pass when the first image is read; the index takes about 150 bytes per row.

    Attributes:
        rows: number of rows without blank lines; 0 before the file is indexed.
        repeated: (line, id) of rows whose id an earlier row has.
        malformed: lines without a tab or without an id.
        wrapped: number of rows whose base64 continues on the following lines; the lines are joined.

    Raises:
        ImageError: the file does not begin with a row that has a tab.
    """

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.rows = 0
        self.repeated: list[tuple[int, str]] = []
        self.malformed: list[int] = []
        self.wrapped = 0
        self._renamed: set[str] = set()
        self._index: dict[bytes, int] | None = None
        self._lock = threading.Lock()
        if file_stamp(location) is not None:
            with open_file(location) as file:
                begin = read_range(file, location, 0, _LONGEST_ID)
            if b"\t" not in begin:
                raise ImageError(f"{location} is not a table of images: it has no tab near its beginning; {_EXPECTED}.")

    def index(self) -> dict[bytes, int]:
        """Id -> offset and length of its base64, packed into one integer to save memory."""
        with self._lock:
            if self._index is None:
                self._index = self._build_index()
            return self._index

    def _build_index(self) -> dict[bytes, int]:
        index: dict[bytes, int] = {}
        rows, repeated, malformed = 0, [], []
        image, start, wrapped = b"", 0, 0
        previous: _Row | None = None  # the row that a line without a tab may continue
        in_quotes = False  # whether a quote before its base64 is open
        for line, row in enumerate(_scan(self.location), 1):
            if previous is not None and (_continues(previous, row) or (in_quotes and not row.tabs)):
                in_quotes = in_quotes and not row.tail.endswith(b'"')
                if index.get(image, 0) >> _LENGTH_BITS == start:
                    index[image] = start << _LENGTH_BITS | (row.offset + row.length - start)
                wrapped += previous.tabs > 0
                previous = row
                continue
            columns = row.head.split(b"\t", 3)[:3]
            texts = [column.decode("utf-8", "replace") for column in columns] if row.tabs > 2 else []
            name = columns[name_column(texts, row.tabs)].strip()
            image, start, previous = name, row.offset, row if row.tabs and name else None
            in_quotes = row.is_quoted and not row.tail.endswith(b'"')
            if not row.tabs and not name:
                continue
            rows += 1
            if not row.tabs or not name:
                malformed.append(line)
            elif name in index:
                repeated.append((line, name.decode("utf-8", "surrogateescape")))
            else:
                index[name] = row.offset << _LENGTH_BITS | row.length
        self.rows, self.repeated, self.malformed, self.wrapped = rows, repeated, malformed, wrapped
        return index

    def read_bytes(self, name: str) -> bytes:
        """See `ImageSource`."""
        index = self.index()
        entry = index.get(name.encode("utf-8", "surrogateescape"))
        if entry is None and (other := similar_id(name, _Ids(index))) is not None:
            entry = index[other.encode("utf-8", "surrogateescape")]
            self._renamed.add(name)
        if entry is None:
            raise MissingImageError(f"{self.label(name)}: {self.location} has no row with the id '{name}'.")
        offset, length = entry >> _LENGTH_BITS, entry & (1 << _LENGTH_BITS) - 1
        check_length(length, self.label(name))
        with open_file(self.location) as file:
            return _decode_base64(read_range(file, self.location, offset, length), self.label(name))

    def stamp(self, name: str) -> str | None:
        """See `ImageSource`. This is the stamp of the whole file, so that the file need not be read."""
        return file_stamp(self.location)

    def names(self) -> list[str]:
        """See `ImageSource`."""
        return sorted(name.decode("utf-8", "surrogateescape") for name in self.index())

    def notes(self) -> list[str]:
        """See `ImageSource`."""
        texts = []
        if self.wrapped:
            texts.append(f"the base64 of {self.wrapped:,} of {self.rows:,} rows is wrapped; its lines are joined")
        if self._renamed:
            texts.append(f"{len(self._renamed):,} image names found after ignoring the suffix")
        return [f"{self.location}: {text}" for text in texts]

    def tables(self) -> list[ImageSource]:
        """See `ImageSource`."""
        return [self]


@dataclass(slots=True)
class _Row:
    """A row of a table.

    Its beginning, its number of tabs, offset and length of its last column in the file, its own length, its end, and
    whether its last column begins with a quote.
    """

    head: bytes
    tabs: int
    offset: int
    length: int
    line_length: int
    tail: bytes
    is_quoted: bool


class _Ids:
    """The ids of an index, as text."""

    def __init__(self, index: dict[bytes, int]) -> None:
        self._index = index

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("utf-8", "surrogateescape") in self._index


_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}\s*")
_TAIL = 24
_LONGEST_WRAPPED = 4096
_IMAGE_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # JPEG, PNG


def name_column(columns: list[str], tabs: int) -> int:
    """The position of the image's name in a row with a number of tabs: 0, or 1 after OFA's uniq-id.

    Example:
        >>> name_column(["1", "im7", "a dog"], 4), name_column(["im7", "a dog", "/9j/.."], 2)
        (1, 0)
    """
    has_ids = tabs == 3 and len(columns) > 2 and _ID.fullmatch(columns[1].strip()) is not None
    return int(has_ids or (tabs >= 4 and len(columns) > 2))


def _continues(previous: _Row, row: _Row) -> bool:
    """Whether a line continues the base64 of the line before, which a tool has wrapped at 76 or so columns.

    Other lines without a tab are ids without an image: the base64 before them is complete, or is on a longer line.
    """
    if row.tabs or not previous.tail or previous.tail.endswith(b"=") or previous.length > _LONGEST_WRAPPED:
        return False
    if row.length > previous.line_length or not _BASE64_LINE.fullmatch(row.head):
        return False
    if not previous.tabs:
        return True
    rest = previous.length % 4  # without padding
    end = previous.tail[-min(previous.length, _TAIL - 4 + rest) :].translate(_URL_SAFE_TO_STANDARD)
    return rest == 1 or not base64.b64decode(end + b"=" * (-rest % 4)).endswith(_IMAGE_ENDS)


def _scan(path: str) -> Iterator[_Row]:
    """Yields the rows of a table. Keeps one chunk of the file in memory."""
    head, tail, tabs, line, column, chunk_offset = b"", b"", 0, 0, 0, 0

    def row(end: int) -> _Row:
        begin = head.removeprefix(b"\xef\xbb\xbf")
        end -= tail.endswith(b"\r")
        is_quoted = tabs > 0 and head[column - line : column - line + 1] == b'"'
        return _Row(begin, tabs, column, end - column, end - line, tail.rstrip(b"\r"), is_quoted)

    with open_file(path) as file:
        while chunk := read_range(file, path, chunk_offset, _CHUNK):
            start = 0
            while start < len(chunk):
                line_end = chunk.find(b"\n", start)
                end = len(chunk) if line_end < 0 else line_end
                if (last_tab := chunk.rfind(b"\t", start, end)) >= 0:
                    tabs += chunk.count(b"\t", start, end)
                    column = chunk_offset + last_tab + 1
                if len(head) < _LONGEST_ID:
                    head += chunk[start : min(end, start + _LONGEST_ID)]
                tail = (tail + chunk[max(start, end - _TAIL) : end])[-_TAIL:]
                if line_end >= 0:
                    yield row(chunk_offset + end)
                    head, tail, tabs = b"", b"", 0
                    line = column = chunk_offset + end + 1
                start = end + 1
            chunk_offset += len(chunk)
    if head:
        yield row(chunk_offset)


def _decode_base64(text: bytes, name: str) -> bytes:
    """Decodes standard or URL-safe base64, with or without padding or a `data:image/...;base64,` prefix."""
    text = text.translate(None, b' \t\r\n"')
    if text.startswith(b"data:"):
        text = text.partition(b",")[2]
    text = text.rstrip(b"=").translate(_URL_SAFE_TO_STANDARD)
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ImageError(f"{name} cannot be read: its last column is not base64 ({error}).") from error
