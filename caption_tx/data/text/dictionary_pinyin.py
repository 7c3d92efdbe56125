"""Pinyin beside the words of a user dictionary."""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3400-\u9fff"
"""Chinese characters, for a character class."""

_LONGEST_LINE = 120
_SYLLABLE = (
    "(?:(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|iong|uang|ang|eng|ing|ong|iao|ian|uai|uan|van|ai|ei|ao|ou|an|en|er|ia"
    "|ie|iu|in|ua|uo|ui|un|ue|ve|a|o|e|i|u|v)|n?g|m)[0-5]?"
)
_SYLLABLES = re.compile(_SYLLABLE)
_TONES = re.compile("[\u0300\u0301\u0304\u030c]")
_LETTER = "a-zA-Z\u00c0-\u024f\u0300-\u030c"
_PART = rf"[{_LETTER}][{_LETTER}0-5:]*"
_TEXT = rf"['|]?{_PART}(?:[ '|·-]+{_PART})*"
_WORD = rf"[^\s=,，:：|;\[\](){{}}（）]*[{HAN}][^\s=,，:：|;\[\](){{}}（）]*"
_BETWEEN = r"\s*[\s=:：,，;|/]\s*"
_AFTER = re.compile(
    rf"({_WORD})(?:{_BETWEEN}({_TEXT})|\s*[\[(（{{<]+({_TEXT})[\])）}}>]+)(?:{_BETWEEN}(\d+))?(?:\s+#\s.*)?"
)
_COMMAS_AFTER = re.compile(rf"({_WORD})=([a-z]+(?:,[a-z]+)*)(?:,(\d+))?")
_BEFORE = re.compile(rf"({_TEXT}){_BETWEEN}({_WORD}(?:\s+{_WORD})*)(?:{_BETWEEN}(\d+))?")
_EACH = re.compile(rf"(?:[{HAN}][a-z]+)+")


def is_pinyin(text: str, word: str) -> bool:
    """Whether a text is the pinyin of a word: one syllable per character, with or without tones and spaces.

    Latin letters in the word may be spelled out, as in `红色T恤 hong se t xu`.

    Example:
        >>> [is_pinyin(text, "红色") for text in ("hong se", "hongse", "hóng sè", "hong2 se4", "red")]
        [True, True, True, True, False]
    """
    text = unicodedata.normalize("NFC", _TONES.sub("", unicodedata.normalize("NFD", text.lower())))
    syllables = [item for item in re.split("[ '|·-]+", text.replace("ü", "v").replace("u:", "v")) if item]
    characters = len(re.findall(f"[{HAN}]", word))
    if len(syllables) == 1 and characters > 1:
        return re.fullmatch(f"(?:{_SYLLABLE}){{{characters}}}", syllables[0]) is not None
    are_syllables = all(_SYLLABLES.fullmatch(item) or (len(item) == 1 and item.isalpha()) for item in syllables)
    return are_syllables and characters <= len(syllables) <= len(word)


def strip_pinyin(line: str) -> list[str] | None:
    """The words of a line without their pinyin, with their frequency; None if the line has no pinyin.

    Example:
        >>> [strip_pinyin(line) for line in ("红色=hong se", "hóng sè 红色 9", "红hong色se", "红色 red")]
        [['红色'], ['红色 9'], ['红色'], None]
    """
    if len(line) > _LONGEST_LINE:
        return None
    if match := _AFTER.fullmatch(line) or _COMMAS_AFTER.fullmatch(line):
        word, *pinyin, frequency = match.groups()
        text = " ".join(next(filter(None, pinyin)).split(","))
        return [f"{word} {frequency or ''}".strip()] if is_pinyin(text, word) else None
    if match := _BEFORE.fullmatch(line):
        words = match[2].split()
        are_alike = all(is_pinyin(match[1], word) for word in words)
        return [f"{word} {match[3] or ''}".strip() for word in words] if are_alike else None
    if _EACH.fullmatch(line):
        word = re.sub("[a-z]+", "", line)
        return [word] if is_pinyin(" ".join(re.findall("[a-z]+", line)), word) else None
    return None
