"""Captions as rows of a JSONL, CSV or Parquet file, one row per caption. No TensorFlow.

    image            name as the user specified it
    rank             index among the captions of the image, 0 for the best
    caption          text
    words            list; in CSV separated by spaces, with ␣ for a space inside a word of a user dictionary
    log_probability  natural log-probability of the whole caption, <= 0
    score            what the search ranked the caption by
    confidence       exp(log_probability / tokens), the geometric mean of the token probabilities, in [0, 1]
    finished         false if the caption was truncated at the length limit
    error            why the image could not be read; all columns between are then empty

Numbers have four decimals. Rounding in batches of different sizes changes the sixth, so that a number may differ by one
in the last decimal. CSV files start with a byte order mark, without which Excel misreads Chinese. A text that begins
with =, +, - or @ gets an apostrophe in CSV, so that no spreadsheet runs it as a formula; reading removes it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from caption_tx.data.text.text_files import HEAD_BYTES, guess_encoding
from caption_tx.data.text.vocabulary import OPEN_BOX
from caption_tx.errors import CaptionTxError, ConfigError, ImageError
from caption_tx.escaping import escape_formula, printable, unescape_formula

if TYPE_CHECKING:
    from caption_tx.inference.search.caption import Caption

COLUMNS = ("image", "rank", "caption", "words", "log_probability", "score", "confidence", "finished", "error")
SUFFIXES = (".jsonl", ".csv", ".parquet")

Row = dict[str, Any]
"""A value for each of `COLUMNS`."""

_TEXTS = ("image", "caption", "words", "error")
_DECIMALS = 4
_PARQUET_BATCH_ROWS = 10_000


def prediction_suffix(path: str | Path) -> str:
    """The lowercase suffix, which determines the file format.

    Raises:
        ConfigError: the format is unknown.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"The name of a caption file must end in {', '.join(SUFFIXES)}, got '{path}'.")
    return suffix


def confidence(caption: Caption) -> float:
    """The geometric mean of the probabilities of a caption's tokens, including the end token, in [0, 1]."""
    return math.exp(caption.log_probability / max(1, len(caption.token_ids)))


def make_rows(image: str, result: Sequence[Caption] | ImageError) -> list[Row]:
    """One row per caption of an image, or one row with its error."""
    row: Row = dict.fromkeys(COLUMNS) | {"image": printable(image)}
    if isinstance(result, ImageError):
        return [row | {"error": printable(str(result))}]
    return [
        row
        | {
            "rank": caption.rank,
            "caption": caption.text,
            "words": list(caption.words),
            "log_probability": round(caption.log_probability, _DECIMALS),
            "score": round(caption.score, _DECIMALS),
            "confidence": round(confidence(caption), _DECIMALS),
            "finished": caption.finished,
        }
        for caption in result
    ]


def _to_json(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _from_json(line: bytes) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict) or not isinstance(row.get("image"), str):
        raise ValueError('expected a JSON object with "image"')
    return dict.fromkeys(COLUMNS) | row


