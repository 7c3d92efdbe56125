"""Caption files and folders of every layout -> `Records`.

A layout is a `Reader` in `FORMATS`. A new one needs no change elsewhere: detection and messages go over `FORMATS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caption_tx.config import Source
from caption_tx.data.corpus.readers import flickr, folder, json_files, tables
from caption_tx.data.corpus.records import CAPTION_HEADERS, IMAGE_HEADERS, SPLIT_NAMES, Records, find_columns
from caption_tx.data.corpus.text_files import HEAD_BYTES, TextFile, guess_encoding, known_encoding, read_head
from caption_tx.errors import CorpusError

_SNIFFED_LINES = 50
# captions_val2014.json (COCO), caption_validation_annotations_20170910.json (AI Challenger)
_RELEASE_NAME = re.compile(r"captions?_(train|val|validation|test)(?:20\d\d|\w*_annotations_\d{8})\.json")
_TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".token", ".parquet")


@dataclass(frozen=True)
class Head:
    """A file's beginning: bytes, text, and its first lines that are not blank (the last may be cut)."""

    data: bytes
    text: str
    lines: list[str]

    @classmethod
    def of(cls, path: Path, encoding: str | None = None) -> Head:
        """The head of a file; CorpusError if it cannot be read."""
        data = read_head(path)
        name = known_encoding(encoding, path) if encoding else guess_encoding(data)
        try:
            text = data.decode(name or "utf-8", "replace").removeprefix("\ufeff")
        except UnicodeError:
            text = ""
        lines = [line for line in re.split("\r\n|\r|\n", text) if line.strip()][: _SNIFFED_LINES + 1]
        whole = lines[:-1] if len(data) == HEAD_BYTES or len(lines) > _SNIFFED_LINES else lines
        return cls(data, text, whole or lines)

    def most(self, test: Callable[[str], object]) -> bool:
        """Whether half of the lines, or more, are like that: a bad line does not hide the layout."""
        return bool(self.lines) and 2 * sum(bool(test(line)) for line in self.lines) >= len(self.lines)


@dataclass(frozen=True)
class Reader:
    """One layout: `sniff(head)` recognizes the beginning of a file, `read(file, records)` fills in the captions.

    `suffixes` name the files that are taken for this layout when no content is recognized, so that the
    reader can say what is wrong with them. A `binary` layout has no encoding of its own; with
    `named_splits` the name of a release tells the split.
    """

    layout: str
    sniff: Callable[[Head], bool]
    read: Callable[[TextFile, Records], None]
    suffixes: tuple[str, ...] = ()
    binary: bool = False
    named_splits: bool = False


def _has_header(delimiter: str) -> Callable[[Head], bool]:
    return lambda head: bool(head.lines) and {"image", "caption"} <= find_columns(head.lines[0].split(delimiter)).keys()


def _is_ofa_line(line: str) -> bool:
    cells = line.split("\t")
    return len(cells) >= 4 and tables.is_base64(cells[-1])


def _is_pair(line: str) -> bool:
    cells = line.split("\t")
    known = (*IMAGE_HEADERS, *CAPTION_HEADERS)
    return (
        len(cells) == 2
        and all(cell.strip() for cell in cells)
        and not any(cell.strip().lower() in known for cell in cells)
        and not tables.is_base64(cells[1])
    )


