"""Names of images: with and without their suffix, in a list of the corpus and in a folder."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from caption_tx.data.images.decoding import IMAGE_SUFFIXES

# COCO's images come as train2014.zip and val2014.zip; COCO-CN names images of both.
_COCO = re.compile(r"COCO_((?:train|val|test)20\d\d)_\d{12}(\.jpg)?")


def stem(name: str) -> str:
    """A name without the suffix of an image; other endings are part of it."""
    return name[: name.rindex(".")] if name.lower().endswith(IMAGE_SUFFIXES) else name


def with_coco_suffix(name: str) -> str:
    """COCO's names have a known suffix, so one that was left out is put back."""
    match = _COCO.fullmatch(name)
    return f"{name}.jpg" if match and not match[2] else name


def identity(name: str) -> str:
    """What is one for all names of one image: of COCO's, which are unique, the bare name; else the name as it is."""
    base = stem(posixpath.basename(name)) if "COCO_" in name else ""
    return base if _COCO.fullmatch(base) else name


def join_prefix(prefix: str, name: str) -> str:
    """A name below a folder (or a TSV file of images) of the images' folder; one spelling for one place."""
    name = f"{prefix.rstrip('/')}/{name}" if prefix else name
    if "://" not in name and ("./" in name or "//" in name):
        name = posixpath.normpath(name)
    return name


def _by_stem(files: Iterable[str]) -> dict[str, list[str]]:
    """The image files of each stem."""
    found: dict[str, list[str]] = {}
    for file in files:
        if (short := stem(file)) != file:
            found.setdefault(short, []).append(file)
    return found


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):
        return []


def _coco_in_folders(names: list[str]) -> dict[str, str]:
    """COCO's names without a folder -> the one name of that image that has one (Karpathy's list has them)."""
    below: dict[str, list[str]] = {}
    for name in names:
        if "/" in name and (image := identity(name)) != name:
            below.setdefault(image, []).append(name)
    bare = (name for name in names if "/" not in name) if below else ()
    return {name: found[0] for name in bare if len(found := below.get(identity(name), [])) == 1}


def file_names(names: Iterable[str], images: str | Path | None) -> dict[str, str]:
    """The file that each name means, for the names that are not a file's own.

    A name without a suffix means the one image file of that stem in its folder; without a folder of
    images (`images` is None, a file or an address) the one name of that stem in the corpus, and COCO's
    without a folder the one with it. Every folder is listed once.
    """
    names = list(names)
    if images is None or not os.path.isdir(images):
        bare = [name for name in names if stem(name) == name]
        found = _by_stem(names) if bare else {}
        meant = {name: found[name][0] for name in bare if len(found.get(name, ())) == 1}
        return meant | _coco_in_folders(names)
    by_folder: dict[str, list[str]] = {}
    for name in names:
        by_folder.setdefault(posixpath.dirname(name), []).append(name)
    meant = {}
    listings: dict[str, set[str]] = {}

    def files_in(folder: str) -> set[str]:
        if folder not in listings:
            listings[folder] = set(_list(os.path.join(images, folder)))
        return listings[folder]

    for folder, members in by_folder.items():
        files = files_in(folder)
        lacking = [name for name in members if posixpath.basename(name) not in files]
        stems = _by_stem(files) if lacking else {}
        for name in lacking:
            base = posixpath.basename(name)
            coco = _COCO.fullmatch(base)
            if len(stems.get(base, ())) == 1:
                meant[name] = posixpath.join(folder, stems[base][0])
            elif coco and with_coco_suffix(base) in files_in(posixpath.join(folder, coco[1])):
                meant[name] = posixpath.join(folder, coco[1], with_coco_suffix(base))
    return meant