def _csv_line(values: Iterable[Any]) -> bytes:
    # Not csv.writer, which leaves a lone carriage return unquoted; csv.reader would end the row there.
    texts = ["" if value is None else str(value) for value in values]
    quoted = ['"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text for text in texts]
    return ",".join(quoted).encode() + b"\n"


def _to_csv(row: Row) -> bytes:
    words, finished = row["words"], row["finished"]
    texts = {
        "words": None if words is None else " ".join(word.replace(" ", OPEN_BOX) for word in words),
        "finished": None if finished is None else str(finished).lower(),
    }
    cells = row | texts
    return _csv_line((cells | {name: escape_formula(cells[name]) for name in _TEXTS if cells[name]}).values())


def _from_csv(line: bytes) -> Row:
    [values] = csv.reader(io.StringIO(line.decode(), newline=""))
    return _parse_cells(dict(zip(COLUMNS, values, strict=True)))


def _parse_cells(row: dict[str, str]) -> Row:
    row = row | {name: unescape_formula(row[name]) for name in _TEXTS}
    if row["error"]:
        return dict.fromkeys(COLUMNS) | {"image": row["image"], "error": row["error"]}
    numbers = {name: float(row[name]) for name in ("log_probability", "score", "confidence")}
    if row["finished"].lower() not in ("true", "false"):
        raise ValueError(f"finished is {row['finished']!r}, not true or false")
    others = {
        "rank": int(float(row["rank"])),  # pandas writes 0.0 if another row has no rank
        "words": [word.replace(OPEN_BOX, " ") for word in row["words"].split(" ")] if row["words"] else [],
        "finished": row["finished"].lower() == "true",  # TRUE in Excel, True in pandas
    }
    return row | numbers | others | {"error": None}


class RowFormat:
    """A format that rows can be appended to: JSONL or CSV.

    Attributes:
        header: bytes that the file starts with.
        encode: a row -> its bytes.
    """

    def __init__(self, is_csv: bool) -> None:
        self._is_csv = is_csv
        self.header = b"\xef\xbb\xbf" + _csv_line(COLUMNS) if is_csv else b""
        self.encode: Callable[[Row], bytes] = _to_csv if is_csv else _to_json
        self._parse = _from_csv if is_csv else _from_json

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """Complete rows: lines, joined where quoted text contains line breaks."""
        parts, in_quotes = [], False
        for line in file:
            parts.append(line)
            in_quotes ^= self._is_csv and line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not in_quotes:
                yield b"".join(parts)
                parts = []

    def read(self, file: BinaryIO, name: str) -> Iterator[tuple[bytes, Row]]:
        """Each complete row of a file, as bytes and parsed. An incomplete last row is ignored.

        Raises:
            CaptionTxError: the header or a row is invalid; the message contains `name` and the row number.
        """
        records = self._records(file)
        if self.header and (header := next(records, self.header)) != self.header:
            raise CaptionTxError(f"{name} must start with the columns {','.join(COLUMNS)}, got {header[:80]!r}.")
        for number, record in enumerate(records, 1):
            try:
                yield record, self._parse(record)
            except (ValueError, csv.Error) as error:
                raise CaptionTxError(
                    f"Row {number} of {name} is not a caption ({error}): {record[:80]!r}; fix or remove it."
                ) from error


def is_resaved_csv(path: str | Path) -> bool:
    """Whether another program has saved a CSV file of captions, so that it starts with another header."""
    with open(path, "rb") as file:
        header = file.readline()
    return header.endswith((b"\n", b"\r")) and header != RowFormat(is_csv=True).header


def read_resaved_csv(path: str | Path, allow_columns: bool = True) -> Iterator[Row]:
    """The rows of a CSV file of captions that Excel, pandas or another program has saved.

    It may have another encoding, order of columns or separator (`,`, `;` or a tab), and an index column.

    Args:
        allow_columns: whether to ignore columns that are not in `COLUMNS`.

    Raises:
        CaptionTxError: a column is missing, there is one too many, or a row is invalid.
    """
    with open(path, "rb") as file:
        encoding = guess_encoding(file.read(HEAD_BYTES)) or "utf-8"
    with open(path, encoding=encoding, errors="surrogateescape", newline="") as file:
        names, separator = _read_header(file, str(path))
        own = [name for name in names if name not in COLUMNS and name and not name.startswith("Unnamed")]
        if own and not allow_columns:
            raise CaptionTxError(
                f"{path} has other columns ({', '.join(own)}), which captioning would remove; choose another file name."
            )
        for number, cells in enumerate(csv.reader(file, delimiter=separator), 1):
            if not any(cells):  # a blank line
                continue
            try:
                row = dict(zip(names, cells, strict=True))
                yield _parse_cells({name: row[name] for name in COLUMNS})
            except ValueError as error:
                raise CaptionTxError(
                    f"Row {number} of {path} is not a caption ({error}): {cells}; fix or remove it."
                ) from error


def _read_header(file: TextIO, name: str) -> tuple[list[str], str]:
    """The column names in the first line of a CSV file, and the separator."""
    line = file.readline().removeprefix("\ufeff")
    if line.startswith("sep="):
        line = file.readline()
    for separator in ",;\t":
        names = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
        if set(COLUMNS) <= set(names):
            return names, separator
    raise CaptionTxError(f"{name} must start with the columns {','.join(COLUMNS)}, got {line[:80]!r}.")


def read_predictions(path: str | Path) -> Iterator[Row]:
    """The rows of a caption file. An incomplete last row is ignored.

    Raises:
        ConfigError: the format is unknown.
        CaptionTxError: the file cannot be read, or is not a caption file.

    Example:
        >>> captions = {row["image"]: row["caption"] for row in read_predictions("captions.jsonl")}
    """
    suffix = prediction_suffix(path)
    try:
        if suffix == ".parquet":
            yield from _read_parquet(Path(path))
            return
        if suffix == ".csv" and is_resaved_csv(path):
            yield from read_resaved_csv(path)
            return
        with open(path, "rb") as file:
            for _, row in RowFormat(suffix == ".csv").read(file, str(path)):
                yield row
    except OSError as error:
        raise CaptionTxError(f"Cannot read {path}: {error.strerror or error}.") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(_PARQUET_BATCH_ROWS, columns=list(COLUMNS)):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise CaptionTxError(f"{path} is not a table of captions: {error}.") from error


def write_parquet(rows: Iterable[Row], file: BinaryIO) -> None:
    """Write rows as a Parquet table, in batches of bounded size."""
    import pyarrow
    import pyarrow.parquet

    number, text = pyarrow.float64(), pyarrow.string()
    types = {"rank": pyarrow.int32(), "words": pyarrow.list_(text), "finished": pyarrow.bool_()}
    types |= dict.fromkeys(("log_probability", "score", "confidence"), number)
    schema = pyarrow.schema([(name, types.get(name, text)) for name in COLUMNS])
    remaining = iter(rows)
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(remaining, _PARQUET_BATCH_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))
