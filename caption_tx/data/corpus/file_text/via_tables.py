"""The CSV export of the VGG Image Annotator (VIA): a row per region, with the caption in the file's attributes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.value_kinds import is_text

VIA = "images of a CSV export of VIA, read with their file_attributes"
REGIONS = "regions of VIA (region_shape_attributes, region_attributes), not read"
_ATTRIBUTES = "file_attributes"
_REGION = "region_shape_attributes"
_SEPARATORS = (",", ";", "\t")


def via_head(lines: Iterable[str]) -> list[str] | None:
    """The entries in the lines at the start of VIA's export; None for others, and without texts about images."""
    numbered = list(enumerate(lines, 1))
    if not numbered or _ATTRIBUTES not in numbered[0][1] or _REGION not in numbered[0][1]:
        return None
    attributes = [values for _, _, values, _ in _rows(numbered)]
    if not any(is_text(text) for values in attributes for text in values.values()):
        return None
    return [line for _, line in read_via(numbered)[0]]


def read_via(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    """The images of VIA's export as lines of JSON, each once for all of its regions. See `Change`.

    Example:
        >>> header = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes"
        >>> read_via([(1, header), (2, 'a.jpg,9,"{""caption"":""a dog""}",0,0,{}')])[0]
        [(2, '{"filename": "a.jpg", "file_attributes": {"caption": "a dog"}}')]
    """
    found: dict[str, Line] = {}
    num_regions = 0
    for number, name, attributes, has_region in _rows(lines):
        num_regions += has_region
        entry = {"filename": name, _ATTRIBUTES: attributes}
        text = json.dumps(entry, ensure_ascii=False)
        found.setdefault(text, (number, text))
    notes = Counter({VIA: len(found)})
    notes.update({REGIONS: num_regions} if num_regions else {})
    return list(found.values()), notes


def _rows(lines: Sequence[Line]) -> Iterator[tuple[int, str, dict[str, Any], bool]]:
    """(line number, image name, attributes of the image, whether it is of a region) of the rows."""
    separator = max(_SEPARATORS, key=lines[0][1].count)
    names = [name.strip().lstrip("#") for name in lines[0][1].split(separator)]
    if "filename" not in names or _ATTRIBUTES not in names:
        return
    places = [names.index("filename"), names.index(_ATTRIBUTES), names.index(_REGION)]
    for number, line in lines[1:]:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
        if len(cells) > max(places):
            name, attributes, region = (cells[at] for at in places)
            yield number, name, _parse(attributes), bool(_parse(region))


def _parse(text: str) -> dict[str, Any]:
    """The attributes in a cell."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"caption": text} if text.strip() else {}
    return value if isinstance(value, dict) else {}
