"""Reads predictions from files of caption_tx and of challenges, without TensorFlow.

caption_tx      .jsonl, .csv, .parquet of `caption --out`; only the best caption of each image counts
table           .csv, .tsv, .txt: image and caption, with or without a header, as caption files have them
AI Challenger   .json: [{"image_id": "name without suffix", "caption": ".."}, ..]
COCO results    .json: [{"image_id": 123, "caption": ".."}, ..]
mapping         .json: {"x.jpg": "..", ..}

Columns and keys have the names that caption files may have (`data/corpus/column_names.py`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.column_names import CAPTION_WORDS, caption_key, image_rank
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.readers.delimited import UnclosedQuoteError, parse_rows
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.tables.table_layout import SEPARATORS, TableLayout, find_contents, find_header
from caption_tx.data.corpus.values.value_kinds import is_image_name, to_image_name
from caption_tx.data.text.text_files import TextFile, find_undecoded_byte
from caption_tx.errors import CaptionTxError, CorpusError
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
        words: captions with a space between words, of images for which the file lists the words.
        unreadable: image -> the error that the file contains instead of a caption.
        missing: images of the split that are not in the file.
        unexpected: images in the file that are not in the split.
    """

    captions: dict[str, str]
    finished: dict[str, bool] = field(default_factory=dict)
    log_probabilities: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


@dataclass(frozen=True)
class PredictionsFile:
    """A predictions file that messages do not call by its path, because it is a temporary one.

    Example:
        >>> str(PredictionsFile(Path("/tmp/x/predictions.jsonl"), "the predictions"))
        'the predictions'
    """

    path: Path
    name: str

    def __str__(self) -> str:
        return self.name


def path_of(file: str | Path | PredictionsFile) -> Path:
    """The path of a predictions file."""
    return file.path if isinstance(file, PredictionsFile) else Path(file)


def read_submission(
    file: str | Path | PredictionsFile, names: Collection[str], load_annotated: Callable[[], Mapping[str, str]] = dict
) -> Predictions:
    """Reads the captions of the images `names`; rows with a `rank` other than 0 are ignored.

    Args:
        load_annotated: as for `ImageIds`.

    Raises:
        CaptionTxError: the file cannot be read, a row has no image or no caption, an image has two captions,
            or no image in the file is among `names`.
    """
    ids = ImageIds(names, load_annotated)
    predictions = Predictions({})
    row_numbers: dict[str, int] = {}
    unexpected: dict[str, None] = {}
    for row_number, row in _rows(path_of(file)):
        image = _image_of(str(file), row_number, row)
        if row.get("rank") not in (None, "", 0, "0"):
            continue
        name = ids.find(image)
        if name is None:
            unexpected[str(image)] = None
            continue
        if name in row_numbers:
            raise CaptionTxError(
                f"{file}: {name} has a caption in row {row_numbers[name]} and another in row {row_number}; "
                "keep only one."
            )
        row_numbers[name] = row_number
        _add(predictions, name, str(file), row_number, row)
    if not row_numbers:
        content = repr(next(iter(unexpected))) if unexpected else "no rows"
        raise CaptionTxError(
            f"None of the {len(names):,} images to score is in {file} (found {content}, the corpus has "
            f"{next(iter(names), None)!r}); check split (--split) and the predictions."
        )
    return Predictions(
        predictions.captions,
        predictions.finished,
        predictions.log_probabilities,
        predictions.words,
        predictions.unreadable,
        missing=tuple(name for name in names if name not in row_numbers),
        unexpected=tuple(unexpected),
    )


def _image_of(file: str, row_number: int, row: Mapping[str, Any]) -> str | int:
    """The image of a row that has an image and either one caption or an error."""
    image = row.get(_image_key(tuple(row)))
    if to_image_name(image) is None or not (isinstance(_caption_of(row), str) or row.get("error")):
        raise CaptionTxError(
            f'{file}, row {row_number}: expected {{"image_id": .., "caption": ".."}}, found {str(row)[:100]}; '
            "every row needs an image and one caption."
        )
    return image if isinstance(image, str) else int(image)


def _caption_of(row: Mapping[str, Any]) -> Any:
    caption = row.get(_caption_key(tuple(row)))
    return caption[0] if isinstance(caption, list) and len(caption) == 1 else caption


@lru_cache(maxsize=64)
def _image_key(keys: tuple[str, ...]) -> str:
    """The key with the most certain name for the image."""
    ranked = [(rank, key) for key in keys if (rank := image_rank(key)) is not None]
    return min(ranked)[1] if ranked else "id"


@lru_cache(maxsize=64)
def _caption_key(keys: tuple[str, ...]) -> str:
    """The key with the most certain name for the caption."""
    found = [(*name, key) for key in keys if (name := caption_key(key))]
    order = {word: index for index, word in enumerate(CAPTION_WORDS)}
    return min((rank, order.get(name, len(order)), key) for name, rank, key in found)[2] if found else "caption"


