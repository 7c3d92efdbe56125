"""Find the files of image names that are written a little differently from the files."""

from __future__ import annotations

import html
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from caption_tx.data.corpus.names.copied_names import may_be_changed, original_stems
from caption_tx.data.corpus.names.rewritten_names import DATE, SIZE, find_dates, original_names
from caption_tx.data.corpus.values.damaged_text import repair_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES, suffix_of

TRIED = (
    "backslashes, URLs, percent signs, HTML entities, case, spaces, Unicode form, full-width forms, invisible signs, "
    "folder, suffix, leading zeros, numbers of a list, sizes in addresses, dates of a spreadsheet, marks of copies, "
    "submitters; as a range or list of names"
)

_FULL_WIDTH = {ord("／"): "/", ord("＼"): "\\"}
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u2060\ufeff]")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_NUMBER = re.compile(r"(coco_(?:train|val|test)20\d\d_)?0*(\d+)(?:\.0)?", re.ASCII)
_LIST_NUMBER = re.compile(r"^\d{1,7}(?:\.\s+|[、)）:：]\s*|\s+)(?=[^\W\d].*\.\w)")
# Label Studio names an uploaded file anew, and a local one as the query of a URL.
_UPLOAD = re.compile(r"(.*/)?upload/(?:\d+/)?[0-9a-f]{8}-(?=.)")
_LOCAL_FILE = re.compile(r".*/local-files/?\?d=")
_NO_DOT = re.compile(
    rf"(?:\s*[.,，．·。]\s*|[_\[{{(-]|%2E|\[?\(?dot\)?\]?)({'|'.join(suffix[1:] for suffix in IMAGE_SUFFIXES)})\Z",
    re.IGNORECASE,
)
_SPACED_DOT = re.compile(r"(?:\s+\.\s*|\.\s+)(\w+)\Z")
_PLAIN = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_Key = Callable[[str], object]


@dataclass(frozen=True)
class FoundNames:
    """What `find_variants` found.

    Attributes:
        files: name -> the only file that it can mean.
        ignored: name -> the differences that were ignored, such as ("case", "folder").
        ambiguous: names that could mean several files, or share their file with another image.
    """

    files: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ambiguous: set[str] = field(default_factory=set)

    def counts(self) -> Counter[tuple[str, ...]]:
        """How many names were found after ignoring the same differences."""
        return Counter(self.ignored.values())


def find_variants(
    names: Collection[str], files: Iterable[str], present: Collection[str] = (), root: str = ""
) -> FoundNames:
    """Finds the files of names that are written differently.

    Differences in backslashes, URLs, percent encoding, spaces, dashes, invisible signs, Unicode form, full-width forms,
    case, suffix, leading zeros of numbers, and leading folders that only one of the two has are ignored, as few as
    possible. A folder that differs is never ignored: `cats/1.jpg` is not `dogs/1.jpg`.

    Args:
        names: of missing images.
        files: of the image folder, relative to it.
        present: names whose files exist; a name without its folder or suffix is not matched with one of these files.
        root: name of the image folder itself: `photos/1.jpg` means `1.jpg` in the folder `photos`.

    Example:
        >>> find_variants(["photos\\\\IMG_1.jpg"], ["IMG_1.JPG", "IMG_2.JPG"]).files
        {'photos\\\\IMG_1.jpg': 'IMG_1.JPG'}
    """
    files = list(files)

    def plain(name: str) -> str:
        return clean_name(name).casefold().removeprefix(f"{root.casefold()}/" if root else "")

    found = FoundNames()
    keys: Sequence[tuple[_Key, bool]] = (
        (clean_name, False),
        (lambda name: clean_name(_repair(name)), False),
        (lambda name: clean_name(name).casefold(), False),
        (lambda name: with_dot(clean_name(name)).casefold(), False),
        (plain, False),
        (lambda name: _fold(clean_name(name)), False),
        (lambda name: posixpath.basename(clean_name(name)).casefold(), True),
        (lambda name: _without_suffix(posixpath.basename(_fold(clean_name(name)))), True),
        (_number_key, True),
    )
    missing = list(dict.fromkeys(names))
    for key, loose in keys:
        if not missing:
            break
        groups: dict[object, list[str]] = {}
        for file in files:
            groups.setdefault(key(file), []).append(file)
        for name in missing:
            candidates = groups.get(key(name), [])
            if loose:
                candidates = [file for file in candidates if _folders_agree(clean_name(name), clean_name(file))]
                candidates = _closest(clean_name(name), candidates)
            if len(candidates) == 1:
                found.files[name] = candidates[0]
            elif candidates:
                found.ambiguous.add(name)
        missing = [name for name in missing if name not in found.files and name not in found.ambiguous]
    _reject_shared(found, set(present), plain)
    found.ignored.update({name: _differences(name, file) for name, file in found.files.items()})
    _find_without_list_numbers(found, missing, files, root)
    _find_rewritten(found, [name for name in missing if name not in found.files], files, root)
    _find_copies(found, [name for name in missing if name not in found.files], files, set(present))
    return found


