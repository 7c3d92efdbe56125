"""Caption files of every layout -> one pandas table, one row per caption.

A layout is a `Reader` in `FORMATS`; everything after reading (splits, reports) is the same for all.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from caption_tx.config import SPLITS, CorpusConfig
from caption_tx.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from caption_tx.data.segmentation import Segmenter

COLUMNS = ("image", "caption", "split", "origin", "line")

SPLIT_NAMES = {
    **{name: "train" for name in ("train", "training")},
    **{name: "val" for name in ("val", "valid", "validation", "dev")},
    **{name: "test" for name in ("test", "testing")},
}

IMAGE_HEADERS = ("image", "filename", "file_name", "image_name", "image_id", "file", "img")
CAPTION_HEADERS = ("caption", "text", "comment", "description", "sentence")
SPLIT_HEADERS = ("split", "subset", "partition")

_HEAD_BYTES = 1 << 16
_TEXT_SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".token"}


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


def _sniff(path: Path) -> str | None:
    """The layout that a file's beginning looks like."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="ignore")
    except (OSError, ValueError) as error:
        raise CorpusError(f"Cannot read the caption file {path}: {getattr(error, 'strerror', error)}.") from error
    return next((name for name, reader in FORMATS.items() if reader.sniff(head)), None)


def _known_formats() -> str:
    return "; ".join(f"{name}: {reader.layout}" for name, reader in FORMATS.items())


