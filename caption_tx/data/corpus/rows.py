"""Rows of one caption source, collected by its reader, with the lines that were skipped."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from caption_tx.data.corpus.column_names import SPLIT_NAMES, split_word
from caption_tx.data.corpus.tables.columns import DEFAULT_OPTIONS, Columns, ReadOptions
from caption_tx.data.corpus.tables.corrections import is_corrected
from caption_tx.data.corpus.tables.word_columns import WordRow
from caption_tx.data.corpus.values.damaged_text import is_damaged, repair_text
from caption_tx.data.corpus.values.mark_values import is_fuzzy, is_unread, rejection, says_wrong
from caption_tx.data.corpus.values.missing_values import MISSING_WORDS, stands_for_no_name, why_left_out
from caption_tx.data.corpus.values.text_lists import parse_items
from caption_tx.data.corpus.values.value_kinds import is_valid_unicode
from caption_tx.errors import CorpusError

MAX_ERROR_RATE = 0.1
"""A file with a larger share of invalid lines is damaged or has another layout, and is rejected."""

UNLISTED = ""
"""Split of a row whose image is in none of the split lists of its source."""

_EARLY_CHECK = 100_000
_MAX_REASONS = 5


class UnknownSplitError(Exception):
    """A row has an unknown split name. `CaptionRows.parse_split` has recorded the error."""


@dataclass
class CaptionRows:
    """The rows of one source as columns of equal length; filled in by a reader.

    Args:
        source: file or folder, used in messages.
        format: name of the caption format.
        encoding: text encoding, for the report.
        unit: what `line_numbers` count from 1: "line", "entry" (of a JSON list) or "row" (of a table).
        split_override: split of every row, whatever the file says.
        machine_override: origin of every row (True for machine translations), whatever the file says.
        file_name_split: split in the name of the file or its folder; splits inside files take precedence.
        is_release: whether the file has the name of a release, whose split is known.
        options: columns and suffixes that the user names.

    `splits` contains a split, None (assigned by the seed later) or `UNLISTED`. `skipped` contains (file, line number,
    reason). `notes` counts what was read differently from how it is written, `other_marks` values of status columns
    that reject nothing, and `other_kinds` keys of rows that are no captions. `list_ids` has a number for captions that
    are items of one list, and -1 for others. `embedded_images` says that the file itself contains the images, and
    `has_own_images` that it contains images beside names that may mean files.
    `other_names` has, by place, the name that a line has for its image and another one that it could have.
    `image_above` is the last image cell of a table with merged cells. `folders` has, by line, the folder that
    `folder_column` has for its image, of which `folder_above` is the last. `words` are those of a table with a word per
    row until they are joined. `caption_names` are the columns read.
    """

    source: str
    format: str = ""
    encoding: str = ""
    unit: str = "line"
    split_override: str | None = None
    machine_override: bool | None = None
    file_name_split: str | None = None
    is_release: bool = False
    options: ReadOptions = DEFAULT_OPTIONS
    embedded_images: bool = False
    has_own_images: bool = False
    caption_names: str = ""
    image_above: Any = None
    images: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    machine: array = field(default_factory=lambda: array("b"))
    line_numbers: array = field(default_factory=lambda: array("q"))
    list_ids: array = field(default_factory=lambda: array("q"))
    skipped: list[tuple[str, int, str]] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)
    other_marks: dict[str, Counter] = field(default_factory=dict)
    other_kinds: dict[str, Counter] = field(default_factory=dict)
    folders: dict[int, str] = field(default_factory=dict)
    words: list[WordRow] = field(default_factory=list)
    folder_column: str = ""
    folder_above: str = ""
    other_names: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    _file: str = ""
    _ditto: str = ""
    _damaged: str = ""
    _repaired: str = ""
    _interned: dict[str, str] = field(default_factory=dict)
    _line_count: int = 0
    _error_count: int = 0
    _last_line: int = -1
    _last_error_line: int = -1
    _first_error: str = ""
    _list_count: int = 0
    _has_words: bool = False
    _words_kept: bool = False

    def __len__(self) -> int:
        """The number of captions."""
        return len(self.images)

    @property
    def units(self) -> str:
        """Plural of `unit`."""
        return "entries" if self.unit == "entry" else f"{self.unit}s"

    def name_captions(self, unit: str, names: Sequence[str], columns: Columns) -> None:
        """Records the columns or keys of the first captions, for messages."""
        if not self.caption_names:
            self.caption_names = f"the {unit} {', '.join(str(names[at]) for at in columns.captions[:_MAX_REASONS])!r}"

    def start_file(self, file: str) -> None:
        """Starts the next file of a source with several files; line numbers restart."""
        self._file = file
        self._last_line = self._last_error_line = -1

    def start_list(self, has_words: bool = False) -> None:
        """Starts a list, to which `add` with `in_list` adds items; words such as 无 stay if it seems to have words."""
        self._list_count += 1
        self._has_words = has_words
        self._words_kept = self._words_kept or has_words

    def add(
        self,
        image: str,
        caption: str,
        line: int,
        split: str | None = None,
        machine: bool = False,
        in_list: bool = False,
    ) -> None:
        """Adds one caption. An empty caption is skipped; a missing image name is an error."""
        caption = self._repair(caption.strip(), line)
        if self.format != "folder":  # whose names come from the disk, spaces included
            image = image.strip()
        if image not in self._interned and not self._is_name(image):
            if image or caption:
                self.add_error(line, "no image name", "the image name is missing or invalid; add one")
            else:
                self.skip(line, "blank line")
        elif not caption:
            self.skip(line, "no caption")
        elif not is_valid_unicode(caption):
            self.skip(line, "not valid Unicode")
        elif (in_list and self._has_words) or not self._is_left_out(caption, line):
            if is_damaged(caption):
                self._damaged = self._damaged or f"such as {self.unit} {line}"
                self.notes[f"captions damaged by a wrong encoding, read as they are ({self._damaged})"] += 1
            if line != self._last_line:
                self._last_line = line
                self._line_count += 1
            self.images.append(self._interned.setdefault(image, image))
            self.captions.append(caption)
            self.splits.append(split if self.split_override is None else self.split_override)
            self.machine.append(machine if self.machine_override is None else self.machine_override)
            self.line_numbers.append(line)
            self.list_ids.append(self._list_count if in_list else -1)

    def _is_left_out(self, caption: str, line: int) -> bool:
        """Whether a caption is none, such as 无 or 同上, which is then counted and skipped."""
        if (found := why_left_out(caption)) is None:
            return False
        reason, note = found
        self._ditto = self._ditto or (caption if "{}" in note else "")
        self.skip(line, reason)
        self.notes[note.format(self._ditto)] += 1
        return True

    def leave_out_missing(self) -> None:
        """Leaves out items such as 无 of lists that seemed to have words, but are no lists of words."""
        if self._words_kept:
            pairs = enumerate(zip(self.captions, self.line_numbers, strict=True))
            self.leave_out({row for row, (caption, line) in pairs if self._is_left_out(caption, line)})

    def _repair(self, caption: str, line: int) -> str:
        """A caption whose letters are those of the right encoding; `notes` counts those that were not."""
        repaired = None if caption.isascii() else repair_text(caption)
        if repaired is None:
            return caption
        self._repaired = self._repaired or f"such as {self.unit} {line}: {caption[:12]!r} is {repaired[:12]!r}"
        self.notes[
            f"captions that an earlier program decoded with the wrong encoding, repaired ({self._repaired})"
        ] += 1
        return repaired

    @staticmethod
    def _is_name(image: str) -> bool:
        return bool(image) and "\0" not in image and is_valid_unicode(image) and not stands_for_no_name(image)

    def lists(self) -> list[list[int]]:
        """The rows of each list of captions."""
        members: dict[int, list[int]] = {}
        for row, list_id in enumerate(self.list_ids):
            if list_id >= 0:
                members.setdefault(list_id, []).append(row)
        return list(members.values())

    def replace(self, captions: list[tuple[int, list[str]]]) -> None:
        """Replaces all rows by copies of rows with other captions, given as (row, captions) in order."""
        order = [row for row, texts in captions for _ in texts]
        self.captions = [text for _, texts in captions for text in texts]
        self.images = [self.images[row] for row in order]
        self.splits = [self.splits[row] for row in order]
        self.machine = array("b", (self.machine[row] for row in order))
        self.line_numbers = array("q", (self.line_numbers[row] for row in order))
        self.list_ids = array("q", (-1 for _ in order))

    def leave_out(self, left: set[int]) -> None:
        """Removes rows; the others stay in their lists."""
        kept = [row for row in range(len(self)) if row not in left]
        list_ids = array("q", (self.list_ids[row] for row in kept))
        self.replace([(row, [self.captions[row]]) for row in kept])
        self.list_ids = list_ids

    def spread(self, images_of: Mapping[str, list[str]]) -> None:
        """Replaces the rows of some image names by a copy for each of their images."""
        spread = [(row, images_of.get(name, [name])) for row, name in enumerate(self.images)]
        self.replace([(row, [self.captions[row]] * len(names)) for row, names in spread])
        self.images = [name for _, names in spread for name in names]

    def is_rejected(self, columns: Columns, cells: Sequence[Any], line: int) -> bool:
        """Whether a mark rejects all captions of a row, which is then counted and skipped; lists mark one each."""
        marks = [(name, cells[position]) for position, name in columns.rejected]
        if is_corrected(columns.corrections, cells):
            marks = [mark for mark in marks if not says_wrong(*mark)]
        reason = self.find_rejection([(name, value) for name, value in marks if parse_items(value) is None])
        if reason:
            self.skip(line, reason)
        return reason is not None

    def find_rejection(self, marks: Sequence[tuple[str, Any]]) -> str | None:
        """The reason why one of the marks, given as (normalized name, value), rejects a caption; counts it."""
        for name, value in marks:
            if reason := rejection(name, value):
                kept = self.options.keep_rejected
                self.notes[f"captions {reason}, {'kept' if kept else 'left out'}"] += 1
                return None if kept else reason
            if is_fuzzy(name, value):
                self.notes[f"captions marked as not yet reviewed ({name}: {str(value).strip()[:20]}), read"] += 1
            if is_unread(name, value):
                self.other_marks.setdefault(name, Counter())[str(value).strip()] += 1
        return None

    def is_of_other_kind(self, columns: Columns, cells: Sequence[Any]) -> bool:
        """Whether the key of a row says that its value is no caption; such rows are counted."""
        kinds = columns.kinds
        if kinds is None or not kinds.is_other(cells[kinds.position]):
            return False
        self.other_kinds.setdefault(kinds.unit, Counter())[str(cells[kinds.position]).strip()] += 1
        return True

    def note_other_marks(self) -> None:
        """Reports the values of columns such as status that are no known marks, and rows of other kinds."""
        for name, values in self.other_kinds.items():
            self.notes[f"rows of other kinds in the {name} not read ({', '.join(values)[:100]})"] = values.total()
        for name, values in self.other_marks.items():
            shown = ", ".join(list(values)[:10])[:100]
            self.notes[f"values of {name!r} that reject nothing, not read ({shown})"] = values.total()

    def add_other_name(self, place: str, line: int, name: str, other: str) -> None:
        """Records that a line names its image in two ways, of which `name`, from a place such as a key, is read."""
        self.other_names.setdefault(place, {})[line] = (name, other)

    def add_notes(self, notes: dict[str, int]) -> None:
        """Adds notes about the file as a whole; repeating them does not add up."""
        for text, count in notes.items():
            self.notes[text] = max(self.notes[text], count)

    def skip(self, line: int, reason: str) -> None:
        """Records a line without a usable caption."""
        self.skipped.append((self._file or self.source, line, reason))
        if reason != "blank line" and line != self._last_line:
            self._last_line = line
            self._line_count += 1

    def add_error(self, line: int, reason: str, message: str = "") -> None:
        """Skips a line that does not match the layout.

        Args:
            line: line number, from 1.
            reason: short reason, counted in reports.
            message: what was expected and what to do; shown if this is the first error of a rejected file.

        Raises:
            CorpusError: most of the first 100,000 lines are invalid.
        """
        self.skip(line, reason)
        if line != self._last_error_line:
            self._last_error_line = line
            self._error_count += 1
            place = f"{self._file or self.source}, {self.unit} {line}"
            self._first_error = self._first_error or f"{place}: {message or reason}"
            if self._error_count > _EARLY_CHECK and 2 * self._error_count > self._line_count:
                self.check()

    def check(self) -> None:
        """Rejects a file with too many errors or without captions; called after the last line.

        Raises:
            CorpusError: more than `MAX_ERROR_RATE` of the lines are invalid, or there are no captions.
        """
        if self._error_count > MAX_ERROR_RATE * self._line_count or (self._error_count and not self.images):
            count = f" ({self._error_count:,} of {self._line_count:,} {self.units} are invalid)"
            raise CorpusError(f"{self._first_error}{count if self._error_count > 1 else ''}.")
        if not self.images:
            rejected = any(reason.startswith("marked as") for *_, reason in self.skipped)
            keep = "keep_rejected (--keep-rejected) keeps captions that are marked as rejected"
            advice = keep if rejected else self._advise_empty()
            counts = Counter(reason for *_, reason in self.skipped).most_common(_MAX_REASONS)
            reasons = f": {', '.join(f'{count:,} {reason}' for reason, count in counts)}" if counts else ""
            raise CorpusError(
                f"{self.source}: no captions found ({len(self.skipped):,} {self.units} skipped{reasons}); {advice}."
            )

    def _advise_empty(self) -> str:
        """What to do about a source whose captions are all empty."""
        if not self.caption_names or not any(reason.startswith("no caption") for *_, reason in self.skipped):
            return "check the file"
        choose = "name the one with the captions with caption_column (--caption-column)"
        return f"the captions were read from {self.caption_names}; fill it in, or {choose}"

    def clear(self) -> None:
        """Removes all rows, for a reader that starts over."""
        counts, columns = (self.notes, self.other_marks, self.other_kinds), (self.images, self.captions, self.splits)
        for values in (*counts, *columns, self.skipped, self.words):
            values.clear()
        self.folders, self.folder_above = {}, ""
        self.machine, self.line_numbers, self.list_ids = array("b"), array("q"), array("q")
        self._line_count = self._error_count = 0
        self._last_line = self._last_error_line = -1
        self._first_error = ""

    def parse_split(self, line: int, name: object) -> str | None:
        """The split that a cell names; None for an empty cell.

        Raises:
            UnknownSplitError: the name is unknown; the line is recorded as an error.
        """
        word, text = split_word(name), "" if name is None else str(name).strip().lower()
        if text and word not in SPLIT_NAMES and text not in MISSING_WORDS:
            known = "train, val or test (or 训练, 验证, 测试), or leave it empty"
            self.add_error(line, "unknown split", f"unknown split {text[:40]!r}; use {known}")
            raise UnknownSplitError(text)
        return SPLIT_NAMES.get(word)
