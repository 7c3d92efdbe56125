"""Registry of caption formats, and their detection.

To add a layout:

1. Write `read_<name>(file: TextFile, rows: CaptionRows)` in a module of `readers/`. Call `rows.add` per caption,
   or `add_cells` or `add_captions` for values that may be lists, `rows.skip` for lines without one and
   `rows.add_error` for lines of another form. Count in `rows.notes` what is read differently from how it is written.
2. Add a `Reader` to `READERS`. Its position matters: the first reader that recognizes a file is used.
3. Add the name at the same position of `caption_tx.config.CAPTION_FORMATS`, which the command line checks without
   importing the readers.
4. Add a sample file to `tests/data/corpus/conftest.py`; the tests of all layouts then include it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.readers import (
    delimited,
    excel,
    flickr,
    flickr30k,
    folder,
    json_files,
    json_heads,
    json_lines,
    ofa,
    pairs,
    parquet,
    yaml_files,
)
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.columns import ReadOptions
from caption_tx.data.text.text_files import TextFile

GUIDE = "assets/docs/data.md"
"""The guide that lists everything that is recognized."""


@dataclass(frozen=True)
class Reader:
    """One caption format.

    Args:
        layout: one-line description for messages.
        matches: recognizes the start of a file.
        read: adds the captions of a file to rows.
        suffixes: files with these suffixes are read as this format if no content is recognized, so that the
            reader can explain what is wrong.
        binary: the reader opens the path itself; no text encoding is detected.
        has_columns: whether `--caption-column` and `--image-column` apply.
        may_have_escapes: lines are cells, which databases write with backslash escapes, and which share a line where
            a line break is missing.
    """

    layout: str
    matches: Callable[[FileHead], bool]
    read: Callable[[TextFile, CaptionRows], None]
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    has_columns: bool = True
    may_have_escapes: bool = False


READERS: dict[str, Reader] = {
    "parquet": Reader(
        "columns image, caption[, split]",
        lambda head: head.data.startswith(b"PAR1"),
        parquet.read_parquet,
        (".parquet",),
        binary=True,
    ),
    "excel": Reader(
        "an .xlsx workbook; columns image, caption[, split] in its first sheet",
        lambda head: excel.is_workbook(head.path, head.data),
        excel.read_excel,
        (".xlsx", ".xls", ".ods"),
        binary=True,
    ),
    "karpathy": Reader(
        'JSON {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}]}]}',
        lambda head: json_heads.is_karpathy_head(head.text),
        json_files.read_document,
    ),
    "coco": Reader(
        'JSON {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}',
        lambda head: json_heads.is_coco_head(head.text),
        json_files.read_document,
    ),
    "ai_challenger": Reader(
        'JSON [{"image_id": "x.jpg", "caption": ["..", ..]}, ..]',
        lambda head: json_heads.is_list_head(head.text),
        json_files.read_document,
    ),
    "jsonl": Reader(
        'one {"image_id": "x", "text": ["..", ..]} per line',
        json_heads.is_jsonl,
        json_lines.read_jsonl,
        (".jsonl",),
    ),
    "flickr30k": Reader(
        "header image_name| comment_number| comment",
        lambda head: flickr30k.is_header(head.lines),
        flickr30k.read_flickr30k,
        has_columns=False,
    ),
    "csv": Reader(
        "header image,caption[,split]; also ; | and Excel's sep=",
        delimited.is_csv,
        delimited.read_csv,
        (".csv",),
        may_have_escapes=True,
    ),
    "tsv": Reader(
        "header image<TAB>caption[<TAB>split]",
        delimited.is_tsv,
        delimited.read_tsv,
        (".tsv",),
        may_have_escapes=True,
    ),
    "ofa": Reader(
        "uniq-id<TAB>image-id<TAB>caption[&&caption..]<TAB>objects<TAB>base64",
        lambda head: head.mostly(ofa.is_ofa_line) or ofa.is_wrapped(head.lines),
        ofa.read_ofa,
        has_columns=False,
    ),
    "coco_cn": Reader(
        "COCO_val2014_000000000042#0<TAB>caption",
        lambda head: head.mostly(flickr.is_coco_cn_line),
        flickr.read_coco_cn,
        has_columns=False,
        may_have_escapes=True,
    ),
    "flickr8k": Reader(
        "NAME.jpg#zhc#0 caption, or NAME.jpg#0<TAB>caption (also Flickr30k-CN)",
        lambda head: head.mostly(flickr.is_flickr8k_line),
        flickr.read_flickr8k,
        has_columns=False,
        may_have_escapes=True,
    ),
    "json": Reader(
        'JSON {"x.jpg": ["..", ..], ..}, columns, or lists under "data" or "train", "val", "test"; YAML',
        lambda head: json_heads.is_json_head(head.text) or head.path.suffix.lower() in yaml_files.SUFFIXES,
        json_files.read_document,
        (".json", *yaml_files.SUFFIXES),
    ),
    "pairs": Reader(
        "NAME<TAB>caption without a header, or caption<TAB>URL",
        pairs.is_pairs,
        pairs.read_pairs,
        may_have_escapes=True,
    ),
    "folder": Reader(
        "images with text files of the same name (x.jpg, x.txt)",
        lambda head: False,
        folder.read_folder,
        binary=True,
        has_columns=False,
    ),
}
"""All caption formats by name, in order of detection."""

_OF_SCRIPTS = ("karpathy", "coco", "ai_challenger", "jsonl", "json")
"""The formats that the data of a script may have."""


def detect_format(path: Path, encoding: str | None = None, options: ReadOptions | None = None) -> str | None:
    """The format that the start of a file looks like, or None.

    Args:
        path: the file.
        encoding: its encoding; None detects it.
        options: columns that the user names.

    Raises:
        CorpusError: the file cannot be read, or several of its columns could be the caption.
    """
    head = FileHead.read(path, encoding, options)
    if head.view == "script":
        return next((name for name in _OF_SCRIPTS if READERS[name].matches(head)), "json")
    return next((name for name, reader in READERS.items() if reader.matches(head)), None)


def known_formats() -> str:
    """All formats with their layouts on one line, for messages."""
    return "; ".join(f"{name}: {reader.layout}" for name, reader in READERS.items())


def likely_formats(path: Path) -> str:
    """The three layouts that are likeliest for a file with this name, for messages."""
    by_suffix = {
        ".json": ("ai_challenger", "coco", "json"),
        ".jsonl": ("jsonl", "ai_challenger", "json"),
        ".txt": ("pairs", "flickr8k", "csv"),
        ".tsv": ("tsv", "pairs", "csv"),
    }
    names = by_suffix.get(path.suffix.lower(), ("csv", "pairs", "ai_challenger"))
    if path.is_dir():
        names = ("csv", "ai_challenger", "folder")
    return f"{'; '.join(READERS[name].layout for name in names)} (all layouts: {GUIDE})"
