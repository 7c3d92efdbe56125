"""Caption files in folders of classes or splits, whose names mean the images beside them, and lists of splits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from caption_tx.data.corpus.column_names import SPLIT_NAMES
from caption_tx.data.corpus.names.image_names import stem
from caption_tx.data.corpus.readers.sidecars import sidecar_suffixes
from caption_tx.data.corpus.rows import UNLISTED, CaptionRows
from caption_tx.data.images.system_files import is_system_name
from caption_tx.data.text.text_files import TextFile
from caption_tx.errors import CorpusError

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".xlsx", ".token")
_SHARD = re.compile(r".+-\d{5}-of-\d{5}.*\.parquet")
_LIST_SUFFIXES = (".txt", ".lst")
_LIST_FOLDERS = ("split", "splits", "lists", "ImageSets", "ImageSets/Main")
_LIST_WORDS = re.compile(r"[_\-. ]")
_SAMPLE = 20
_MAX_LIST = 50_000_000


def list_metadata_files(folder: Path) -> list[Path]:
    """The metadata files of the folders in a folder, as Hugging Face's imagefolder has them; [] if one is beside them.

    Example:
        >>> list_metadata_files(Path("animals"))
        [PosixPath('animals/cats/metadata.csv'), PosixPath('animals/dogs/metadata.csv')]
    """
    if not os.path.isdir(folder) or any(os.path.isfile(folder / name) for name in _METADATA):
        return []
    files = [file for name in _METADATA for file in folder.glob(f"*/{name}")]
    return sorted(file for file in files if not is_system_name(file.parent.name))


def list_parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a data set as Hugging Face stores it: its shards in a folder, or all files in data/.

    Empty for other folders, and if other caption files are beside data/.

    Example:
        >>> list_parquet_files(Path("coco-cn"))
        [PosixPath('coco-cn/data/test-00000-of-00001.parquet'), PosixPath('coco-cn/data/train-00000-of-00001.parquet')]
    """
    if not os.path.isdir(folder):
        return []
    shards = sorted(path for path in _glob(folder, "*.parquet") if _SHARD.fullmatch(path.name))
    if len(shards) > 1:
        return shards
    others = (path for path in _glob(folder, "*") if path.suffix.lower() in _TABLE_SUFFIXES)
    return [] if next(others, None) else sorted(_glob(folder / "data", "*.parquet"))


def _glob(folder: Path, pattern: str) -> Iterator[Path]:
    return (path for path in folder.glob(pattern) if not is_system_name(path.name))


def beside_prefix(rows: CaptionRows, images: str | Path | None) -> str:
    """The folder of a caption file below the image folder, if its names mean the files beside it; else ""."""
    file = Path(rows.source)
    if images is None or not Path(images).is_dir() or not rows.images or os.path.isdir(file):
        return ""
    parent, root = file.resolve().parent, Path(images).resolve()
    if parent == root or not parent.is_relative_to(root):
        return ""
    names = list(dict.fromkeys(rows.images))[:_SAMPLE]
    is_metadata = file.name in _METADATA
    found = sum(os.path.isfile(parent / name) for name in names)
    if 2 * found <= len(names) or (not is_metadata and any(os.path.isfile(root / name) for name in names)):
        return ""
    prefix = parent.relative_to(root).as_posix()
    rows.notes[f"image names that mean the files beside the caption file ({prefix}/)"] = len(set(rows.images))
    return prefix


def note_side_files(rows: CaptionRows, is_folder: bool, folders_read: Iterable[Path]) -> None:
    """Counts text files with the names of images that are not read, since a caption file is.

    Args:
        rows: of the caption file.
        is_folder: whether the user has passed the folder of the file: the folders below are then searched, too.
        folders_read: folders whose text files are read.
    """
    file = Path(rows.source)
    folders = {file.resolve().parent: is_folder}
    if rows.options.files and (images := rows.options.files.folder):
        folders.setdefault(images.resolve(), False)
    for folder, is_deep in folders.items():
        if any(folder.is_relative_to(read) for read in folders_read):
            continue
        with suppress(CorpusError):  # a folder that cannot be listed
            counts = sidecar_suffixes(folder, with_usual=True, is_deep=is_deep)
            if found := counts.most_common():
                kinds = ", ".join(f"{count} {suffix}" for suffix, count in found[:5])
                advice = f"pass the folder with text_suffix (--text-suffix) {found[0][0]} to read them instead"
                note = f"text files beside images, not read ({kinds}; {advice})"
                rows.notes[note] += counts.total()


def require_different_images(sources: list[CaptionRows]) -> None:
    """Rejects metadata files of different folders that use the same names for images that are not beside them.

    Raises:
        CorpusError: two of them share a name.
    """
    owner: dict[str, str] = {}
    for rows in sources:
        if Path(rows.source).name in _METADATA:
            for name in dict.fromkeys(rows.images):
                if owner.setdefault(name, rows.source) != rows.source:
                    raise CorpusError(
                        f"{rows.source} and {owner[name]} both name {name}, which would be one image; pass images "
                        "(--images) with the folder that contains both files, or name each one's folder as "
                        "'FILE:images=FOLDER'."
                    )


def read_split_lists(rows: CaptionRows) -> None:
    """Reads train.txt, val_list.txt, splits/test.txt and the like beside a caption file, if they list its images.

    Images in no list are left out if there are several lists.

    Raises:
        CorpusError: an image is in two lists.
    """
    file = Path(rows.source)
    if os.path.isdir(file) or any(rows.splits) or rows.split_override or rows.file_name_split or not rows.images:
        return
    known = {stem(name) for name in rows.images}
    split_of: dict[str, str] = {}
    files = []
    for path, split in _split_lists(file):
        lines = [line.strip() for _, line in TextFile.open(path).lines(lambda *_: None) if line.strip()]
        names = [stem(line) for line in lines]
        if not names or 10 * sum(name in known for name in names) < 9 * len(names):
            continue
        files.append(path.relative_to(file.parent).as_posix())
        for name in names:
            if split_of.setdefault(name, split) != split:
                raise CorpusError(f"{path}: {name} is also listed for {split_of[name]}; remove it from one list.")
    if files:
        other = UNLISTED if len(files) > 1 else None
        rows.splits = [split_of.get(stem(name), other) for name in rows.images]
        rows.notes[f"images with the splits of the lists beside the file ({', '.join(files)})"] = len(split_of)


def _split_lists(file: Path) -> Iterator[tuple[Path, str]]:
    """Files that may list the images of a split, beside a caption file or in a folder for lists, and their splits."""
    folders = (file.parent, *(file.parent / name for name in _LIST_FOLDERS))
    paths = [path for folder in folders for path in sorted(folder.glob("*")) if path.suffix.lower() in _LIST_SUFFIXES]
    words_of = {path: (path.stem.lower(), *_LIST_WORDS.split(path.stem.lower())) for path in paths if path != file}
    for split in ("train", "val", "test"):
        for path, words in words_of.items():
            is_list = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES} == {split}
            if is_list and path.is_file() and path.stat().st_size <= _MAX_LIST:
                yield path, split
