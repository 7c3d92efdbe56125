"""Caption files of every layout -> `Records`.

A layout is a `Reader` in `FORMATS`. A new one needs no change elsewhere: detection and messages go over `FORMATS`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from caption_tx.config import SPLITS
from caption_tx.errors import CorpusError

SPLIT_NAMES = {
    **{name: "train" for name in ("train", "training")},
    **{name: "val" for name in ("val", "valid", "validation", "dev")},
    **{name: "test" for name in ("test", "testing")},
}
IMAGE_HEADERS = ("image", "filename", "file_name", "image_name", "image_id", "file", "img")
CAPTION_HEADERS = ("caption", "text", "comment", "description", "sentence")
SPLIT_HEADERS = ("split", "subset", "partition")
_HEAD_BYTES = 1 << 16


@dataclass
class Records:
    """What one file brings, before images without a split are divided.

    `rows` holds (image, caption, split or None, origin, line). Rows with `split` None are divided by
    the seed, unless the file came with split lists (`listed`): then they are left out.
    """

    source: str
    rows: list[tuple[str, str, str | None, str, int]] = field(default_factory=list)
    skipped: list[tuple[str, int, str]] = field(default_factory=list)
    listed: bool = False

    def add(self, image: str, caption: str, line: int, split: str | None = None, origin: str = "human") -> None:
        """One caption; without text it is counted as skipped, without an image it is an error."""
        image, caption = image.strip(), caption.strip()
        if not image and not caption:
            self.skip(line, "blank line")
        elif not image or "\0" in image:
            raise CorpusError(f"{self.source}, line {line}: no usable image name before the caption; add one.")
        elif not caption:
            self.skip(line, "no caption")
        else:
            self.rows.append((image, caption, split, origin, line))

    def skip(self, line: int, reason: str) -> None:
        """Counts a place that holds no caption."""
        self.skipped.append((self.source, line, reason))


@dataclass(frozen=True)
class Reader:
    """One layout: `sniff(head)` recognises the first characters of a file, `read(path, text)` reads it.

    `suffixes` name the files that are taken for this layout when no content is recognised, so that
    the reader can say what is wrong with them.
    """

    layout: str
    sniff: Callable[[str], bool]
    read: Callable[[Path, str], Records]
    suffixes: tuple[str, ...] = ()


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise CorpusError(f"Cannot read the caption file {path}: {getattr(error, 'strerror', error)}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error


def _first_line(head: str) -> str:
    return next((line for line in head.splitlines() if line.strip()), "")


# --- Flickr8k and Flickr8k-CN: one `NAME.jpg#K<TAB>caption` or `NAME.jpg#zhc#K caption` a line
_FLICKR_LINE = re.compile(r"(.+?)#(?:(enc|zh[a-z])#)?(\d+)(?:\s+(.*))?")
# zhb and zhg are Baidu's and Google's translations; zhc is written, and zhm translated, by people.
_MACHINE_TAGS = ("zhb", "zhg")
_FLICKR_CN_FILE = re.compile(r"(.+?)(?:enc|zh[a-z])(?:test)?\.captions?\.txt", re.IGNORECASE)
_CLASSIC_SPLITS = {"train": "trainImages", "val": "devImages", "test": "testImages"}


def _flickr_split_files(path: Path) -> dict[Path, str]:
    """The split lists that lie beside a caption file, and the split of each."""
    match = _FLICKR_CN_FILE.fullmatch(path.name)
    prefix = match[1] if match else "flickr8k"
    names = {f"{prefix}{split}.txt": split for split in SPLITS}
    names |= {f"Flickr_8k.{name}.txt": split for split, name in _CLASSIC_SPLITS.items()}
    return {path.with_name(name): split for name, split in names.items() if path.with_name(name).is_file()}


def _read_flickr_splits(files: dict[Path, str]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for path, split in files.items():
        for number, line in enumerate(io.StringIO(_read_text(path), newline=None), 1):
            name = line.strip()
            if name and split_of.setdefault(name, split) != split:
                raise CorpusError(f"{path}, line {number}: {name} is listed for {split_of[name]} too; keep one.")
    return split_of


def _read_flickr8k(path: Path, text: str) -> Records:
    files = _flickr_split_files(path)
    split_of = _read_flickr_splits(files)
    records = Records(str(path), listed=bool(files))
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        line = line.strip()
        if not line:
            records.skip(number, "blank line")
            continue
        match = _FLICKR_LINE.fullmatch(line)
        if not match:
            raise CorpusError(
                f"{path}, line {number}: expected 'NAME.jpg#zhc#0 caption' or 'NAME.jpg#0<TAB>caption', "
                f"found {line[:60]!r}; correct the line or give the right --format."
            )
        image, tag, _, caption = match.groups()
        split = split_of.get(image) or split_of.get(image.rpartition(".")[0])
        records.add(image, caption or "", number, split, "machine" if tag in _MACHINE_TAGS else "human")
    if files and records.rows and not any(row[2] for row in records.rows):
        lists = ", ".join(file.name for file in files)
        raise CorpusError(f"{path}: none of its images is in the split lists beside it ({lists}); remove or mend them.")
    return records


# --- AI Challenger: a JSON list of {"url", "image_id", "caption": [five strings]}
def _read_ai_challenger(path: Path, text: str) -> Records:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is not valid JSON: {error}; mend it or fetch the file again.") from error
    wanted = 'a list of {"image_id": "x.jpg", "caption": ["..", ..]}'
    if not isinstance(entries, list):
        raise CorpusError(f"{path}: expected {wanted}, found a JSON {type(entries).__name__}; give the right --format.")
    records = Records(str(path))
    for number, entry in enumerate(entries, 1):
        image = entry.get("image_id") if isinstance(entry, dict) else None
        captions = entry.get("caption") if isinstance(entry, dict) else None
        captions = [captions] if isinstance(captions, str) else captions
        if not isinstance(image, str) or not isinstance(captions, list) or not _is_unicode(image):
            raise CorpusError(f"{path}, entry {number}: expected {wanted}, found {str(entry)[:80]!a}; correct it.")
        if not captions:
            records.skip(number, "no caption")
        for caption in captions:
            if not isinstance(caption, str):
                raise CorpusError(f"{path}, entry {number}: a caption must be text, found {str(caption)[:60]!a}.")
            if _is_unicode(caption):
                records.add(image, caption, number)
            else:
                records.skip(number, "not valid Unicode")
    return records


def _is_unicode(text: str) -> bool:
    """False for half a surrogate pair, which JSON can spell and nothing downstream can encode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


