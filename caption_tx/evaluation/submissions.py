"""Reads predictions from files of caption_tx and of challenges, without TensorFlow.

caption_tx      .jsonl, .csv, .parquet of `caption --out`; only the best caption of each image counts
table           .csv, .tsv, .txt: image and caption, with or without a header
AI Challenger   .json: [{"image_id": "name without suffix", "caption": ".."}, ..]
COCO results    .json: [{"image_id": 123, "caption": ".."}, ..]
mapping         .json: {"x.jpg": "..", ..}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.rows import CAPTION_HEADERS, IMAGE_HEADERS, find_columns, to_image_name
from caption_tx.data.text.text_files import TextFile, find_undecoded_byte
from caption_tx.errors import CaptionTxError
from caption_tx.escaping import unescape_formula
from caption_tx.evaluation.image_ids import ImageIds
from caption_tx.inference.predictions import COLUMNS

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet")

_Row = tuple[int, dict[str, Any]]
"""Number of a row, from 1, and its values by column."""


@dataclass(frozen=True)
class Predictions:
    """The captions in a file, by the image names of the corpus.

    Attributes:
        captions: may be empty texts.
        finished, log_probabilities: only of images for which the file has them.
        unreadable: image -> the error that the file contains instead of a caption.
        missing: images of the split that are not in the file.
        unexpected: images in the file that are not in the split.
    """

    captions: dict[str, str]
    finished: dict[str, bool] = field(default_factory=dict)
    log_probabilities: dict[str, float] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def read_submission(
    path: str | Path, names: Collection[str], load_annotated: Callable[[], Mapping[str, str]] = dict
) -> Predictions:
    """Reads the captions of the images `names`; rows with a `rank` other than 0 are ignored.

    Args:
        load_annotated: as for `ImageIds`.

    Raises:
        CaptionTxError: the file cannot be read, a row has no image or no caption, an image has two captions,
            or no image in the file is among `names`.
    """
    path = Path(path)
    ids = ImageIds(names, load_annotated)
    predictions = Predictions({})
    row_numbers: dict[str, int] = {}
    unexpected: dict[str, None] = {}
    for row_number, row in _rows(path):
        image = _image_of(path, row_number, row)
        if row.get("rank") not in (None, "", 0, "0"):
            continue
        name = ids.find(image)
        if name is None:
            unexpected[str(image)] = None
            continue
        if name in row_numbers:
            raise CaptionTxError(
                f"{path}: {name} has a caption in row {row_numbers[name]} and another in row {row_number}; "
                "keep only one."
            )
        row_numbers[name] = row_number
        _add(predictions, name, path, row_number, row)
    if not row_numbers:
        content = f"it has {next(iter(unexpected))!r}" if unexpected else "it is empty"
        raise CaptionTxError(
            f"{path} has none of the {len(names):,} images to score ({content}, the corpus has "
            f"{next(iter(names), None)!r}); check --split and the file."
        )
    return Predictions(
        predictions.captions,
        predictions.finished,
        predictions.log_probabilities,
        predictions.unreadable,
        missing=tuple(name for name in names if name not in row_numbers),
        unexpected=tuple(unexpected),
    )


def _image_of(path: Path, row_number: int, row: Mapping[str, Any]) -> str | int:
    """The image of a row that has an image and either one caption or an error."""
    image = _first_value(row, IMAGE_HEADERS)
    if to_image_name(image) is None or not (isinstance(_caption_of(row), str) or row.get("error")):
        raise CaptionTxError(
            f'{path}, row {row_number}: expected {{"image_id": .., "caption": ".."}}, found {str(row)[:100]}; '
            "every row needs an image and one caption."
        )
    return image if isinstance(image, str) else int(image)


def _caption_of(row: Mapping[str, Any]) -> Any:
    caption = _first_value(row, CAPTION_HEADERS)
    return caption[0] if isinstance(caption, list) and len(caption) == 1 else caption


def _first_value(row: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return next((row[column] for column in columns if column in row), None)


def _add(predictions: Predictions, name: str, path: Path, row_number: int, row: Mapping[str, Any]) -> None:
    """Adds the caption or the error of a row."""
    if row.get("error"):
        predictions.unreadable[name] = str(row["error"])
        return
    predictions.captions[name] = _caption_of(row)
    if row.get("finished") not in (None, ""):
        predictions.finished[name] = str(row["finished"]).lower() == "true"
    if (value := row.get("log_probability")) not in (None, ""):
        try:
            predictions.log_probabilities[name] = float(value)
        except (TypeError, ValueError):
            raise CaptionTxError(
                f"{path}, row {row_number}: log_probability must be a number, found {value!r}."
            ) from None


def _rows(path: Path) -> Iterator[_Row]:
    readers = {".jsonl": _json_lines, ".json": _json_document, ".parquet": _parquet_rows}
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise CaptionTxError(f"A predictions file must end in {', '.join(SUFFIXES)}, got '{path}'.")
    return readers.get(suffix, _table_rows)(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    def on_bad_line(line_number: int, reason: str, message: str) -> None:
        raise CaptionTxError(f"{path}, line {line_number}: {message}.")

    return TextFile.open(path).lines(on_bad_line)


def _json_lines(path: Path) -> Iterator[_Row]:
    for line_number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CaptionTxError(
                f"{path}, line {line_number}: not valid JSON ({error}); fix or remove the line."
            ) from error
        yield line_number, _check_row(path, line_number, row)


def _json_document(path: Path) -> Iterator[_Row]:
    text = TextFile.open(path).text()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaptionTxError(f"{path} is not valid JSON: {error}; write the file again.") from error
    if find_undecoded_byte(text) is not None:
        raise CaptionTxError(f"{path} has bytes in no known encoding; save it as UTF-8.")
    if isinstance(document, dict) and document and all(isinstance(value, str) for value in document.values()):
        document = [{"image": image, "caption": caption} for image, caption in document.items()]
    if not isinstance(document, list):
        keys = f" with the keys {', '.join(map(str, document))[:80]}" if isinstance(document, dict) else ""
        raise CaptionTxError(
            f'{path}: expected a list of {{"image_id": .., "caption": ".."}}, '
            f"found a JSON {type(document).__name__}{keys}."
        )
    for row_number, row in enumerate(document, 1):
        yield row_number, _check_row(path, row_number, row)


def _check_row(path: Path, row_number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise CaptionTxError(
            f"{path}, row {row_number}: expected an object with image and caption, found {str(row)[:80]}."
        )
    return row


def _table_rows(path: Path) -> Iterator[_Row]:
    """Rows of a table; without a header that names image and caption, these are the first two columns."""
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        return
    has_tabs = path.suffix.lower() == ".tsv" or (path.suffix.lower() == ".txt" and "\t" in first[1])
    # TSV files are rarely quoted, and quotes around a caption are punctuation, which is not scored.
    quoting, delimiter = (csv.QUOTE_NONE, "\t") if has_tabs else (csv.QUOTE_MINIMAL, ",")

    def texts() -> Iterator[str]:
        yield first[1]
        for _, line in lines:
            yield line

    header: list[str] | None = None
    reader = csv.reader(texts(), delimiter=delimiter, quoting=quoting)
    try:
        for row_number, cells in enumerate(reader, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip().strip('"').lower() for cell in cells]
                if {"image", "caption"} <= find_columns(cells).keys():
                    continue
                header = ["image", "caption"]
            if len(header) == 2 and len(cells) > 2:
                cells = [cells[0], delimiter.join(cells[1:])]  # an unquoted caption with commas
            if len(cells) != len(header):
                raise CaptionTxError(
                    f"{path}, row {row_number}: {len(cells)} fields, expected {len(header)} ({', '.join(header)}); "
                    "put captions that contain the separator in double quotes."
                )
            if header == list(COLUMNS):  # of `caption --out`
                cells = list(map(unescape_formula, cells))
            row = dict(zip(header, cells, strict=True))
            yield row_number, row | {"image": row["image"].strip().strip('"')} if "image" in row else row
    except csv.Error as error:
        raise CaptionTxError(f"{path}, row {reader.line_num}: {error}; fix the row.") from error


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield from enumerate((row for batch in table.iter_batches(10_000) for row in batch.to_pylist()), 1)
    except (OSError, pyarrow.ArrowException) as error:
        raise CaptionTxError(f"{path} contains no table of captions: {error}.") from error
