"""Anki's exports of notes as text: lines such as `#separator:tab` and `#deck column:3` above the notes."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.html_images import img_sources

_SEPARATORS = {
    "tab": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|", "colon": ":", "\\t": "\t",
}  # fmt: skip
_LINE = re.compile(
    r"#(separator|html|columns|tags|deck|notetype|(?:guid|notetype|deck|tags) column):(.*)", re.IGNORECASE
)


def anki_head(lines: Iterable[str]) -> list[str] | None:
    """The notes in the lines at the start of an export of Anki; None for other files."""
    lines = list(lines)
    if not lines or not re.match(r"#separator:", lines[0], re.IGNORECASE):
        return None
    return [line for _, line in read_notes([(number, line) for number, line in enumerate(lines, 1)])[0]]


def read_notes(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    """The fields of notes, separated by tabs; their names come first if the file has them. See `Change`."""
    settings = {}
    start = 0
    while start < len(lines) and (match := _LINE.match(lines[start][1].rstrip("\r\n"))):
        settings[match[1].lower()] = match[2]
        start += 1
    value = settings.get("separator", "tab")
    separator = _SEPARATORS.get(value.strip().lower(), value[:1] or "\t")
    numbers = {kind: number.strip() for kind, number in settings.items() if kind.endswith(" column")}
    about = {kind: int(number) - 1 for kind, number in numbers.items() if number.isdecimal()}
    rows = list(_parse(lines[start:], separator))
    width = max((len(cells) for _, cells in rows), default=0)
    kept = [at for at in range(width) if at not in about.values()]
    names = settings["columns"].split(separator) if settings.get("columns") else []
    found = [(start, "\t".join(names[at] if at < len(names) else str(at + 1) for at in kept))] if names else []
    for number, cells in rows:
        found += [(number, line) for line in _write([cells[at] if at < len(cells) else "" for at in kept])]
    notes = Counter({"notes of Anki, read by their fields": len(rows)})
    several = sum(any(len(img_sources(cell)) > 1 for cell in cells) for _, cells in rows)
    notes.update({"captions of several images, read for each of them": several} if several else {})
    if about:
        unread = ", ".join(kind.removesuffix(" column") for kind in sorted(about, key=about.__getitem__))
        notes[f"columns about the notes of Anki, not read ({unread})"] = len(about)
    return found, notes


def _parse(lines: Sequence[Line], separator: str) -> Iterator[tuple[int, list[str]]]:
    """(number, cells) of the notes; a quoted field may have line breaks."""
    reader = csv.reader((line for _, line in lines), delimiter=separator)
    before = 0
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield lines[before][0], cells
        before = reader.line_num


def _write(cells: Sequence[str]) -> Iterator[str]:
    """The lines of a note, one per image, in which images have their names and line breaks are tags."""
    images = [img_sources(cell) for cell in cells]
    texts = [re.sub(r"\s*[\r\n]+\s*", "<br>", cell.strip()).replace("\t", " ") for cell in cells]
    for place in range(max(1, *map(len, images))):
        yield "\t".join(
            names[min(place, len(names) - 1)] if names else text for names, text in zip(images, texts, strict=True)
        )