FORMATS: dict[str, Reader] = {
    "parquet": Reader(
        "columns image, caption[, split]",
        lambda head: head.data.startswith(b"PAR1"),
        tables.read_parquet,
        (".parquet",),
        binary=True,
    ),
    "karpathy": Reader(
        'JSON {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}]}]}',
        lambda head: json_files.looks_like_karpathy(head.text),
        json_files.read_karpathy,
    ),
    "coco": Reader(
        'JSON {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}',
        lambda head: json_files.looks_like_coco(head.text),
        json_files.read_coco,
        named_splits=True,
    ),
    "ai_challenger": Reader(
        'JSON [{"image_id": "x.jpg", "caption": ["..", ..]}, ..]',
        lambda head: json_files.looks_like_list(head.text),
        json_files.read_ai_challenger,
        (".json",),
        named_splits=True,
    ),
    "jsonl": Reader(
        '{"image_id": "x", "text": ["..", ..]} a line',
        lambda head: head.most(json_files.looks_like_jsonl),
        json_files.read_jsonl,
        (".jsonl",),
    ),
    "flickr30k": Reader("header image_name| comment_number| comment", _has_header("|"), tables.read_flickr30k),
    "csv": Reader("header image,caption[,split]", _has_header(","), tables.read_table(","), (".csv",)),
    "tsv": Reader("header image<TAB>caption[<TAB>split]", _has_header("\t"), tables.read_table("\t"), (".tsv",)),
    "ofa": Reader(
        "uniq-id<TAB>image-id<TAB>caption[&&caption..]<TAB>objects<TAB>base64",
        lambda head: head.most(_is_ofa_line),
        tables.read_ofa,
    ),
    "coco_cn": Reader(
        "COCO_val2014_000000000042#0<TAB>caption",
        lambda head: head.most(flickr.COCO_LINE.fullmatch),
        flickr.read_coco_cn,
    ),
    "flickr8k": Reader(
        "NAME.jpg#zhc#0 caption, or NAME.jpg#0<TAB>caption (Flickr30k-CN too)",
        lambda head: head.most(lambda line: flickr.LINE.fullmatch(line.strip())),
        flickr.read_flickr8k,
    ),
    "pairs": Reader("NAME<TAB>caption without a header", lambda head: head.most(_is_pair), flickr.read_pairs),
    "folder": Reader(
        "images with texts of the same names (x.jpg, x.txt)", lambda head: False, folder.read_folder, binary=True
    ),
}
"""Every layout that can be read. In detection the first whose `sniff` agrees wins."""


def detect(path: Path, encoding: str | None = None) -> str | None:
    """The name in `FORMATS` that a file's beginning looks like, or None; CorpusError if it cannot be read."""
    head = Head.of(path, encoding)
    return next((name for name, reader in FORMATS.items() if reader.sniff(head)), None)


def known_formats() -> str:
    """Every layout on one line, for messages."""
    return "; ".join(f"{name}: {reader.layout}" for name, reader in FORMATS.items())


def locate(path: Path, format: str | None = None, encoding: str | None = None) -> tuple[Path, str]:
    """The file that a source means, and its format; for a folder the one caption file in it, or itself.

    Raises:
        CorpusError: nothing is there, nothing or too much is recognized, or it cannot be read.
    """
    if not path.exists():
        raise CorpusError(f"There is no caption file or folder {path}; check the name.")
    if format == "folder" and not path.is_dir():
        raise CorpusError(f"{path} is a file; format 'folder' wants a folder of images and texts.")
    if not path.is_dir():
        return path, format or _format_of(path, encoding)
    if format == "folder":
        return path, format
    files = {file: detect(file, encoding) for file in folder.caption_files(path, _TEXT_SUFFIXES)}
    found = [file for file, name in files.items() if name and format in (None, name)]
    if not found and format:
        found = [file for file in files if file.suffix.lower() in FORMATS[format].suffixes]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise CorpusError(f"{path} holds several caption files ({names}); name the one to read.")
    if found:
        return found[0], format or files[found[0]] or ""
    if format is None and folder.has_pairs(path):
        return path, "folder"
    raise CorpusError(f"No caption file was recognized in {path}; name the file itself. Known: {known_formats()}")


def _format_of(path: Path, encoding: str | None) -> str:
    name = detect(path, encoding)
    if name is None:
        name = next((key for key, reader in FORMATS.items() if path.suffix.lower() in reader.suffixes), None)
    if name is None:
        lines = Head.of(path, encoding).lines
        found = lines[0][:60] if lines else ""
        raise CorpusError(f"{path}: layout not recognized (it begins {found!r}); known: {known_formats()}")
    return name


def read_captions(source: Source, path: Path, format: str) -> Records:
    """The captions of one source, which `locate` found to be `path` in `format`; what `source` names holds.

    Raises:
        CorpusError: unreadable, damaged, in an unknown encoding, mostly not of this layout, or without captions.
    """
    reader = FORMATS[format]
    if reader.binary:
        file = TextFile(path, known_encoding(source.encoding, path) if source.encoding else "")
    else:
        file = TextFile.of(path, source.encoding)
    records = Records(str(path), format, file.encoding, fixed_split=source.split)
    if source.origin:
        records.fixed_machine = source.origin == "machine"
    match = _RELEASE_NAME.fullmatch(path.name)
    if reader.named_splits and match:
        records.file_split = SPLIT_NAMES[match[1]]
    reader.read(file, records)
    records.check()
    return records
