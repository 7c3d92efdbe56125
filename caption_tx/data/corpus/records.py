"""What every reader fills in: the captions of one source, and what was left out of them."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from caption_tx.errors import CorpusError

SPLIT_NAMES = {
    **{name: "train" for name in ("train", "training", "restval")},
    **{name: "val" for name in ("val", "valid", "validation", "dev")},
    **{name: "test" for name in ("test", "testing")},
}
"""How files name splits. COCO's `restval` is the part of its validation images that everyone trains on."""

IMAGE_HEADERS = ("image", "filename", "file_name", "image_name", "image_id", "file", "img")
CAPTION_HEADERS = ("caption", "text", "comment", "description", "sentence", "captions", "texts")
SPLIT_HEADERS = ("split", "subset", "partition")

BAD_SHARE = 0.1
"""Above this share of bad lines a file is taken to be of another layout, or damaged."""

NOT_LISTED = ""
"""The split of a row that the split lists of its source leave out."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_HOPELESS = 100_000


def is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which JSON can spell and nothing downstream can encode."""
    return text.isascii() or _SURROGATES.search(text) is None


def find_columns(names: list[str]) -> dict[str, int]:
    """The place of each known column ("image", "caption", "split") among the names of a header."""
    names = [name.strip().strip('"').lower() for name in names]
    places = {}
    for column, aliases in (("image", IMAGE_HEADERS), ("caption", CAPTION_HEADERS), ("split", SPLIT_HEADERS)):
        place = next((names.index(alias) for alias in aliases if alias in names), None)
        if place is not None:
            places[column] = place
    return places


@dataclass
class Records:
    """What one source brings, before images without a split are divided; columns of one length.

    `fixed_split` and `fixed_machine` hold for every row, whatever the source says. `splits` holds a
    split, None (to be divided) or `NOT_LISTED`. `file_split` is the split that the
    source's name tells, which counts less than one that its content tells. `place` is what `lines`
    number: "line", "entry" or "row", from 1.
    """

    source: str
    format: str = ""
    encoding: str = ""
    place: str = "line"
    fixed_split: str | None = None
    fixed_machine: bool | None = None
    file_split: str | None = None
    images: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    machine: array = field(default_factory=lambda: array("b"))
    lines: array = field(default_factory=lambda: array("q"))
    skipped: list[tuple[str, int, str]] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)
    _where: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _total: int = 0
    _bad: int = 0
    _last: int = -1
    _last_bad: int = -1
    _first_bad: str = ""

    @property
    def places(self) -> str:
        """`place` in the plural."""
        return "entries" if self.place == "entry" else f"{self.place}s"

    def begin(self, file: str) -> None:
        """From here on, lines are those of one file among others of the source."""
        self._where = file
        self._last = self._last_bad = -1

    def add(self, image: str, caption: str, line: int, split: str | None = None, machine: bool = False) -> None:
        """One caption. Without text it is counted as skipped, without a usable image name as bad."""
        image, caption = image.strip(), caption.strip()
        if not image or "\0" in image or not is_unicode(image):
            if image or caption:
                self.bad(line, "no image name", "no usable image name before the caption; add one")
            else:
                self.skip(line, "blank line")
        elif not caption:
            self.skip(line, "no caption")
        elif not is_unicode(caption):
            self.skip(line, "not valid Unicode")
        else:
            if line != self._last:
                self._last = line
                self._total += 1
            self.images.append(self._names.setdefault(image, image))
            self.captions.append(caption)
            self.splits.append(split if self.fixed_split is None else self.fixed_split)
            self.machine.append(machine if self.fixed_machine is None else self.fixed_machine)
            self.lines.append(line)

    def skip(self, line: int, reason: str) -> None:
        """Counts a place that holds no caption."""
        self.skipped.append((self._where or self.source, line, reason))
        if reason != "blank line" and line != self._last:
            self._last = line
            self._total += 1

    def bad(self, line: int, reason: str, message: str = "") -> None:
        """Counts a place that is not as its layout wants it; `message` says what to do, for the first of them.

        Raises:
            CorpusError: by now it is certain that the file is not of this layout.
        """
        self.skip(line, reason)
        if line != self._last_bad:
            self._last_bad = line
            self._bad += 1
            self._first_bad = (
                self._first_bad or f"{self._where or self.source}, {self.place} {line}: {message or reason}"
            )
            if self._bad > _HOPELESS and 2 * self._bad > self._total:
                self.check()

    def check(self) -> None:
        """Call when all is read.

        Raises:
            CorpusError: too much is bad, or nothing is there.
        """
        if self._bad > BAD_SHARE * self._total or (self._bad and not self.images):
            count = f" ({self._bad:,} of {self._total:,} {self.places} are bad)" if self._bad > 1 else ""
            raise CorpusError(f"{self._first_bad}{count}.")
        if not self.images:
            raise CorpusError(
                f"{self.source}: no captions in it ({len(self.skipped)} {self.places} skipped); check the file."
            )

    def clear(self) -> None:
        """Forgets what was read, for a reader that begins anew."""
        for item in (self.images, self.captions, self.splits, self.skipped, self.notes):
            item.clear()
        self.machine, self.lines = array("b"), array("q")
        self._total = self._bad = 0
        self._last = self._last_bad = -1
        self._first_bad = ""

    def split_of(self, line: int, name: object) -> str | None:
        """The split that a cell names, None for an empty one; an unknown name is bad, and gives `LookupError`."""
        name = "" if name is None else str(name).strip().lower()
        if name and name not in SPLIT_NAMES:
            known = ", ".join(SPLIT_NAMES)
            self.bad(line, "unknown split", f"unknown split {name[:40]!r}; use one of {known}")
            raise LookupError(name)
        return SPLIT_NAMES.get(name)


def as_name(value: Any) -> str | None:
    """An image's name or id as text; None for what cannot be one."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
