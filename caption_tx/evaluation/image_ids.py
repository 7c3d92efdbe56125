"""Which image of a corpus a predictions file means: by its name, a part of it, or the number of an annotation file.

No TensorFlow.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.image_names import stem
from caption_tx.data.corpus.rows import to_image_name
from caption_tx.errors import CorpusError

# COCO_val2014_000000000123.jpg, 000000000123.jpg, 123.jpg
_NUMBERED = re.compile(r"(?:COCO_[a-z]+20\d\d_)?(\d+)")

_NUMBER_KEYS = {"coco": ("file_name", "id"), "karpathy": ("filename", "cocoid", "imgid")}
"""Of the entries of an annotation file: the key of the file's name, then those of its number, the first known."""


class ImageIds:
    """The images of a split, by whatever another program calls them.

    Args:
        names: as the corpus has them.
        numbers: gives (number as text, file name) of the annotation files; it is called when the first
            number is to be found, since such files are large.
    """

    def __init__(self, names: Collection[str], numbers: Callable[[], Mapping[str, str]] = dict) -> None:
        self._names = set(names)
        self._numbers = numbers
        self._annotated: dict[str, str] | None = None
        self._stems = _unique((stem(name), name) for name in names)
        self._bases = _unique((posixpath.basename(name), name) for name in names)
        self._base_stems = _unique((stem(posixpath.basename(name)), name) for name in names)
        self._digits = _unique(
            (str(int(found[1])), name)
            for base, name in self._base_stems.items()
            if (found := _NUMBERED.fullmatch(base))
        )

    def find(self, image: str | int) -> str | None:
        """The name of the image, or None where no image, or more than one, can be meant.

        A text means the image of that name, with folders before it or without its own, with or without its
        suffix; then that of the number. A number is first looked for in the annotation files.
        """
        if isinstance(image, int):
            return self._by_annotation(str(image)) or self._by_name(str(image)) or self._digits.get(str(image))
        number = str(int(image)) if image.isascii() and image.isdigit() else None
        found = self._by_name(image)
        if found is None and number is not None:
            found = self._by_annotation(number) or self._digits.get(number)
        return found

    def _by_name(self, image: str) -> str | None:
        parts = image.split("/")
        for start in range(len(parts)):  # photos/val/1.jpg, val/1.jpg, 1.jpg
            name = "/".join(parts[start:])
            if name in self._names:
                return name
            if found := self._stems.get(stem(name)):
                return found
        return self._bases.get(parts[-1]) or self._base_stems.get(stem(parts[-1]))

    def _by_annotation(self, number: str) -> str | None:
        if self._annotated is None:
            found = ((key, self._by_name(name)) for key, name in self._numbers().items())
            self._annotated = {key: name for key, name in found if name is not None}
        return self._annotated.get(number)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Key -> name, without the keys of several names."""
    found: dict[str, str] = {}
    several = set()
    for key, name in pairs:
        if found.setdefault(key, name) != name:
            several.add(key)
    return {key: name for key, name in found.items() if key not in several}


def annotated_numbers(files: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The number of every image that COCO's and Karpathy's files name: (number as text) -> file name.

    Args:
        files: `attrs["files"]` of a corpus, with "source" and "format".

    Raises:
        CorpusError: a file cannot be read any more.
    """
    numbers: dict[str, str] = {}
    for file in files:
        if file["format"] not in _NUMBER_KEYS:
            continue
        name_key, *number_keys = _NUMBER_KEYS[file["format"]]
        try:
            images = json.loads(Path(file["source"]).read_text(encoding="utf-8-sig"))["images"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"The numbers of images in {file['source']} cannot be read: {error}.") from error
        for image in images if isinstance(images, list) else ():
            if not isinstance(image, dict) or not isinstance(image.get(name_key), str):
                continue
            number = next((to_image_name(image[key]) for key in number_keys if key in image), None)
            if number is not None:
                numbers[number] = image[name_key]
    return numbers
