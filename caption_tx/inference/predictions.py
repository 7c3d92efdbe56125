"""Captions as rows of a file, one a caption: JSONL, CSV or Parquet. No TensorFlow.

    image            as it was named
    rank             among the captions of the image, 0 the best
    caption          its text
    words            a list; in CSV with a space between two
    log_probability  of the whole caption, natural, <= 0
    score            what the search ranked it by
    confidence       exp(log_probability / tokens), the geometric mean of the tokens' probabilities, in [0, 1]
    finished         false if it was cut at the length limit
    error            why the image could not be read; then what stands between is empty

Numbers are rounded to four decimals: what a batch adds up in another order shows in the sixth, so that there
a number may round to its neighbor. CSV begins with a byte order mark, without which Excel takes Chinese for
another encoding.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from caption_tx.errors import CaptionTxError, ConfigError, ImageError

if TYPE_CHECKING:
    from caption_tx.inference.search.decode import Caption

COLUMNS = ("image", "rank", "caption", "words", "log_probability", "score", "confidence", "finished", "error")
SUFFIXES = (".jsonl", ".csv", ".parquet")

Row = dict[str, Any]
"""A value for each of `COLUMNS`."""

_DECIMALS = 4
_PARQUET_ROWS = 10_000


def check_format(path: str | Path) -> str:
    """The suffix that says in which format to write.

    Raises:
        ConfigError: there is no such format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"A file of captions must end in {', '.join(SUFFIXES)}, got '{path}'.")
    return suffix


def printable(name: str) -> str:
    """A file name with the bytes that are not UTF-8 spelled out, since no format here holds them."""
    return name.encode("utf-8", "backslashreplace").decode()


_SPELLED = {code: ascii(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """A text as it stands on one line of a terminal: line ends, tabs and other control characters spelled out."""
    return text.translate(_SPELLED)


def confidence(caption: Caption) -> float:
    """The geometric mean of the probabilities of a caption's tokens, its end mark among them, in [0, 1]."""
    return math.exp(caption.log_probability / max(1, len(caption.token_ids)))


def make_rows(image: str, result: Sequence[Caption] | ImageError) -> list[Row]:
    """The captions of an image, the best first, as rows; or its error as one."""
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


def _json_line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _from_json(line: bytes) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict) or not isinstance(row.get("image"), str):
        raise ValueError("no object with an image")
    return dict.fromkeys(COLUMNS) | row


def _csv_line(values: Iterable[Any]) -> bytes:
    # Python's own writer leaves a lone carriage return unquoted, and its reader then ends the row there.
    texts = ["" if value is None else str(value) for value in values]
    quoted = ['"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text for text in texts]
    return ",".join(quoted).encode() + b"\n"


def _to_csv(row: Row) -> bytes:
    words, finished = row["words"], row["finished"]
    texts = {
        "words": None if words is None else " ".join(words),
        "finished": None if finished is None else str(finished).lower(),
    }
    return _csv_line((row | texts).values())


def _from_csv(line: bytes) -> Row:
    [values] = csv.reader(io.StringIO(line.decode(), newline=""))
    row: Row = dict(zip(COLUMNS, values, strict=True))
    if row["error"]:
        return dict.fromkeys(COLUMNS) | {"image": row["image"], "error": row["error"]}
    numbers = {name: float(row[name]) for name in ("log_probability", "score", "confidence")}
    others = {
        "rank": int(row["rank"]),
        "words": row["words"].split(" ") if row["words"] else [],
        "finished": row["finished"] == "true",
    }
    return row | numbers | others | {"error": None}


class Format:
    """A format that grows by a row: JSONL or CSV. `header` begins the file."""

    def __init__(self, is_csv: bool) -> None:
        self._is_csv = is_csv
        self.header = b"\xef\xbb\xbf" + _csv_line(COLUMNS) if is_csv else b""
        self.encode: Callable[[Row], bytes] = _to_csv if is_csv else _json_line
        self._parse = _from_csv if is_csv else _from_json

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """Whole lines; where quoted text holds line ends, up to the end of the row."""
        parts, in_quotes = [], False
        for line in file:
            parts.append(line)
            in_quotes ^= self._is_csv and line.count(b'"') % 2 == 1
            if line.endswith(b"\n") and not in_quotes:
                yield b"".join(parts)
                parts = []

    def read(self, file: BinaryIO, name: str) -> Iterator[tuple[bytes, Row]]:
        """Each whole row of a file from its beginning, as it is written and as it is meant.

        Raises:
            CaptionTxError: a row, or the header, is of another kind; `name` and its number are told.
        """
        records = self._records(file)
        if self.header and (header := next(records, self.header)) != self.header:
            raise CaptionTxError(f"{name} begins with other columns than {','.join(COLUMNS)}: {header[:80]!r}.")
        for number, record in enumerate(records, 1):
            try:
                yield record, self._parse(record)
            except (ValueError, csv.Error) as error:
                raise CaptionTxError(
                    f"Row {number} of {name} is none of captions ({error}): {record[:80]!r}; mend or remove it."
                ) from error


def read_predictions(path: str | Path) -> Iterator[Row]:
    """The rows of a file of captions, one after another; a torn last one is left out.

    Raises:
        CaptionTxError: the file cannot be read, or holds something else.
    """
    suffix = check_format(path)
    try:
        if suffix == ".parquet":
            yield from _read_parquet(Path(path))
            return
        with open(path, "rb") as file:
            for _, row in Format(suffix == ".csv").read(file, str(path)):
                yield row
    except OSError as error:
        raise CaptionTxError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(_PARQUET_ROWS, columns=list(COLUMNS)):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise CaptionTxError(f"{path} holds no table of captions: {error}.") from error


def write_parquet(rows: Iterable[Row], file: BinaryIO) -> None:
    """Writes rows as a Parquet table, some thousand at a time."""
    import pyarrow
    import pyarrow.parquet

    number, text = pyarrow.float64(), pyarrow.string()
    types = {"rank": pyarrow.int32(), "words": pyarrow.list_(text), "finished": pyarrow.bool_()}
    types |= dict.fromkeys(("log_probability", "score", "confidence"), number)
    schema = pyarrow.schema([(name, types.get(name, text)) for name in COLUMNS])
    remaining = iter(rows)
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(remaining, _PARQUET_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema))