def _find_copies(found: FoundNames, missing: Sequence[str], files: list[str], present: set[str]) -> None:
    """Finds files whose names a copy or an upload has changed, and the originals of such names."""
    if not missing:
        return

    def short(path: str) -> str:
        return _without_suffix(posixpath.basename(_fold(clean_name(path))))

    originals = {name: original_stems(short(name)) if may_be_changed(name) else {} for name in missing}
    may_be_originals = any(originals.values())
    by_stem: dict[str, list[str]] = {}
    by_original: dict[str, dict[str, str]] = {}
    for file in set(files).difference(present, found.files.values()):
        if may_be_originals:
            by_stem.setdefault(short(file), []).append(file)
        for stem, kind in original_stems(short(file)).items() if may_be_changed(file) else ():
            by_original.setdefault(_without_suffix(stem), {})[file] = kind
    matches: dict[str, dict[str, str]] = {}
    for name in missing:
        candidates = dict(by_original.get(short(name), {}))
        for stem, kind in originals[name].items():
            candidates |= dict.fromkeys(by_stem.get(_without_suffix(stem), {}), kind)
        candidates = {
            file: kind
            for file, kind in candidates.items()
            if _same_kind(name, file) and _folders_agree(clean_name(name), clean_name(file))
        }
        if candidates:
            matches[name] = candidates
    uses = Counter(file for candidates in matches.values() for file in candidates)
    for name, candidates in matches.items():
        [(file, kind), *others] = candidates.items()
        if others or uses[file] > 1:
            found.ambiguous.add(name)
        else:
            found.files[name], found.ignored[name] = file, (kind,)


def _same_kind(name: str, file: str) -> bool:
    """Whether a name has the suffix of a file, or none."""
    first, second = (suffix_of(path).replace("jpeg", "jpg") for path in (name, file))
    return first in ("", second)


def _find_rewritten(found: FoundNames, missing: Sequence[str], files: list[str], root: str) -> None:
    """Finds the files of addresses that ask for a size, and of ids that a spreadsheet made dates of."""
    originals = {name: shorts for name in missing if (shorts := original_names(name))}
    if originals:
        inner = find_variants({short for shorts in originals.values() for short in shorts}, files, root=root)
        plain = {clean_name(file): file for file in files}
        for name, shorts in originals.items():
            matches = (plain.get(clean_name(short), inner.files.get(short)) for short in shorts)
            if file := next(filter(None, matches), None):
                found.files[name] = file
                found.ignored[name] = ("URL", SIZE) if "://" in name else (SIZE,)
    for name, file in find_dates([name for name in missing if name not in originals], files).items():
        found.files[name] = file
        found.ignored[name] = (DATE,)


def _find_without_list_numbers(found: FoundNames, missing: Sequence[str], files: list[str], root: str) -> None:
    """Finds the files of names in a numbered list, such as `1. a.jpg`."""
    numbered = {name: short for name in missing if (short := _LIST_NUMBER.sub("", name)) != name}
    if not numbered:
        return
    inner = find_variants(set(numbered.values()), files, root=root)
    for name, short in numbered.items():
        if file := inner.files.get(short):
            found.files[name] = file
            found.ignored[name] = ("the number before it", *(() if short == file else inner.ignored[short]))


def _reject_shared(found: FoundNames, present: set[str], plain: Callable[[str], str]) -> None:
    """Removes names that mean the file of another image once their folder or suffix is ignored."""
    images_of: dict[str, set[str]] = {}
    for name, file in found.files.items():
        images_of.setdefault(file, set()).add(plain(name))
    for name, file in list(found.files.items()):
        if plain(name) != plain(_repair(file)) and (len(images_of[file]) > 1 or file in present):
            del found.files[name]
            found.ambiguous.add(name)


def clean_name(name: str) -> str:
    """A path with "/", without a URL's host and query, percent signs, spaces at the ends and Windows' drive; in NFC."""
    if _PLAIN.fullmatch(name) and "./" not in name and "upload/" not in name:
        return name
    name = _UPLOAD.sub("", _LOCAL_FILE.sub("", name.translate(_FULL_WIDTH)))
    if "://" in name:
        url = urlsplit(name)
        name = unquote(url.path).lstrip("/") or name
    elif "%" in name:
        name = unquote(unquote(name))
    if "&" in name:
        name = html.unescape(name)
    parts = [part.strip() for part in re.split(r"[/\\]+", unicodedata.normalize("NFC", name))]
    return "/".join(part for part in parts if part not in ("", ".") and not re.fullmatch("[A-Za-z]:", part))


