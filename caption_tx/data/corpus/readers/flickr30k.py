"""Flickr30k's results.csv: `image_name| comment_number| comment`."""

from __future__ import annotations

import re

from caption_tx.data.corpus.column_names import normalize_name
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_HEADER = ["image_name", "comment_number", "comment"]
_NUMBER_AND_COMMENT = re.compile(r"\s*\d+\s+(\S.*)", re.DOTALL)


def is_header(lines: list[str]) -> bool:
    """Whether the first line is Flickr30k's header."""
    return bool(lines) and _is_header(lines[0])


def _is_header(line: str) -> bool:
    return [normalize_name(cell) for cell in line.split("|")] == _HEADER


def read_flickr30k(file: TextFile, rows: CaptionRows) -> None:
    """Reads `NAME| number| caption`, in which commas and quotes are ordinary characters."""
    is_first = True
    for line_number, line in file.lines(rows.add_error):
        cells = line.split("|", 2)
        if not line.strip():
            rows.skip(line_number, "blank line")
        elif is_first:
            is_first = False
            if not _is_header(line):
                raise CorpusError(
                    f"{file.path}, line {line_number}: expected the header 'image_name| comment_number| comment', "
                    f"found {line.strip()[:80]!r}; add it."
                )
        elif len(cells) == 3:
            rows.add(cells[0], cells[2], line_number)
        elif len(cells) == 2 and (match := _NUMBER_AND_COMMENT.fullmatch(cells[1])):
            # The published file has one such line: `2199200615.jpg| 4   A dog runs across the grass .`
            rows.notes["missing separators restored"] += 1
            rows.add(cells[0], match[1], line_number)
        else:
            rows.add_error(
                line_number,
                "not of the form NAME| number| caption",
                f"expected 'NAME| number| caption', found {line.strip()[:60]!r}; fix the line",
            )
