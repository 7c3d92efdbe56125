"""OFA's TSV: captions beside images in base64."""

from __future__ import annotations

import re

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.value_kinds import is_text
from caption_tx.data.images.tables import name_column
from caption_tx.data.text.text_files import TextFile

_BASE64 = re.compile(r'"?(?:data:[\w/+.-]+;base64,)?[A-Za-z0-9+/_-]{64,}={0,2}"?')
_BASE64_LINE = re.compile(r'[A-Za-z0-9+/_-]+={0,2}"?')
_LONGEST_WRAPPED = 4096


def is_ofa_line(line: str) -> bool:
    """Whether the last column is an image in base64, after an id and a caption or after OFA's columns."""
    cells = line.split("\t")
    return len(cells) >= 3 and is_base64(cells[-1]) and (len(cells) > 3 or is_text(cells[1]))


def is_image_line(line: str) -> bool:
    """Whether a column is an image in base64."""
    return "\t" in line and any(map(is_base64, line.split("\t")))


def is_wrapped(lines: list[str]) -> bool:
    """Whether lines are OFA's with base64 that continues on further lines, as `base64` wraps it at 76 columns."""
    if not lines or not is_ofa_line(lines[0]):
        return False
    return all(is_ofa_line(line) if "\t" in line else _is_continuation(line) for line in lines)


def _is_continuation(line: str) -> bool:
    return len(line) < _LONGEST_WRAPPED and _BASE64_LINE.fullmatch(line.strip()) is not None


def read_ofa(file: TextFile, rows: CaptionRows) -> None:
    """Reads tab-separated columns; captions of an image are joined by `&&`, and the last column is the image.

    OFA writes uniq-id, image-id, captions, objects and the image. In other files the caption is the first column with
    text after the image's id.
    """
    image_line = False
    for line_number, line in file.lines(rows.add_error):
        if image_line and _is_continuation(line):
            rows.notes["lines of wrapped base64, which belong to the image before"] += 1
            continue
        image_line = False
        # A line has hundreds of kilobytes: only its first columns are copied.
        cells = line.split("\t", 3)
        is_image = is_base64(cells[-1][cells[-1].rfind("\t") + 1 :])
        if len(line) < 1024 and not line.strip():
            rows.skip(line_number, "blank line")
        elif len(cells) < 3 or not is_image:
            rows.add_error(
                line_number,
                "not the columns of OFA",
                "expected uniq-id, image-id, captions, objects and an image in base64, or an id, a caption and an "
                f"image, separated by tabs, found {line[:60]!r}; fix the line",
            )
        else:
            image_line = True
            tabs = len(cells) - 1 + cells[-1].count("\t")
            name = name_column(cells[:3], tabs)
            captions = cells[2] if tabs >= 4 or name == 1 else next(filter(is_text, cells[1:-1]), "")
            for caption in captions.split("&&"):
                rows.add(cells[name], caption, line_number)


def is_base64(cell: str) -> bool:
    """Whether the start of a cell looks like an image in base64."""
    return _BASE64.fullmatch(cell[:256].rstrip()) is not None
