"""Columns of text: CSV and TSV with a header, pairs without one, Flickr30k's results.csv, and OFA's TSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from caption_tx.data.corpus.pre_segmented import restore_sentences
from caption_tx.data.corpus.rows import (
    CAPTION_HEADERS,
    IMAGE_HEADERS,
    CaptionRows,
    UnknownSplitError,
    find_columns,
)
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_NUMBER_AND_COMMENT = re.compile(r"\s*\d+\s+(\S.*)", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_QUOTE_ADVICE = (
    "enclose captions that contain the separator or a quote in double quotes, and write a quote inside as two"
)


def is_header(lines: list[str], delimiter: str) -> bool:
    """Whether the first line names an image and a caption column."""
    return bool(lines) and {"image", "caption"} <= find_columns(lines[0].split(delimiter)).keys()


# --- CSV and TSV


class _UnclosedQuoteError(Exception):
    """A quote is not closed in its line; the arguments are the line number and the reason."""


def read_csv(file: TextFile, rows: CaptionRows) -> None:
    """Reads comma-separated rows with a header that names image, caption and optionally split."""
    try:
        _read_rows(file, rows, ",", csv.QUOTE_MINIMAL)
    except _UnclosedQuoteError as error:
        line, reason = error.args
        raise CorpusError(f"{file.path}, line {line}: {reason}; {_QUOTE_ADVICE}.") from None


def read_tsv(file: TextFile, rows: CaptionRows) -> None:
    """Reads tab-separated rows with a header that names image, caption and optionally split.

    Many programs write TSV without quoting. A quote is then an ordinary character: two stray quotes must not merge
    the rows between them into one caption.
    """
    try:
        _read_rows(file, rows, "\t", csv.QUOTE_MINIMAL)
    except _UnclosedQuoteError:
        rows.clear()
        _read_rows(file, rows, "\t", csv.QUOTE_NONE)


def _read_rows(file: TextFile, rows: CaptionRows, delimiter: str, quoting: int) -> None:
    positions: dict[str, int] = {}
    header: list[str] = []
    caption_is_last = False
    quoted_tsv = delimiter == "\t" and quoting == csv.QUOTE_MINIMAL
    for line_number, cells in _parse_rows(file.lines(rows.add_error), delimiter, quoting):
        if quoted_tsv and (isinstance(cells, str) or any("\n" in cell for cell in cells)):
            raise _UnclosedQuoteError(line_number, cells)
        if isinstance(cells, str):
            rows.add_error(line_number, cells, f"{cells}; {_QUOTE_ADVICE}")
        elif not any(cell.strip() for cell in cells):
            rows.skip(line_number, "blank line")
        elif not header:
            header, positions = cells, find_columns(cells)
            if not {"image", "caption"} <= positions.keys():
                raise CorpusError(
                    f"{file.path}, line {line_number}: expected a header with 'image' and 'caption' "
                    f"(and optionally 'split'), found {delimiter.join(cells)[:80]!r}; add a header."
                )
            caption_is_last = len(header) == 2 and positions["caption"] == 1
        elif len(cells) > len(header) and not caption_is_last:
            rows.add_error(
                line_number,
                "more fields than the header",
                f"{len(cells)} fields, but the header has {len(header)}; quote captions that contain the separator",
            )
        else:
            if len(cells) > 2 and caption_is_last:
                cells = [cells[0], delimiter.join(cells[1:])]
                rows.notes["captions with unquoted separators"] += 1
            _add_row(rows, line_number, cells + [""] * (len(header) - len(cells)), positions)


def _add_row(rows: CaptionRows, line_number: int, cells: list[str], positions: dict[str, int]) -> None:
    try:
        split = rows.parse_split(line_number, cells[positions["split"]]) if "split" in positions else None
    except UnknownSplitError:
        return
    caption = cells[positions["caption"]].strip()
    if "\n" in caption:
        rows.notes["multi-line captions"] += 1
    rows.add(cells[positions["image"]], caption, line_number, split)


def _parse_rows(
    lines: Iterator[tuple[int, str]], delimiter: str, quoting: int
) -> Iterator[tuple[int, list[str] | str]]:
    """Yields (number of the first line, cells) of every row; for an invalid row the reason instead of cells.

    Raises:
        _UnclosedQuoteError: a quote is never closed.
    """
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for line_number, line in lines:
            last = line_number
            yield line

    reader = csv.reader(texts(), delimiter=delimiter, quoting=quoting, strict=True)
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
                raise _UnclosedQuoteError(last - (reader.line_num - lines_before) + 1, row) from error
        yield last - (reader.line_num - lines_before) + 1, row


# --- Pairs


def is_pair_line(line: str) -> bool:
    """Whether a line is `NAME<TAB>caption`: not a header, and not an image in base64."""
    cells = line.split("\t")
    texts = [cell.strip() for cell in cells]
    if len(cells) != 2 or not all(texts) or _is_base64(cells[1]):
        return False
    return not any(text.lower() in (*IMAGE_HEADERS, *CAPTION_HEADERS) for text in texts)


def read_pairs(file: TextFile, rows: CaptionRows) -> None:
    """Reads `NAME<TAB>caption` without a header."""
    for line_number, line in file.lines(rows.add_error):
        cells = line.rstrip("\n").split("\t")
        if not line.strip():
            rows.skip(line_number, "blank line")
        elif len(cells) != 2:
            rows.add_error(
                line_number,
                f"{len(cells)} columns, expected 2",
                f"expected 'NAME<TAB>caption', found {line[:60]!r}; fix the line or pass the right --format",
            )
        else:
            rows.add(cells[0], cells[1], line_number)
    restore_sentences(rows)


# --- Flickr30k: image_name| comment_number| comment


def read_flickr30k(file: TextFile, rows: CaptionRows) -> None:
    """Reads `NAME| number| caption`, in which commas and quotes are ordinary characters."""
    is_first = True
    for line_number, line in file.lines(rows.add_error):
        cells = line.split("|", 2)
        if not line.strip():
            rows.skip(line_number, "blank line")
        elif is_first:
            is_first = False
            if len(find_columns(cells)) < 2:
                raise CorpusError(
                    f"{file.path}, line {line_number}: expected the header 'image_name| comment_number| comment', "
                    f"found {line.strip()[:80]!r}; add it or pass the right --format."
                )
        elif len(cells) == 3:
            rows.add(cells[0], cells[2], line_number)
        elif len(cells) == 2 and (match := _NUMBER_AND_COMMENT.fullmatch(cells[1])):
            # The published file has one such line: `2199200615.jpg| 4   A dog runs across the grass .`
            rows.notes["missing separators restored"] += 1
            rows.add(cells[0], match[1], line_number)
        else:
            rows.add_error(
                line_number,
                "not of the form NAME| number| caption",
                f"expected 'NAME| number| caption', found {line.strip()[:60]!r}; fix the line",
            )


# --- OFA: uniq-id, image-id, captions, [objects,] image in base64


def is_ofa_line(line: str) -> bool:
    """Whether the fourth or a later column, the last, is an image in base64."""
    cells = line.split("\t")
    return len(cells) >= 4 and _is_base64(cells[-1])


def read_ofa(file: TextFile, rows: CaptionRows) -> None:
    """Reads tab-separated columns; captions of an image are joined by `&&`, and the last column is the image."""
    for line_number, line in file.lines(rows.add_error):
        # A line has hundreds of kilobytes: only its first columns are copied.
        cells = line.split("\t", 3)
        if len(line) < 1024 and not line.strip():
            rows.skip(line_number, "blank line")
        elif len(cells) < 4 or not _is_base64(cells[3][cells[3].rfind("\t") + 1 :]):
            rows.add_error(
                line_number,
                "not the columns of OFA",
                "expected uniq-id, image-id, captions, objects and an image in base64, separated by tabs, "
                f"found {line[:60]!r}; fix the line or pass the right --format",
            )
        else:
            for caption in cells[2].split("&&"):
                rows.add(cells[1], caption, line_number)


def _is_base64(cell: str) -> bool:
    """Whether the start of a cell looks like an image in base64."""
    return _BASE64.fullmatch(cell[:256].rstrip()) is not None
