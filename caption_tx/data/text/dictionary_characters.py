"""Characters in user dictionaries that are not what they look like, and what is reported about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from caption_tx.data.text.look_alikes import FULL_WIDTH, HALF_WIDTH_KANA, fold_look_alikes, remove_invisible

_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010fffd]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ufff0-\uffff]")
_MAX_CODES = 3


def look_alike_notes(text: str) -> list[str]:
    """What is read in place of radicals and ligatures, with the number of lines that have them."""
    changed = [line for line in text.splitlines() if fold_look_alikes(line) != line]
    if not changed:
        return []
    odd = next(character for character in changed[0] if fold_look_alikes(character) != character)
    return [f"Lines with radicals or other look-alikes ({odd} for {fold_look_alikes(odd)}): {len(changed):,}."]


def odd_character_notes(entries: Sequence[tuple[int, str]]) -> list[str]:
    """The characters of entries that segmentation leaves out: invisible ones, and those that only one font has.

    Args:
        entries: (line number, word as written).

    Example:
        >>> odd_character_notes([(3, "红色\\u200bT恤")])
        ["Read without invisible characters (U+200B): line 3 '红色\\\\u200bT恤'."]
    """

    return [
        *_note(entries, remove_invisible, "Read without invisible characters", ""),
        *_note(entries, _without_private, "Read without characters of a private font", "; correct them"),
        *_note(entries, _without_controls, "Read without control characters", ""),
    ]


def width_notes(entries: Sequence[tuple[int, str]]) -> list[str]:
    """The full-width letters and half-width kana of entries, which ordinary ones in captions do not match.

    Args:
        entries: (line number, word as written).

    Example:
        >>> width_notes([(3, "麦当劳Ｍ记")])[0][-22:]
        "tions: line 3 '麦当劳Ｍ记'."
    """
    notes = []
    for kind, pattern in (("full-width letters or digits", FULL_WIDTH), ("half-width kana", HALF_WIDTH_KANA)):
        found = [(line, word, match[0]) for line, word in entries if (match := pattern.search(word))]
        if found:
            line, word, sign = found[0]
            more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
            notes.append(
                f"Entries with {kind} ({sign}), which only text.nfkc (--nfkc) reads as ordinary, as in captions: "
                f"line {line} {word[:40]!r}{more}."
            )
    return notes


def _without_private(text: str) -> str:
    return _PRIVATE.sub("", text)


def _without_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


def _note(entries: Sequence[tuple[int, str]], change: Callable[[str], str], what: str, advice: str) -> list[str]:
    found = [(line, word) for line, word in entries if change(word) != word]
    if not found:
        return []
    odd = [letter for _, word in found for letter in word if change(f"一{letter}") == "一"]
    codes = [f"U+{ord(letter):04X}" for letter in dict.fromkeys(odd)]
    shown = ", ".join(codes[:_MAX_CODES]) + (", .." if len(codes) > _MAX_CODES else "")
    more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    return [f"{what} ({shown}): line {found[0][0]} {found[0][1][:40]!r}{more}{advice}."]
