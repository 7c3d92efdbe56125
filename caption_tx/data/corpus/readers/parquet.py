"""Parquet tables with columns for image, captions and optionally split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from caption_tx.data.corpus.captions.caption_values import add_cells
from caption_tx.data.corpus.column_names import caption_key, could_be_image, image_rank
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import Columns, ReadOptions, select_columns
from caption_tx.data.corpus.tables.title_rows import NAMES_IN_ROWS, ROWS_ABOVE, find_names, may_lack_names
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.images.parquet_columns import base_of, describe_columns, has_bytes, image_column, image_columns
from caption_tx.data.images.parquet_images import count_several, embedded_names, rows_of_shared_names
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_BATCH_ROWS = 16_384
_SAMPLE_ROWS = 50
_TEXT_FILES = ("txt", "json", "caption", "text")


def read_parquet(file: TextFile, rows: CaptionRows) -> None:
    """Reads columns named as in a CSV file; a caption may be a list of strings. Image bytes are never loaded."""
    read_parquet_rows(file.path, file.path, rows)


def read_parquet_rows(source: Path | BinaryIO, path: Path, rows: CaptionRows) -> None:
    """Reads a Parquet file, or one in memory, whose name in messages is `path`."""
    import pyarrow.parquet

    rows.unit = "row"
    try:
        with pyarrow.parquet.ParquetFile(source) as table:
            labels, skipped = _find_labels(table, rows)
            columns, names, embedded = _select_columns(path, table, rows.options, (labels, skipped))
            if embedded and (several := count_several(table, embedded)):
                raise CorpusError(
                    f"{path}: {several:,} rows have several images in the column {embedded!r}; write one image per row."
                )
            names_of_rows = embedded_names(table, embedded) if embedded else None
            renamed = {} if embedded else _rename_shared(table, names[0], rows)
            own_images = embedded or image_column(table)
            holds_images = own_images is not None and has_bytes(table, own_images)
            rows.embedded_images = holds_images and embedded is not None
            rows.has_own_images = holds_images and embedded is None
            rows.add_notes(columns.notes)
            rows.name_captions("column", names, columns)
            row_number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=names):
                values = [_values(batch, name) for name in names]
                for cells in zip(*values, strict=True):
                    row_number += 1
                    if row_number <= skipped:
                        continue
                    if names_of_rows is not None:
                        cells = (names_of_rows[row_number - 1], *cells[1:])
                    elif row_number in renamed:
                        cells = (renamed[row_number], *cells[1:])
                    add_cells(rows, row_number, cells, columns)
    except (CorpusError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises nearly any exception from inside the decoders
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{path} is not a readable Parquet file: {reason}; download it again.") from error


def _rename_shared(table: Any, column: str, rows: CaptionRows) -> dict[int, str]:
    """Row number -> name of the image in that row, for rows whose name in a column belongs to several images."""
    embedded = image_column(table)
    if embedded is None or embedded.partition(".")[0] == column.partition(".")[0]:
        return {}
    batches = table.iter_batches(_BATCH_ROWS, columns=[column])
    values = [value for batch in batches for value in batch.column(0).to_pylist()]
    shared = rows_of_shared_names(table, embedded, [value if isinstance(value, str) else None for value in values])
    if not shared:
        return {}
    rows.notes[f"rows whose {column!r} belongs to several images, named by their row"] += len(shared)
    names = embedded_names(table, embedded)
    return {row + 1: names[row] for row in shared}


def _find_labels(table: Any, rows: CaptionRows) -> tuple[dict[str, str], int]:
    """The names that a row has for columns that are named by numbers or a title, and the number of rows up to it."""
    schema = table.schema_arrow
    names = [name for position, name in enumerate(schema.names) if _is_text(schema.field(position).type)]
    if not may_lack_names(names):
        return {}, 0
    batch = next(table.iter_batches(_SAMPLE_ROWS, columns=names), None)
    cells = list(zip(*(_values(batch, name) for name in names), strict=True)) if batch else []
    header = find_names(names, cells, rows.options)
    if header is None:
        return {}, 0
    rows.add_notes({NAMES_IN_ROWS: 1} | ({ROWS_ABOVE: header} if header else {}))
    return {name: str(label or "") for name, label in zip(names, cells[header], strict=True)}, header + 1


def _select_columns(
    path: Path, table: Any, options: ReadOptions, header: tuple[dict[str, str], int]
) -> tuple[Columns, list[str], str | None]:
    """The columns to read, by their positions in the list of names that is also returned, and that of embedded images.

    `header` has other names for columns, and the number of rows above the data.

    Images that are stored as bytes are named by `embedded_names`, unless a column of text names them.

    Raises:
        CorpusError: there is no image or no caption column, or several could be the caption.
    """
    import pyarrow.types as types

    (labels, skipped), schema = header, table.schema_arrow
    fields = [(name, schema.field(position).type) for position, name in enumerate(schema.names)]
    readable = [name for name, kind in fields if _is_text(kind) or _is_list(kind) or _is_text_in_bytes(name, kind)]
    # pandas turns whole numbers into floats where some are missing.
    readable += [name for name, kind in fields if types.is_floating(kind) and could_be_image(name)]
    nested = {name: list(_nested_fields(name, kind, 0)) for name, kind in fields}
    with_path = {name for name, kind in fields if _has_path(kind)}
    embedded = image_column(table, options.image_column)
    base = None if embedded is None else base_of(embedded)
    if _is_wanted(base, options) or not any(image_rank(name) is not None for name, kind in fields if _is_text(kind)):
        _require_one_column(path, table, options)
        readable += [name for name, kind in fields if _has_path(kind) and image_rank(name) is not None and name != base]
        readable += [base] if base else []
        if base and image_rank(base) is None:
            options = replace(options, image_column=options.image_column or base)
    readable = [field for name in schema.names for field in ([name] if name in readable else nested[name])]
    samples: dict[str, list[Any]] = {}

    def values(position: int) -> list[Any]:
        name = readable[position]
        if name == base or name in with_path:
            return []
        if name not in samples:
            batches = table.iter_batches(_SAMPLE_ROWS, columns=[name])
            samples[name] = next((_values(batch, name)[skipped:] for batch in batches), [])
        return samples[name]

    columns = select_columns([labels.get(name, name) for name in readable], values, options, str(path))
    if columns is None:
        raise CorpusError(
            f"{path}: expected text columns named image and caption (and optionally split), "
            f"found {describe_columns(table)}; name them with image_column and caption_column."
        )
    known = {readable[position] for position in columns.read} | {base}
    unread = [field for name in schema.names for field in nested[name] or [name] if field not in known]
    if base in with_path and _names_differ(table, base, readable[columns.image]):
        unread.append(f"{base}.path")
    notes = {text: count for text, count in columns.notes.items() if not text.startswith("columns not read")}
    if unread:
        notes[f"columns not read ({list_names([labels.get(name, name) for name in unread])})"] = len(unread)
    names = [readable[position] for position in columns.read]
    embedded = embedded if names[0] == base else None
    if embedded and not _has_path(schema.field(base).type):
        names[0] = names[1]  # the name of the image is not in a column
    names = [f"{name}.path" if name in with_path else name for name in names]
    return replace(columns.renumbered(), notes=notes), names, embedded


def _is_wanted(column: str | None, options: ReadOptions) -> bool:
    """Whether the user names a column as that of the images."""
    return column is not None and column.casefold() == (options.image_column or "").strip().casefold()


def _require_one_column(path: Path, table: Any, options: ReadOptions) -> None:
    """Rejects tables with several columns of images of which none is more certain, unless the user names one.

    Raises:
        CorpusError: there are several.
    """
    columns = image_columns(table)
    equal = [base_of(column) for column, rank in columns if rank == columns[0][1]]
    if len(equal) > 1 and not options.image_column:
        raise CorpusError(
            f"{path}: {len(equal)} columns hold images: {list_names(equal)}; choose with image_column (--image-column) "
            f"{equal[0]}."
        )


def _names_differ(table: Any, base: str, column: str) -> bool:
    """Whether the paths of embedded images are none of the names in the column that is read instead of them."""
    if column == base:
        return False
    batch = next(table.iter_batches(_SAMPLE_ROWS, columns=[f"{base}.path", column]), None)
    paths = [value and value.get("path") for value in batch.column(base).to_pylist()] if batch else []
    return any(path and path != name for path, name in zip(paths, _values(batch, column) if batch else [], strict=True))


def _values(batch: Any, name: str) -> list[Any]:
    """The values of a column, or of a field below one, such as captions.human; image paths stay in their objects."""
    first, *keys = [name] if name in batch.schema.names else name.split(".")
    values = batch.column(batch.schema.get_field_index(first)).to_pylist()
    for key in keys if keys != ["path"] else ():
        values = [value.get(key) if isinstance(value, dict) else None for value in values]
    return [_decode(value) if isinstance(value, bytes) else value for value in values]


def _decode(value: bytes) -> str | bytes:
    """Text as WebDataset stores it; other bytes as they are, which are rejected as captions."""
    try:
        return value.decode("utf-8-sig")
    except UnicodeDecodeError:
        return value


def _nested_fields(name: str, kind: Any, depth: int) -> Iterator[str]:
    """The fields of text below a column of objects that is no image, such as captions.human."""
    import pyarrow.types as types

    if not types.is_struct(kind) or _has_path(kind) or kind.get_field_index("bytes") >= 0 or depth > 3:
        return
    for field in kind:
        if _is_text(field.type) or _is_list(field.type):
            yield f"{name}.{field.name}"
        yield from _nested_fields(f"{name}.{field.name}", field.type, depth + 1)


def _is_text(kind: Any) -> bool:
    import pyarrow.types as types

    value = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(value) or types.is_large_string(value) or types.is_integer(value) or types.is_boolean(value)


def _is_text_in_bytes(name: str, kind: Any) -> bool:
    """Whether a column of bytes has the name of a text file, as WebDataset names its columns, or of a caption."""
    import pyarrow.types as types

    is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
    return is_bytes and (name.lower() in _TEXT_FILES or caption_key(name) is not None)


def _is_list(kind: Any) -> bool:
    """Whether a type is a list of text, of lists of text, or of objects with text."""
    import pyarrow.types as types

    if not (types.is_list(kind) or types.is_large_list(kind)):
        return False
    return _is_text(kind.value_type) or _is_list(kind.value_type) or types.is_struct(kind.value_type)


def _has_path(kind: Any) -> bool:
    import pyarrow.types as types

    return types.is_struct(kind) and kind.get_field_index("path") >= 0
