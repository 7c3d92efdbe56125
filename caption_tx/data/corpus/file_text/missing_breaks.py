"""Rows of a table that share a line, since files without a final line break were joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from caption_tx.data.corpus.column_names import CAPTION_WORDS, IMAGE_WORDS, SPLIT_WORDS, normalize_name
from caption_tx.data.corpus.names.image_files import ImageFiles
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.text.text_files import TextFile

_SEPARATORS = "\t,;|"
_ENDINGS = "|".join(re.escape(suffix[1:]) for suffix in IMAGE_SUFFIXES)
_NAME = re.compile(rf"\.(?:{_ENDINGS})(?:#\w+)*\"?(?=[{_SEPARATORS}]|(?<=#\d)[ ])", re.IGNORECASE)
_NUMBERS = re.compile(r"(?:#\w+)+\Z")
_ASCII_NAME = re.compile(r"[\w.()-]*\Z", re.ASCII)
_MAX_NAME = 120
_NAMES = frozenset((*IMAGE_WORDS, *CAPTION_WORDS, *SPLIT_WORDS))
_HEADER_WORDS = tuple(sorted((*IMAGE_WORDS, *CAPTION_WORDS, "image", "caption"), key=len, reverse=True))


@dataclass(frozen=True)
class SplitFile(TextFile):
    """A text file whose lines with several rows are split.

    Args:
        inner: the file as it is.
        splits: line number -> positions in the line where a row begins.
        unknown: line number -> the name before which a line break seems to be missing.
    """

    inner: TextFile | None = None
    splits: dict[int, list[int]] | None = None
    unknown: dict[int, str] | None = None
    note: str = ""

    @property
    def notes(self) -> dict[str, int]:
        """What was changed, with counts."""
        return {self.note: sum(map(len, self.splits.values()))} if self.splits else {}

    def lines(self, on_error: Callable[[int, str, str], None]) -> Iterator[tuple[int, str]]:
        """See `TextFile`; rows that share a line have its number, and lines that cannot be split are errors."""
        splits, unknown = self.splits or {}, self.unknown or {}
        for number, line in (self.inner or self).lines(on_error):
            if number in unknown:
                name = unknown[number]
                message = f"a line break is missing before {name}, as in files that were joined; add it"
                on_error(number, f"a line break is missing before {name}", message)
                continue
            start = 0
            for position in splits.get(number, ()):
                yield number, line[start:position]
                start = position
            yield number, line[start:]


def open_split(file: TextFile, files: ImageFiles | None) -> SplitFile | None:
    """A file as one whose lines have one row each; None if no line has several.

    A row begins in a line where a name of an image file or of another row follows a text, or where the header does, if
    both parts then have as many cells as other lines.

    Args:
        file: a table of text.
        files: of the image folder.

    Raises:
        CorpusError: the file cannot be read.
    """
    lines = _Lines(file.lines(lambda *error: None))
    if not lines.candidates:
        return None
    known = lines.names | (files.names() if files else set())
    splits: dict[int, list[int]] = {}
    unknown: dict[int, str] = {}
    first = ""
    for number, line in lines.candidates.items():
        starts, name = _row_starts(line, lines, known)
        if name:
            unknown[number] = name
        elif starts:
            splits[number] = starts
            first = first or f"line {number}, before {line[starts[0] :].strip()[:20]!r}"
    if not splits and not unknown:
        return None
    note = f"line breaks that are missing between rows, added (such as in {first})"
    return SplitFile(file.path, file.encoding, file.source, inner=file, splits=splits, unknown=unknown, note=note)


class _Lines:
    """What the lines of a table have in common, and those that could have several rows."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self.separator = self.header = ""
        self.candidates: dict[int, str] = {}
        self.names: set[str] = set()
        counts: Counter[int] = Counter()
        names: set[str] = set()
        for number, line in lines:
            if not line.strip():
                continue
            if not self.separator:
                self.header = line.strip()
                self.separator = next((sign for sign in _SEPARATORS if sign in line), " ")
            count = line.count(self.separator)
            counts[count] += 1
            names.add(line[: line.find(self.separator)] if count else line)
            if count > 1 and self._may_have_rows(line):
                self.candidates[number] = line
        self.separator = self.separator or "\t"
        self.names = set(map(_plain, names)) if self.candidates else set()
        self.names.discard("")
        usual = min(counts, key=lambda count: (-counts[count], count), default=0)
        has_header = set(map(normalize_name, self.header.split(self.separator))) & _NAMES
        usual = 1 if self.separator == " " else usual
        self.width = max(1, self.header.count(self.separator) if has_header else usual)
        wide = ((number, line) for number, line in self.candidates.items() if self._is_wide(line))
        self.candidates = dict(wide)

    def _may_have_rows(self, line: str) -> bool:
        """Whether a line with at least two separators could have several rows."""
        if self.separator == "\t":
            return True
        first = line.find(self.separator)
        return _NAME.search(line, first + 1) is not None or _header_start(line, self.separator, None) > 0

    def _is_wide(self, line: str) -> bool:
        return line.count(self.separator) >= 2 * self.width


