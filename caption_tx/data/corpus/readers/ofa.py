"""OFA's TSV: captions beside images in base64."""

from __future__ import annotations

import re

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.text.text_files import TextFile

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")


def is_ofa_line(line: str) -> bool:
    """Whether the fourth or a later column, the last, is an image in base64."""
    cells = line.split("\t")
    return len(cells) >= 4 and is_base64(cells[-1])


def read_ofa(file: TextFile, rows: CaptionRows) -> None:
    """Reads tab-separated columns; captions of an image are joined by `&&`, and the last column is the image."""
    for line_number, line in file.lines(rows.add_error):
        # A line has hundreds of kilobytes: only its first columns are copied.
        cells = line.split("\t", 3)
        if len(line) < 1024 and not line.strip():
            rows.skip(line_number, "blank line")
        elif len(cells) < 4 or not is_base64(cells[3][cells[3].rfind("\t") + 1 :]):
            rows.add_error(
                line_number,
                "not the columns of OFA",
                "expected uniq-id, image-id, captions, objects and an image in base64, separated by tabs, "
                f"found {line[:60]!r}; fix the line or pass the right --format",
            )
        else:
            for caption in cells[2].split("&&"):
                rows.add(cells[1], caption, line_number)


def is_base64(cell: str) -> bool:
    """Whether the start of a cell looks like an image in base64."""
    return _BASE64.fullmatch(cell[:256].rstrip()) is not None
