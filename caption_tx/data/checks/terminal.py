"""Lay out text for a terminal, where a Chinese character takes two columns."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Sequence

WIDTH = 110
"""Maximum number of columns of a line."""

_MAX_BINS = 16
_BAR_WIDTH = 40
_ZERO_WIDTH_CATEGORIES = ("Mn", "Me", "Cf")
_JOINERS = "\u200c\u200d"  # parts of emoji sequences


def display_width(text: str) -> int:
    """Returns the number of columns of a text: two per wide character, none per combining character."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in _ZERO_WIDTH_CATEGORIES
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def pad_or_truncate(text: str, width: int) -> str:
    """Returns a text of exactly `width` columns, padded with spaces or truncated with an ellipsis."""
    if display_width(text) > width:
        ends = itertools.accumulate(map(display_width, text))
        text = text[: sum(end < width for end in ends)] + "…"
    return text + " " * (width - display_width(text))


def escape_unprintable(text: str) -> str:
    """Replaces characters that move the cursor or change the text direction by question marks."""
    return "".join(character if character.isprintable() or character in _JOINERS else "?" for character in text)


def format_table(rows: Sequence[Sequence[str]], left_aligned: int = 1) -> list[str]:
    """Returns one line per row, with the first `left_aligned` columns left-aligned and the others right-aligned."""
    rows = [[escape_unprintable(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            pad_or_truncate(cell, width) if column < left_aligned else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def format_percent(share: float, digits: int = 1) -> str:
    """Returns a share in [0, 1] as a percentage; small shares become "< 0.1%" rather than zero."""
    smallest = 10.0**-digits
    return f"{100 * share:.{digits}f}%" if 100 * share >= smallest or share == 0 else f"< {smallest:.{digits}f}%"


def format_histogram(histogram: Sequence[Sequence[int]], max_value: int | None = None) -> list[str]:
    """Returns a bar chart of at most `_MAX_BINS` lines; values above `max_value` share the last line.

    Args:
        histogram: [value, count] pairs in ascending order.
        max_value: the largest value with a bin of its own; None means the largest value of all.
    """
    low, high = histogram[0][0], histogram[-1][0]
    top = high if max_value is None else min(high, max_value)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**3, 10**6, 10**9) if (top - low) // step < _MAX_BINS - 1)
    start = low if step == 1 else low - low % step
    counts: Counter[int] = Counter()
    for value, count in histogram:
        counts[start + (min(value, top + 1) - start) // step * step] += count
    labels = {}
    for first in range(start, max(counts) + 1, step):
        labels[first] = f"{first}" if step == 1 else f"{first}-{first + step - 1}"
    if high > top:
        labels[max(counts)] = f"{max(counts)} and more"
    highest = max(counts.values())
    bars = ["█" * round(_BAR_WIDTH * counts[first] / highest) or "▏" * bool(counts[first]) for first in labels]
    label_width = max(map(len, labels.values()))
    rows = format_table([[label.rjust(label_width), f"{counts[first]:,}"] for first, label in labels.items()])
    return [f"  {row}  {bar}".rstrip() for row, bar in zip(rows, bars, strict=True)]


def wrap(text: str) -> list[str]:
    """Breaks a text at spaces into lines of at most `WIDTH` columns; further lines are indented."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and display_width(lines[-1]) + 1 + display_width(word) > WIDTH - 2:
            lines.append("  ")
        lines[-1] += ("" if not lines[-1].strip() else " ") + word
    return lines
