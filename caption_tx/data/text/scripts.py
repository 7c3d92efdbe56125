"""Scripts with and without spaces between words: keeps foreign words whole where jieba would split them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

FOLDED_SIGNS = {ord(sign): "'" for sign in "\u2019\uff07"} | {ord(sign): "-" for sign in "\u2010\u2011"}
"""Forms of the apostrophe and the hyphen, which are part of words."""

# Radicals, punctuation, kana, bopomofo, ideographs with all extensions, half-width kana.
_CJK = (
    "\u2e80-\u2fdf\u3000-\u3130\u3190-\u33ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff65-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
# Thai and Lao, Tibetan, Burmese, Khmer.
_SOUTHEAST_ASIAN = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"

_WORD_CHARACTER = rf"[^\W_{_CJK}]"
_SPACED = re.compile(rf"[^\W_{_CJK}{_SOUTHEAST_ASIAN}]")
_FOREIGN = re.compile(rf"[^\W\d_\x00-\x7f{_CJK}]|{_WORD_CHARACTER}(?:['\u2019\uff07]{_WORD_CHARACTER}|[\u0300-\u036f])")
_CONTRACTION = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)+")
_FULL_WIDTH_DIGIT = re.compile("[\uff10-\uff19]")
# Invisible signs inside words: soft hyphen, zero width non-joiner and joiner.
_INVISIBLE = re.compile("[\xad\u200c\u200d]+")


def is_mark(character: str) -> bool:
    """Whether a character is a mark that belongs to the letter before it, such as an accent or a vowel sign."""
    return unicodedata.category(character).startswith("M")


def lowercase(text: str) -> str:
    """Returns a text in lower case. The Turkish İ becomes i, to which Python would add a separate dot."""
    return text.lower() if text.isascii() else text.replace("\u0130", "i").lower()


def join_marks(text: str) -> str:
    """Returns a text without invisible signs inside words and without marks that follow no letter or digit."""
    return _lone_mark_pattern().sub(" ", _INVISIBLE.sub("", text))


def is_joined(text: str, position: int) -> bool:
    """Whether the characters around `position` belong to the same word of a script with spaces between words.

    Example:
        >>> is_joined("license", 3), is_joined("don't", 3), is_joined("café店", 4)
        (True, True, False)
    """
    if not 0 < position < len(text):
        return False
    if is_mark(text[position]):
        return True
    before = position - 1 - (text[position - 1] == "'")
    after = position + (text[position] == "'")
    return (
        before >= 0
        and after < len(text)
        and after - before <= 2
        and _SPACED.match(text[before]) is not None
        and _SPACED.match(text[after]) is not None
    )


def needs_space(before: str, after: str) -> bool:
    """Whether Chinese captions have a space between two words, of which both are Latin, Cyrillic or similar."""
    return is_written_with_spaces(before[-1]) and is_written_with_spaces(after[0])


def is_written_with_spaces(character: str) -> bool:
    """Whether words of the character's script, such as Latin, are separated by spaces; so are numbers."""
    if character < "\u2e80":
        return True
    return re.match(_WORD_CHARACTER, character) is not None and not _FULL_WIDTH_DIGIT.match(character)


def split_foreign_words(text: str) -> list[tuple[str, bool]]:
    """Splits a lowercase Chinese caption into foreign words, which stay whole, and the text between them.

    Foreign words have a letter that is neither ASCII nor Chinese or Japanese; they may contain apostrophes and
    hyphens. ASCII words are only split off if they have an apostrophe: jieba keeps the others whole. A text
    without spaces in another script, such as Thai, is one word.

    Returns:
        (piece, whether it is a word) pairs in the order of the text.

    Example:
        >>> split_foreign_words("一杯café和l'oréal")
        [('一杯', False), ('café', True), ('和', False), ("l'oréal", True)]
    """
    if not _FOREIGN.search(text):
        return [(text, False)]
    pieces, end = [], 0
    for run in _run_pattern().finditer(text):
        word = _INVISIBLE.sub("", run[0].translate(FOLDED_SIGNS))
        if any(not character.isascii() and (character.isalpha() or is_mark(character)) for character in word):
            spans = [(run.start(), run.end(), word)]
        else:
            spans = [(run.start() + item.start(), run.start() + item.end(), item[0]) for item in _contractions(run[0])]
        for start, stop, kept in spans:
            pieces += [(text[end:start], False), (kept, True)]
            end = stop
    pieces.append((text[end:], False))
    return [(piece, is_word) for piece, is_word in pieces if piece]


def _contractions(run: str) -> list[re.Match[str]]:
    """The words with apostrophes and letters in a run of ASCII letters, digits and signs."""
    found = _CONTRACTION.finditer(run.translate(FOLDED_SIGNS))
    return [item for item in found if any(character.isalpha() for character in item[0])]


@lru_cache(maxsize=1)
def marks() -> str:
    """The marks inside words, as a part of a regular expression's set. Marks of emoji (`\ufe0f`) are not among them."""
    codes = [code for code in range(0x300, 0x1F000) if is_mark(chr(code))]
    return "".join(map(chr, (code for code in codes if not 0x20D0 <= code <= 0x20FF and not 0xFE00 <= code <= 0xFE0F)))


@lru_cache(maxsize=1)
def _lone_mark_pattern() -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_])(?<![{marks()}])[{marks()}]+")


@lru_cache(maxsize=1)
def _run_pattern() -> re.Pattern[str]:
    """Matches letters, digits and marks of scripts other than Chinese and Japanese, joined by ' and -."""
    letters = rf"{_WORD_CHARACTER}(?:{_WORD_CHARACTER}|[{marks()}\xad\u200c\u200d])*"
    return re.compile(rf"{letters}(?:['\-{''.join(map(chr, FOLDED_SIGNS))}]{letters})*")
