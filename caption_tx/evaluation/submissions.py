"""Captions that a system made, out of a file of ours or of a challenge's layout. No TensorFlow.

ours            .jsonl, .csv, .parquet of `caption --out`; the best caption of each image counts
a table         .csv, .tsv, .txt: image and caption, with a header or without
AI Challenger   .json: [{"image_id": "name without suffix", "caption": ".."}, ..]
COCO's results  .json: [{"image_id": 123, "caption": ".."}, ..]
a mapping       .json: {"x.jpg": "..", ..}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.rows import CAPTION_HEADERS, IMAGE_HEADERS, find_columns, to_image_name
from caption_tx.data.corpus.text_files import TextFile, find_undecoded_byte
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.image_ids import ImageIds

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet")

_Row = tuple[int, dict[str, Any]]
"""Where a row stands, from 1, and its values by column."""


@dataclass(frozen=True)
class Predictions:
    """The captions of a file by image, as the corpus names images.

    Attributes:
        captions: may be empty texts.
        finished, log_probabilities: of those that the file tells them of.
        unreadable: images with the error that the file has in place of a caption.
        missing: images of the split that the file does not hold.
        surplus: what the file names and the split does not have.
    """

    captions: dict[str, str]
    finished: dict[str, bool] = field(default_factory=dict)
    log_probabilities: dict[str, float] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()


def read_submission(
    path: str | Path, names: Collection[str], numbers: Callable[[], Mapping[str, str]] = dict
) -> Predictions:
    """The captions of the images `names`; of several for an image those with `rank` 0, as our own files have it.

    Args:
        numbers: as for `ImageIds`.

    Raises:
        CaptionTxError: the file cannot be read, a row has no image or no caption, an image has two captions,
            or no image of the file is among `names`.
    """
    path = Path(path)
    ids = ImageIds(names, numbers)
    found = Predictions({})
    where: dict[str, int] = {}
    surplus: dict[str, None] = {}
    for number, row in _rows(path):
        image, caption, error = _value(row, IMAGE_HEADERS), _value(row, CAPTION_HEADERS), row.get("error")
        if isinstance(caption, list) and len(caption) == 1:
            [caption] = caption
        if to_image_name(image) is None or not (isinstance(caption, str) or error):
            raise CaptionTxError(
                f'{path}, row {number}: expected {{"image_id": .., "caption": ".."}}, found {str(row)[:100]}; '
                "every row needs an image and one caption."
            )
        if row.get("rank") not in (None, "", 0, "0"):
            continue
        name = ids.find(image if isinstance(image, str) else int(image))
        if name is None:
            surplus[str(image)] = None
            continue
        if name in where:
            raise CaptionTxError(
                f"{path}: {name} has a caption in row {where[name]} and another in row {number}; leave one."
            )
        where[name] = number
        if error:
            found.unreadable[name] = str(error)
            continue
        found.captions[name] = caption
        if row.get("finished") not in (None, ""):
            found.finished[name] = str(row["finished"]).lower() == "true"
        if row.get("log_probability") not in (None, ""):
            found.log_probabilities[name] = _number(path, number, row["log_probability"])
    if not where:
        example = f"it names {next(iter(surplus))!r}" if surplus else "it is empty"
        raise CaptionTxError(
            f"{path} has no image of the {len(names):,} to score ({example}, the corpus {next(iter(names), None)!r}); "
            "check --split and the file."
        )
    missing = tuple(name for name in names if name not in where)
    return Predictions(
        found.captions, found.finished, found.log_probabilities, found.unreadable, missing, tuple(surplus)
    )


def _number(path: Path, row: int, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise CaptionTxError(f"{path}, row {row}: log_probability must be a number, found {value!r}.") from None


def _value(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if name in row), None)


def _rows(path: Path) -> Iterator[_Row]:
    readers = {".jsonl": _json_lines, ".json": _json_document, ".parquet": _parquet_rows}
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CaptionTxError(f"A file of predictions must end in {', '.join(SUFFIXES)}, got '{path}'.")
    return readers.get(suffix, _table_rows)(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    def bad(number: int, reason: str, message: str) -> None:
        raise CaptionTxError(f"{path}, line {number}: {message}.")

    return TextFile.open(path).lines(bad)


def _json_lines(path: Path) -> Iterator[_Row]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CaptionTxError(f"{path}, line {number}: not valid JSON ({error}); mend or remove it.") from error
        yield number, _as_row(path, number, row)


def _json_document(path: Path) -> Iterator[_Row]:
    text = TextFile.open(path).text()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaptionTxError(f"{path} is not valid JSON: {error}; write it again.") from error
    if find_undecoded_byte(text) is not None:
        raise CaptionTxError(f"{path} is damaged: a byte is in no known encoding; save it as UTF-8.")
    if isinstance(document, dict) and document and all(isinstance(value, str) for value in document.values()):
        document = [{"image": image, "caption": caption} for image, caption in document.items()]
    if not isinstance(document, list):
        raise CaptionTxError(f'{path}: expected a list of {{"image_id": .., "caption": ".."}}; {_kind_of(document)}.')
    for number, row in enumerate(document, 1):
        yield number, _as_row(path, number, row)


def _kind_of(document: Any) -> str:
    keys = f" with the keys {', '.join(map(str, document))[:80]}" if isinstance(document, dict) else ""
    return f"found a JSON {type(document).__name__}{keys}"


def _as_row(path: Path, number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise CaptionTxError(f"{path}, row {number}: expected an object with image and caption, found {str(row)[:80]}.")
    return row


def _table_rows(path: Path) -> Iterator[_Row]:
    """Rows under a header that names image and caption; without one the first two columns are these."""
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        return
    tabs = path.suffix.lower() == ".tsv" or (path.suffix.lower() == ".txt" and "\t" in first[1])
    # Most who write TSV quote nothing, and quotes around a caption are punctuation, which is not scored.
    quoting, delimiter = (csv.QUOTE_NONE, "\t") if tabs else (csv.QUOTE_MINIMAL, ",")

    def texts() -> Iterator[str]:
        yield first[1]
        for _, line in lines:
            yield line

    header: list[str] | None = None
    reader = csv.reader(texts(), delimiter=delimiter, quoting=quoting)
    try:
        for number, cells in enumerate(reader, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                places = find_columns(cells)
                header = [cell.strip().strip('"').lower() for cell in cells]
                if {"image", "caption"} <= places.keys():
                    continue
                header = ["image", "caption"]
            if len(header) == 2 and len(cells) > 2:
                cells = [cells[0], delimiter.join(cells[1:])]  # a caption with commas and without quotes
            if len(cells) != len(header):
                raise CaptionTxError(
                    f"{path}, row {number}: {len(cells)} fields, expected {len(header)} ({', '.join(header)}); a "
                    "caption with the separator in it stands in double quotes."
                )
            row = dict(zip(header, cells, strict=True))
            yield number, row | {"image": row["image"].strip().strip('"')} if "image" in row else row
    except csv.Error as error:
        raise CaptionTxError(f"{path}, row {reader.line_num}: {error}; mend it.") from error


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield from enumerate((row for batch in table.iter_batches(10_000) for row in batch.to_pylist()), 1)
    except (OSError, pyarrow.ArrowException) as error:
        raise CaptionTxError(f"{path} holds no table of captions: {error}.") from error
