"""Captions in the memory of a Python program: a DataFrame, a mapping of image names to captions, or records."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.config import Source
from caption_tx.data.corpus.captions.caption_values import restore_captions
from caption_tx.data.corpus.captions.word_rows import add_sentences
from caption_tx.data.corpus.readers.parquet import read_parquet_rows
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import ReadOptions
from caption_tx.errors import CorpusError

CaptionSource = str | Path | Source
"""A caption file or folder."""

Captions = CaptionSource | pd.DataFrame | pd.Series | Mapping[str, Any]
"""A caption file or folder; a table with columns for image, caption and optionally split; or image -> captions."""


@dataclass(frozen=True)
class CaptionTable:
    """Captions that are not in a file.

    Attributes:
        name: for messages.
        data: the table as a Parquet file.
        notes: what was read differently from how it is written.
    """

    name: str
    data: bytes
    notes: Mapping[str, int]

    def read(self, options: ReadOptions) -> CaptionRows:
        """Reads the rows as those of a Parquet file.

        Raises:
            CorpusError: there is no column with images or captions, or no caption.
        """
        rows = CaptionRows(self.name, "DataFrame", "", options=options)
        read_parquet_rows(io.BytesIO(self.data), Path(self.name), rows)
        if rows.embedded_images:
            raise CorpusError(
                f"{self.name} contains images as bytes; save it as a Parquet file, and pass its path both as captions "
                "and as images."
            )
        rows.add_notes(self.notes)
        add_sentences(rows)
        rows.check()
        restore_captions(rows)
        return rows


def list_captions(captions: Captions | Iterable[Captions]) -> list[CaptionSource | CaptionTable]:
    """One or several sources of captions as a list in which tables are ready to be read or written.

    Args:
        captions: a path, a DataFrame, a mapping, or a list of these; or a list of dictionaries, one per row.

    Raises:
        CorpusError: a source has another type, or no captions.

    Example:
        >>> [table] = list_captions({"cat.jpg": ["a cat", "a cat on a mat"], "dog.jpg": "a dog"})
        >>> table.read(ReadOptions()).captions
        ['a cat', 'a cat on a mat', 'a dog']
    """
    if isinstance(captions, CaptionSource | pd.DataFrame | pd.Series | Mapping):
        captions = [captions]
    elif not isinstance(captions, Iterable) or isinstance(captions, bytes):
        raise CorpusError(_expected(captions))
    items = list(captions)
    if items and all(map(_is_record, items)):
        items = [pd.DataFrame(items)]
    ready = CaptionSource | CaptionTable
    tables = sum(not isinstance(item, CaptionSource) for item in items)
    result: list[CaptionSource | CaptionTable] = []
    for item in items:
        if isinstance(item, ready):
            result.append(item)
            continue
        number = sum(isinstance(source, CaptionTable) for source in result) + 1
        result.append(_to_table(item, f" {number}" if tables > 1 else ""))
    return result


def _is_record(item: Any) -> bool:
    """Whether an item of a list is a row of a table: {"image": "x.jpg", "caption": ..}."""
    return isinstance(item, Mapping) and {"image", "caption"} <= item.keys() and not isinstance(item["image"], list)


def _to_table(captions: Any, number: str) -> CaptionTable:
    if isinstance(captions, pd.Series):
        return _from_frame(captions.to_frame(captions.name or "caption"), f"DataFrame{number}")
    if isinstance(captions, pd.DataFrame):
        return _from_frame(captions, f"DataFrame{number}")
    if isinstance(captions, Mapping):
        return _from_frame(_mapping_frame(captions), f"Mapping{number}")
    raise CorpusError(_expected(captions))


def _expected(captions: Any) -> str:
    return (
        "Captions are the path of a file, a DataFrame with the columns image and caption, or a mapping of image names "
        f"to captions, or a list of these; got a value of type {type(captions).__name__}."
    )


def _mapping_frame(captions: Mapping[Any, Any]) -> pd.DataFrame:
    """A mapping of images to one or several captions, or of columns to values, as a table."""
    lists = list | tuple | np.ndarray | pd.Series
    columns = list(captions.values())
    if {"image", "caption"} <= captions.keys() and all(isinstance(column, lists) for column in columns):
        if len({len(column) for column in columns}) > 1:
            raise CorpusError(f"The columns {', '.join(map(str, captions))} have different lengths.")
        return pd.DataFrame({name: list(column) for name, column in captions.items()})
    several = any(isinstance(value, lists) for value in columns)
    values = []
    for image, value in captions.items():
        texts = [value] if isinstance(value, str) else list(value) if isinstance(value, lists) else None
        if texts is None or not all(isinstance(text, str) for text in texts):
            raise CorpusError(f"The captions of '{image}' must be a text or a list of texts, got {value!r:.80}.")
        values.append(texts if several else value)
    images = [os.fspath(image) if isinstance(image, os.PathLike) else str(image) for image in captions]
    return pd.DataFrame({"image": pd.array(images, "str"), "caption": values})


def _from_frame(frame: pd.DataFrame, name: str) -> CaptionTable:
    """A table with the columns of a DataFrame, and its index if that names the images."""
    import pyarrow
    import pyarrow.parquet

    if not len(frame):
        raise CorpusError(f"{name} has no rows.")
    if not isinstance(frame.index, pd.RangeIndex) and not pd.api.types.is_numeric_dtype(frame.index.dtype):
        label = frame.index.name or "image"
        if label not in frame.columns:
            frame = frame.reset_index(names=label)
    columns: dict[str, Any] = {}
    notes: dict[str, int] = {}
    for position, label in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, position]
        if values.dtype == object:
            values = values.map(lambda value: os.fspath(value) if isinstance(value, os.PathLike) else value)
        try:
            columns[label] = pyarrow.array(values, from_pandas=True)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError, TypeError):
            if label.lower() in ("image", "caption", "split"):
                kinds = sorted({type(value).__name__ for value in values})
                raise CorpusError(
                    f"{name}: the column '{label}' has values of the types {', '.join(kinds)}; convert them to text."
                ) from None
            notes[f"columns not read ({label[:200]})"] = 1
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return CaptionTable(name, stream.getvalue(), notes)
