"""Which values name files of the image folder."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.column_names import caption_key
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.names.name_variants import clean_name
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError

_WHOLE = re.compile(r"(?<=\d)\.0+\Z")


class ImageFiles:
    """The names of the files in a local image folder, which is listed when they are needed.

    Args:
        images: the folder; None and other sources have no names.

    Example:
        >>> ImageFiles("photos").count(["1.jpg", "IMG_2", "https://site.org/3.jpg?w=9"])
        3
    """

    def __init__(self, images: str | Path | None) -> None:
        self._folder = str(images) if images is not None and os.path.isdir(images) else None
        self._keys: set[str] | None = None

    @property
    def folder(self) -> Path | None:
        """The image folder, if it is local."""
        return None if self._folder is None else Path(self._folder)

    def __bool__(self) -> bool:
        return self._folder is not None

    def names(self) -> set[str]:
        """All names in lower case, with and without their folders."""
        if self._folder is None:
            return set()
        try:
            names = [name.casefold() for name in open_images(self._folder).walk()]
        except ImageError:  # reported when the images are read
            return set()
        return {*names, *map(posixpath.basename, names)}

    def count(self, values: Iterable[Any]) -> int:
        """The number of values that name a file, with or without folder, suffix and leading zeros."""
        names = [str(value).strip() for value in values if isinstance(value, (str, int, float))]
        if self._folder is None or not names:
            return 0
        if all(name and "\0" not in name and os.path.isfile(os.path.join(self._folder, name)) for name in names):
            return len(names)  # the folder need not be listed
        if self._keys is None:
            try:
                self._keys = {key for name in open_images(self._folder).walk() for key in _keys(name)}
            except ImageError:  # reported when the images are read
                self._keys = set()
        return sum(not self._keys.isdisjoint(_keys(name)) for name in names)


def prefer_files(
    files: ImageFiles | None, names: Sequence[str], values: Callable[[int], list[Any]], chosen: int | None
) -> int | None:
    """The column whose values name more files than those of the chosen one, or the chosen one.

    Args:
        files: of the image folder.
        names: of the columns.
        values: sample values of a column by position.
        chosen: position of the column with the best name, or None.
    """
    others = [at for at, name in enumerate(names) if at != chosen and not caption_key(name)]
    if not files or not others:
        return chosen
    sample = [] if chosen is None else values(chosen)
    found = files.count(sample)
    if sample and found == len(sample):
        return chosen
    counts = [files.count(values(at)) for at in others]
    return others[counts.index(max(counts))] if max(counts) > found else chosen


def _keys(name: str) -> set[str]:
    """The forms of a name that are compared; that of a whole number may end in .0."""
    base = posixpath.basename(clean_name(name)).casefold()
    short = stem(base)
    whole = _WHOLE.sub("", short) if _WHOLE.search(short) else short
    return {base, short, short.lstrip("0"), whole, whole.lstrip("0")} - {""}
