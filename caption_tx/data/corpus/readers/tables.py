"""Tables: CSV and TSV with a header, Flickr30k's results.csv, OFA's TSV with images in it, Parquet."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.records import Records, as_name, find_columns
from caption_tx.data.corpus.text_files import TextFile
from caption_tx.errors import CorpusError

_NUMBER_AND_COMMENT = re.compile(r"\s*\d+\s+(\S.*)", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_PARQUET_ROWS = 16_384


def is_base64(cell: str) -> bool:
    """Whether a cell holds an image rather than a text; its beginning tells it."""
    return _BASE64.fullmatch(cell[:256].rstrip()) is not None


# --- CSV and TSV


def _rows(lines: Iterator[tuple[int, str]], delimiter: str, quoting: int) -> Iterator[tuple[int, list[str] | str]]:
    """Every row, or what is wrong with it, and the line that it starts at.

    Raises:
        _TornError: a quote is never closed.
    """
    last = 0

    def texts() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            last = number
            yield line

    reader = csv.reader(texts(), delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        taken = reader.line_num
        try:
            row: list[str] | str = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A line alone is a bad line; the reader begins anew with the next.
            row = str(error)
            if reader.line_num - taken > 1 or "end of data" in row:
                raise _TornError(last - (reader.line_num - taken) + 1, row) from error
        yield last - (reader.line_num - taken) + 1, row


class _TornError(Exception):
    """Line and reason of a quote that is not closed in its line."""


_QUOTE_ADVICE = "a caption with the separator or a quote in it stands in double quotes, and a quote inside is doubled"


def _read_rows(file: TextFile, records: Records, delimiter: str, quoting: int) -> None:
    places: dict[str, int] = {}
    header: list[str] = []
    spill = False
    quoted_tsv = delimiter == "\t" and quoting == csv.QUOTE_MINIMAL
    for number, cells in _rows(file.lines(records.bad), delimiter, quoting):
        if quoted_tsv and (isinstance(cells, str) or any("\n" in cell for cell in cells)):
            raise _TornError(number, cells)
        if isinstance(cells, str):
            records.bad(number, cells, f"{cells}; {_QUOTE_ADVICE}")
        elif not any(cell.strip() for cell in cells):
            records.skip(number, "blank line")
        elif not places:
            header, places = cells, find_columns(cells)
            if not {"image", "caption"} <= places.keys():
                raise CorpusError(
                    f"{file.path}, line {number}: expected a header with 'image' and 'caption' "
                    f"(and perhaps 'split'), found {delimiter.join(cells)[:80]!r}; add one."
                )
            spill = len(header) == 2 and places["caption"] == 1
        elif len(cells) > len(header) and not spill:
            records.bad(
                number,
                "more fields than the header",
                f"{len(cells)} fields where the header has {len(header)}; "
                "put a caption that holds the separator in double quotes",
            )
        else:
            if len(cells) > 2 and spill:
                cells = [cells[0], delimiter.join(cells[1:])]
                records.notes["separators outside quotes taken into the caption"] += 1
            cells += [""] * (len(header) - len(cells))
            try:
                split = records.split_of(number, cells[places["split"]]) if "split" in places else None
            except LookupError:
                continue
            caption = cells[places["caption"]].strip()
            if "\n" in caption:
                records.notes["captions of several lines"] += 1
            records.add(cells[places["image"]], caption, number, split)


def read_table(delimiter: str) -> Callable[[TextFile, Records], None]:
    """Reads rows under a header that names image, caption and perhaps split."""

    def read(file: TextFile, records: Records) -> None:
        try:
            _read_rows(file, records, delimiter, csv.QUOTE_MINIMAL)
        except _TornError as error:
            if delimiter != "\t":
                line, reason = error.args
                raise CorpusError(f"{file.path}, line {line}: {reason}; {_QUOTE_ADVICE}.") from None
            # Many write TSV without any quoting, so that a quote is only a letter, and two stray ones
            # would take the rows between them into one caption.
            records.clear()
            _read_rows(file, records, delimiter, csv.QUOTE_NONE)

    return read


# --- Flickr30k: image_name| comment_number| comment


def read_flickr30k(file: TextFile, records: Records) -> None:
    """`NAME| number| caption`, where neither commas nor quotes mean anything."""
    header = True
    for number, line in file.lines(records.bad):
        cells = line.split("|", 2)
        if not line.strip():
            records.skip(number, "blank line")
        elif header:
            header = False
            if len(find_columns(cells)) < 2:
                raise CorpusError(
                    f"{file.path}, line {number}: expected the header 'image_name| comment_number| comment', "
                    f"found {line.strip()[:80]!r}; add it or give the right --format."
                )
        elif len(cells) == 3:
            records.add(cells[0], cells[2], number)
        elif len(cells) == 2 and (match := _NUMBER_AND_COMMENT.fullmatch(cells[1])):
            # The published file has one such line: `2199200615.jpg| 4   A dog runs across the grass .`
            records.notes["missing separators put in"] += 1
            records.add(cells[0], match[1], number)
        else:
            records.bad(
                number,
                "not of the form NAME| number| caption",
                f"expected 'NAME| number| caption', found {line.strip()[:60]!r}; correct the line",
            )


# --- OFA: uniq-id, image-id, captions, [objects,] image in base64


def read_ofa(file: TextFile, records: Records) -> None:
    """Tab-separated columns, the captions of an image joined by `&&`, its bytes in the last column."""
    for number, line in file.lines(records.bad):
        # Only the first columns are copied out of a line of hundreds of kilobytes.
        cells = line.split("\t", 3)
        if len(line) < 1024 and not line.strip():
            records.skip(number, "blank line")
        elif len(cells) < 4 or not is_base64(cells[3][cells[3].rfind("\t") + 1 :]):
            records.bad(
                number,
                "not of OFA's columns",
                "expected uniq-id, image-id, captions, objects and an image in base64 with tabs between, "
                f"found {line[:60]!r}; correct the line or give the right --format",
            )
        else:
            for caption in cells[2].split("&&"):
                records.add(cells[1], caption, number)


# --- Parquet


def read_parquet(file: TextFile, records: Records) -> None:
    """Columns as of a CSV; a caption may be a list of texts. Columns of image bytes are never loaded."""
    import pyarrow.parquet

    records.place = "row"
    try:
        with pyarrow.parquet.ParquetFile(file.path) as table:
            columns = _parquet_columns(file.path, table.schema_arrow)
            number = 0
            for batch in table.iter_batches(_PARQUET_ROWS, columns=list(columns.values())):
                values = {kind: batch.column(place).to_pylist() for place, kind in _batch_places(batch, columns)}
                for row in range(batch.num_rows):
                    number += 1
                    _add_row(records, number, {kind: column[row] for kind, column in values.items()})
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises nearly anything from inside the decoders
        raise CorpusError(
            f"{file.path} is not a readable Parquet file: {' '.join(str(error).split())[:200]}; fetch it again."
        ) from error


def _parquet_columns(path: Path, schema: Any) -> dict[str, str]:
    """Image, caption and perhaps split -> a column; for an image stored with its bytes, its path alone."""
    import pyarrow.types as kinds

    def is_text(kind: Any) -> bool:
        value = kind.value_type if kinds.is_dictionary(kind) else kind
        return kinds.is_string(value) or kinds.is_large_string(value) or kinds.is_integer(value)

    def is_texts(kind: Any) -> bool:
        return is_text(kind) or ((kinds.is_list(kind) or kinds.is_large_list(kind)) and is_text(kind.value_type))

    fields = [(name, schema.field(place).type) for place, name in enumerate(schema.names)]
    names = {kind: [name for name, of in fields if fits(of)] for kind, fits in (("image", is_text), ("text", is_texts))}
    columns = {}
    for kind, among in (("image", names["image"]), ("caption", names["text"]), ("split", names["image"])):
        places = find_columns(among)
        if kind in places:
            columns[kind] = among[places[kind]]
    for name, kind in fields:
        with_path = kinds.is_struct(kind) and kind.get_field_index("path") >= 0
        if "image" not in columns and with_path and "image" in find_columns([name]):
            columns["image"] = f"{name}.path"
    if not {"image", "caption"} <= columns.keys():
        raise CorpusError(
            f"{path}: expected columns of text named image and caption (and perhaps split), "
            f"found {', '.join(schema.names)[:80]}; rename them."
        )
    return columns


def _batch_places(batch: Any, columns: dict[str, str]) -> list[tuple[int, str]]:
    return [(batch.schema.get_field_index(name.split(".")[0]), kind) for kind, name in columns.items()]


def _add_row(records: Records, number: int, row: dict[str, Any]) -> None:
    image = row["image"].get("path") if isinstance(row["image"], dict) else row["image"]
    captions = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    try:
        split = records.split_of(number, row.get("split"))
    except LookupError:
        return
    if not captions:
        records.skip(number, "no caption")
    for caption in captions:
        records.add(as_name(image) or "", as_name(caption) or "", number, split)
