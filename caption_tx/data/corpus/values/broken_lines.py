"""Text that was broken into lines: the first word of a line, and what stands between a line and the next."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_FIRST_WORD = re.compile(r"[^\W\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]+|.", re.DOTALL)

SENTENCE_ENDS = tuple('.!?。！？…;；"”')
"""Ends of lines after which a text need not go on."""


def first_word(line: str) -> str:
    """The first word of a line that is not empty, or its first letter in Chinese.

    Example:
        >>> first_word("grass, and"), first_word("草地"), first_word("(a)")
        ('grass', '草', '(')
    """
    return _FIRST_WORD.match(line).group()


def is_wide(letter: str) -> bool:
    """Whether a letter, if there is one, is two columns wide in a terminal, as Chinese is."""
    return bool(letter) and unicodedata.east_asian_width(letter[0]) in "WF"


def space_between(text: str, line: str) -> str:
    """What stands between a text and its next line: nothing beside Chinese and after hyphens, else a space.

    Example:
        >>> [space_between(*pair) for pair in (("a dog", "runs"), ("一只狗", "在跑"), ("black-", "and-white"))]
        [' ', '', '']
    """
    last = text[-1]
    if (is_wide(last) or is_wide(line[0])) and not (_is_hangul(last) or _is_hangul(line[0])):
        return ""
    if last == "-" and text[-2:-1].isalpha() and line[0].isalpha():
        return ""
    return " "


def join_broken(lines: Iterable[str]) -> str:
    """Lines as one text; those that are empty are left out.

    Example:
        >>> join_broken(["a dog", "runs"]), join_broken(["一只狗", "在跑"])
        ('a dog runs', '一只狗在跑')
    """
    text = ""
    for line in filter(None, lines):
        text += (space_between(text, line) if text else "") + line
    return text


def _is_hangul(letter: str) -> bool:
    """Whether a letter is Korean, which has spaces between words."""
    return "\uac00" <= letter <= "\ud7af"
