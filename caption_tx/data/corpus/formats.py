"""Registry of caption formats, and their detection.

To add a layout:

1. Write `read_<name>(file: TextFile, rows: CaptionRows)` in a module of `readers/`. Call `rows.add` per caption,
   `rows.skip` for lines without one and `rows.add_error` for lines of another form.
2. Add a `Reader` to `READERS`. Its position matters: the first reader that recognizes a file is used.
3. Add the name at the same position of `caption_tx.config.CAPTION_FORMATS`, which the command line checks without
   importing the readers.
4. Add a sample file to `tests/data/corpus/conftest.py`; the tests of all layouts then include it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.corpus.readers import delimited, flickr, folder, json_files, parquet
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.text.text_files import HEAD_BYTES, TextFile, guess_encoding, normalize_encoding, read_head

_HEAD_LINES = 50


@dataclass(frozen=True)
class FileHead:
    """The start of a file: its bytes, their text and its first non-blank lines (the last may be truncated)."""

    data: bytes
    text: str
    lines: list[str]

    @classmethod
    def read(cls, path: Path, encoding: str | None = None) -> FileHead:
        """Reads the start of a file.

        Raises:
            CorpusError: the file cannot be read, or the encoding is unknown.
        """
        data = read_head(path)
        name = normalize_encoding(encoding, path) if encoding else guess_encoding(data)
        try:
            text = data.decode(name or "utf-8", "replace").removeprefix("\ufeff")
        except UnicodeError:
            text = ""
        lines = [line for line in re.split("\r\n|\r|\n", text) if line.strip()][: _HEAD_LINES + 1]
        complete = lines[:-1] if len(data) == HEAD_BYTES or len(lines) > _HEAD_LINES else lines
        return cls(data, text, complete or lines)

    def mostly(self, test: Callable[[str], object]) -> bool:
        """Whether at least half of the lines pass a test, so that an invalid line does not hide the layout."""
        return bool(self.lines) and 2 * sum(bool(test(line)) for line in self.lines) >= len(self.lines)


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
        split_in_file_name: whether the file name of a release implies the split.
    """

    layout: str
    matches: Callable[[FileHead], bool]
    read: Callable[[TextFile, CaptionRows], None]
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    split_in_file_name: bool = False


READERS: dict[str, Reader] = {
    "parquet": Reader(
        "columns image, caption[, split]",
        lambda head: head.data.startswith(b"PAR1"),
        parquet.read_parquet,
        (".parquet",),
        binary=True,
    ),
    "karpathy": Reader(
        'JSON {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}]}]}',
        lambda head: json_files.is_karpathy_head(head.text),
        json_files.read_karpathy,
    ),
    "coco": Reader(
        'JSON {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}',
        lambda head: json_files.is_coco_head(head.text),
        json_files.read_coco,
        split_in_file_name=True,
    ),
    "ai_challenger": Reader(
        'JSON [{"image_id": "x.jpg", "caption": ["..", ..]}, ..]',
        lambda head: json_files.is_list_head(head.text),
        json_files.read_ai_challenger,
        (".json",),
        split_in_file_name=True,
    ),
    "jsonl": Reader(
        'one {"image_id": "x", "text": ["..", ..]} per line',
        lambda head: head.mostly(json_files.is_jsonl_line),
        json_files.read_jsonl,
        (".jsonl",),
    ),
    "flickr30k": Reader(
        "header image_name| comment_number| comment",
        lambda head: delimited.is_header(head.lines, "|"),
        delimited.read_flickr30k,
    ),
    "csv": Reader(
        "header image,caption[,split]",
        lambda head: delimited.is_header(head.lines, ","),
        delimited.read_csv,
        (".csv",),
    ),
    "tsv": Reader(
        "header image<TAB>caption[<TAB>split]",
        lambda head: delimited.is_header(head.lines, "\t"),
        delimited.read_tsv,
        (".tsv",),
    ),
    "ofa": Reader(
        "uniq-id<TAB>image-id<TAB>caption[&&caption..]<TAB>objects<TAB>base64",
        lambda head: head.mostly(delimited.is_ofa_line),
        delimited.read_ofa,
    ),
    "coco_cn": Reader(
        "COCO_val2014_000000000042#0<TAB>caption",
        lambda head: head.mostly(flickr.is_coco_cn_line),
        flickr.read_coco_cn,
    ),
    "flickr8k": Reader(
        "NAME.jpg#zhc#0 caption, or NAME.jpg#0<TAB>caption (also Flickr30k-CN)",
        lambda head: head.mostly(flickr.is_flickr8k_line),
        flickr.read_flickr8k,
    ),
    "pairs": Reader(
        "NAME<TAB>caption without a header",
        lambda head: head.mostly(delimited.is_pair_line),
        delimited.read_pairs,
    ),
    "folder": Reader(
        "images with text files of the same name (x.jpg, x.txt)",
        lambda head: False,
        folder.read_folder,
        binary=True,
    ),
}
"""All caption formats by name, in order of detection."""


def detect_format(path: Path, encoding: str | None = None) -> str | None:
    """The format that the start of a file looks like, or None.

    Raises:
        CorpusError: the file cannot be read.
    """
    head = FileHead.read(path, encoding)
    return next((name for name, reader in READERS.items() if reader.matches(head)), None)


def known_formats() -> str:
    """All formats with their layouts on one line, for messages."""
    return "; ".join(f"{name}: {reader.layout}" for name, reader in READERS.items())
