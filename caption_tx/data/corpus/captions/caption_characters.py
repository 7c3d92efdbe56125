"""Characters of captions that are not what they look like: radicals, ligatures, invisible, private and control ones."""

from __future__ import annotations

import re
from collections.abc import Callable

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.damaged_text import is_damaged
from caption_tx.data.text.look_alikes import FULL_WIDTH, HALF_WIDTH_KANA, fold_look_alikes, remove_invisible

# Deleted text: tags of HTML, Markdown within a caption or around it, letters with strokes. <s> also starts a sequence.
_STRUCK = re.compile(
    r"<(del|strike)>[^<]*</\1>|(?:(?<=[^\s>])|(?<=[^\s>] ))<s>[^<]*</s>"
    r"|^~~(?=[^\s~])[^~\n]+~~$|~~(?=[^\s~])[^~\n]*[^\s~]~~(?=[^\s~])|(?:[^\W\d_]\u0336)+",
    re.IGNORECASE,
)
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010fffd]")
_LINE_BREAK = re.compile("\r?[\x0b\x0c\u2028\u2029]")
_VALUE_SEPARATOR = "\x1d"  # of the values of a repeating field in FileMaker
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")


def repair_characters(rows: CaptionRows) -> None:
    """Removes invisible characters from captions, and replaces those that look like ordinary ones by these.

    `rows.notes` counts what was changed, and captions with characters that only the font of a program has.
    """
    _leave_out_struck_text(rows)
    _split_values(rows)
    _change(rows, _break_lines, "captions with U+000B or another sign of a line break, read as one")
    _change(rows, remove_invisible, "captions with invisible characters, which are removed")
    pairs = _change(rows, fold_look_alikes, "")
    if pairs:
        shown = " ".join(list(dict.fromkeys(pairs))[:3])
        rows.notes[f"captions with radicals or other look-alikes ({shown}), read as the characters"] += len(pairs)
    for kind, pattern in (("full-width letters or digits", FULL_WIDTH), ("half-width kana", HALF_WIDTH_KANA)):
        if wide := [match[0] for match in map(pattern.search, rows.captions) if match]:
            note = f"captions with {kind} ({wide[0]}), which only text.nfkc (--nfkc) reads as ordinary"
            rows.notes[note] += len(wide)
    odd = [(caption, match[0]) for caption in rows.captions if (match := _CONTROL.search(caption))]
    if control := [character for caption, character in odd if not is_damaged(caption)]:
        shown = ", ".join(f"U+{ord(character):04X}" for character in list(dict.fromkeys(control))[:3])
        rows.notes[f"captions with control characters ({shown}), kept; correct them"] += len(control)
    if private := [match[0] for match in map(_PRIVATE.search, rows.captions) if match]:
        shown = ", ".join(f"U+{ord(character):04X}" for character in list(dict.fromkeys(private))[:3])
        rows.notes[f"captions with characters of a private font ({shown}), which end words; correct them"] += len(
            private
        )


def _break_lines(text: str) -> str:
    return _LINE_BREAK.sub("\n", text)


def _split_values(rows: CaptionRows) -> None:
    """Reads the values of a repeating field of FileMaker as several captions, or as several names of one cell."""
    rows.images = [name.replace(_VALUE_SEPARATOR, ",") for name in rows.images]
    found = sum(_VALUE_SEPARATOR in caption for caption in rows.captions)
    if found:
        split = [[part.strip() for part in caption.split(_VALUE_SEPARATOR)] for caption in rows.captions]
        rows.replace([(row, [part for part in parts if part]) for row, parts in enumerate(split)])
        rows.notes["captions with U+001D between the values of a repeating field, read as several"] += found


def _leave_out_struck_text(rows: CaptionRows) -> None:
    """Leaves out deleted text such as `<del>..</del>`, and captions that are deleted as a whole."""
    text = "\0".join(rows.captions)
    if not any(sign in text for sign in ("<", "~~", "\u0336")) or not any(map(_STRUCK.search, rows.captions)):
        return
    left = [_STRUCK.sub("", caption).strip() for caption in rows.captions]
    whole = {row for row, text in enumerate(left) if not text}
    if 2 * len(whole) > len(rows):  # the signs around most captions are decoration
        return
    kept = rows.options.keep_rejected
    for row, text in enumerate(left):
        if row not in whole and text != rows.captions[row]:
            rows.captions[row] = text
            rows.notes["captions with struck-through text (such as <del>..</del>), which is left out"] += 1
    if whole:
        rows.notes[f"captions marked as struck through, {'kept' if kept else 'left out'}"] += len(whole)
    if whole and not kept:
        for row in sorted(whole):
            rows.skip(rows.line_numbers[row], "marked as struck through")
        rows.replace([(row, [rows.captions[row]]) for row in range(len(rows)) if row not in whole])


def _change(rows: CaptionRows, change: Callable[[str], str], note: str) -> list[str]:
    """Changes all captions, and returns the first change of each changed one as '⼈ for 人'."""
    text = "\0".join(rows.captions)
    if change(text) == text:
        return []
    changes = []
    for row, caption in enumerate(rows.captions):
        changed = change(caption)
        if changed == caption or not changed.strip():
            continue
        if note:
            rows.notes[note] += 1
        else:
            odd = next(character for character in caption if change(character) != character)
            changes.append(f"{odd} for {change(odd)}")
        rows.captions[row] = changed.strip()
    return changes
