"""Captions that an export has cut off: all at one length, with or without an ellipsis."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_ELLIPSIS = re.compile(
    r"\s*[\[(（]?\s*(?:\.{2,}|…+|⋯+|。{3,})\s*"
    r"(?:[\[(（]?(?:(?:read |see |show )?more|truncated|(?:展开|展開)(?:全文)?|全文|(?:查看)?更多)[\])）]?)?"
    r"[\])）]?[\"'”’」]?",
    re.IGNORECASE,
)
_DOTS = ("..", "…", "⋯", "。。。")  # one of which an ellipsis has
_TAIL = 24
_SENTENCE_END = re.compile(r"[.!?。！？…\"”’」)）]$")
_MIN_WIDTH, _MIN_CUT_WIDTH = 8, 20
_MIN_CAPTIONS, _MIN_CUT_CAPTIONS = 3, 10
_MAX_WORD = 12
_PEAK = 6


@dataclass(frozen=True)
class Truncation:
    """Captions that were cut off.

    Attributes:
        rows: their positions.
        width: their length, or the greatest if they were cut off at the ends of words.
        unit: of the width: "characters", "columns" (of which a Chinese character takes two) or "bytes" (of UTF-8).
        mark: what they end in, such as "..."; "" if they have no mark.
        is_exact: whether all of them have this length.
    """

    rows: list[int]
    width: int
    unit: str
    mark: str
    is_exact: bool

    def to_text(self) -> str:
        """What is wrong with the captions, and what to do."""
        end = f"with '{self.mark}' " if self.mark else ""
        length = f"{self.width:,}" if self.is_exact else f"at most {self.width:,}"
        return f"captions that end {end}after {length} {self.unit}, as if cut off; export them in full if they were"


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


_MEASURES: tuple[tuple[str, Callable[[str], int]], ...] = (
    ("characters", len),
    ("columns", _columns),
    ("bytes", lambda text: len(text.encode("utf-8", "replace"))),
)


def find_truncated(captions: Sequence[str]) -> Truncation | None:
    """Finds captions that were cut off: with an ellipsis at one length, or many at the greatest length of all.

    Captions that end in an ellipsis by choice have different lengths, or longer ones beside them.

    Example:
        >>> find_truncated(["a dog runs ac...", "two people s...", "a cat", "a girl dance..."]) is None
        True
        >>> find_truncated(["a dog runs a...", "two people s...", "a cat", "a girl dance..."]).width
        15
    """
    marks = {at: match[0] for at, text in enumerate(captions) if text[-1:] in _ENDS and (match := _ending(text))}
    if len(marks) >= _MIN_CAPTIONS and (found := _find_marked(captions, marks)):
        return found
    return _find_cut(captions)


_ENDS = frozenset(".…⋯。)]）\"'”’」eEdD开開文多")
"""The last characters of `_ELLIPSIS`."""


def _ending(text: str) -> re.Match[str] | None:
    tail = text[-_TAIL:]
    if not any(sign in tail for sign in _DOTS):
        return None
    for match in _ELLIPSIS.finditer(text, max(len(text) - _TAIL, 0)):
        if match.end() == len(text) and match[0]:
            return match
    return None


def _find_marked(captions: Sequence[str], marks: dict[int, str]) -> Truncation | None:
    rows = list(marks)
    mark = Counter(text.strip() for text in marks.values()).most_common(1)[0][0]
    for unit, measure in _MEASURES:
        lengths = [measure(captions[row]) for row in rows]
        [(width, count)] = Counter(lengths).most_common(1)
        # A character of two columns or three bytes need not fit.
        near = [length for length in lengths if 0 <= width - length < (1 if unit == "characters" else 3)]
        longest = max((measure(text) for at, text in enumerate(captions) if at not in marks), default=0)
        if width < _MIN_WIDTH or longest > width or max(lengths) > width:
            continue
        if count >= 0.5 * len(lengths) and len(near) >= 0.9 * len(lengths):
            return Truncation(rows, width, unit, mark, len(set(lengths)) == 1)
    lengths = [len(captions[row]) for row in rows]
    longest = max((len(text) for at, text in enumerate(captions) if at not in marks), default=0)
    are_close = max(lengths) - min(lengths) <= _MAX_WORD and max(lengths) >= max(longest, _MIN_CUT_WIDTH)
    if are_close and 2 * len(rows) >= len(captions) and len(rows) > _MIN_CAPTIONS:
        return Truncation(rows, max(lengths), "characters", mark, False)
    return None


def _find_cut(captions: Sequence[str]) -> Truncation | None:
    """Many captions of the greatest length, few of nearly that length, and none of them with an end."""
    lengths = list(map(len, captions))
    width = max(lengths, default=0)
    counts = Counter(lengths)
    before = max(counts[width - step] for step in (1, 2, 3))
    if width < _MIN_CUT_WIDTH or counts[width] < max(_MIN_CUT_CAPTIONS, _PEAK * before, 0.01 * len(captions)):
        return None
    rows = [at for at, length in enumerate(lengths) if length == width]
    ended = sum(_SENTENCE_END.search(captions[row]) is not None for row in rows)
    if len({captions[row] for row in rows}) < _MIN_CUT_CAPTIONS or 5 * ended > len(rows) or len(counts) < 3:
        return None
    return Truncation(rows, width, "characters", "", True)
