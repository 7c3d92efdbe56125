"""`NAME#0 caption` lines: Flickr8k, Flickr8k-CN, Flickr30k-CN and COCO-CN, with their split lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from caption_tx.config import SPLITS
from caption_tx.data.corpus.captions.caption_values import add_captions
from caption_tx.data.corpus.captions.pre_segmented import restore_sentences
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.file_text.quoted_lines import split_tabs
from caption_tx.data.corpus.names.image_names import add_coco_suffix, stem
from caption_tx.data.corpus.rows import UNLISTED, CaptionRows
from caption_tx.data.corpus.values.value_kinds import is_text, share
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_NAME = r"#(?:((?:en|zh)\w*)#)?(\d+)"
# Names may contain `#`: the name ends at the last one before the tab. Without a tab it ends at a language tag, else
# at the first number after an image suffix, else at the first number.
_BEFORE_TAB = re.compile(rf"([^\t]+){_NAME}")
_SUFFIX = "|".join(map(re.escape, IMAGE_SUFFIXES))
_LINES = (
    re.compile(r"([^\t]+?)#((?:en|zh)\w*)#(\d+)(?:\s+(.*))?", re.DOTALL),
    re.compile(rf"([^\t]+?(?i:{_SUFFIX})){_NAME}(?:\s+(.*))?", re.DOTALL),
    re.compile(rf"([^\t]+?){_NAME}(?:\s+(.*))?", re.DOTALL),
)
_COCO_CN_LINE = re.compile(r"COCO_(?:train|val|test)\d{4}_\d{12}(?:\.jpg)?#.*", re.DOTALL)
# zhb and zhg are translations by Baidu and Google, some with the month (zhbDec). zhc captions were written and
# zhm captions translated by humans.
_MACHINE_TAGS = ("zhb", "zhg")
_FLICKR_CN_FILE = re.compile(r"(?:seg\.)?(.+?)(?:enc|zh[a-z])\w*\.captions?\.txt", re.IGNORECASE)
_SPLIT_FILE = re.compile(r"(?:seg\.)?(\w*?(train|val|test))\.captions?\.txt", re.IGNORECASE)
_FLICKR8K_LISTS = {"train": "trainImages", "val": "devImages", "test": "testImages"}


def _parse_line(line: str) -> tuple[str, str | None, str] | None:
    """The image, the language tag and the caption of a line, or None."""
    head, tab, caption = line.partition("\t")
    if tab and (match := _BEFORE_TAB.fullmatch(head.rstrip())):
        # A tag is optional, so the greedy name could contain it.
        name, tag = match[1], match[2]
        if tag is None and (tagged := re.fullmatch(r"(.+)#((?:en|zh)\w*)", name)):
            name, tag = tagged[1], tagged[2]
        return name, tag, caption
    match = next((found for pattern in _LINES if (found := pattern.fullmatch(line))), None)
    return (match[1], match[2], match[4] or "") if match else None


def is_flickr8k_line(line: str) -> bool:
    """Whether a line has the form `NAME#0 caption` or `NAME#zhc#0 caption`."""
    return _parse_line(line.strip()) is not None


def is_coco_cn_line(line: str) -> bool:
    """Whether a line starts with the name of a COCO image and `#`."""
    return _COCO_CN_LINE.fullmatch(line) is not None


def read_flickr8k(file: TextFile, rows: CaptionRows) -> None:
    """Reads `NAME.jpg#zhc#0 caption` or `NAME.jpg#0<TAB>caption`, and the split lists next to the file."""
    _read(file, rows, _find_flickr_lists(file.path), machine=False)


def read_coco_cn(file: TextFile, rows: CaptionRows) -> None:
    """Reads `COCO_val2014_000000000042#0<TAB>caption`, and the split lists next to the file."""
    lists = _existing_lists(file.path, {f"coco-cn_{split}.txt": split for split in SPLITS})
    _read(file, rows, lists, machine="machine-translated" in file.path.name.lower())


def _find_flickr_lists(path: Path) -> dict[Path, str]:
    """The split lists next to a caption file, and the split of each."""
    match = _FLICKR_CN_FILE.fullmatch(path.name)
    prefix = match[1] if match else "flickr8k"
    names = {f"{prefix}{split}.txt": split for split in SPLITS}
    if "flickr30k" in path.name.lower():
        return _existing_lists(path, names if match else {})
    names |= {f"Flickr_8k.{name}.txt": split for split, name in _FLICKR8K_LISTS.items()}
    return _existing_lists(path, names)


def _existing_lists(path: Path, names: dict[str, str]) -> dict[Path, str]:
    return {path.with_name(name): split for name, split in names.items() if path.with_name(name).is_file()}


def _read_image_list(path: Path) -> dict[str, int]:
    """The images of a split list, without suffix, and their line numbers."""

    def fail(line_number: int, reason: str, message: str) -> NoReturn:
        raise CorpusError(f"{path}, line {line_number}: {message}.")

    lines = TextFile.open(path).lines(fail)
    return {stem(add_coco_suffix(line.strip())): line_number for line_number, line in lines if line.strip()}


def _read_split_lists(lists: dict[Path, str]) -> dict[str, str]:
    """The split of every listed image.

    Raises:
        CorpusError: an image is in two lists.
    """
    split_of: dict[str, str] = {}
    for path, split in lists.items():
        for name, line_number in _read_image_list(path).items():
            if split_of.setdefault(name, split) != split:
                raise CorpusError(
                    f"{path}, line {line_number}: {name} is also listed for {split_of[name]}; remove it from one list."
                )
    return split_of


def _caption_column(file: TextFile) -> tuple[int, int]:
    """The position of the caption among the columns after the name, and their number; tabs in captions are rare."""
    lines = FileHead.read(file.path, file.encoding).lines
    parsed = [found for line in lines if "\t" in line and (found := _parse_line(line.strip()))]
    cells = [caption.split("\t") for *_, caption in parsed]
    width = max(map(len, cells), default=1)
    if width == 1 or 10 * sum(len(row) > 1 for row in cells) < 9 * len(lines):
        return 0, 1
    texts = (at for at in range(width) if share([row[at] for row in cells if at < len(row)], is_text) > 0.5)
    return next(texts, 0), width


def _read(file: TextFile, rows: CaptionRows, lists: dict[Path, str], machine: bool) -> None:
    """Reads all lines; `machine` marks a file of machine translations."""
    split_of = _read_split_lists(lists)
    members: dict[str, int] | None = None
    split_file = _SPLIT_FILE.fullmatch(file.path.name)
    if split_file and not lists:
        # Flickr30k-CN has a folder per split; its list contains the images of that split only.
        rows.file_name_split, rows.is_release = split_file[2].lower(), True
        image_list = file.path.parent.parent / "ImageSets" / f"{split_file[1]}.txt"
        members = _read_image_list(image_list) if image_list.is_file() else None
    column, width = _caption_column(file)
    if width > 1:
        unread = ", ".join(str(at + 2) for at in range(width) if at != column)
        rows.add_notes({f"columns not read ({unread})": width - 1})
    for line_number, line in file.lines(rows.add_error):
        line = line.strip()
        if not line:
            rows.skip(line_number, "blank line")
            continue
        parsed = _parse_line(line)
        if parsed is None:
            rows.add_error(
                line_number,
                "not of the form NAME#0 caption",
                f"expected 'NAME.jpg#zhc#0 caption' or 'NAME.jpg#0<TAB>caption', found {line[:60]!r}; fix the line",
            )
            continue
        image, tag, caption = parsed
        if "\n" in caption:  # which only unescaped lines have
            caption = "\t".join(split_tabs(caption))
        image = add_coco_suffix(image.strip())
        split = None
        if lists:
            split = split_of.get(stem(image), UNLISTED)
        elif members is not None and stem(image) not in members:
            split = UNLISTED
        if width > 1:
            cells = caption.split("\t")
            caption = cells[min(column, len(cells) - 1)]
        is_machine = machine or (tag or "").startswith(_MACHINE_TAGS)
        add_captions(rows, [image], caption, line_number, split, is_machine)
    restore_sentences(rows)
    if rows.images and all(split == UNLISTED for split in rows.splits):
        names = ", ".join(path.name for path in lists) or f"ImageSets/{split_file[1] if split_file else ''}.txt"
        raise CorpusError(
            f"{file.path}: none of its images is in the split lists next to it ({names}); remove or fix the lists."
        )
