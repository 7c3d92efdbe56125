"""Tables beside a caption file that give ids of images their file names, as databases export them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from caption_tx.data.corpus.column_names import normalize_name
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.value_kinds import is_file_name, is_image_name, share
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_NAMES = re.compile(r"image|img|photo|picture|media|file|图|照片", re.IGNORECASE)
# fmt: off
_IDS = (
    "id", "image_id", "img_id", "photo_id", "picture_id", "media_id", "file_id", "key", "编号", "图片编号", "图片id",
)
# fmt: on
_MAX_BYTES = 50_000_000
_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": lambda path: pd.read_csv(_open(path), dtype=str, keep_default_na=False),
    ".tsv": lambda path: pd.read_csv(_open(path), dtype=str, keep_default_na=False, sep="\t"),
    ".json": lambda path: pd.DataFrame(json.load(_open(path))),
    ".jsonl": lambda path: pd.DataFrame(map(json.loads, filter(str.strip, _open(path)))),
    ".parquet": pd.read_parquet,
}


def read_id_tables(rows: CaptionRows) -> None:
    """Replaces ids of images by the file names that a table beside the caption file, such as images.csv, gives them.

    The table must have all ids of the captions, each once, and a column of file names.
    """
    file = Path(rows.source)
    ids = set(rows.images)
    if not ids or not file.is_file() or any("/" in image or is_image_name(image) for image in ids):
        return
    for path in sorted(file.parent.iterdir()):
        if path == file or path.suffix.lower() not in _READERS or not _NAMES.search(path.stem):
            continue
        names = _names_of(path, ids)
        if names and any(stem(name) != image for image, name in names.items()):
            rows.images = [names[image] for image in rows.images]
            rows.notes[f"image ids replaced by the file names that {path.name} beside the file gives them"] = len(ids)
            return


def _names_of(path: Path, ids: Iterable[str]) -> dict[str, str] | None:
    """Image id -> file name by a table with all these ids; None if it is no such table."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        table = _READERS[path.suffix.lower()](path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, CorpusError):
        return None  # no table: only a caption file's own damage is an error
    keys = [name for name in table.columns if normalize_name(str(name)) in _IDS]
    files = [name for name in table.columns if share(list(table[name]), is_file_name) > 0.9]
    if len(keys) != 1 or len(files) != 1:
        return None
    found = table[keys[0]].map(str)
    names = dict(zip(found, table[files[0]].map(str), strict=True))
    return {image: names[image] for image in ids} if found.is_unique and names.keys() >= set(ids) else None


def _open(path: Path) -> io.StringIO:
    """The text of a file in any encoding that is detected.

    Raises:
        CorpusError: the file cannot be read, or its encoding was not recognized.
    """
    return io.StringIO(TextFile.open(path).text())
