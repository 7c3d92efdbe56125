"""Reads boxes of every layout: `read_boxes` finds the layout of a file or folder by its content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from caption_tx.data.boxes.annotation_tools import add_labelme, add_via, is_labelme, is_via
from caption_tx.data.boxes.coco_instances import add_coco_instances, is_coco_instances
from caption_tx.data.boxes.flickr30k_entities import add_entities, is_entities
from caption_tx.data.boxes.table import Box, BoxTable, corners_in_image
from caption_tx.data.text.merge_conflicts import require_no_conflict
from caption_tx.errors import CorpusError

LAYOUTS = (
    "JSON Lines with image and boxes, Flickr30k Entities (a folder of Annotations and Sentences), COCO instances, "
    "LabelMe JSON, VIA JSON"
)

_JSON_LINES = (".jsonl", ".jsonl.gz", ".ndjson")


def read_boxes(sources: str | Path | Sequence[str | Path], images: str | None = None) -> BoxTable:
    """Reads the boxes of one or several files or folders into one table.

    Args:
        sources: files or folders in one of the layouts `LAYOUTS`.
        images: location of the images; VIA's files do not give their sizes.

    Raises:
        CorpusError: a source cannot be read, its layout is unknown, or an entry is damaged. The message names the
            file and the line or entry.

    Example:
        >>> table = read_boxes("boxes.jsonl.gz")
        >>> table.images["1000268201_693b08cb0e.jpg"][0].names
        ('child',)
    """
    table = BoxTable()
    for source in [sources] if isinstance(sources, (str, Path)) else sources:
        before = len(table.images)
        _read(Path(source), table, images)
        if len(table.images) == before:
            raise CorpusError(f"{source} has no boxes of images; expected one of: {LAYOUTS}.")
    return table


def _read(path: Path, table: BoxTable, images: str | None) -> None:
    if path.is_dir():
        if is_entities(path):
            add_entities(path, table)
            return
        for file in sorted(path.glob("*.json")):
            _read(file, table, images)
    elif path.name.lower().endswith(_JSON_LINES):
        _add_json_lines(path, table)
    else:
        document = _parse(path, _read_text(path))
        if is_coco_instances(document):
            add_coco_instances(path, document, table)
        elif is_labelme(document):
            add_labelme(path, document, table)
        elif is_via(document):
            add_via(path, document, table, images)
        else:
            raise CorpusError(f"{path} has no known layout of boxes; expected one of: {LAYOUTS}.")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CorpusError(f"Cannot read the boxes in {path}: {reason}.") from error
    require_no_conflict(text, path)
    return text


def _parse(place: str | Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{place}: not JSON ({error}); fix it.") from error


def _add_json_lines(path: Path, table: BoxTable) -> None:
    """Adds lines {"image", "boxes": [{"box": [x0, y0, x1, y1], "phrase", "heads" or "label", "category"}]}."""
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        entry = _parse(place, line)
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise CorpusError(f'{place}: expected {{"image": .., "boxes": [..]}}, found {line[:60]!r}; fix the line.')
        if not isinstance(entry.get("boxes"), list):
            raise CorpusError(f"{place}: 'boxes' must be a list, got {str(entry.get('boxes'))[:60]!r}; fix the line.")
        table.add(entry["image"], list(_boxes(entry["boxes"], table, place)))


def _boxes(items: Sequence[Any], table: BoxTable, place: str) -> Iterator[Box]:
    """The boxes of one line, those without a name or an area left out."""
    for number, item in enumerate(items, 1):
        here = f"{place}, box {number}"
        values = item.get("box") if isinstance(item, dict) else None
        is_box = isinstance(values, list) and len(values) == 4 and all(_is_number(value) for value in values)
        if not is_box:
            raise CorpusError(f'{here}: expected {{"box": [x0, y0, x1, y1], ..}}, found {str(item)[:60]!r}; fix it.')
        if max(map(abs, values)) > 2:
            raise CorpusError(
                f"{here}: {values} is not in fractions; divide x by the width and y by the height of the image."
            )
        if not (names := _names(item, here)):
            table.note("boxes without a name, left out", here)
            continue
        if corners := corners_in_image(table, values, here):
            category, phrase = (str(item.get(key) or "").lower() for key in ("category", "phrase"))
            yield Box(names, corners, category, phrase)


def _names(item: dict[str, Any], place: str) -> tuple[str, ...]:
    names = next((item[key] for key in ("heads", "names", "name", "label") if item.get(key)), [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CorpusError(f"{place}: names of a box must be texts, got {str(names)[:60]!r}; fix them.")
    return tuple(name.strip().lower() for name in names if name.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9
