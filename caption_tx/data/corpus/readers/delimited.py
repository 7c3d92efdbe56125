"""Columns of text: CSV and TSV with a header, and pairs of name and caption without one."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from caption_tx.data.corpus.captions.caption_values import add_cells
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.file_text.quoted_lines import join_quoted_lines, split_tabs
from caption_tx.data.corpus.readers.backslash_escapes import NOT_CSV, has_escaped_quotes, unescape_lines
from caption_tx.data.corpus.readers.json_heads import is_json_head
from caption_tx.data.corpus.readers.ofa import is_base64, is_image_line
from caption_tx.data.corpus.readers.wide_tables import is_wide, read_wide
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.table_ends import RepeatedHeaders
from caption_tx.data.corpus.tables.table_layout import (
    SEPARATORS,
    TableLayout,
    csv_delimiter,
    find_header,
    split_cells,
    unify_separator,
)
from caption_tx.data.corpus.tables.title_rows import TITLE_LINES
from caption_tx.data.corpus.values.encoded_images import encoded_kind
from caption_tx.data.corpus.values.value_kinds import is_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_COMMAS = tuple(separator for separator in SEPARATORS if separator != "\t")
FURTHER = "rows with more captions in further columns, which are read"
_RULE = re.compile(":?-[-+]*-:?")
_BARS = "rows with bars behind a backslash, as Markdown has them, read as bars of the cell"
_HELD_BAR = "\x1e"
_QUOTE_ADVICE = (
    "enclose captions that contain the separator or a quote in double quotes, and write a quote inside as two"
)


def is_csv(head: FileHead) -> bool:
    """Whether the first lines have a header with commas, semicolons or vertical bars that names image and caption."""
    return not is_json_head(head.text) and (find_wide(head, _COMMAS) or find_header(head, _COMMAS)) is not None


def is_tsv(head: FileHead) -> bool:
    """Whether the first lines have a header with tabs that names image and caption."""
    return not is_json_head(head.text) and (find_wide(head, ("\t",)) or find_header(head, ("\t",))) is not None


class UnclosedQuoteError(Exception):
    """A quote is not closed in its line; the arguments are the line number and the reason."""


def read_csv(file: TextFile, rows: CaptionRows) -> None:
    """Reads rows separated by commas, semicolons or vertical bars, with a header that names image and caption."""
    _read_with_header(file, rows, _COMMAS)


def read_tsv(file: TextFile, rows: CaptionRows) -> None:
    """Reads tab-separated rows with a header that names image, caption and optionally split."""
    _read_with_header(file, rows, ("\t",))


def find_wide(head: FileHead, separators: tuple[str, ...]) -> tuple[str, int] | None:
    """The separator of a table with an image per column, and the number of lines above its header.

    A header with usual names comes first, unless the first line names images.
    """
    for index, line in enumerate(head.lines[:TITLE_LINES]):
        for separator in separators:
            cells = split_cells(line, separator)
            if len(cells) > 1 and is_wide(cells, [split_cells(row, separator) for row in head.lines[index + 1 :]]):
                return None if index and find_header(head, separators) else (separator, index)
    return None


def _read_with_header(file: TextFile, rows: CaptionRows, separators: tuple[str, ...]) -> None:
    head = FileHead.read(file.path, file.encoding, rows.options)
    separators = ("\t",) if head.view == "drawn" else separators
    wide = find_wide(head, separators)
    if wide is None:
        read_table(file, rows, _require_header(file, rows, separators))
        return
    separator, above = wide
    lines = parse_rows(file.lines(rows.add_error), separator, csv.QUOTE_MINIMAL)
    table = ((number, cells) for number, cells in lines if any(map(str.strip, cells)))
    number, header = next(itertools.islice(table, above, None))
    if isinstance(header, str):
        raise CorpusError(f"{file.path}, line {number}: {header}; {_QUOTE_ADVICE}.")
    rows.add_notes({"lines before the header, not read": above} if above else {})
    read_wide(header, ((number, [cells] if isinstance(cells, str) else cells) for number, cells in table), rows)


def _require_header(file: TextFile, rows: CaptionRows, separators: tuple[str, ...]) -> TableLayout:
    head = FileHead.read(file.path, file.encoding, rows.options)
    layout = find_header(head, separators)
    if head.mostly(lambda line: "\t" not in line and _is_wrapped_base64(line)):
        raise CorpusError(
            f"{file.path} has images in base64 that are wrapped, in a layout that is not known; write each image on "
            "one line, after its id and its captions, without a header; or save the images as files and name them."
        )
    if layout is None and head.mostly(is_image_line):
        raise CorpusError(
            f"{file.path} has images in base64, but no captions before them in a layout that is known; read it with "
            f"images (--images) {file.path} and pass the file of captions, or write the columns id, caption and image."
        )
    if layout is None and any('{""ImportId""' in line for line in head.lines[:TITLE_LINES]):
        raise CorpusError(
            f"{file.path} is an export of Qualtrics whose questions name no images; write the name of the image into "
            "each question, such as 'Describe [1.jpg]', or write a table with the columns image and caption."
        )
    if layout is None:
        start = head.lines[0].strip()[:80] if head.lines else ""
        raise CorpusError(
            f"{file.path}, line 1: expected a header with 'image' and 'caption' (and optionally 'split'), found "
            f"{start!r}; add a header, or name the columns with image_column and caption_column "
            "(--image-column and --caption-column)."
        )
    return layout


def _is_wrapped_base64(line: str) -> bool:
    line = line.strip().strip('"')
    return is_base64(line) and not (encoded_kind(line) or "").startswith("as hex")


def read_table(file: TextFile, rows: CaptionRows, layout: TableLayout) -> None:
    """Reads the rows of a table.

    Many programs write TSV without quoting. A quote is then an ordinary character: two stray quotes must not merge
    the rows between them into one caption. Only line breaks without a tab between them are those of a quoted cell.
    """
    if has_escaped_quotes(file.path):
        plain, escaped = (_is_consistent(file, replace(layout, escapes=escapes)) for escapes in (False, True))
        layout = replace(layout, escapes=escaped and not plain)
    try:
        _read_rows(file, rows, layout, csv.QUOTE_MINIMAL)
    except UnclosedQuoteError as error:
        if layout.separator != "\t":
            line, reason = error.args
            raise CorpusError(f"{file.path}, line {line}: {_explain(reason, layout)}; {_QUOTE_ADVICE}.") from None
        rows.clear()
        _read_rows(file, rows, layout, csv.QUOTE_NONE)
    rows.add_notes(layout.notes | layout.columns.notes)
    rows.name_captions("column", layout.header, layout.columns)


def _explain(reason: str, layout: TableLayout) -> str:
    """The reason of an error, with what is wrong about backslashes in the file."""
    return reason if layout.escapes is None else f"{reason} ({NOT_CSV})"


def _is_consistent(file: TextFile, layout: TableLayout) -> bool:
    """Whether all rows have the number of columns of the header."""
    lines = file.lines(lambda *error: None)
    widths = (0, len(layout.header), len(layout.header) - layout.has_row_names)
    try:
        rows = _split_rows(lines, layout, csv.QUOTE_MINIMAL, Counter())
        return all(not isinstance(cells, str) and len(cells) in widths for _, cells in rows)
    except UnclosedQuoteError:
        return False


def _read_rows(file: TextFile, rows: CaptionRows, layout: TableLayout, quoting: int) -> None:
    header, separator = layout.header, layout.separator
    quoted_tsv = separator == "\t" and quoting == csv.QUOTE_MINIMAL
    lines_before = layout.skipped_lines + layout.has_header
    headers = RepeatedHeaders(header, rows)
    for line_number, cells in _split_rows(file.lines(rows.add_error), layout, quoting, rows.notes):
        if quoted_tsv and (isinstance(cells, str) or any("\n" in cell and "\t" in cell for cell in cells)):
            raise UnclosedQuoteError(line_number, cells)
        if isinstance(cells, str):
            reason = _explain(cells, layout)
            rows.add_error(line_number, reason, f"{reason}; {_QUOTE_ADVICE}")
            continue
        if not any(map(str.strip, cells)):
            rows.skip(line_number, "blank line")
            continue
        if lines_before:
            lines_before -= 1
            continue
        if separator == "|" and all(_RULE.fullmatch(cell.strip()) for cell in cells if cell.strip()):
            continue  # the line below the header of a Markdown table
        if layout.has_header and headers.is_header(cells):
            rows.skip(line_number, "blank line")
            continue
        if layout.has_row_names and len(cells) == len(header) - 1:  # a row that was added by hand
            cells = ["", *cells]
        cells = headers.reorder(cells)
        extra = cells[len(header) :]
        is_wider = any(map(str.strip, extra))
        if len(extra) <= layout.num_unnamed or not is_wider:
            if is_wider:
                rows.notes["cells in columns without a name, not read"] += 1
            cells = cells[: len(header)]
        cells = _join_name(cells, rows, layout)
        if len(cells) > len(header) and not layout.caption_is_last:
            rows.add_error(
                line_number,
                "more fields than the header",
                f"{len(cells)} fields, but the header has {len(header)}; quote captions that contain the separator",
            )
            continue
        further: list[str] = []
        if len(cells) > len(header) and separator == "\t" and all(map(is_text, cells[len(header) - 1 :])):
            cells, further = cells[: len(header)], cells[len(header) :]
            rows.notes[FURTHER] += 1
        if len(cells) > len(header):
            cells = [*cells[: len(header) - 1], separator.join(cells[len(header) - 1 :])]
            rows.notes["captions with unquoted separators"] += 1
        cells += [""] * (len(header) - len(cells))
        add_cells(rows, line_number, cells, layout.columns)
        for caption in further:
            add_cells(rows, line_number, [*cells[:-1], caption], layout.columns)


def _split_rows(
    lines: Iterator[tuple[int, str]], layout: TableLayout, quoting: int, notes: Counter[str]
) -> Iterator[tuple[int, list[str] | str]]:
    """The rows of a table as `parse_rows` yields them."""
    separator = layout.separator
    if layout.escapes:
        lines = unescape_lines(lines, separator, notes)
    if separator == "\t" and quoting == csv.QUOTE_NONE:
        return ((number, split_tabs(line)) for number, line in join_quoted_lines(lines))
    if separator != "|":
        return parse_rows(lines, separator, quoting)
    rows = parse_rows(_hide_bars(lines, notes), separator, quoting)
    return (
        (number, cells if isinstance(cells, str) else [cell.replace(_HELD_BAR, "|") for cell in cells])
        for number, cells in rows
    )


def _hide_bars(lines: Iterator[tuple[int, str]], notes: Counter[str]) -> Iterator[tuple[int, str]]:
    r"""Lines of Markdown with another sign for bars behind a backslash, which belong to a cell."""
    for number, line in lines:
        if "\\|" in line and line.lstrip().startswith("|"):
            notes[_BARS] += 1
            line = line.replace("\\|", _HELD_BAR)
        yield number, line


def _join_name(cells: list[str], rows: CaptionRows, layout: TableLayout) -> list[str]:
    """The cells of a row with its image name in one, if separators in the name made the row wider."""
    first, count = layout.columns.image, len(cells) - len(layout.header) + 1
    if count < 2 or not layout.caption_is_last:
        return cells
    parts = [cell.strip().lower().endswith(IMAGE_SUFFIXES) for cell in cells[first : first + count]]
    if not parts[-1] or any(parts[:-1]):
        return cells
    rows.notes["image names with unquoted separators"] += 1
    return [*cells[:first], layout.separator.join(cells[first : first + count]), *cells[first + count :]]


def parse_rows(lines: Iterator[tuple[int, str]], separator: str, quoting: int) -> Iterator[tuple[int, list[str] | str]]:
    """Yields (number of the first line, cells) of every row; for an invalid row the reason instead of cells.

    Args:
        lines: (number, text).
        separator: of any length.
        quoting: a constant of Python's csv module.

    Raises:
        UnclosedQuoteError: a quote is never closed.
    """
    last, is_single = 0, len(separator) == 1

    def texts() -> Iterator[str]:
        nonlocal last
        for line_number, line in lines:
            last = line_number
            yield line if is_single else unify_separator(line, separator)

    reader = csv.reader(texts(), delimiter=csv_delimiter(separator), quoting=quoting, strict=True)
    while True:
        lines_before = reader.line_num
        try:
            row: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # The reader continues with the next line, so an error within one line costs that line only.
            row = str(error)
            if reader.line_num - lines_before > 1 or "end of data" in row:
                raise UnclosedQuoteError(last - (reader.line_num - lines_before) + 1, row) from error
        yield last - (reader.line_num - lines_before) + 1, row
