"""Finds the image that a row of a predictions file means: by name, part of a name, or id, without TensorFlow."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.values.value_kinds import to_image_name
from caption_tx.errors import CorpusError

# COCO_val2014_000000000123.jpg, 000000000123.jpg, 123.jpg
_NUMERIC_NAME = re.compile(r"(?:COCO_[a-z]+20\d\d_)?(\d+)")

_KEYS = {"coco": ("file_name", "id"), "karpathy": ("filename", "cocoid", "imgid")}
"""Key of the file name and keys of the id in the entries of an annotation file; the first key that exists counts."""


class ImageIds:
    """Finds the images of a split by the names and ids that other programs use.

    Args:
        names: image names in the corpus.
        load_annotated: returns {id as text: file name} of the annotation files. It is called only when an
            id is looked up, since annotation files are large.
    """

    def __init__(self, names: Collection[str], load_annotated: Callable[[], Mapping[str, str]] = dict) -> None:
        self._names = set(names)
        self._load_annotated = load_annotated
        self._annotated: dict[str, str] | None = None
        self._by_stem = _unique((stem(name), name) for name in names)
        self._by_base = _unique((posixpath.basename(name), name) for name in names)
        self._by_base_stem = _unique((stem(posixpath.basename(name)), name) for name in names)
        self._by_number = _unique(
            (str(int(match[1])), name)
            for base, name in self._by_base_stem.items()
            if (match := _NUMERIC_NAME.fullmatch(base))
        )

    def find(self, image: str | int) -> str | None:
        """The name of the image, or None if no image or several images match.

        Text is matched to names, with additional or missing folders and with or without suffix, and then as an
        id. An integer is looked up in the annotation files first.
        """
        if isinstance(image, int):
            return self._find_id(str(image)) or self._find_name(str(image)) or self._by_number.get(str(image))
        name = self._find_name(image)
        if name is None and image.isascii() and image.isdigit():
            image_id = str(int(image))
            name = self._find_id(image_id) or self._by_number.get(image_id)
        return name

    def _find_name(self, image: str) -> str | None:
        parts = image.split("/")
        for start in range(len(parts)):  # photos/val/1.jpg, val/1.jpg, 1.jpg
            name = "/".join(parts[start:])
            if name in self._names:
                return name
            if match := self._by_stem.get(stem(name)):
                return match
        return self._by_base.get(parts[-1]) or self._by_base_stem.get(stem(parts[-1]))

    def _find_id(self, image_id: str) -> str | None:
        if self._annotated is None:
            matches = ((key, self._find_name(name)) for key, name in self._load_annotated().items())
            self._annotated = {key: name for key, name in matches if name is not None}
        return self._annotated.get(image_id)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Key -> name, without keys that several names share."""
    names: dict[str, str] = {}
    ambiguous = set()
    for key, name in pairs:
        if names.setdefault(key, name) != name:
            ambiguous.add(key)
    return {key: name for key, name in names.items() if key not in ambiguous}


def load_annotated_ids(files: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The image ids in annotation files of the COCO and Karpathy layouts: id as text -> file name.

    Args:
        files: `attrs["files"]` of a corpus, with the keys "source" and "format".

    Raises:
        CorpusError: a file can no longer be read.
    """
    annotated: dict[str, str] = {}
    for file in files:
        if file["format"] not in _KEYS:
            continue
        name_key, *id_keys = _KEYS[file["format"]]
        try:
            images = json.loads(Path(file["source"]).read_text(encoding="utf-8-sig"))["images"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorpusError(f"Cannot read the image ids in {file['source']}: {error}.") from error
        for image in images if isinstance(images, list) else ():
            if not isinstance(image, dict) or not isinstance(image.get(name_key), str):
                continue
            image_id = next((to_image_name(image[key]) for key in id_keys if key in image), None)
            if image_id is not None:
                annotated[image_id] = image[name_key]
    return annotated
