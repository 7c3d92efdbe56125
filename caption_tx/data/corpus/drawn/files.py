"""Files whose captions are in a drawn table, read as tables with tabs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from caption_tx.data.corpus.column_names import caption_key, image_rank, normalize_name
from caption_tx.data.corpus.drawn.aligned import find_aligned, is_ruled
from caption_tx.data.corpus.drawn.cell_lines import DrawnTable
from caption_tx.data.corpus.drawn.grids import find_grids, is_rule, to_ascii
from caption_tx.data.corpus.drawn.markup_rows import find_reader
from caption_tx.data.corpus.drawn.wiki import find_wiki, is_wiki_table
from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.value_kinds import is_image_name

_FOOTER = re.compile(
    r"\(?[\d,]+ (?:rows?|行)\b.*|\(\d+ 行.*|[\w\[\](). @-]{1,20}=?[>#](?: .*)?|"
    r"query ok.*|time: .*|shape: \(\d+, \d+\)|empty set.*|#\+\w+:?.*|[-=+| ]{3,}|\.\. .*",
    re.IGNORECASE,
)
"""Lines outside a table that certainly are no captions, such as the counts and prompts of consoles."""

_NUM_SAMPLED = 50


def read_drawn(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    r"""The rows of the drawn tables in a text as lines with tabs, and notes; no lines if it has no such table.

    Tables with other columns than the first one that names image and caption are left out. A row has the number of its
    first line, and cells with line breaks are quoted.

    Args:
        lines: (number, text) of all lines, blank ones included.

    Example:
        >>> lines = ["+-------+-----+", "| image | caption |", "+-------+-----+", "| a.jpg | a dog |"]
        >>> read_drawn(list(enumerate(lines, 1)))[0]
        [(2, 'image\tcaption'), (4, 'a.jpg\ta dog')]
    """
    tables = _find_tables(lines)
    if not any(map(_may_hold_captions, tables)):
        return [], Counter()
    first = next((table for table in tables if _names_columns(table.rows[0].cells)), None)
    read = [table for table in tables if first is None or _is_alike(table, first)]
    notes = sum((table.notes for table in read), Counter())
    kinds = ", ".join(dict.fromkeys(table.kind for table in read))
    notes[f"{kinds}, read without its lines"] = len(read)
    if len(read) < len(tables):
        notes["tables with other columns, not read"] = len(tables) - len(read)
    inside = {number for table in tables for number in range(table.first, table.last + 1)}
    outside = [line.strip() for number, line in lines if number not in inside]
    outside = [line for line in outside if line and not _FOOTER.fullmatch(line)]
    if outside:
        notes[f"lines outside the table, not read (such as {outside[0][:30]!r})"] = len(outside)
    return [(row.number, "\t".join(map(_quote, row.cells))) for table in read for row in table.rows], notes


def _find_tables(lines: Sequence[Line]) -> list[DrawnTable]:
    """The tables of the first kind that is in a text; a quotation of Markdown is read without its marks."""
    quoted = [(number, line) for number, line in lines if line.startswith(">")]
    if 2 * len(quoted) > len(lines):
        lines = [(number, line.removeprefix(">").removeprefix(" ")) for number, line in lines]
    if any(is_wiki_table(line) for _, line in lines):
        return [table for table in find_wiki(lines) if table.rows]
    if any(map(is_rule, (line for _, line in lines if _may_be_rule(line)))):
        return find_grids(lines)
    if reader := find_reader(lines):
        return reader(lines)
    return find_aligned(lines) if any(is_ruled(line) for _, line in lines if _may_be_rule(line)) else []


def _may_be_rule(line: str) -> bool:
    """Whether a line begins with dashes, equals signs or the corner of a table, which needs a closer look."""
    start = to_ascii(line.strip()[:2])
    return start[1:] in ("-", "=", ":") and start[0] in "+|-="


def _names_columns(cells: Sequence[str]) -> bool:
    return any(map(caption_key, cells)) and any(image_rank(cell) is not None for cell in cells)


def _may_hold_captions(table: DrawnTable) -> bool:
    """Whether a column has a name for the image or the caption, or a row near the start has an image name."""
    return any(caption_key(cell) or image_rank(cell) is not None for cell in table.rows[0].cells) or any(
        map(is_image_name, (cell for row in table.rows[:_NUM_SAMPLED] for cell in row.cells))
    )


def _is_alike(table: DrawnTable, first: DrawnTable) -> bool:
    """Whether a table has the columns of another one, or no header and as many columns, one of them of images."""
    cells, header = table.rows[0].cells, first.rows[0].cells
    if _names_columns(cells):
        return sorted(map(normalize_name, cells)) == sorted(map(normalize_name, header))
    return len(cells) == len(header) and any(map(is_image_name, cells))


def draw_head(lines: Iterable[str]) -> list[str] | None:
    """The lines at the start of a file as those of a table with tabs; None if they have no drawn table."""
    numbered = list(enumerate(lines, 1))
    may_be_drawn = any(_may_begin(line) for _, line in numbered) or find_reader(numbered)
    found = read_drawn(numbered)[0] if may_be_drawn else []
    return [line for _, line in found] or None


def _may_begin(line: str) -> bool:
    line = line.removeprefix(">").removeprefix(" ")
    return is_wiki_table(line) or (_may_be_rule(line) and (is_rule(line) or is_ruled(line)))


def _quote(cell: str) -> str:
    """A cell without tabs, in quotes if it has line breaks."""
    cell = " ".join(cell.split("\t"))
    return '"' + cell.replace('"', '""') + '"' if "\n" in cell else cell