# --- CSV and TSV with a header: image, caption[, split]
def _columns(header: list[str]) -> dict[str, int]:
    """The place of each known column in a header line."""
    names = [name.strip().strip('"').lower() for name in header]
    places = {}
    for column, aliases in (("image", IMAGE_HEADERS), ("caption", CAPTION_HEADERS), ("split", SPLIT_HEADERS)):
        place = next((names.index(alias) for alias in aliases if alias in names), None)
        if place is not None:
            places[column] = place
    return places


def _sniff_table(delimiter: str) -> Callable[[str], bool]:
    return lambda head: {"image", "caption"} <= _columns(_first_line(head).split(delimiter)).keys()


def _table_rows(path: Path, text: str, delimiter: str, quoting: int) -> list[tuple[int, list[str]]]:
    """Every row and the line that it starts at."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    rows, start = [], 1
    try:
        for cells in lines:
            rows.append((start, cells))
            start = lines.line_num + 1
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {start}: {error}; a caption with the separator or a quote in it stands in double "
            f'quotes, and a quote inside is doubled ("").'
        ) from error
    return rows


def _read_table(delimiter: str) -> Callable[[Path, str], Records]:
    def read(path: Path, text: str) -> Records:
        try:
            rows = _table_rows(path, text, delimiter, csv.QUOTE_MINIMAL)
        except CorpusError:
            if delimiter != "\t":
                raise
            # Many write TSV without any quoting, so that a quote is only a letter.
            rows = _table_rows(path, text, delimiter, csv.QUOTE_NONE)
        records = Records(str(path))
        places: dict[str, int] = {}
        header: list[str] = []
        for number, cells in rows:
            if not any(cell.strip() for cell in cells):
                records.skip(number, "blank line")
            elif not places:
                header, places = cells, _columns(cells)
                if not {"image", "caption"} <= places.keys():
                    raise CorpusError(
                        f"{path}, line {number}: expected a header with 'image' and 'caption' "
                        f"(and perhaps 'split'), found {','.join(cells)[:80]!r}; add one."
                    )
            elif len(cells) > len(header):
                raise CorpusError(
                    f"{path}, line {number}: {len(cells)} fields where the header has {len(header)}; "
                    "put a caption that holds the separator in double quotes."
                )
            else:
                cells += [""] * (len(header) - len(cells))
                split = _parse_split(path, number, cells[places["split"]]) if "split" in places else None
                records.add(cells[places["image"]], cells[places["caption"]], number, split)
        return records

    return read


def _parse_split(path: Path, line: int, name: str) -> str | None:
    name = name.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise CorpusError(f"{path}, line {line}: unknown split {name!r}; use one of {', '.join(SPLIT_NAMES)}.")
    return SPLIT_NAMES.get(name)


FORMATS: dict[str, Reader] = {
    "flickr8k": Reader(
        "NAME.jpg#zhc#0 caption, or NAME.jpg#0<TAB>caption",
        sniff=lambda head: _FLICKR_LINE.fullmatch(_first_line(head).strip()) is not None,
        read=_read_flickr8k,
    ),
    "ai_challenger": Reader(
        'JSON [{"image_id": "x.jpg", "caption": ["..", ..]}, ..]',
        sniff=lambda head: head.lstrip().startswith("[") and '"image_id"' in head and '"caption"' in head,
        read=_read_ai_challenger,
        suffixes=(".json",),
    ),
    "csv": Reader("header image,caption[,split]", _sniff_table(","), _read_table(","), (".csv",)),
    "tsv": Reader("header image<TAB>caption[<TAB>split]", _sniff_table("\t"), _read_table("\t"), (".tsv",)),
}
"""Every layout that can be read. In detection the first whose `sniff` agrees wins."""


def detect(path: Path) -> str | None:
    """The name in `FORMATS` that a file's beginning looks like, or None; CorpusError if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="ignore")
    except (OSError, ValueError) as error:
        raise CorpusError(f"Cannot read the caption file {path}: {getattr(error, 'strerror', error)}.") from error
    return next((name for name, reader in FORMATS.items() if reader.sniff(head)), None)


def known_formats() -> str:
    """Every layout on one line, for messages."""
    return "; ".join(f"{name}: {reader.layout}" for name, reader in FORMATS.items())


def read_captions(path: Path, format: str | None = None) -> Records:
    """The captions of one file; without a `format` of `FORMATS` its layout is detected.

    Raises:
        CorpusError: the file is unreadable, of an unknown layout, damaged, not UTF-8, or without captions.
    """
    name = format or detect(path)
    if name is None:
        name = next((key for key, reader in FORMATS.items() if path.suffix.lower() in reader.suffixes), None)
    text = _read_text(path)
    if name is None:
        found = _first_line(text[:_HEAD_BYTES])[:60]
        raise CorpusError(f"{path}: layout not recognised (it begins {found!r}); known: {known_formats()}")
    records = FORMATS[name].read(path, text)
    if not records.rows:
        raise CorpusError(f"{path}: no captions in it ({len(records.skipped)} lines skipped); check the file.")
    return records
