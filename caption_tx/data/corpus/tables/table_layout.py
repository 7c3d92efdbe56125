"""The separator and the header of a table of text, found from its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from caption_tx.data.corpus.column_names import IMAGE_WORDS, caption_key, image_rank, normalize_name
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.tables.columns import NAMES_FILES, Columns, ReadOptions, Values, select_columns
from caption_tx.data.corpus.tables.row_names import NOTE as ROW_NAMES
from caption_tx.data.corpus.tables.row_names import QUOTED_HEADER, fits_row_names, lacks_row_names
from caption_tx.data.corpus.tables.title_rows import TITLE_LINES, find_header_row
from caption_tx.data.corpus.tables.two_row_headers import join_header
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_name_like, share

SEPARATORS = (
    ",", "\t", "\x1f", "\x01", "\x02", ";", "|||", "||", "|", "，", "；", "@@", "###", "&&", "::", "^", "$", "~", "、",
)  # fmt: skip
"""Separators of columns that are recognized."""

SEPARATOR_NAMES = {"\t": "tabs", ";": "semicolons", "|": "vertical bars", ",": "commas", " ": "spaces"}
_UNIT = "\x1f"
_SEP_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
_PIECE = re.compile(r"(.*)[\t;|]", re.DOTALL)
_SHORT = re.compile(r"^(?:max|min|no|num|nr)\.", re.IGNORECASE)
_SAMPLE_ROWS = 50


@dataclass(frozen=True)
class TableLayout:
    """How a table of text is written.

    Attributes:
        separator: between columns.
        header: names of the columns; for a table without a header their numbers, from "1".
        columns: the columns that are read.
        skipped_lines: number of non-blank lines before the header, or before the data.
        has_header: whether the line after these is a header.
        notes: what is worth reporting.
        num_unnamed: number of columns after the last one with a name.
        has_row_names: whether rows begin with a row name that the header does not have; its name in `header` is empty.
        escapes: whether backslashes are escapes, as in MySQL's exports; None in a file without any before quotes.
    """

    separator: str
    header: list[str]
    columns: Columns
    skipped_lines: int = 0
    has_header: bool = True
    notes: dict[str, int] = field(default_factory=dict)
    num_unnamed: int = 0
    has_row_names: bool = False
    escapes: bool | None = None

    @property
    def caption_is_last(self) -> bool:
        """Whether separators in an unquoted caption can only belong to it."""
        last = len(self.header) - 1
        return self.columns.captions == (last,) and last > 0 and not self.num_unnamed


def split_cells(line: str, separator: str) -> list[str]:
    """The cells of one line; quotes that are not closed are ordinary characters."""
    try:
        line = unify_separator(line, separator)
        separator = csv_delimiter(separator)
        [cells] = csv.reader([line], delimiter=separator, strict=True) if '"' in line else [line.split(separator)]
    except (csv.Error, ValueError):
        cells = line.split(separator)
    return cells


def csv_delimiter(separator: str) -> str:
    """The delimiter for Python's csv module, which takes a single character."""
    return separator if len(separator) == 1 else _UNIT


def unify_separator(line: str, separator: str) -> str:
    """A line with `csv_delimiter(separator)` for the separator."""
    return line if len(separator) == 1 else line.replace(separator, _UNIT)


def find_sep_line(head: FileHead) -> str | None:
    """The separator of the line `sep=;` that Excel writes before a table."""
    match = _SEP_LINE.fullmatch(head.lines[0]) if head.lines else None
    return match[1] if match else None


def _sample(rows: list[list[str]]) -> Values:
    return lambda position: [row[position] if position < len(row) else "" for row in rows]


def _trim(cells: list[str]) -> list[str]:
    """Drops empty cells at the end, which spreadsheets write."""
    cells = list(cells)
    while cells and not cells[-1].strip():
        cells.pop()
    return cells


