"""Folders that name a column and its value, as Hive and Spark write them: split=val/review=rejected/part-0.parquet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

from caption_tx.data.corpus.column_names import SPLIT_NAMES, SPLIT_WORDS, normalize_name, split_word
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.mark_values import is_mark, rejection
from caption_tx.data.corpus.values.origins import is_machine
from caption_tx.data.images.system_files import is_system_name

_SUFFIXES = (".parquet", ".csv", ".tsv", ".json", ".jsonl")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def _partition(name: str) -> tuple[str, str] | None:
    """The column and the value that the name of a folder has; None for other names."""
    column, sign, value = unquote(name).partition("=")
    return (column.strip(), value.strip()) if sign and column.strip() else None


def partitions_of(path: Path) -> list[tuple[str, str]]:
    """The columns and values that the folders directly above a file name, from the outermost to the innermost.

    Example:
        >>> partitions_of(Path("data/split=val/review=rejected/part-0.parquet"))
        [('split', 'val'), ('review', 'rejected')]
    """
    parents = (_partition(parent.name) for parent in path.absolute().parents)
    found = [item for item in takewhile(lambda item: item is not None, parents) if item is not None]
    return [(name, "" if value == _NULL else value) for name, value in reversed(found)]


def list_partition_files(folder: Path) -> list[Path]:
    """The tables in folders such as split=train below a folder, or in a folder of such a name; [] without them.

    Files that begin with `_` or `.` are those that Spark writes about its work.

    Example:
        >>> list_partition_files(Path("captions"))
        [PosixPath('captions/split=train/part-0.csv'), PosixPath('captions/split=val/part-0.csv')]
    """
    if not os.path.isdir(folder):
        return []
    below = [path for path in folder.glob("*=*") if _partition(path.name) and path.is_dir()]
    files = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()]
    files = [path for path in files if not path.name.startswith("_") and not is_system_name(path.name)]
    if files and below:
        return []
    if not below:
        return sorted(files) if _partition(folder.absolute().name) else []
    return sorted(file for path in below for file in list_partition_files(path))


def split_of_partitions(path: Path) -> str | None:
    """The split that a folder above a file names, as in split=val; None without one."""
    splits = [SPLIT_NAMES.get(split_word(value)) for name, value in partitions_of(path) if _is_split(name)]
    return splits[-1] if splits else None


def _is_split(name: str) -> bool:
    return normalize_name(name) in (*SPLIT_WORDS, "partition")


def apply_partitions(rows: CaptionRows, path: Path) -> None:
    """Applies the marks and origins that the folders above a file name to all its captions; others are reported."""
    marks = []
    for name, value in partitions_of(path):
        key = normalize_name(name)
        machine = is_machine(key, value)
        if is_mark(key):
            marks.append((key, value))
        elif machine is not None:
            rows.notes[f"captions whose folder says who wrote them ({name}={value})"] = len(rows)
            for row in range(len(rows)) if rows.machine_override is None else ():
                rows.machine[row] = machine
        elif not (_is_split(name) and split_word(value) in SPLIT_NAMES):
            rows.notes[f"captions in a folder whose name is not read as a column ({name}={value})"] = len(rows)
    left = set()
    for row, line in enumerate(rows.line_numbers):
        if reason := rows.find_rejection(marks):
            rows.skip(line, reason)
            left.add(row)
    if marks and not any(rejection(*mark) for mark in marks):
        shown = ", ".join(f"{name}={value}" for name, value in marks)
        rows.notes[f"captions in a folder that does not reject them ({shown}), read"] = len(rows)
    if left:
        rows.leave_out(left)


def note_rejecting_names(sources: Sequence[CaptionRows]) -> None:
    """Reports files of several that are called "rejected" or are in a folder of such a name, which are read."""
    for rows in sources if len(sources) > 1 else ():
        path = Path(rows.source).absolute()
        name = next((name for name in (path.stem, path.parent.name) if rejection("status", name)), None)
        if name and len(rows):
            rows.notes[f"captions of a file or folder called {name!r}, read; leave it out if they are rejected"] = len(
                rows
            )
