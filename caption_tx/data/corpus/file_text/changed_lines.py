"""A text file whose lines are read as the lines of a table, such as the entries of a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from caption_tx.data.text.text_files import TextFile

Line = tuple[int, str]
"""The number of a line, from 1, and its text."""

Change = Callable[[Sequence[Line]], tuple[list[Line], Counter[str]]]
"""All lines of a file, blank ones included -> the lines to read, and what was changed, with counts."""


@dataclass(frozen=True)
class ChangedFile(TextFile):
    """A text file whose lines are those that `change` returns; `notes` says what was changed once they are read."""

    change: Change = field(kw_only=True)
    notes: Counter[str] = field(default_factory=Counter)

    def lines(self, on_error: Callable[[int, str, str], None]) -> Iterator[Line]:
        """See `TextFile`; a row of several lines has the number of its first line."""
        found, notes = self.change(list(super().lines(on_error)))
        self.notes.clear()
        self.notes.update(notes)
        return iter(found)
