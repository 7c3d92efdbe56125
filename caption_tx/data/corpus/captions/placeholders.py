"""Captions of nothing but a word that may stand for a missing one, such as 跳过 and unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from caption_tx.data.corpus.captions.pre_segmented import holds_words
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.missing_values import DOUBTFUL_WORDS, why_left_out

_MIN_REPEATED = 3
_LONGEST = max(map(len, DOUBTFUL_WORDS))


def leave_out_placeholders(rows: CaptionRows) -> None:
    """Leaves out words such as 跳过 and unknown that several captions are, but not most.

    Items of lists stay, since they may be the words of one caption.
    """
    found = [(row, text.lower()) for row, text in enumerate(rows.captions) if len(text) <= _LONGEST]
    found = [(row, word) for row, word in found if word in DOUBTFUL_WORDS and rows.list_ids[row] < 0]
    counts = Counter(word for _, word in found)
    left = {row for row, word in found if counts[word] >= _MIN_REPEATED}
    if not left or 2 * len(left) >= len(rows):
        return
    shown = ", ".join(dict.fromkeys(rows.captions[row] for row in sorted(left)))[:60]
    for row in sorted(left):
        rows.skip(rows.line_numbers[row], f"no caption ({rows.captions[row]!r})")
    rows.notes[f"captions that are a word for a missing one, which several rows have ({shown}), left out"] += len(left)
    rows.leave_out(left)


def without_missing(items: Sequence[str]) -> list[str]:
    """The items of a list without words for a missing one."""
    return [item for item in items if why_left_out(item.strip()) is None]


def may_be_words(items: Sequence[str]) -> bool:
    """Whether a list has words for a missing caption beside several other words, so that they may form a caption.

    Example:
        >>> may_be_words(["湖面", "无", "风"]), may_be_words(["一只狗在草地上跑", "无", "无"])
        (True, False)
    """
    items = [item.strip() for item in items if item.strip()]
    others = without_missing(items)
    return 1 < len(others) < len(items) and holds_words(others)
