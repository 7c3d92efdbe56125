"""Which columns of a Parquet file hold images."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.images.other_images import is_other_image

_IMAGE_WORDS = re.compile(r"image|img|jpe?g|png|webp|photo|picture|pic|bytes|图|照片", re.IGNORECASE)
_PLAIN = ("image", "images", "img")


def image_columns(file: Any) -> list[tuple[str, tuple[int, ...]]]:
    """The columns of a `pyarrow.parquet.ParquetFile` with images as bytes, named as Parquet names them, and their rank.

    Masks, thumbnails and the like come last, objects with bytes before lists of them and plain bytes, `image` before
    other names. Columns of one rank are equal candidates.

    Example:
        >>> image_columns(pyarrow.parquet.ParquetFile("masks.parquet"))
        [('photo.bytes', (0, 0, 1)), ('mask.bytes', (1, 0, 2))]
    """
    import pyarrow.types as types

    schema, found = file.schema_arrow, []
    for position, name in enumerate(schema.names):
        kind, has_word = schema.field(position).type, _IMAGE_WORDS.search(name) is not None
        column, order = name, None
        if types.is_struct(kind) and (at := kind.get_field_index("bytes")) >= 0 and is_binary(kind[at].type):
            column, order = f"{name}.bytes", 0
        elif is_image_list(kind):
            order = 1
        elif is_binary(kind) and has_word:
            order = 2
        if order is not None:
            by_name = 0 if name.strip().lower() in _PLAIN else 1 if has_word else 2
            found.append((column, (int(is_other_image(name)), order, by_name)))
    return sorted(found, key=lambda item: item[1])


def image_column(file: Any, wanted: str | None = None) -> str | None:
    """The column of a file with images as bytes: the one that the user names, else the first of `image_columns`.

    Example:
        >>> image_column(pyarrow.parquet.ParquetFile("train-00000-of-00002.parquet"))
        'image.bytes'
    """
    columns = [column for column, _ in image_columns(file)]
    key = (wanted or "").strip().casefold()
    named = [column for column in columns if key in (column.casefold(), base_of(column).casefold())]
    return next(iter(named or columns), None)


def base_of(column: str) -> str:
    """The column of a table that a column of bytes in it belongs to: `image` for `image.bytes`."""
    return column.partition(".")[0]


def has_bytes(file: Any, column: str) -> bool:
    """Whether rows contain the bytes of their images; Hugging Face datasets may have the path only."""
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        chunks = (group.column(position) for position in range(group.num_columns))
        for chunk in chunks:
            path = chunk.path_in_schema
            if path == column or (path.startswith(f"{column}.") and path.endswith(".bytes")):
                counts = chunk.statistics
                if counts is None or not counts.has_null_count or counts.null_count < group.num_rows:
                    return True
    return False


def describe_columns(file: Any) -> str:
    """The columns of a file with their types, for messages."""
    schema = file.schema_arrow
    text = ", ".join(f"{name} ({schema.field(position).type})" for position, name in enumerate(schema.names))
    return text if len(text) <= 200 else f"{text[:200]}.."


def is_image_list(kind: Any) -> bool:
    """Whether a type is a list of objects with bytes."""
    import pyarrow.types as types

    if not (types.is_list(kind) or types.is_large_list(kind)) or not types.is_struct(kind.value_type):
        return False
    position = kind.value_type.get_field_index("bytes")
    return position >= 0 and is_binary(kind.value_type[position].type)


def is_binary(kind: Any) -> bool:
    """Whether a type is bytes."""
    import pyarrow.types as types

    return types.is_binary(kind) or types.is_large_binary(kind)