def with_dot(name: str) -> str:
    """A name with a dot before its suffix where another sign stands for it, as in databases whose keys have no dots,
    or where spaces are around it.

    Example:
        >>> with_dot("IMG_1,jpg"), with_dot("IMG_1_png"), with_dot("a%2Ejpg"), with_dot("a. jpg")
        ('IMG_1.jpg', 'IMG_1.png', 'a.jpg', 'a.jpg')
    """
    return _NO_DOT.sub(r".\1", name)


def _repair(name: str) -> str:
    """The Chinese name of a file in GBK that an archive program took for code page 437, or that is UTF-8 by chance.

    Names in UTF-8 or GBK that were taken for Latin letters are repaired too.
    """
    if not name.isascii() and (repaired := repair_text(name)):
        return repaired
    for encoding in ("cp437", "utf-8") if not name.isascii() and max(name) < "\u3000" else ():
        try:
            return name.encode(encoding).decode("gb18030")
        except UnicodeError:
            continue
    return name


def _fold(name: str) -> str:
    """A name without differences in case, kinds of spaces and dashes, full-width forms and invisible signs."""
    name = unicodedata.normalize("NFKC", _DASHES.sub("-", _INVISIBLE.sub("", name)))
    return "/".join(" ".join(part.split()) for part in name.casefold().split("/"))


def _number(stem: str) -> int | None:
    """The number that is a name's stem, with leading zeros or COCO's prefix; None for other names."""
    match = _NUMBER.fullmatch(_fold(stem))
    return int(match[2]) if match and len(match[2]) < 19 else None


def _number_key(name: str) -> object:
    stem = _without_suffix(posixpath.basename(clean_name(name)))
    number = _number(stem)
    return stem if number is None else number


def _without_suffix(name: str) -> str:
    return name.removesuffix(suffix_of(name))


def _folders_agree(name: str, file: str) -> bool:
    """Whether the folders of one are the last folders of the other, ignoring case."""
    first, second = (posixpath.dirname(path).casefold().split("/")[::-1] for path in (name, file))
    first, second = ([part for part in parts if part] for parts in (first, second))
    length = min(len(first), len(second))
    return first[:length] == second[:length]


def _closest(name: str, files: list[str]) -> list[str]:
    """The files that share the most folders with a name."""
    shared = [min(name.count("/"), clean_name(file).count("/")) for file in files]
    return [file for file, count in zip(files, shared, strict=True) if count == max(shared)]


def _differences(name: str, file: str) -> tuple[str, ...]:
    """What differs between a name and its file."""
    if clean_name(name) == clean_name(_repair(file)) != clean_name(file):
        return ("the encoding of the archive, extract it with `unzip -O GBK`",)
    if clean_name(_repair(name)) == clean_name(_repair(file)) and clean_name(name) != clean_name(file):
        return ("the wrong encoding of the names",)
    first, second = clean_name(name), clean_name(file)
    bases = [_without_suffix(posixpath.basename(path)).strip() for path in (first, second)]
    suffixes = [suffix_of(_INVISIBLE.sub("", path)) for path in (first, second)]
    are_numbers = bases[0].casefold() != bases[1].casefold() and _number(bases[0]) == _number(bases[1]) is not None
    raw_name = name.rpartition("://")[2]
    tests = {
        "URL": "://" in name,
        "what Label Studio puts before a name": bool(_UPLOAD.match(name) or _LOCAL_FILE.match(name)),
        "backslashes": "\\" in name.translate(_FULL_WIDTH),
        "percent signs": unquote(raw_name) != raw_name and not _LOCAL_FILE.match(name),
        "full-width forms, spaces, dashes or invisible signs": _fold(first) != first.casefold()
        or _fold(second) != second.casefold(),
        "spaces": any(part != part.strip() for path in (name, file) for part in re.split(r"[/\\]", path)),
        "HTML entities": html.unescape(name) != name,
        "Unicode form": any(unicodedata.normalize("NFC", path) != path for path in (unquote(name), file)),
        "leading zeros": are_numbers,
        "spaces around the dot": _SPACED_DOT.search(first) is not None or _SPACED_DOT.search(second) is not None,
        "signs that stand for the dot": with_dot(first) != _SPACED_DOT.sub(r".\1", first),
        "case": (bases[0] != bases[1] and bases[0].casefold() == bases[1].casefold())
        or (suffixes[0] == suffixes[1] and _endings_differ(first, second)),
        "folder": posixpath.dirname(first).casefold() != posixpath.dirname(second).casefold() and "://" not in name,
        "suffix": suffixes[0] != suffixes[1] and with_dot(first) == first,
    }
    return tuple(kind for kind, differs in tests.items() if differs) or ("case",)


def _endings_differ(first: str, second: str) -> bool:
    length = len(suffix_of(first))
    return bool(length) and first[-length:] != second[-length:]