def _find_file(folder: Path) -> Path:
    """The one caption file in a folder."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _TEXT_SUFFIXES and file.is_file())
    except OSError as error:
        raise CorpusError(f"Cannot look into {folder}: {error.strerror}.") from error
    found = [file for file in files if _sniff(file)]
    if not found:
        raise CorpusError(
            f"No caption file was recognised in {folder}; name the file itself. Known: {_known_formats()}"
        )
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise CorpusError(f"{folder} holds several caption files ({names}); name the one to read.")
    return found[0]


def _read_source(source: str | Path, format: str | None) -> Records:
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"There is no caption file or folder {path}; check the name.")
    if path.is_dir():
        path = _find_file(path)
    name = format or _sniff(path)
    if name is None:
        suffix = path.suffix.lower()
        name = next((key for key, reader in FORMATS.items() if suffix in reader.suffixes), None)
    text = _read_text(path)
    if name is None:
        found = _first_line(text[:_HEAD_BYTES])[:60]
        raise CorpusError(f"{path}: layout not recognised (it begins {found!r}); known: {_known_formats()}")
    records = FORMATS[name].read(path, text)
    if not records.rows:
        raise CorpusError(f"{path}: no captions in it ({len(records.skipped)} lines skipped); check the file.")
    return records


def _position(image: str, seed: int) -> float:
    """A place in [0, 1) that depends on the image's name and the seed alone, so new images move no others."""
    digest = hashlib.blake2b(f"{seed}\0{image}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _divide(images: Iterable[str], config: CorpusConfig, present: set[str]) -> dict[str, str]:
    """A split for each image. Small corpora still get an image for training, then one for validation."""
    position = {image: _position(image, config.split_seed) for image in images}
    order = sorted(position, key=lambda image: -position[image])  # training first, test last
    limit = config.test_fraction + config.val_fraction
    split_of = {
        image: "test" if place < config.test_fraction else "val" if place < limit else "train"
        for image, place in position.items()
    }
    if order and "train" not in present and "train" not in split_of.values():
        split_of[order[0]] = "train"
    if config.val_fraction > 0 and "val" not in present and "val" not in split_of.values():
        training = [image for image in order if split_of[image] == "train"]
        spare = training if "train" in present else training[1:]
        tests = [image for image in order if split_of[image] == "test"]
        if spare or tests:
            split_of[spare[-1] if spare else tests[0]] = "val"
    return split_of


def _image_splits(parts: list[Records], config: CorpusConfig) -> tuple[dict[str, str], list[str]]:
    """The split of every image over all sources, and the images that split lists leave out."""
    given: dict[str, str] = {}
    where: dict[str, str] = {}
    for part in parts:
        for image, _, split, _, line in part.rows:
            if split is None:
                continue
            if given.setdefault(image, split) != split:
                raise CorpusError(
                    f"{part.source}, line {line}: {image} is in {split} here and in {given[image]} at "
                    f"{where[image]}; an image belongs to one split."
                )
            where.setdefault(image, f"{part.source}, line {line}")
    unlisted = {row[0]: None for part in parts if part.listed for row in part.rows if row[0] not in given}
    free = {row[0] for part in parts for row in part.rows} - given.keys() - unlisted.keys()
    return given | _divide(free, config, set(given.values())), list(unlisted)


def read_corpus(
    sources: str | Path | Iterable[str | Path],
    format: str | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.05,
    split_seed: int = 0,
) -> pd.DataFrame:
    """All captions of one or more sources as a table, one row per caption, in the order of the files.

    Args:
        sources: caption files, or folders that hold one recognised caption file each.
        format: a name in `FORMATS`; None detects it for each source.
        val_fraction, test_fraction: shares in [0, 1) of the images that no source gives a split.
        split_seed: divides those images; an image's split depends on its name and the seed alone.

    Returns:
        Columns `image` (name in the images folder), `caption` (raw text), `split` ("train", "val" or
        "test"), `origin` ("human" or "machine"), `source` (file) and `line` (line of a text file, entry
        of a JSON list, from 1). `attrs["skipped"]` lists (source, line, reason) of what holds no
        caption; `attrs["left_out"]` lists the images that split lists beside the captions leave out.

    Raises:
        CorpusError: a source is missing, of an unknown layout, damaged, not UTF-8, or without captions,
            or an image stands in two splits. The message names file and line.
    """
    try:
        config = CorpusConfig(val_fraction=val_fraction, test_fraction=test_fraction, split_seed=split_seed)
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    if format is not None and format not in FORMATS:
        raise CorpusError(f"Unknown format {format!r}; known: {_known_formats()}")
    sources = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if not sources:
        raise CorpusError("No caption source was given; name a caption file or its folder.")
    parts = [_read_source(source, format) for source in sources]
    split_of, left_out = _image_splits(parts, config)
    rows = [(part.source, *row) for part in parts for row in part.rows if row[0] in split_of]
    source, image, caption, _, origin, line = zip(*rows, strict=True)
    table = pd.DataFrame(
        {
            "image": image,
            "caption": caption,
            "split": [split_of[name] for name in image],
            "origin": origin,
            "source": source,
            "line": np.array(line, dtype=np.int64),
        }
    )
    table.attrs["skipped"] = [item for part in parts for item in part.skipped]
    table.attrs["left_out"] = left_out
    return table


def captions_by_image(table: pd.DataFrame, split: str, origin: str | None = None) -> dict[str, list[str]]:
    """The captions of each image of a split, both in the table's order; `origin` keeps one kind only."""
    chosen = table["split"] == split
    if origin is not None:
        chosen &= table["origin"] == origin
    captions: dict[str, list[str]] = {}
    for image, caption in zip(table.loc[chosen, "image"], table.loc[chosen, "caption"], strict=True):
        captions.setdefault(image, []).append(caption)
    return captions


def describe(table: pd.DataFrame, segmenter: Segmenter | None = None) -> dict[str, Any]:
    """Plain counts of a corpus, ready for JSON.

    Caption lengths are in words with a `segmenter` and in characters without.
    """
    per_image = table.groupby("image", sort=False).size()
    if segmenter is None:
        unit, lengths = "characters", [len(caption) for caption in table["caption"]]
    else:
        unit, lengths = "words", [len(segmenter.segment(caption)) for caption in table["caption"]]
    splits = table.groupby("split")["image"].agg(["nunique", "size"])
    skipped = table.attrs.get("skipped", [])
    return {
        "images": len(per_image),
        "captions": len(table),
        "captions_per_image": _spread(per_image.to_numpy()),
        "splits": {
            name: {"images": int(splits.loc[name, "nunique"]), "captions": int(splits.loc[name, "size"])}
            for name in SPLITS
            if name in splits.index
        },
        "origins": {str(name): int(count) for name, count in table["origin"].value_counts(sort=False).items()},
        "caption_length": {"unit": unit, **_spread(np.array(lengths))},
        "left_out_images": len(table.attrs.get("left_out", [])),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    return {
        "min": int(values.min()),
        "median": float(np.median(values)),
        "mean": round(float(values.mean()), 2),
        "p95": float(np.percentile(values, 95)),
        "max": int(values.max()),
    }


def format_description(description: dict[str, Any]) -> str:
    """`describe`'s counts as lines for a person."""
    per_image, length = description["captions_per_image"], description["caption_length"]
    total = f"{description['images']:,} images, {description['captions']:,} captions"
    lines = [f"{total} ({per_image['min']} to {per_image['max']} an image, {per_image['mean']} on average)"]
    for name, counts in description["splits"].items():
        lines.append(f"  {name:5}  {counts['images']:>9,} images  {counts['captions']:>9,} captions")
    lines.append("origin: " + ", ".join(f"{count:,} {name}" for name, count in description["origins"].items()))
    lines.append(
        f"caption length in {length['unit']}: {length['min']} to {length['max']}, mean {length['mean']}, "
        f"median {length['median']:g}, 95% at most {length['p95']:g}"
    )
    if description["left_out_images"]:
        lines.append(f"left out: {description['left_out_images']:,} images that no split list names")
    if description["skipped"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in description["skipped_reasons"].items())
        lines.append(f"skipped: {description['skipped']:,} ({reasons})")
    return "\n".join(lines)
