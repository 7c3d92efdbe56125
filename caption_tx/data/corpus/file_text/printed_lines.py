"""Lines of a caption file as programs print them: behind their number and the file's name, or with marks of tabs.

captions.txt:12:a.jpg,a dog    12:a.jpg,a dog          12<TAB>a.jpg,a dog       a.jpg^Ia dog$
(grep -nH, rg, Select-String)  (grep -n, findstr /n)   (cat -n, nl, less -N)    (cat -A)
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from caption_tx.data.corpus.column_names import caption_key, image_rank
from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES

_PATH = r"(?:[A-Za-z]:[\\/])?[^:\t,;|\"'{}]{1,200}\.(?:txt|csv|tsv|jsonl?|token|caption|captions|log|md|lst)"
_HEADING = re.compile(rf"{_PATH}|--")
_FILE = re.compile(rf"(?P<path>{_PATH})(?::(?P<number>\d+):(?:\d+:)?|:|-(?P<context>\d+)-)")
_NUMBER = re.compile(r"(?P<number>\d+)[:-]")
_PADDED = re.compile(r" *(?P<number>\d+)(?:\t| {1,2})")
_NAME = re.compile(rf"\S(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?![\w.])", re.IGNORECASE)
_SHOWN = re.compile(r"M-\^(.)|M-(.)|\^(.)", re.DOTALL)
_MIN_LINES, _NUM_SAMPLED = 2, 200

Strip = Callable[[str], str | None]
"""A line -> what is behind its prefix; None if it has none."""


def printed_head(lines: Iterable[str]) -> list[str] | None:
    """The lines at the start of a file without what a program prints around them; None if it prints nothing."""
    found = read_printed(list(enumerate(lines, 1)))[0]
    return [line for _, line in found] or None


def read_printed(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    r"""The lines of a file that a program has printed, without what it prints around them. See `Change`.

    Example:
        >>> read_printed([(1, "x.txt:7:a.jpg\ta dog"), (2, "x.txt:9:b.jpg\ta cat")])[0]
        [(1, 'a.jpg\ta dog'), (2, 'b.jpg\ta cat')]
    """
    filled = [(number, line) for number, line in lines if line.strip()]
    headings = [line for _, line in filled if _HEADING.fullmatch(line.strip())]
    filled = [(number, line) for number, line in filled if not _HEADING.fullmatch(line.strip())]
    texts = [line.rstrip("\r\n") for _, line in filled]
    if len(texts) < _MIN_LINES:
        return [], Counter()
    for what, find in _KINDS:
        strip = find(texts[0], texts)
        stripped = [strip(line) for line in texts] if strip else []
        stripped = [text for text in stripped if text is not None]
        if len(stripped) < len(texts) or not _holds_captions([text for text in stripped if text.strip()]):
            continue
        pairs = zip(filled, stripped, strict=True)
        found = [(number, text + line[len(line.rstrip("\r\n")) :]) for (number, line), text in pairs if text.strip()]
        notes = Counter({f"lines read without {what} (such as {texts[0].expandtabs(1).strip()[:30]!r})": len(found)})
        if headings:
            notes[f"lines between those of the file, not read (such as {headings[0].strip()[:30]!r})"] = len(headings)
        return found, notes
    return [], Counter()


def _file_prefix(first: str, texts: Sequence[str]) -> Strip | None:
    """For `captions.txt:12:` or `captions.txt:` before every line; lines around a hit have `captions.txt-13-`."""
    if not (match := _FILE.match(first)):
        return None
    paths = {match["path"] for line in texts if (match := _FILE.match(line)) and not match["context"]}
    return lambda line: line[match.end() :] if (match := _FILE.match(line)) and match["path"] in paths else None


def _number_prefix(first: str, texts: Sequence[str]) -> Strip | None:
    """For `12:` before every line, with numbers that rise; lines around a hit have `13-`."""
    if not _NUMBER.match(first) or not any(line.lstrip("0123456789").startswith(":") for line in texts):
        return None
    return _strip_number(_NUMBER, texts, lambda numbers: all(a < b for a, b in itertools.pairwise(numbers)))


def _padded_number(first: str, texts: Sequence[str]) -> Strip | None:
    """For numbers in a column of their own before every line, which count the lines from 1."""
    if not first.startswith(" "):
        return None
    return _strip_number(_PADDED, texts, lambda numbers: numbers == list(range(1, len(numbers) + 1)))


def _strip_number(pattern: re.Pattern[str], texts: Sequence[str], fits: Callable[[list[int]], bool]) -> Strip | None:
    numbers = [int(match["number"]) for line in texts if (match := pattern.match(line))]
    if len(numbers) < len(texts) or not fits(numbers):
        return None
    return lambda line: line[match.end() :] if (match := pattern.match(line)) else None


def _shown_signs(first: str, texts: Sequence[str]) -> Strip | None:
    """For `$` at the end of every line and nowhere else, or with `^I` for tabs and `M-d` for other bytes in most."""
    if not first.endswith("$"):
        return None
    if 2 * sum("^I" in line or "M-" in line for line in texts) < len(texts):
        return lambda line: line[:-1] if line.endswith("$") and line.count("$") == 1 else None
    return lambda line: _unshow(line[:-1]) if line.endswith("$") else None


def _unshow(line: str) -> str | None:
    def decode(match: re.Match[str]) -> str:
        control, other, low = match.groups()
        sign = control or other or low
        return chr((ord(sign) & 127 ^ (0 if other else 64)) + (0 if low else 128))

    try:
        return _SHOWN.sub(decode, line).encode("latin-1").decode("utf-8").rstrip("\r")
    except UnicodeError:
        return None


def _holds_captions(texts: Sequence[str]) -> bool:
    """Whether most lines name an image or begin an object, or the first one is a header."""
    texts = texts[:_NUM_SAMPLED]
    cells = re.split(r"[,;|\t]", texts[0].strip()) if texts else []
    if any(map(caption_key, cells)) and any(image_rank(cell) is not None for cell in cells):
        return True
    return 2 * sum(bool(_NAME.search(text)) or text.lstrip().startswith("{") for text in texts) > len(texts)


_KINDS: tuple[tuple[str, Callable[[str, Sequence[str]], Strip | None]], ...] = (
    ("the file's name before them, as grep and rg print it", _file_prefix),
    ("the numbers before them, as grep -n prints them", _number_prefix),
    ("the numbers before them, as cat -n and nl print them", _padded_number),
    ("the marks of tabs and line ends, as cat -A prints them", _shown_signs),
)
