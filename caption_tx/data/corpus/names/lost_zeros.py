"""Image names that a spreadsheet or pandas took for numbers: 1987.10 and 1987.100 became 1987.1."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from pathlib import Path

from caption_tx.data.corpus.names.image_files import ImageFiles
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.rows import CaptionRows

_DECIMAL = re.compile(r"\d+\.\d+", re.ASCII)
_ADVICE = "format the column as text and enter the names again"
_REASON = "a number that several image files could mean"


def restore_zeros(rows: CaptionRows, images: str | Path | None) -> None:
    """Reads a name such as 1987.2 as 1987.20 if only that file exists; `rows` counts these and ambiguous names.

    A file in which a decimal number ends in 0 has lost none. Captions of a number that several files could mean are
    left out if it has more of them than any other name, since those are the captions of several images.

    Args:
        rows: of one source.
        images: the image folder; nothing is looked up without a local one.
    """
    numbers = {name for name in rows.images if _DECIMAL.fullmatch(name)}
    folder = ImageFiles(images)
    if not numbers or not folder or any(name.endswith("0") for name in numbers):
        return
    files = _files_of_numbers(folder.names())
    meant = {name: files[name] for name in sorted(numbers) if name in files and files[name] != [name]}
    found = {name: stems[0] for name, stems in meant.items() if len(stems) == 1}
    if found:
        name, file = next(iter(found.items()))
        note = f"image names read with zeros at the end that a program has dropped (such as {name} for {file})"
        rows.notes[note] = len(found)
        rows.images = [found.get(name, name) for name in rows.images]
    _leave_out_mixed(rows, {name: stems for name, stems in meant.items() if len(stems) > 1})


def _leave_out_mixed(rows: CaptionRows, meant: dict[str, list[str]]) -> None:
    """Leaves out the captions of several images under one number, and counts other numbers with several files."""
    if not meant:
        return
    counts = Counter(rows.images)
    usual = max((count for name, count in counts.items() if name not in meant), default=1)
    mixed = {name for name in meant if counts[name] > usual}
    for names, what in ((mixed, "left out"), (meant.keys() - mixed, "read as they are")):
        if names:
            name = min(names)
            shown = f"{name}: {', '.join(meant[name][:4])}; {_ADVICE}"
            note = f"captions of numbers that several image files could mean, {what} ({shown})"
            rows.notes[note] = sum(counts[name] for name in names)
    left = {row for row, name in enumerate(rows.images) if name in mixed}
    for row in sorted(left):
        rows.skip(rows.line_numbers[row], _REASON)
    if left:
        rows.leave_out(left)


def _files_of_numbers(files: set[str]) -> dict[str, list[str]]:
    """A number without zeros at its end -> the stems of the image files that it could mean."""
    found: dict[str, set[str]] = {}
    for name in {stem(posixpath.basename(file)) for file in files}:
        if _DECIMAL.fullmatch(name):
            short = name.rstrip("0")
            found.setdefault(short + "0" * short.endswith("."), set()).add(name)
    return {name: sorted(stems, key=lambda text: (len(text), text)) for name, stems in found.items()}
