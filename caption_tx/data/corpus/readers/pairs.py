"""Lines of an image name and a caption without a header: `NAME<TAB>caption`, `caption<TAB>URL`, `NAME.jpg: caption`."""

from __future__ import annotations

import re

from caption_tx.data.corpus.captions.caption_values import add_captions
from caption_tx.data.corpus.captions.pre_segmented import restore_sentences
from caption_tx.data.corpus.column_names import IMAGE_WORDS, caption_key, image_rank, normalize_name
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.file_text.quoted_lines import join_quoted_lines, split_tabs
from caption_tx.data.corpus.readers.delimited import FURTHER, read_table
from caption_tx.data.corpus.readers.ofa import is_base64
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.table_layout import TableLayout, find_contents
from caption_tx.data.corpus.values.value_kinds import is_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_NAMED_LINE = re.compile(
    rf"(\S.*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))(?:\s*(?:[-=]+>|→|[:：=])\s*|\s+[-–—]+\s+|\s+)(\S.*)",
    re.IGNORECASE | re.DOTALL,
)


def is_pairs(head: FileHead) -> bool:
    """Whether lines have an image name and a caption, without a header or with one of other names."""
    layout = find_contents(head)
    if layout is not None and not _is_base64_column(head, layout):
        return True
    return head.mostly(is_pair_line) or head.mostly(_NAMED_LINE.fullmatch)


def _is_base64_column(head: FileHead, layout: TableLayout) -> bool:
    position = layout.columns.captions[0]
    rows = [line.split(layout.separator) for line in head.lines]
    cells = [cells[position] for cells in rows if len(cells) > position]
    return bool(cells) and 2 * sum(map(is_base64, cells)) > len(cells)


def is_pair_line(line: str) -> bool:
    """Whether a line is `NAME<TAB>caption`: not a header, and not an image in base64."""
    cells = line.split("\t")
    texts = [cell.strip() for cell in cells]
    if len(cells) != 2 or not all(texts) or is_base64(cells[1]):
        return False
    return not any(normalize_name(text) in IMAGE_WORDS or (caption_key(text) or ("", 1))[1] == 0 for text in texts)


def read_pairs(file: TextFile, rows: CaptionRows) -> None:
    """Reads lines of an image name and a caption: `NAME<TAB>caption`, `caption<TAB>URL`, or other separators."""
    head = FileHead.read(file.path, file.encoding, rows.options)
    layout = find_contents(head)
    if layout is None and head.lines and _is_printed_header(head.lines[0]):
        raise CorpusError(
            f"{file.path} is not a caption file but a printed table, whose columns are aligned by spaces and may be "
            "cut; save the table itself, in pandas with table.to_csv('captions.csv', index=False)."
        )
    if layout is None and not head.mostly(is_pair_line) and head.mostly(_NAMED_LINE.fullmatch):
        _read_named_lines(file, rows)
    elif layout is None or (layout.separator == "\t" and layout.header == ["1", "2"] and not layout.skipped_lines):
        _read_pairs(file, rows, 0 if layout is None else layout.columns.image)
        rows.add_notes({} if layout is None else layout.notes)
    else:
        read_table(file, rows, layout)
    restore_sentences(rows)


def _read_pairs(file: TextFile, rows: CaptionRows, image: int) -> None:
    """Reads two columns separated by a tab, in which quotes are ordinary characters except around line breaks."""
    for line_number, line in join_quoted_lines(file.lines(rows.add_error)):
        cells = split_tabs(line)
        if len(cells) > 2 and not any(cell.strip() for cell in cells[2:]):
            cells = cells[:2]
        if not line.strip():
            rows.skip(line_number, "blank line")
        elif len(cells) == 2 and image_rank(cells[0]) is not None and (caption_key(cells[1]) or ("", 1))[1] == 0:
            rows.skip(line_number, "blank line")
            rows.notes["headers in the middle of the table"] += 1
        elif len(cells) > 2 and all(map(is_text, (cell for at, cell in enumerate(cells) if at != image))):
            rows.notes[FURTHER] += 1
            for caption in (cell for at, cell in enumerate(cells) if at != image):
                add_captions(rows, [cells[image]], caption, line_number, None)
        elif len(cells) != 2:
            rows.add_error(
                line_number,
                f"{len(cells)} columns, expected 2",
                f"expected 'NAME<TAB>caption', found {line[:60]!r}; fix the line",
            )
        else:
            add_captions(rows, [cells[image]], cells[1 - image], line_number, None)
            if "\n" in cells[1 - image].strip():
                rows.notes["multi-line captions"] += 1


def _is_printed_header(line: str) -> bool:
    """Whether a line has the names of aligned columns, as pandas prints a table: at the right, or more than two."""
    words = line.split()
    is_aligned = "\t" not in line and re.search(r"\S {3,}\S", line) is not None
    return (
        is_aligned
        and (len(words) > 2 or line.startswith(" "))
        and any(image_rank(word) is not None for word in words)
        and any(map(caption_key, words))
    )


def _is_spaced_header(line: str) -> bool:
    """Whether a line is `image caption`."""
    words = re.split(r"[\s:：=]+", line.strip())
    return len(words) == 2 and image_rank(words[0]) is not None and caption_key(words[1]) is not None


def _read_named_lines(file: TextFile, rows: CaptionRows) -> None:
    """Reads `NAME.jpg caption` or `NAME.jpg: caption`."""
    rows.options.require_no_columns(file.path)
    for line_number, line in file.lines(rows.add_error):
        match = _NAMED_LINE.fullmatch(line.strip())
        if not line.strip() or (line_number == 1 and _is_spaced_header(line)):
            rows.skip(line_number, "blank line")
        elif match:
            add_captions(rows, [match[1]], match[2], line_number, None)
        else:
            message = f"expected 'NAME.jpg caption', found {line.strip()[:60]!r}; fix the line"
            rows.add_error(line_number, "not of the form NAME.jpg caption", message)
    rows.add_notes({"image names and captions separated by a space, colon, dash or arrow": 1})
