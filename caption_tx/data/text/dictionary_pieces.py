"""Pieces of words in user dictionaries, as the vocabularies of WordPiece, SentencePiece and BPE mark them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from caption_tx.errors import ConfigError

_KINDS = {"##": "WordPiece", "\u2581": "SentencePiece", "\u0120": "byte-level BPE", "</w>": "BPE"}
_START = r"(?:^|(?<=[\s\"'\[{,(]))"
_MARK = re.compile(rf"{_START}(##(?=\w)|\u2581|\u0120)|(?<=\S)(</w>)(?=[\s\"',]|$)", re.MULTILINE)
_SPECIAL = re.compile(
    rf"{_START}(?:\[(?:PAD|UNK|CLS|SEP|MASK|unused\d+)\]|<(?:unk|pad|s|/s|mask)>|<\|endoftext\|>)(?=[\s\"',]|$)",
    re.MULTILINE,
)
_MIN_PIECES = 2


def require_no_pieces(text: str, path: Path) -> None:
    """Rejects the vocabulary of a model: it has tokens such as [PAD] and pieces of words.

    Raises:
        ConfigError: the text is one; the message says of which kind.
    """
    special = _SPECIAL.search(text)
    marks = [match[1] or match[2] for match in _MARK.finditer(text)] if special else []
    if special and len(marks) >= _MIN_PIECES:
        line = text.count("\n", 0, special.start()) + 1
        raise ConfigError(
            f"User dictionary {path}, line {line}: {special[0]} and {len(marks):,} tokens with {marks[0]} are from the "
            f"vocabulary of a model ({_KINDS[marks[0]]}), which has pieces of words; give whole words, one per line."
        )


def piece_notes(entries: Sequence[tuple[int, str]]) -> list[str]:
    """The marks of pieces of words in entries, which no caption contains.

    Args:
        entries: (line number, word as written).

    Example:
        >>> piece_notes([(1, "狗"), (2, "##ing")])[0][:43]
        "Entries with ##, which marks a piece of a w"
    """
    notes = []
    for mark, kind in _KINDS.items():
        marks = [(line, word, _MARK.search(word)) for line, word in entries if mark in word]
        found = [(line, word) for line, word, match in marks if match and mark in match.groups()]
        if found:
            first = f"line {found[0][0]} {found[0][1][:40]!r}"
            more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
            comment = " (a comment has a space after ##)" if mark == "##" else ""
            notes.append(
                f"Entries with {mark}, which marks a piece of a word in {kind} and is in no caption: {first}{more}; "
                f"remove the mark or the entry{comment}."
            )
    return notes
