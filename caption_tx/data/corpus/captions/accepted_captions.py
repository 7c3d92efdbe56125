"""The captions of a row without those that a mark of their own rejects.

A mark belongs to one caption if it is in a column with the number of the caption, or at its place in a list of marks.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from caption_tx.data.corpus.captions.word_rows import join_series
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.tables.corrections import read_corrections
from caption_tx.data.corpus.values.origins import MachineText, mark_origin
from caption_tx.data.corpus.values.text_lists import parse_items, parse_list

_MACHINE = "captions that a machine wrote, as a value beside them says, trained on but never references"
_ALL = "captions that a machine wrote, as the file says of all of them, read like others (:origin=machine overrides it)"


def accepted_captions(rows: CaptionRows, columns: Columns, cells: Sequence[Any], line: int) -> list[Any]:
    """The values of the caption columns of a row, without captions that marks of their own reject; words are joined.

    Args:
        rows: counts the captions that are left out.
        columns: the columns of the captions and the marks.
        cells: the values of the row.
        line: line or row number, from 1.
    """
    values = {position: cells[position] for position in columns.captions}
    if columns.corrections:
        values = read_corrections(values, columns.corrections, rows.notes)
    for position, name, caption in columns.own_marks:
        if caption in values and (reason := rows.find_rejection([(name, cells[position])])):
            rows.skip(line, reason)
            del values[caption]
    for position, name in columns.rejected:
        marks = parse_items(cells[position])
        if not marks:
            continue
        if len(marks) == len(columns.captions) > 1 and len(values) == len(marks):
            kept = accepted_items(rows, list(values), [(name, marks)], line)
            values = {at: value for at, value in values.items() if at in kept}
        else:
            accepted = {at: accepted_items(rows, value, [(name, marks)], line) for at, value in values.items()}
            values = {at: value for at, value in accepted.items() if value != [] or values[at] == []}
    found = join_series(rows, columns.words, list(values.values()))
    if columns.origin is None:
        return found
    return [mark_origin(value, columns.origin[1], cells[columns.origin[0]]) for value in found]


def accepted_items(rows: CaptionRows, value: Any, lists: Sequence[tuple[str, list[Any]]], line: int = 0) -> Any:
    """A list of captions without those that lists of marks reject; a single caption is a list of one.

    Args:
        rows: counts the captions that are left out.
        value: a caption, or a list of captions, which may be written as text.
        lists: normalized name of a mark, and its value for each caption.
        line: line or row number, from 1; 0 records no line.

    Returns:
        The value as it is if none is rejected, else the captions that are left.
    """
    if not lists:
        return value
    items = value if isinstance(value, (list, tuple)) else parse_list(value) if isinstance(value, str) else None
    items = [value] if items is None else list(items)
    reasons: list[str | None] = [None] * len(items)
    for name, marks in lists:
        if len(marks) != len(items):
            rows.notes[f"lists of {name!r} whose length differs from that of the captions, not read"] += 1
            continue
        reasons = [reason or rows.find_rejection([(name, mark)]) for reason, mark in zip(reasons, marks, strict=True)]
    for reason in filter(None, reasons if line else ()):
        rows.skip(line, reason)
    kept = [item for item, reason in zip(items, reasons, strict=True) if not reason]
    return value if len(kept) == len(items) else kept


def is_by_machine(rows: CaptionRows, value: Any, caption: str) -> bool:
    """Whether a machine wrote a caption, as what is beside it or the value that holds it says; counts it."""
    is_marked = isinstance(value, MachineText) or isinstance(caption, MachineText)
    if not is_marked or not caption.strip() or rows.machine_override is not None:
        return False
    rows.notes[_MACHINE] += 1
    return True


def keep_references(rows: CaptionRows) -> None:
    """Takes the captions of a file for references if a machine wrote all of them: it has no others."""
    if _MACHINE in rows.notes and all(rows.machine):
        rows.notes[_ALL] = rows.notes.pop(_MACHINE)
        rows.machine = array("b", bytes(len(rows)))
