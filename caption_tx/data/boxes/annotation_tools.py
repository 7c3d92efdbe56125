"""Files of the annotation tools LabelMe and VIA: rectangles and polygons with a label."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from caption_tx.data.boxes.table import Box, BoxTable, corners_in_image
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CorpusError

_VIA = "_via_img_metadata"
_LABELS = ("label", "name", "class", "type", "object", "category")


def is_labelme(document: Any) -> bool:
    """Whether a JSON document is a file of LabelMe: the shapes of one image."""
    return isinstance(document, dict) and isinstance(document.get("shapes"), list) and "imagePath" in document


def add_labelme(path: Path, document: dict[str, Any], table: BoxTable) -> None:
    """Adds {"imagePath", "imageWidth", "imageHeight", "shapes": [{"label", "points": [[x, y], ..]}]}.

    The box of a polygon is its bounding box. A circle has two points: its center and one on its edge.

    Raises:
        CorpusError: the size is missing, or a shape is damaged.
    """
    size = (document.get("imageWidth"), document.get("imageHeight"))
    if not all(isinstance(side, (int, float)) and side > 0 for side in size):
        raise CorpusError(f"{path}: imageWidth and imageHeight must be above 0, got {size}; save the file again.")
    name = str(document["imagePath"]).replace("\\", "/").split("/")[-1]
    boxes = []
    for number, shape in enumerate(document["shapes"], 1):
        place = f"{path}, shape {number}"
        try:
            label, points = str(shape["label"]), [(float(x), float(y)) for x, y in shape["points"]]
            if shape.get("shape_type") == "circle":
                [(x, y), edge] = points
                radius = ((x - edge[0]) ** 2 + (y - edge[1]) ** 2) ** 0.5
                points = [(x - radius, y - radius), (x + radius, y + radius)]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorpusError(f"{place}: expected a label and points [[x, y], ..]; fix the shape.") from error
        boxes += _boxes(table, label, points, size, place)
    table.add(name, boxes)


def is_via(document: Any) -> bool:
    """Whether a JSON document is a project or an export of the VGG Image Annotator."""
    if not isinstance(document, dict):
        return False
    entries = document.get(_VIA, document)
    return isinstance(entries, dict) and any(
        isinstance(entry, dict) and "filename" in entry and "regions" in entry for entry in entries.values()
    )


def add_via(path: Path, document: dict[str, Any], table: BoxTable, images: str | None) -> None:
    """Adds {KEY: {"filename", "regions": [{"shape_attributes", "region_attributes"}]}}, of VIA 1 and 2.

    The label is the region attribute `label`, `name`, `class` or `type`, else the only attribute.

    Raises:
        CorpusError: a region is damaged, or `images` is None, since these files do not have the sizes of images.
        ImageError: an image cannot be read.
    """
    if images is None:
        raise CorpusError(
            f"{path}: VIA's files do not have the sizes of images; name the image folder with images (--images)."
        )
    source = open_images(images)
    for key, entry in document.get(_VIA, document).items():
        place = f"{path}, entry {key!r}"
        if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
            raise CorpusError(f"{place}: expected a filename and regions; fix the entry.")
        regions = entry.get("regions") or []
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        boxes: list[Box] = []
        if regions:
            with Image.open(io.BytesIO(source.read_bytes(entry["filename"]))) as image:
                size = ImageOps.exif_transpose(image).size
            for number, region in enumerate(regions, 1):
                here = f"{place}, region {number}"
                try:
                    label, points = _label(region.get("region_attributes") or {}), _points(region["shape_attributes"])
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise CorpusError(f"{here}: cannot read its shape ({error}); fix the region.") from error
                boxes += _boxes(table, label, points, size, here)
        table.add(entry["filename"], boxes)


def _label(attributes: dict[str, Any]) -> str:
    """The label among the attributes of a region; a checkbox is an object of the names that are checked."""
    by_name = {name.lower(): value for name, value in attributes.items()}
    value = next((by_name[name] for name in _LABELS if by_name.get(name)), None)
    if value is None and len(by_name) == 1:
        [value] = by_name.values()
    if isinstance(value, dict):
        value = next((name for name, checked in value.items() if checked), "")
    return str(value or "")


def _points(shape: dict[str, Any]) -> list[tuple[float, float]]:
    """Points whose bounding box is that of a shape, in pixels."""
    kind = shape["name"]
    if kind == "rect":
        x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
        return [(x, y), (x + width, y + height)]
    if kind in ("circle", "ellipse"):
        x, y = float(shape["cx"]), float(shape["cy"])
        rx, ry = (float(shape.get(key, shape.get("r", 0))) for key in ("rx", "ry"))
        return [(x - rx, y - ry), (x + rx, y + ry)]
    if kind == "point":
        return [(float(shape["cx"]), float(shape["cy"]))]
    return [(float(x), float(y)) for x, y in zip(shape["all_points_x"], shape["all_points_y"], strict=True)]


def _boxes(
    table: BoxTable, label: str, points: Sequence[tuple[float, float]], size: tuple[float, float], place: str
) -> Iterable[Box]:
    """The bounding box of points as a box named by its label; nothing, with a note, without a label or an area."""
    words = label.lower().split()
    if not words:
        table.note("boxes without a name, left out", place)
        return []
    xs, ys = zip(*points, strict=True)
    values = (min(xs) / size[0], min(ys) / size[1], max(xs) / size[0], max(ys) / size[1])
    corners = corners_in_image(table, values, place)
    names = tuple(dict.fromkeys([" ".join(words), words[-1]]))
    return [Box(names, corners)] if corners else []
