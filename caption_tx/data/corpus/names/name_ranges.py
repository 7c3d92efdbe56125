"""Image names that stand for several images: ranges such as `DSC_0101-0103.jpg`, and lists such as `a.jpg, b.jpg`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from caption_tx.data.corpus.names.image_names import resolve_image_names, stem
from caption_tx.data.corpus.names.name_variants import find_variants
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.images.sources import open_images
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES, suffix_of
from caption_tx.errors import ImageError

_MAX_IMAGES = 1000
_TO = r"(?:-+>?|[–—―~～〜∼]+|\.{2,}|…+|至|到|_?to_?)"
_RANGE = re.compile(
    rf"(?P<prefix>.*?)(?P<first>\d+)(?P<close>[)\]）]?)(?P<suffix>\.[a-z]{{2,5}}\d?)?\s*{_TO}\s*"
    r"(?:(?P=prefix)|[(\[（])?(?P<last>\d+)(?P=close)(?P<ending>\.[a-z]{2,5}\d?)?",
    re.IGNORECASE | re.DOTALL,
)
_LIST = re.compile(
    r"\s*[,，、;；|&+\n]\s*|\s+(?:and|和|与)\s+|(?<=\.[a-z]{3})\s+(?=\w)|(?<=\.jpeg)\s+(?=\w)", re.IGNORECASE
)
_MAY_BE_SEVERAL = re.compile(rf"[\s,，、;；|&+]|\d(?:\.\w{{2,5}})?\W*{_TO}", re.IGNORECASE)
_SEVERAL = re.compile(rf"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})\s*[,;|，；、 ]\s*\S", re.IGNORECASE)
_URLS = re.compile(r"[\s,;|，；]+(?=https?://)", re.IGNORECASE)
_NUMBER_AT_END = re.compile(r"(.*?)(\d+)", re.DOTALL)


def expand_names(rows: CaptionRows, images: str | Path | None) -> None:
    """Reads the captions of names that stand for several images for each of these; `rows.notes` counts the names.

    A name is expanded if it has no file in a local image folder, but most of its images have.
    """
    if rows.format != "folder" and images is not None and Path(images).is_dir():
        members_of = _find_members(set(rows.images), images)
        if members_of:
            first = next(name for name in rows.images if name in members_of)
            note = f"image names that stand for several images, each of which gets the captions (such as {first!r})"
            rows.notes[note] += len(members_of)
            if lost := sum(members.count("") for members in members_of.values()):
                rows.notes["images of these names without a file, left out"] += lost
            rows.spread({name: list(filter(None, members)) for name, members in members_of.items()})
    if several := sum(_SEVERAL.search(name) is not None for name in set(rows.images) if name.count(".") > 1):
        rows.notes["image names that look like several names, kept as one"] += several


def _find_members(names: set[str], images: str | Path) -> dict[str, list[str]]:
    """The files of each name that has none itself, but stands for images of which most have one; "" for the others."""
    candidates = {name: parts for name in sorted(names) if len(parts := list_members(name)) > 1}
    lists = {name for name in candidates if _SEVERAL.search(name) or _URLS.search(name)}  # not names with odd ends
    exact = lists - resolve_image_names(lists, images)[1] if lists else set()
    others = candidates.keys() - lists
    missing = candidates.keys() - exact - (_find(others, images).keys() if others else set())
    files = _find({form for name in missing for forms in candidates[name] for form in forms}, images) if missing else {}
    members_of = {}
    for name in missing:
        members = [next((files[form] for form in forms if form in files), "") for forms in candidates[name]]
        if members[0] and members[-1] and 2 * sum(map(bool, members)) >= len(members):
            members_of[name] = members
    return members_of


def list_members(name: str) -> list[list[str]]:
    """The names that a range or a list stands for, each with the forms that it could have; [] for other names.

    Example:
        >>> list_members("x/DSC_0101-03.jpg")
        [['x/DSC_0101.jpg'], ['x/DSC_0102.jpg'], ['x/DSC_0103.jpg']]
        >>> list_members("a1、2.jpg")
        [['a1.jpg'], ['2.jpg', 'a2.jpg']]
    """
    if not _MAY_BE_SEVERAL.search(name):
        return []
    if _URLS.search(name):
        return [[url] for url in _URLS.split(name)[:_MAX_IMAGES]]
    folder, base = posixpath.split(name)
    members: list[list[str]] = []
    parts = [part for part in _LIST.split(base) if part]
    suffix = suffix_of(parts[-1]) if parts else ""
    ending = parts[-1][-len(suffix) :] if suffix else ""
    for part in parts:
        if numbers := _expand_range(part, ending):
            members += [[number] for number in numbers]
            continue
        whole = part if suffix_of(part) else part + ending
        short = stem(part)
        forms = [whole]
        first = _NUMBER_AT_END.fullmatch(stem(members[0][0])) if members else None
        if first and short.isdecimal() and first[1]:
            number = first[2][: max(len(first[2]) - len(short), 0)] + short
            forms.append(f"{first[1]}{number}{whole[len(short) :]}")
        members.append(forms)
    if not 1 < len(members) <= _MAX_IMAGES:
        return []
    return [[posixpath.join(folder, form) for form in forms] for forms in members]


def _expand_range(part: str, ending: str) -> list[str]:
    """The names from the first to the last of a range; [] if it is none."""
    match = _RANGE.fullmatch(part)
    if match is None or (match["suffix"] and (match["ending"] or "").lower() != match["suffix"].lower()):
        return []
    first, last = match["first"], match["last"]
    if len(last) < len(first):
        last = first[: len(first) - len(last)] + last
    if not 0 < int(last) - int(first) < _MAX_IMAGES:
        return []
    end = match["close"] + (match["ending"] or ending)
    return [f"{match['prefix']}{number:0{len(first)}}{end}" for number in range(int(first), int(last) + 1)]


def _find(names: Iterable[str], images: str | Path) -> dict[str, str]:
    """The names that have a file in a local folder, written as they are or a little differently, and their files."""
    names = list(names)
    completed, lost = resolve_image_names(names, images)
    found = {name: completed.get(name, name) for name in names if name not in lost}
    if lost:
        try:
            found |= find_variants(lost, open_images(str(images)).walk(), list(found.values())).files
        except ImageError:  # reported when the images are read
            return found
    return found
