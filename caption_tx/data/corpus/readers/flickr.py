"""One caption a line behind the image's name: Flickr8k, Flickr8k-CN, Flickr30k-CN, COCO-CN, and plain pairs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from caption_tx.config import SPLITS
from caption_tx.data.corpus.image_names import stem, with_coco_suffix
from caption_tx.data.corpus.pre_segmented import restore_sentences
from caption_tx.data.corpus.records import NOT_LISTED, Records
from caption_tx.data.corpus.text_files import TextFile
from caption_tx.errors import CorpusError

LINE = re.compile(r"([^\t]+?)#(?:((?:en|zh)\w*)#)?(\d+)(?:\s+(.*))?", re.DOTALL)
COCO_LINE = re.compile(r"COCO_(?:train|val|test)\d{4}_\d{12}(?:\.jpg)?#.*", re.DOTALL)
# zhb and zhg are Baidu's and Google's translations, some with the month (zhbDec); zhc is written,
# and zhm translated, by people.
_MACHINE = ("zhb", "zhg")
_CN_FILE = re.compile(r"(?:seg\.)?(.+?)(?:enc|zh[a-z])\w*\.captions?\.txt", re.IGNORECASE)
_COLLECTION = re.compile(r"(?:seg\.)?(\w*?(train|val|test))\.captions?\.txt", re.IGNORECASE)
_CLASSIC_LISTS = {"train": "trainImages", "val": "devImages", "test": "testImages"}


def _lists_beside(path: Path) -> dict[Path, str]:
    """The split lists that lie beside a caption file, and the split of each."""
    match = _CN_FILE.fullmatch(path.name)
    prefix = match[1] if match else "flickr8k"
    names = {f"{prefix}{split}.txt": split for split in SPLITS}
    if "flickr30k" in path.name.lower():
        return _existing(path, names if match else {})
    names |= {f"Flickr_8k.{name}.txt": split for split, name in _CLASSIC_LISTS.items()}
    return _existing(path, names)


def _coco_lists(path: Path) -> dict[Path, str]:
    return _existing(path, {f"coco-cn_{split}.txt": split for split in SPLITS})


def _existing(path: Path, names: dict[str, str]) -> dict[Path, str]:
    return {path.with_name(name): split for name, split in names.items() if path.with_name(name).is_file()}


def read_list(path: Path) -> dict[str, int]:
    """The images of a list, without suffix, and the line of each."""

    def refuse(number: int, reason: str, message: str) -> NoReturn:
        raise CorpusError(f"{path}, line {number}: {message}.")

    lines = TextFile.of(path).lines(refuse)
    return {stem(with_coco_suffix(line.strip())): number for number, line in lines if line.strip()}


def _read_lists(files: dict[Path, str]) -> dict[str, str]:
    """The split of every image that the lists name."""
    split_of: dict[str, str] = {}
    for path, split in files.items():
        for name, number in read_list(path).items():
            if split_of.setdefault(name, split) != split:
                raise CorpusError(f"{path}, line {number}: {name} is listed for {split_of[name]} too; keep one.")
    return split_of


def _read(file: TextFile, records: Records, lists: dict[Path, str], machine_file: bool) -> None:
    split_of = _read_lists(lists)
    members: dict[str, int] | None = None
    collection = _COLLECTION.fullmatch(file.path.name)
    if collection and not lists:
        # Flickr30k-CN: a folder of its own for each split, whose list only says what belongs to it.
        records.file_split = collection[2].lower()
        ids = file.path.parent.parent / "ImageSets" / f"{collection[1]}.txt"
        members = read_list(ids) if ids.is_file() else None
    for number, line in file.lines(records.bad):
        line = line.strip()
        if not line:
            records.skip(number, "blank line")
            continue
        match = LINE.fullmatch(line)
        if not match:
            records.bad(
                number,
                "not of the form NAME#0 caption",
                "expected 'NAME.jpg#zhc#0 caption' or 'NAME.jpg#0<TAB>caption', "
                f"found {line[:60]!r}; correct the line or give the right --format",
            )
            continue
        image, tag, _, caption = match.groups()
        image = with_coco_suffix(image.strip())
        split = None
        if lists:
            split = split_of.get(stem(image), NOT_LISTED)
        elif members is not None and stem(image) not in members:
            split = NOT_LISTED
        records.add(image, caption or "", number, split, machine_file or (tag or "").startswith(_MACHINE))
    restore_sentences(records)
    if records.images and all(split == NOT_LISTED for split in records.splits):
        names = ", ".join(path.name for path in lists) or f"ImageSets/{collection[1] if collection else ''}.txt"
        raise CorpusError(
            f"{file.path}: none of its images is in the split lists beside it ({names}); remove or mend them."
        )


def read_flickr8k(file: TextFile, records: Records) -> None:
    """`NAME.jpg#zhc#0 caption` or `NAME.jpg#0<TAB>caption`, with the split lists that lie beside it."""
    _read(file, records, _lists_beside(file.path), machine_file=False)


def read_coco_cn(file: TextFile, records: Records) -> None:
    """`COCO_val2014_000000000042#0<TAB>caption`, with the split lists that lie beside it."""
    _read(file, records, _coco_lists(file.path), "machine-translated" in file.path.name.lower())


def read_pairs(file: TextFile, records: Records) -> None:
    """`NAME<TAB>caption` without a header."""
    for number, line in file.lines(records.bad):
        cells = line.rstrip("\n").split("\t")
        if not line.strip():
            records.skip(number, "blank line")
        elif len(cells) != 2:
            records.bad(
                number,
                f"{len(cells)} columns where 2 are wanted",
                f"expected 'NAME<TAB>caption', found {line[:60]!r}; correct the line or give the right --format",
            )
        else:
            records.add(cells[0], cells[1], number)
    restore_sentences(records)
