"""Image names: with and without their suffix, in caption files and in the image folder."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from caption_tx.data.images.file_names import FolderNames, encoding_of, find_file
from caption_tx.data.images.parquet_images import PARQUET_SUFFIX
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.data.images.tables import TABLE_SUFFIX

# COCO's images come as train2014.zip and val2014.zip; COCO-CN refers to images in both.
_COCO = re.compile(r"COCO_((?:train|val|test)20\d\d)_\d{12}(\.jpg)?")


def stem(name: str) -> str:
    """A name without its image suffix; other endings belong to the name."""
    return name[: name.rindex(".")] if name.lower().endswith(IMAGE_SUFFIXES) else name


def add_coco_suffix(name: str) -> str:
    """Appends ".jpg" to the name of a COCO image that has no suffix."""
    match = _COCO.fullmatch(name)
    return f"{name}.jpg" if match and not match[2] else name


def canonical_name(name: str) -> str:
    """One name for all names of an image.

    COCO's names are unique, so their folder and suffix are dropped; other names are returned unchanged.

    Example:
        >>> canonical_name("val2014/COCO_val2014_000000000042.jpg")
        'COCO_val2014_000000000042'
    """
    base = stem(posixpath.basename(name)) if "COCO_" in name else ""
    return base if _COCO.fullmatch(base) else name


def join_prefix(prefix: str, name: str) -> str:
    """Joins a folder (or a TSV file of images) in the image folder and an image name; normalizes the path."""
    name = f"{prefix.rstrip('/')}/{name}" if prefix else name
    if "://" not in name and ("./" in name or "//" in name):
        name = posixpath.normpath(name)
    return name


def resolve_image_names(names: Iterable[str], images: str | Path | None) -> tuple[dict[str, str], set[str]]:
    """Maps incomplete image names to complete ones, and finds names without a file.

    With a local image folder, a name without a suffix means the only image file with that stem in its folder.
    Otherwise (`images` is None, a file or a URL) it means the only name with that stem in the corpus, and a COCO name
    without a folder means the one with a folder. Each folder is listed once.

    Returns:
        The complete name of each incomplete name (names that are complete or ambiguous are not included), and the names
        that have no file in a local image folder and cannot be completed. Rows of tables (`images.tsv/17`) are not
        looked up.
    """
    names = list(names)
    if images is None or not os.path.isdir(images):
        return _resolve_in_corpus(names), set()
    return _resolve_in_folder(names, images)


def count_undecoded(names: Iterable[str], images: str | Path | None) -> Counter[str]:
    """How many names have a file in a local image folder whose name is in another encoding: GBK or Big5."""
    if images is None or not os.path.isdir(images):
        return Counter()
    paths = (os.path.join(images, name) for name in names if not name.isascii())
    found = [other for path in paths if (other := find_file(path)) != path]
    return Counter(encoding_of(path) or "gb18030" for path in found)


def _in_table(name: str, images: str | Path) -> bool:
    """Whether a name means a row of a table of images in the folder."""
    parts = ((*name.partition(f"{suffix}/"), suffix) for suffix in (TABLE_SUFFIX, PARQUET_SUFFIX))
    return any(found and not os.path.isdir(os.path.join(images, table + suffix)) for table, found, _, suffix in parts)


def _resolve_in_corpus(names: list[str]) -> dict[str, str]:
    incomplete = [name for name in names if stem(name) == name]
    by_stem = _group_by_stem(names) if incomplete else {}
    resolved = {name: by_stem[name][0] for name in incomplete if len(by_stem.get(name, ())) == 1}
    return resolved | _resolve_coco_folders(names)


def _resolve_coco_folders(names: list[str]) -> dict[str, str]:
    """Maps COCO names without a folder to the only name of the same image with one (as in Karpathy's list)."""
    with_folder: dict[str, list[str]] = {}
    for name in names:
        if "/" in name and (image := canonical_name(name)) != name:
            with_folder.setdefault(image, []).append(name)
    without_folder = (name for name in names if "/" not in name) if with_folder else ()
    candidates = ((name, with_folder.get(canonical_name(name), [])) for name in without_folder)
    return {name: matches[0] for name, matches in candidates if len(matches) == 1}


def _resolve_in_folder(names: list[str], images: str | Path) -> tuple[dict[str, str], set[str]]:
    by_folder: dict[str, list[str]] = {}
    for name in names:
        by_folder.setdefault(posixpath.dirname(name), []).append(name)
    listings: dict[str, set[str]] = {}
    folder_names = FolderNames(str(images))

    def files_in(folder: str) -> set[str]:
        if folder not in listings:
            listings[folder] = _list_folder(images, folder, folder_names)
        return listings[folder]

    resolved, lost = {}, set()
    for folder, members in by_folder.items():
        files = files_in(folder)
        missing = [name for name in members if posixpath.basename(name) not in files]
        by_stem = _group_by_stem(files) if missing else {}
        for name in missing:
            base = posixpath.basename(name)
            coco = _COCO.fullmatch(base)
            if len(by_stem.get(base, ())) == 1:
                resolved[name] = posixpath.join(folder, by_stem[base][0])
            elif coco and add_coco_suffix(base) in files_in(posixpath.join(folder, coco[1])):
                resolved[name] = posixpath.join(folder, coco[1], add_coco_suffix(base))
            elif not _in_table(name, images):
                lost.add(name)
    return resolved, lost


def _group_by_stem(files: Iterable[str]) -> dict[str, list[str]]:
    """The image files with each stem."""
    groups: dict[str, list[str]] = {}
    for file in files:
        if (short := stem(file)) != file:
            groups.setdefault(short, []).append(file)
    return groups


def _list_folder(images: str | Path, folder: str, names: FolderNames) -> set[str]:
    try:
        path = find_file(os.path.join(images, folder))
        below = "/".join(path.split("/")[-len(folder.split("/")) :]) if folder else ""
        return {posixpath.basename(names.decode(posixpath.join(below, name))) for name in os.listdir(path)}
    except (OSError, ValueError):
        return set()
