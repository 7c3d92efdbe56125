"""Parquet tables with columns for image, caption and optionally split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caption_tx.data.corpus.rows import CaptionRows, UnknownSplitError, find_columns, to_image_name
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_BATCH_ROWS = 16_384


def read_parquet(file: TextFile, rows: CaptionRows) -> None:
    """Reads columns named as in a CSV file; a caption may be a list of strings. Image bytes are never loaded."""
    import pyarrow.parquet

    rows.unit = "row"
    try:
        with pyarrow.parquet.ParquetFile(file.path) as table:
            columns = _select_columns(file.path, table.schema_arrow)
            row_number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=list(columns.values())):
                positions = {role: batch.schema.get_field_index(name.split(".")[0]) for role, name in columns.items()}
                values = {role: batch.column(position).to_pylist() for role, position in positions.items()}
                for row in range(batch.num_rows):
                    row_number += 1
                    _add_row(rows, row_number, {role: column[row] for role, column in values.items()})
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises nearly any exception from inside the decoders
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{file.path} is not a readable Parquet file: {reason}; download it again.") from error


def _select_columns(path: Path, schema: Any) -> dict[str, str]:
    """The columns for "image", "caption" and "split"; of images stored as bytes only their path.

    Raises:
        CorpusError: there is no image or no caption column.
    """
    import pyarrow.types as types

    def is_text(kind: Any) -> bool:
        value = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_string(value) or types.is_large_string(value) or types.is_integer(value)

    def is_text_or_list(kind: Any) -> bool:
        return is_text(kind) or ((types.is_list(kind) or types.is_large_list(kind)) and is_text(kind.value_type))

    fields = [(name, schema.field(position).type) for position, name in enumerate(schema.names)]
    texts = [name for name, kind in fields if is_text(kind)]
    texts_or_lists = [name for name, kind in fields if is_text_or_list(kind)]
    columns = {}
    for role, names in (("image", texts), ("caption", texts_or_lists), ("split", texts)):
        positions = find_columns(names)
        if role in positions:
            columns[role] = names[positions[role]]
    for name, kind in fields:
        has_path = types.is_struct(kind) and kind.get_field_index("path") >= 0
        if "image" not in columns and has_path and "image" in find_columns([name]):
            columns["image"] = f"{name}.path"
    if not {"image", "caption"} <= columns.keys():
        raise CorpusError(
            f"{path}: expected text columns named image and caption (and optionally split), "
            f"found {', '.join(schema.names)[:80]}; rename the columns."
        )
    return columns


def _add_row(rows: CaptionRows, row_number: int, row: dict[str, Any]) -> None:
    image = row["image"].get("path") if isinstance(row["image"], dict) else row["image"]
    captions = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    try:
        split = rows.parse_split(row_number, row.get("split"))
    except UnknownSplitError:
        return
    if not captions:
        rows.skip(row_number, "no caption")
    for caption in captions:
        rows.add(to_image_name(image) or "", to_image_name(caption) or "", row_number, split)
