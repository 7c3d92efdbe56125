"""Image names that another program rewrote: addresses that ask for a size, and ids that a spreadsheet made dates of."""

from __future__ import annotations

import datetime
import posixpath
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from caption_tx.data.images.suffixes import IMAGE_SUFFIXES, suffix_of

SIZE, DATE = "the size in the address", "the date that a spreadsheet made of the name"
"""What is ignored."""

_SUFFIX = rf"(?:{'|'.join(sorted(map(re.escape, IMAGE_SUFFIXES), key=len, reverse=True))})"
# x.jpg_460x460q100.jpg_.webp, x.jpg!w400, x.jpg@400w.webp, x.jpg?imageView2/2/w/400, x.jpg:large, x.jpg/400x400
_AFTER_SUFFIX = re.compile(rf"(.+?{_SUFFIX})(?:[_!@?~:;=%&|,/.-].*)$", re.IGNORECASE | re.DOTALL)
_IN_QUERY = re.compile(rf"[?&][\w-]+=([^&?]+{_SUFFIX})(?=&|$)", re.IGNORECASE)
_BEFORE_SUFFIX = re.compile(
    r"(?:[-_]\d{2,4}[xX*]\d{2,4}(?:[-_@]\w{1,10})?|[-_]\d{2,4}x|[-_]scaled|@[23]x|\._[A-Z0-9_,]+_"
    r"|\.(?:thumb|small|medium|large)|[-_](?:thumb|thumbnail|preview))$"
)
_SHOP_SIZE = re.compile(r"_(?:pico|icon|thumb|small|compact|medium|large|grande|original|master|[sqtmnzcbhkol])$")
_GOOGLE = re.compile(r"=(?:[swh]\d+|[wh]\d+-[wh]\d+)[\w-]*$")
_WIKI = re.compile(r"^\d{2,4}px-")
# IIIF's Image API: NAME/region/size/rotation/quality.format
_IIIF = re.compile(
    r"([^/]+)/(?:full|square|(?:pct:)?[\d.]+(?:,[\d.]+){3})/(?:\^?(?:max|full|!?\d*,\d*|pct:[\d.]+))/!?[\d.]+"
    r"/(?:default|native|color|gray|bitonal)\.\w{2,4}$"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_TIME = r"(?:[ T]0?0:00(?::00(?:\.0+)?)?)?"
_CHINESE = re.compile(rf"(?:(\d{{4}})年)?(\d{{1,2}})月(?:(\d{{1,2}})日)?{_TIME}")
_DAY_MONTH = re.compile(rf"(\d{{1,2}})[- ]{_MONTH}(?:[- ](\d{{2}}|\d{{4}}))?", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"{_MONTH}[- ](\d{{1,2}})(?:,? ?[- ](\d{{2}}|\d{{4}}))?", re.IGNORECASE)
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[/.](\d{{1,2}})[/.](\d{{4}}|\d{{2}}){_TIME}")
_TWO_PARTS = re.compile(r"(\d{1,2})/(\d{1,2})")
_SERIAL = re.compile(r"[345]\d{4}")
_FIRST_DAY = datetime.date(1899, 12, 30)
_SIGNS = ("-", "_", ".", "/", " ")

Parts = tuple[int, ...]


def original_names(name: str) -> list[str]:
    """The names that an image may have without the size that its address asks for, the likeliest first.

    Example:
        >>> original_names("https://x.org/1.jpg_460x460q100.jpg_.webp"), original_names("a-300x200.jpg")
        (['https://x.org/1.jpg'], ['a.jpg'])
    """
    found: list[str] = []
    if match := _IN_QUERY.search(name):
        found.append(unquote(match[1]))
    if match := _IIIF.search(name):
        found.append(posixpath.basename(unquote(match[1])))
    scheme, between, path = name.rpartition("://")
    host, slash, rest = path.partition("/") if between else ("", "", path)
    short = name
    if match := _AFTER_SUFFIX.match(rest):
        short = f"{scheme}{between}{host}{slash}{match[1]}"
        found.append(short)
    folder, base = posixpath.split(short)
    suffix = suffix_of(base)
    stem = base.removesuffix(suffix) if suffix else base
    for pattern in (_BEFORE_SUFFIX, _GOOGLE, _WIKI, *([_SHOP_SIZE] if "://" in name else [])):
        if (new := pattern.sub("", stem)) not in (stem, ""):
            found.append(posixpath.join(folder, new + suffix))
    return [item for item in dict.fromkeys(found) if item != name]


def date_parts(name: str) -> tuple[list[Parts], list[Parts]] | None:
    """The numbers that a spreadsheet may have read as a date: with the month first, and with the day first.

    Example:
        >>> date_parts("1月2日"), date_parts("2-Jan"), date_parts("13-1")
        (([(1, 2)], [(1, 2)]), ([(1, 2)], [(2, 1)]), None)
    """
    name = name.strip()
    if match := _CHINESE.fullmatch(name):
        year, month, day = (int(text) if text else 0 for text in match.groups())
        return (_orders(year, month, day or 1)[0],) * 2 if year or day else None
    if match := _DAY_MONTH.fullmatch(name):
        return _orders(int(match[3] or 0), _month(match[2]), int(match[1]))
    if match := _MONTH_DAY.fullmatch(name):  # Jan-32 is January 1932, which was 1-32
        return _orders(int(match[3] or 0), _month(match[1]), int(match[2]))
    if match := _YEAR_FIRST.fullmatch(name):
        return _orders(*map(int, match.groups()))
    if match := _YEAR_LAST.fullmatch(name):
        return _orders(int(match[3]), int(match[1]), int(match[2]))
    if match := _TWO_PARTS.fullmatch(name):
        return _orders(0, int(match[1]), int(match[2]))
    if _SERIAL.fullmatch(name):
        date = _FIRST_DAY + datetime.timedelta(days=int(name))
        return _orders(date.year, date.month, date.day)
    return None


def _month(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1


def _orders(year: int, month: int, day: int) -> tuple[list[Parts], list[Parts]]:
    first: list[Parts] = [(month, day)]
    last: list[Parts] = [(day, month)]
    if not year:
        return first, last
    short = year % 100
    both: list[Parts] = [(year, month, day), (short, month, day)]
    if day == 1:
        both += [(month, short), (month, year), (year, month)]
    return [*both, (month, day, short), *first], [*both, (day, month, short), (day, month, year), *last]


def is_surely_date(name: str) -> bool:
    """Whether a name is a date as only a spreadsheet writes it: with the name of a month, slashes or a time."""
    return date_parts(name) is not None and re.search("[月/:A-Za-z]", name) is not None


def find_dates(names: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """The files of names that are dates, if one order of month and day fits most of them.

    Args:
        names: of missing images.
        files: of the image folder.

    Example:
        >>> find_dates(["1月1日", "1月2日"], ["1-1.jpg", "1-2.jpg"])
        {'1月1日': '1-1.jpg', '1月2日': '1-2.jpg'}
    """
    dates = {name: parts for name in names if (parts := date_parts(name))}
    if not dates:
        return {}
    by_parts: dict[Parts, set[str]] = {}
    for file in files:
        for parts in _parts_of(file):
            by_parts.setdefault(parts, set()).add(file)
    first, last = (_files_of({name: parts[order] for name, parts in dates.items()}, by_parts) for order in (0, 1))
    if len(first) == len(last):
        return first if first == last else {}  # both orders are possible, for different images
    return max(first, last, key=len)


def _files_of(dates: dict[str, list[Parts]], by_parts: dict[Parts, set[str]]) -> dict[str, str]:
    """The only file that has numbers of a date; no files if two dates have the same."""
    found: dict[str, str] = {}
    for name, parts in dates.items():
        files = {file for item in parts for file in by_parts.get(item, ())}
        if len(files) == 1:
            found[name] = next(iter(files))
    return found if len(set(found.values())) == len(found) else {}


def _parts_of(file: str) -> Iterator[Parts]:
    """The numbers of a file name such as 1-2.jpg, 01_02.jpg or 1/2.jpg."""
    short = file.removesuffix(suffix_of(file))
    for sign in _SIGNS:
        for text in {short, posixpath.basename(short)}:
            numbers = text.split(sign)
            if 2 <= len(numbers) <= 3 and all(item.isdecimal() and len(item) <= 4 for item in numbers):
                yield tuple(map(int, numbers))