def _row_starts(line: str, lines: _Lines, known: set[str]) -> tuple[list[int], str]:
    """Where rows begin in a line, and the name that seems to begin one but is not known."""
    starts: list[int] = []
    separator, width = lines.separator, lines.width
    row, last = 0, ""
    for end in _name_ends(line, separator):
        part = line[row:end]
        cell = part.rfind(separator) + 1
        if cell == 0 or not _fits(line, row, end, separator, width):
            continue
        if (start := _known_start(part[cell:], known)) > 0:
            row += cell + start
            starts.append(row)
        elif start < 0 and _is_unknown(part[cell:], separator):
            last = last or _last_name(part[cell:])
    if (start := _header_start(line[row:], separator, lines)) > 0 and line[row:].count(separator) >= 2 * width:
        starts.append(row + start)
    return starts, last if not starts else ""


def _name_ends(line: str, separator: str) -> list[int]:
    """Where cells end that could end with the name of another row: with a suffix, or between tabs with any text."""
    ends = [match.end() for match in _NAME.finditer(line)]
    if separator == "\t":
        ends += [at for at, sign in enumerate(line) if sign == "\t"]
    return sorted(set(ends))


def _fits(line: str, row: int, end: int, separator: str, width: int) -> bool:
    """Whether the parts before and after a name have the cells of a row, and quotes are closed before it."""
    before, after = line[row:end], line[end:]
    return before.count('"') % 2 == 0 and before.count(separator) >= width and after.count(separator) >= width


def _plain(name: str) -> str:
    """A name as names are compared: in lower case, without quotes, `./` and the number of a caption."""
    return _NUMBERS.sub("", name.strip().strip('"')).removeprefix("./").casefold()


def _known_start(cell: str, known: set[str]) -> int:
    """Where the longest known name at the end of a cell begins, behind other text; 0 if it is the cell, -1 if none."""
    if _plain(cell) in known:
        return 0
    for start in range(max(1, len(cell) - _MAX_NAME), len(cell) - 1):
        before, name = cell[start - 1], cell[start:]
        is_inside = before in "/\\_-." or "A" <= before <= "Z" or ("0" <= before <= "9" and name[0].isdecimal())
        is_word = "." not in name and before.isascii() and before.isalnum()
        name = name[1:-1] if name[0] == name[-1] == '"' else name
        is_separate = not before.isspace() and not name[:1].isspace() and '"' not in name
        is_separate = is_separate and not is_inside and not is_word and cell[:start].count('"') % 2 == 0
        if is_separate and _plain(name) in known:
            return start
    return -1


def _is_unknown(cell: str, separator: str) -> bool:
    """Whether a cell is a text that ends with a file name, glued to it."""
    name = _last_name(cell)
    is_file = _NAME.search(cell + separator) is not None
    return (
        separator != " "
        and is_file
        and len(name) < len(cell.strip('"'))
        and not cell[-len(name) - 1].isspace()
        and "/" not in cell
    )


def _last_name(cell: str) -> str:
    match = _ASCII_NAME.search(_NUMBERS.sub("", cell.rstrip('"')))
    return match[0] if match else ""


def _header_start(line: str, separator: str, lines: _Lines | None) -> int:
    """Where the header, or one of usual names, begins at the end of a line behind other text; 0 if it does not."""
    text = line.rstrip()
    has_header = lines is not None and set(map(normalize_name, lines.header.split(separator))) & _NAMES
    if lines is not None and has_header and text != lines.header and text.endswith(lines.header):
        return len(text) - len(lines.header)
    cells = text.split(separator)
    width = 1 if lines is None else lines.width
    if len(cells) <= width or normalize_name(cells[-1]) not in _NAMES:
        return 0
    if any(normalize_name(cell) not in _NAMES for cell in cells[-width:]):
        return 0
    first = cells[-width - 1]
    word = next((word for word in _HEADER_WORDS if first.lower().endswith(word) and len(first) > len(word)), "")
    before = first[: -len(word)][-1:] if word else ""
    is_inside = not word or before.isspace() or (before.isascii() and before.isalnum())
    return 0 if is_inside else len(text) - len(separator.join([word, *cells[-width:]]))
