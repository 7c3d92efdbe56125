"""Files with one JSON object per line."""

from __future__ import annotations

from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.readers.collection_exports import wiki_pages
from caption_tx.data.corpus.readers.json_entries import EntryReader
from caption_tx.data.corpus.readers.json_heads import parse_line
from caption_tx.data.corpus.readers.metadata_keys import MetadataKeys, may_have_metadata
from caption_tx.data.corpus.readers.name_maps import numbered_captions
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.literals import AS_PYTHON, TWICE, parse_literal
from caption_tx.data.corpus.values.value_kinds import is_image_name
from caption_tx.data.text.text_files import TextFile

_TAIL_BYTES, _NUM_LAST = 1 << 18, 50


def read_jsonl(file: TextFile, rows: CaptionRows) -> None:
    """Reads an entry per line: MUGE (ECommerce-IC), Chinese-CLIP and similar files."""
    head = FileHead.read(file.path, file.encoding)
    keys, no_rows = MetadataKeys(rows), MetadataKeys(CaptionRows(""))
    values = [parse_line(line) for line in (*head.lines, *_last_lines(file, head))]
    samples = [no_rows.strip(item) for value in values for item in (_pages(value) or [value])]
    entries = EntryReader(rows, [entry for entry in samples if entry is not None])
    for line_number, line in file.lines(rows.add_error):
        if not line.strip():
            rows.skip(line_number, "blank line")
            continue
        try:
            entry, is_python = parse_literal(line)
            if isinstance(entry, str) and entry.lstrip()[:1] == "{":
                entry, is_python = parse_literal(entry)
                rows.notes[TWICE] += 1
            if is_python:
                rows.notes[AS_PYTHON] += 1
        except (ValueError, RecursionError) as error:
            rows.add_error(line_number, "not valid JSON", f"not valid JSON ({str(error)[:80]}); fix the line")
            continue
        entry = keys.strip(entry) if may_have_metadata(line) else entry
        if pages := _pages(entry):
            for page in pages:
                entries.add(line_number, page)
            continue
        if isinstance(entry, dict) and entry and all(map(is_image_name, entry)):  # {"x.jpg": ".."}
            for name, value in entry.items():
                value = numbered_captions(value)
                entries.add(line_number, value if isinstance(value, dict) else {"caption": value}, image=name)
        elif isinstance(entry, list) and len(entry) > 1 and all(isinstance(item, dict) for item in entry):
            rows.notes["JSON objects that share a line, read one by one"] += len(entry)
            for item in entry:
                entries.add(line_number, item)
        else:
            entries.add(line_number, entry)


def _pages(entry: object) -> list[object] | None:
    """The pages of an answer of Wikimedia's API on one line."""
    return wiki_pages(entry) if isinstance(entry, dict) and "query" in entry else None


def _last_lines(file: TextFile, head: FileHead) -> list[str]:
    """The last lines of a file, without those of its head."""
    start = max(0, file.path.stat().st_size - _TAIL_BYTES)
    with file.path.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().split(b"\n")
    lines = lines[1 if start else len(head.lines) :]
    return [line.decode(file.encoding or "utf-8", "replace") for line in lines[-_NUM_LAST:]]
