"""Which encoding a text that is in none of the detected ones may have, for messages."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence

_MAX_BYTES = 1 << 16
_SUGGESTED = (
    *("utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs", "cp932", "euc-jp", "cp949"),
    *("cp1252", "mac-roman", "cp850", "cp1250", "cp1251", "koi8-r", "cp866"),
)
"""Encodings that are suggested. Where chardet is undecided, the first one is."""
_UTF_16 = ("utf-16-le", "utf-16-be")
_CERTAIN, _MIN_CONFIDENCE, _UNDECIDED = 0.9, 0.02, 0.97


def is_common_chinese(letter: str) -> bool:
    """Whether a letter is in the first level of GB 2312 (3755 letters) or Big5 (5401), or is punctuation."""
    for name, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6)):
        code = letter.encode(name, "ignore")
        if len(code) == 2 and (first <= code[0] <= last or code[0] in (0xA1, 0xA3)):
            return True
    return False


def suggest_encoding(samples: Sequence[bytes]) -> str | None:
    """The encoding in which chardet finds that texts make most sense, or None; texts may be truncated anywhere.

    Args:
        samples: the starts of files or lines, each of which is decoded from its beginning.

    Example:
        >>> [suggest_encoding(["A crème brûlée in a café".encode(name)]) for name in ("cp1252", "utf-8", "mac-roman")]
        ['cp1252', 'utf-8', 'mac-roman']
        >>> suggest_encoding(["Собака бежит по траве".encode("koi8-r")])
        'koi8-r'
    """
    samples = [sample[:_MAX_BYTES] for sample in samples if not sample.isascii() or b"\0" in sample]
    possible = [name for name in _SUGGESTED if samples and all(_is_text(sample, name) for sample in samples)]
    found = _confidences(b"\n".join(samples)) if possible else {}
    confidence = {name: found.get(name, 0.0) for name in possible if name not in _UTF_16}
    best = max(confidence.values(), default=0.0)
    if best > _MIN_CONFIDENCE:
        return next(name for name, value in confidence.items() if value >= _UNDECIDED * best)
    for name in _UTF_16:
        if name in possible and _confidences("\n".encode(name).join(samples)).get(name, 0.0) > _CERTAIN:
            return name
    return None


def _confidences(text: bytes) -> dict[str, float]:
    """Suggested encoding -> how much sense a text makes in it, from 0 to 1, for those with some."""
    import chardet

    found = chardet.detect_all(text, include_encodings=_SUGGESTED)
    confidence = {codecs.lookup(item["encoding"]).name: item["confidence"] for item in found if item["encoding"]}
    return {name: confidence[key] for name in _SUGGESTED if (key := codecs.lookup(name).name) in confidence}


def encoding_advice(source: object, samples: Sequence[bytes]) -> str:
    """What to do about a source in an encoding that is not detected.

    Args:
        source: the path that the user passed.
        samples: see `suggest_encoding`.
    """
    name = suggest_encoding(samples)
    if name is None:
        return f"save it as UTF-8, or name its encoding as '{source}:encoding=NAME'"
    return f"name the encoding, e.g. '{source}:encoding={name}', or save it as UTF-8"


def _is_text(sample: bytes, encoding: str) -> bool:
    """Whether bytes decode to characters, none of which is a control character or not assigned."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    letters = set(text.removeprefix("\ufeff")) - set("\t\n\r")
    return bool(letters) and not any(unicodedata.category(letter) in ("Cc", "Cn", "Co", "Cs") for letter in letters)