def find_header(head: FileHead, separators: tuple[str, ...] = SEPARATORS) -> TableLayout | None:
    """The layout of a table whose header names image and caption, or the columns that the user names.

    Raises:
        CorpusError: a column that the user names does not exist, or several could be the caption.
    """
    sep = find_sep_line(head)
    first = 1 if sep else 0
    with_rows: set[str] = set()  # separators of rows above, below which a header is that of another file
    titles: dict[str, int] = {}
    for index in range(first, min(first + TITLE_LINES, len(head.lines))):
        spaces = (" ",) if "," in separators and QUOTED_HEADER.fullmatch(head.lines[index]) else ()
        for separator in (sep,) if sep else (*separators, *spaces):
            if (sep and sep not in separators) or not head.lines[index].strip(separator + " "):
                continue
            if separator not in titles:
                titles[separator] = _count_titles(head, first, separator)
            if index < first + titles[separator]:
                continue
            cells = split_cells(head.lines[index], separator)
            header = _trim(cells)
            if len(header) == 2 and any(map(is_image_name, header)):
                with_rows.add(separator)
            if len(header) < 2 or any(map(is_image_name, header)) or any(len(name) > 100 for name in header):
                continue
            if separator in with_rows and len(header) == 2:
                continue
            if separator != "\t" and any("\t" in name for name in header):  # a row of a table with tabs
                continue
            two = join_header([split_cells(line, separator) for line in head.lines[index : index + 4]])
            header, rows = (header, 1) if two is None else (_trim(two[0]), two[2])
            shifted = _shifted_columns(head, index, cells, separator) if two is None else None
            header = header if shifted is None else ["", *cells]
            columns = shifted or _columns_of_header(head, index + rows - 1, header, separator)
            if columns is not None and is_header(header, columns, head.options, index == first + titles[separator]):
                above = _count_rows(head.lines[first:index], separator)
                notes = _layout_notes(separator, above, "lines before the header")
                notes |= {} if two is None else two[1]
                notes |= {} if shifted is None else {ROW_NAMES: 1}
                unnamed, skipped = max(0, len(cells) - len(header)), first + above + rows - 1
                return TableLayout(separator, header, columns, skipped, True, notes, unnamed, shifted is not None)
    return None


def _count_titles(head: FileHead, first: int, separator: str) -> int:
    """The number of lines of titles above the header of a table, from a line on."""
    lines = head.lines[first : first + _SAMPLE_ROWS]
    return find_header_row([split_cells(line, separator) for line in lines], head.options)


def _count_rows(lines: list[str], separator: str) -> int:
    """The number of rows with text in lines above a header, in which a quoted title may have line breaks."""
    if separator != "\t" and any('"' in line for line in lines):
        texts = (unify_separator(f"{line}\n", separator) for line in lines)
        try:
            rows = list(csv.reader(texts, delimiter=csv_delimiter(separator), strict=True))
            return sum(any(map(str.strip, row)) for row in rows)
        except csv.Error:
            pass
    return sum(bool(line.strip(separator + " ")) for line in lines)


def _shifted_columns(head: FileHead, index: int, cells: list[str], separator: str) -> Columns | None:
    """The columns of a table whose header lacks the name of its row names, so that all names are one place too early.

    Raises:
        CorpusError: a column that the user names does not exist, or several could be the caption.
    """
    lines = head.lines[index + 1 : index + 1 + _SAMPLE_ROWS]
    if not any(len(split_cells(line, separator)) > len(cells) for line in lines[:3]):
        return None
    rows = [split_cells(line, separator) for line in lines]
    if not lacks_row_names(cells, rows):  # cells with line breaks
        rows = _parse_lines(lines) if separator == "," else []
    if not lacks_row_names(cells, rows):
        return None
    header, sample = ["", *cells], _sample(rows)
    are_quoted = share(lines, lambda line: line.lstrip().startswith('"')) > 0.5
    are_names = share(sample(0), is_image_name) > 0.5
    columns = select_columns(
        header, lambda at: sample(at) if at or are_names else [], head.options, f"{head.path}, line {index + 1}"
    )
    return columns if columns is not None and fits_row_names(columns, header, rows, are_quoted) else None


def _parse_lines(lines: list[str]) -> list[list[str]]:
    """The rows of lines with commas, in whose quoted cells may be line breaks; none if a line is no part of a CSV."""
    try:
        return [row for row in csv.reader(f"{line}\n" for line in lines) if row]
    except csv.Error:
        return []


def is_header(names: list[str], columns: Columns, options: ReadOptions, is_first: bool) -> bool:
    """Whether cells are names of columns: the image or the caption must have a usual name, and both after a title."""
    image, caption = names[columns.image], names[columns.captions[0]]
    if image_rank(image) is None and image_rank(caption) is not None:  # the contents are swapped
        image, caption = caption, image
    has_image = image_rank(image) is not None or options.image_column is not None
    has_caption = caption_key(caption) is not None or bool(options.caption_columns)
    if any(NAMES_FILES in note for note in columns.notes):
        return has_caption
    certain = normalize_name(image) in IMAGE_WORDS or (caption_key(caption) or ("", 1))[1] == 0
    return (has_image and has_caption) or (is_first and certain)


def _columns_of_header(head: FileHead, index: int, header: list[str], separator: str) -> Columns | None:
    rows = [split_cells(line, separator) for line in head.lines[index + 1 : index + 1 + _SAMPLE_ROWS]]
    return select_columns(header, _sample(rows), head.options, f"{head.path}, line {index + 1}")


def _layout_notes(separator: str, lines: int, text: str) -> dict[str, int]:
    notes = {f"{text}, not read": lines} if lines else {}
    return (
        notes
        if separator in ",\t"
        else {f"columns separated by {SEPARATOR_NAMES.get(separator, repr(separator))}": 1, **notes}
    )