def _add(predictions: Predictions, name: str, file: str, row_number: int, row: Mapping[str, Any]) -> None:
    """Adds the caption or the error of a row."""
    if row.get("error"):
        predictions.unreadable[name] = str(row["error"])
        return
    predictions.captions[name] = _caption_of(row)
    if words := row.get("words"):
        predictions.words[name] = words if isinstance(words, str) else " ".join(map(str, words))
    if row.get("finished") not in (None, ""):
        predictions.finished[name] = str(row["finished"]).lower() == "true"
    if (value := row.get("log_probability")) not in (None, ""):
        try:
            predictions.log_probabilities[name] = float(value)
        except (TypeError, ValueError):
            raise CaptionTxError(
                f"{file}, row {row_number}: log_probability must be a number, found {value!r}."
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
    if isinstance(document, dict):
        document = _list_of(document)
    if not isinstance(document, list):
        keys = f" with the keys {', '.join(map(str, document))[:80]}" if isinstance(document, dict) else ""
        raise CaptionTxError(
            f'{path}: expected a list of {{"image_id": .., "caption": ".."}}, '
            f"found a JSON {type(document).__name__}{keys}."
        )
    for row_number, row in enumerate(document, 1):
        yield row_number, _check_row(path, row_number, row)


def _list_of(document: dict[str, Any]) -> Any:
    """The rows of {"x.jpg": ".."}, {"x.jpg": [".."]}, {"x.jpg": {"caption": ".."}} or {"predictions": [{..}, ..]}."""
    values = list(document.values())
    if values and all(isinstance(value, (str, dict)) or _is_text_list(value) for value in values):
        return [
            {"image": image, **(value if isinstance(value, dict) else {"caption": value})}
            for image, value in document.items()
        ]
    lists = [value for value in values if isinstance(value, list) and value and isinstance(value[0], dict)]
    return lists[0] if len(lists) == 1 and "images" not in document else document


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _check_row(path: Path, row_number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise CaptionTxError(
            f"{path}, row {row_number}: expected an object with image and caption, found {str(row)[:80]}."
        )
    return row


def _table_rows(path: Path) -> Iterator[_Row]:
    """Rows of a table; without a header or names of images, image and caption are the first two columns."""
    layout = _layout_of(path)
    header = [name.strip().strip('"').lower() for name in layout.header]
    # TSV files are rarely quoted, and quotes around a caption are punctuation, which is not scored.
    quoting = csv.QUOTE_NONE if layout.separator == "\t" else csv.QUOTE_MINIMAL
    lines_before = layout.skipped_lines + layout.has_header
    try:
        for row_number, (_, cells) in enumerate(parse_rows(_lines(path), layout.separator, quoting), 1):
            if isinstance(cells, str):
                raise CaptionTxError(f"{path}, row {row_number}: {cells}; fix the row.")
            if not any(cell.strip() for cell in cells):
                continue
            if lines_before:
                lines_before -= 1
                continue
            if layout.caption_is_last and len(cells) > len(header):  # an unquoted caption with separators
                cells = [*cells[: len(header) - 1], layout.separator.join(cells[len(header) - 1 :])]
            if len(cells) != len(header):
                names = "image, caption" if not layout.has_header else ", ".join(header)
                raise CaptionTxError(
                    f"{path}, row {row_number}: {len(cells)} fields, expected {len(header)} ({names}); "
                    "put captions that contain the separator in double quotes."
                )
            if header == list(COLUMNS):  # of `caption --out`
                cells = list(map(unescape_formula, cells))
            image, caption = cells[layout.columns.image], cells[layout.columns.captions[0]]
            row = dict(zip(header, cells, strict=True))
            yield row_number, row | {"image": image.strip().strip('"'), "caption": caption}
    except UnclosedQuoteError as error:
        line, reason = error.args
        raise CaptionTxError(f"{path}, line {line}: {reason}; close the quotation mark.") from error


def _layout_of(path: Path) -> TableLayout:
    """The separator and the columns of a table of predictions, as a caption file's are found.

    Raises:
        CaptionTxError: several columns could be the caption.
    """
    try:
        head = FileHead.read(path)
        layout = find_header(head) or find_contents(head)
    except CorpusError as error:
        if "could be the caption" not in str(error):
            raise
        raise CaptionTxError(f"{str(error).partition('; choose')[0]}; keep one caption per image.") from error
    if layout is None:
        first = head.lines[0] if head.lines else ""
        named = (sign for sign in ("\t", *SEPARATORS) if sign in first and is_image_name(first.partition(sign)[0]))
        separator = next(named, "\t" if "\t" in first else ",")
        return TableLayout(separator, ["1", "2"], Columns(0, (1,)), has_header=False)
    if len(layout.columns.captions) > 1:
        names = ", ".join(layout.header[position] for position in layout.columns.captions)
        raise CaptionTxError(f"{path} has several captions of each image ({names}); keep one.")
    return layout


def _parquet_rows(path: Path) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield from enumerate((row for batch in table.iter_batches(10_000) for row in batch.to_pylist()), 1)
    except (OSError, pyarrow.ArrowException) as error:
        raise CaptionTxError(f"{path} contains no table of captions: {error}.") from error
