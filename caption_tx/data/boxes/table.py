"""Boxes of images, as people drew them: the table that the readers fill, and its images by their names in a corpus."""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from caption_tx.data.boxes.coverage import Corners
from caption_tx.data.corpus.names.image_names import canonical_name, stem

EDGE = 0.01
"""A box may end this far outside the image, in fractions of its size, without a note: people draw past the edge."""


@dataclass(frozen=True)
class Box:
    """A box around an object.

    Attributes:
        names: words that name the object, in lower case: head nouns of the phrase, or the label.
        corners: (x0, y0, x1, y1) in fractions of the image's width and height.
        category: kind of object, such as "people" or "vehicles"; may be empty.
        phrase: the words of a caption that the box belongs to, in lower case; may be empty.
    """

    names: tuple[str, ...]
    corners: Corners
    category: str = ""
    phrase: str = ""


@dataclass
class BoxTable:
    """The boxes of images, by the name that the file gives each image.

    Attributes:
        images: name -> boxes; an image whose objects have no box has none.
        notes: what was left out or read differently from how it is written, each with the first place, counted.
    """

    images: dict[str, tuple[Box, ...]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    _first: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, boxes: Iterable[Box]) -> None:
        """Adds the boxes of an image, after those that it already has."""
        self.images[name] = (*self.images.get(name, ()), *boxes)

    def note(self, kind: str, place: str) -> None:
        """Counts something that was read differently from how it is written, or not at all."""
        self.left_out[kind] += 1
        self._first.setdefault(kind, place)

    @property
    def notes(self) -> list[str]:
        """One line for each kind of thing that was noted, with its number and the first place."""
        return [f"{count:,} {kind} (first: {self._first[kind]})" for kind, count in self.left_out.items()]

    def summary(self) -> str:
        """Numbers of images, boxes and kinds of boxes, in one line."""
        boxes = [box for items in self.images.values() for box in items]
        kinds = Counter(box.category for box in boxes if box.category)
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(8))
        return f"{len(boxes):,} boxes of {len(self.images):,} images" + (f": {listed}" if listed else "")

    def match(self, names: Iterable[str]) -> dict[str, tuple[Box, ...]]:
        """The boxes of the images of a corpus: name in the corpus -> boxes.

        Names are compared as they are, then without folders and without suffix, if only one image has the rest.
        """
        exact = self.images
        by_base, by_stem = (_unique(exact, shorten) for shorten in (posixpath.basename, _base_stem))
        found = {}
        for name in names:
            own = name if name in exact else by_base.get(posixpath.basename(name)) or by_stem.get(_base_stem(name))
            if own is not None:
                found[name] = exact[own]
        return found

    def fingerprint(self) -> str:
        """SHA-256 of all names and boxes."""
        return hashlib.sha256(repr(sorted(self.images.items())).encode("utf-8", "surrogatepass")).hexdigest()


def _base_stem(name: str) -> str:
    return canonical_name(stem(posixpath.basename(name)))


def _unique(names: Iterable[str], shorten: object) -> dict[str, str]:
    """Short name -> name, without short names that several names share."""
    found: dict[str, str] = {}
    shared = set()
    for name in names:
        if found.setdefault(short := shorten(name), name) != name:
            shared.add(short)
    return {short: name for short, name in found.items() if short not in shared}


def corners_in_image(table: BoxTable, values: Sequence[float], place: str) -> Corners | None:
    """Corners in fractions of the image, cut at its edges; None, with a note, if nothing of the box is inside."""
    x0, y0, x1, y1 = values
    cut = tuple(min(1.0, max(0.0, value)) for value in values)
    if not (cut[0] < cut[2] and cut[1] < cut[3]):
        table.note("boxes without an area inside their image, left out", place)
        return None
    if max(-x0, -y0, x1 - 1, y1 - 1) > EDGE:
        table.note("boxes reach beyond their image and were cut at its edge", place)
    return cut