def find_contents(head: FileHead) -> TableLayout | None:
    """The layout of a table without a known header, from what its columns contain.

    One column has file names or URLs (or, in two columns with a tab, ids) and another one text.

    Raises:
        CorpusError: several columns could be the caption.
    """
    sep = find_sep_line(head)
    lines = head.lines[1 if sep else 0 :][:_SAMPLE_ROWS]
    if not lines or head.mostly(lambda line: len(line) > 10_000):
        return None
    candidates = []
    for separator in (sep,) if sep else SEPARATORS:
        rows = [split_cells(line, separator) for line in lines]
        titles = find_header_row(rows, head.options)
        above, rows = _count_rows(lines[:titles], separator), rows[titles:]
        width = _common_width(rows)
        if width >= 2:
            candidates.append((separator, rows, width, above))
    candidates.sort(key=lambda candidate: candidate[0] != "\t")  # captions and names have other separators, but no tabs
    for is_name in (is_image_name, is_name_like):
        for separator, rows, width, above in candidates:
            if is_name is is_name_like and not head.options.image_column and (separator != "\t" or width != 2):
                continue
            if layout := _layout_of_contents(head, separator, rows, (width, is_name)):
                notes = {"lines before the header, not read": above} if above else {}
                return replace(layout, skipped_lines=layout.skipped_lines + above, notes=layout.notes | notes)
    return None


def _common_width(rows: list[list[str]]) -> int:
    """The smallest number of cells that nine rows in ten have: separators in captions make some rows wider.

    Rows of one width have the columns of the row with the last cell that is not empty.
    """
    widths = sorted(len(_trim(row)) for row in rows)
    if len(set(map(len, rows))) == 1:
        return widths[-1]
    return widths[len(widths) // 10]


def _layout_of_contents(
    head: FileHead, separator: str, rows: list[list[str]], rule: tuple[int, Callable[[Any], bool]]
) -> TableLayout | None:
    width, is_name = rule
    values = _sample(rows)
    names = [position for position in range(width) if share(values(position), _whole(is_name, separator)) >= 0.5]
    if (head.options.image_column or "").isdecimal():
        names = [int(head.options.image_column or 0) - 1]
    if is_name is is_name_like and len(names) == 2:
        names = names[:1]
    if len(names) > 1 and is_name is is_image_name:  # a file name beside a URL
        files = [position for position in names if share(values(position), lambda cell: "://" in cell) < 0.5]
        names = (files or names)[:1]
    if len(names) != 1 or not 0 <= names[0] < width:
        return None
    name = names[0]
    sep_lines = 1 if find_sep_line(head) else 0
    first_row = [cell.strip() for cell in rows[0]]
    has_header = (
        len(rows) > 1
        and len(first_row) >= width
        and not is_name(first_row[name])
        and share(values(name)[1:], is_name) > 0.9
        and all(first_row[at] or at == name == 0 for at in range(width))  # row names have none in R and pandas
        and all(len(cell) <= 40 and not re.search("[。，,!.]", _SHORT.sub("", cell)) for cell in first_row[:width])
    )
    header = first_row if has_header else [str(position + 1) for position in range(width)]
    columns = _columns_of_contents(head, header, rows[1:] if has_header else rows, name)
    if columns is None:
        return None
    notes = _layout_notes(separator, 0, "")
    if has_header:
        notes["columns found by their contents, since the header has other names"] = 1
    elif name > columns.captions[0]:
        notes["image names read from the column after the caption"] = 1
    return TableLayout(separator, header, columns, sep_lines, has_header, notes)


def _whole(is_name: Callable[[Any], bool], separator: str) -> Callable[[Any], bool]:
    """Tests for names that are not the end of a caption, another separator and a name, such as ` in a hat|1.jpg`."""
    if separator == "\t":
        return is_name

    def test(cell: Any) -> bool:
        if not is_name(cell):
            return False
        before = match[1] if (match := _PIECE.match(cell)) else ""
        is_caption = re.search(r"[^\W\d_]", before) and not (before.isascii() and " " not in before)
        return "\t" not in cell and (not is_caption or "://" in before)

    return test


def _columns_of_contents(head: FileHead, header: list[str], rows: list[list[str]], name: int) -> Columns | None:
    """The columns of a table by their contents; with two columns, the other one is the caption."""
    options, values = head.options, _sample(rows)
    if len(header) == 2 and not options.caption_columns and not options.image_column:
        return (
            Columns(name, (1 - name,)) if share(values(1 - name), lambda cell: not is_image_name(cell)) > 0.5 else None
        )
    return select_columns(header, values, options, f"{head.path}, line 1")
