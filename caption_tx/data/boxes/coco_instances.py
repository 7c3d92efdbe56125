"""COCO's object instances: boxes in pixels, with category names as the words that name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caption_tx.data.boxes.table import Box, BoxTable, corners_in_image
from caption_tx.errors import CorpusError


def is_coco_instances(document: Any) -> bool:
    """Whether a JSON document has images, annotations with boxes, and categories."""
    return isinstance(document, dict) and all(
        isinstance(document.get(key), list) for key in ("images", "annotations", "categories")
    )


def add_coco_instances(path: Path, document: dict[str, Any], table: BoxTable) -> None:
    """Adds {"images": [{"id", "file_name", "width", "height"}], "annotations": [{"image_id", "bbox", "category_id"}],
    "categories": [{"id", "name", "supercategory"}]}; a box is [x, y, width, height] in pixels.

    Raises:
        CorpusError: an entry lacks a key, or refers to an image or category that is not in the file.
    """
    sizes, names = {}, {}
    for number, image in enumerate(document["images"], 1):
        with _DamagedEntry(path, "image", number, "id, file_name, width and height"):
            sizes[image["id"]] = (float(image["width"]), float(image["height"]))
            names[image["id"]] = str(image["file_name"])
            if min(sizes[image["id"]]) <= 0:
                raise ValueError("its size is not above 0")
            table.add(names[image["id"]], ())
    categories = {}
    for number, category in enumerate(document["categories"], 1):
        with _DamagedEntry(path, "category", number, "id and name"):
            label = str(category["name"]).lower()
            # The last word of "tennis racket" names it in captions too.
            words = dict.fromkeys([label, label.split()[-1]])
            categories[category["id"]] = (tuple(words), str(category.get("supercategory") or "").lower())
    for number, annotation in enumerate(document["annotations"], 1):
        with _DamagedEntry(path, "annotation", number, "image_id, category_id and bbox [x, y, width, height]"):
            x, y, width, height = map(float, annotation["bbox"])
            image_width, image_height = sizes[annotation["image_id"]]
            words, category = categories[annotation["category_id"]]
            values = (x / image_width, y / image_height, (x + width) / image_width, (y + height) / image_height)
            if corners := corners_in_image(table, values, f"{path}, annotation {number}"):
                table.add(names[annotation["image_id"]], [Box(words, corners, category)])


class _DamagedEntry:
    """Turns what a damaged entry raises into a CorpusError that names the entry."""

    def __init__(self, path: Path, kind: str, number: int, expected: str) -> None:
        self._place, self._expected = f"{path}, {kind} {number}", expected

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, KeyError):
            raise CorpusError(f"{self._place}: no {error}; it needs {self._expected}.") from error
        if isinstance(error, (TypeError, ValueError, IndexError, AttributeError)):
            raise CorpusError(f"{self._place}: {error}; it needs {self._expected}.") from error
