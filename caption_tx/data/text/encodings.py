"""Which encoding a text that is in none of the detected ones may have, for messages."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Sequence

_MIN_SCORE = 0.8
_MAX_BYTES = 1 << 16
_PUNCTUATION = frozenset("‘’“”„–—…•€£¥©®°½¼¾×·«»¡¿§²³´")
_WESTERN = frozenset("àâäáãåæçèéêëìíîïñòóôöõøœùúûüÿßšž") | _PUNCTUATION
_CENTRAL = frozenset("ąćęłńóśźżáčďéěíňřšťúůýžőűöüôâăîșşţțđ") | _PUNCTUATION
_CYRILLIC = re.compile("[\u0400-\u045f]")
_FREQUENT_CYRILLIC = frozenset("оеаинтсрвлкмдпу")
_KANA = re.compile("[\u3040-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_WORD = re.compile(r"[^\W\d_]+")
_GLUED = re.compile(r"(?<=[A-Za-z])[^\W\d_A-Za-z]|[^\W\d_A-Za-z](?=[A-Za-z])")
_LONGEST_HANGUL, _LONGEST_CYRILLIC = 5, 9  # letters of a word on average
_FULL_WIDTH = re.compile("[\u3000-\u303f\uff01-\uff5e\u2010-\u2026]")


def is_common_chinese(letter: str) -> bool:
    """Whether a letter is in the first level of GB 2312 (3755 letters) or Big5 (5401), or is punctuation."""
    return any(_is_in(letter, *rows) for rows in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6)))


def _is_in(letter: str, name: str, first: int, last: int) -> bool:
    """Whether a letter is in rows of a character set, or is punctuation in it."""
    code = letter.encode(name, "ignore")
    return len(code) == 2 and (first <= code[0] <= last or code[0] in (0xA1, 0xA3))


def suggest_encoding(samples: Sequence[bytes]) -> str | None:
    """The encoding in which texts make most sense, or None; texts may be truncated anywhere.

    Args:
        samples: the starts of files or lines, each of which is decoded from its beginning.

    Example:
        >>> [suggest_encoding(["A crème brûlée in a café".encode(name)]) for name in ("cp1252", "utf-8", "mac_roman")]
        ['cp1252', 'utf-8', 'mac_roman']
        >>> suggest_encoding(["Собака бежит по траве".encode("koi8-r")])
        'koi8-r'
    """
    samples = [sample[:_MAX_BYTES] for sample in samples if not sample.isascii() or b"\0" in sample]
    best, best_score = None, _MIN_SCORE
    for name, score in _SCORES.items():
        texts = [_decode(sample, name) for sample in samples]
        whole = "\n".join(text for text in texts if text is not None)
        if samples and None not in texts and not whole.isascii() and (found := score(whole)) > best_score:
            best, best_score = name, found
    return best


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


def _decode(sample: bytes, name: str) -> str | None:
    try:
        text = codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeDecodeError:
        return None
    text = text.removeprefix("\ufeff")
    return None if any(_is_impossible(letter) for letter in set(text)) else text


def _is_impossible(letter: str) -> bool:
    """Whether a character is in no text: a control character, or one that is not assigned."""
    return unicodedata.category(letter) in ("Cc", "Cn", "Co", "Cs") and letter not in "\t\n\r"


def _share(letters: Sequence[str], test: Callable[[str], object]) -> float:
    return sum(bool(test(letter)) for letter in letters) / len(letters) if letters else 0.0


def _others(text: str) -> list[str]:
    return [letter for letter in text if not letter.isascii()]


def _are_glued(text: str) -> bool:
    """Whether many letters are right beside ASCII letters, as no text of another script has them."""
    return 0.3 * len(_others(text)) < sum(map(len, _GLUED.findall(text)))


def _score_chinese(text: str) -> float:
    score = _share(
        _others(text),
        lambda letter: not _KANA.match(letter) and (is_common_chinese(letter) or _FULL_WIDTH.match(letter)),
    )
    return 0.0 if _are_glued(text) else score


def _score_japanese(text: str) -> float:
    letters = _others(text)
    if _share(letters, _KANA.match) < 0.2 or _are_glued(text):
        return 0.0
    return _share(
        letters,
        lambda letter: _KANA.match(letter) or _FULL_WIDTH.match(letter) or _is_in(letter, "euc_jp", 0xB0, 0xCF),
    )


def _score_korean(text: str) -> float:
    """Hangul with spaces between the words, which are also ideographs in GB 18030."""
    letters = _others(text)
    words = re.findall(f"{_HANGUL.pattern}+", text)
    if _are_glued(text) or len(words) * _LONGEST_HANGUL < len(letters):
        return 0.0
    return 1.1 * _share(letters, _HANGUL.match)


def _score_utf16(text: str) -> float:
    """UTF-16 without a mark."""
    scores = (_score_chinese(text), _score_japanese(text), _score_cyrillic(text))
    return max(*scores, _score_latin(text, _WESTERN), _score_latin(text, _CENTRAL))


def _score_cyrillic(text: str) -> float:
    """Cyrillic letters, most of them frequent and small: another encoding mixes capitals into words."""
    letters = [letter for letter in _others(text) if letter.isalpha()]
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    if _share(letters, _CYRILLIC.match) < 0.9 or _are_glued(text):
        return 0.0
    if not 2 * len(words) <= len(letters) <= _LONGEST_CYRILLIC * len(words):
        return 0.0
    if sum(word[1:].islower() or len(word) < 2 for word in words) < 0.7 * len(words):
        return 0.0
    return 0.7 + 0.3 * _share(letters, lambda letter: letter.lower() in _FREQUENT_CYRILLIC)


def _score_latin(text: str, known: frozenset[str]) -> float:
    """Few letters with accents among others, and signs that are not within words."""
    found = [at for at, letter in enumerate(text) if not letter.isascii()]
    if len(found) > 0.4 * sum(map(str.isalpha, text)):
        return 0.0
    return sum(_fits_latin(text, at, known) for at in found) / len(found)


def _fits_latin(text: str, at: int, known: frozenset[str]) -> bool:
    letter, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if letter.lower() not in known:
        return False
    if letter in _PUNCTUATION:
        return letter == "’" or not (before.isalpha() and after.isalpha())
    return not (letter.isupper() and before.islower())


_SCORES: dict[str, Callable[[str], float]] = {
    "utf-8": lambda text: 1.0,
    "utf-16-le": _score_utf16,
    "utf-16-be": _score_utf16,
    "gb18030": _score_chinese,
    "big5": _score_chinese,
    "cp932": _score_japanese,
    "euc_jp": _score_japanese,
    "cp949": _score_korean,
    "cp1251": _score_cyrillic,
    "koi8-r": _score_cyrillic,
    "cp866": _score_cyrillic,
    "cp1252": lambda text: _score_latin(text, _WESTERN),
    "cp1250": lambda text: _score_latin(text, _CENTRAL),
    "mac_roman": lambda text: _score_latin(text, _WESTERN),
    "cp850": lambda text: _score_latin(text, _WESTERN),
}
"""How much sense a text makes in each encoding, from 0 to 1. The first of equals is suggested."""
