"""Single words: whether texts are words of sentences, or labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[^\W_]")
_MIN_SHARE, _LONGEST_MEAN = 0.98, 3.2
_FUNCTION_WORDS = frozenset((
    "a", "an", "the", "of", "in", "on", "with", "is", "are", "and", "at", "to", "his", "her", "its", "their", "by",
    "from", "for", "up", "while", "through", "next", "near", "over", "under",
    "ein", "eine", "einer", "einem", "einen", "der", "die", "das", "dem", "den", "und", "auf", "mit", "im",
    "un", "une", "des", "le", "la", "les", "et", "sur", "dans", "du", "de", "una", "el", "los", "las", "en", "con",
    "il", "di", "um", "uma", "no", "na", "een", "het", "op", "met", "van", "на", "в", "и", "с", "の", "が", "を", "に",
))  # fmt: skip
_CHINESE_FUNCTION_WORD = re.compile(
    "[在的地得着了上下里中和与有是正被把向从对又都个只们她他它这那][着了]?|正在|一起|"
    "[\u3400-\u9fff]{1,2}[着在]|[一两二三四五六七八九十几][\u3400-\u9fff]?|[，。、！？；]"
)
_MAX_SPACED, _LONGEST_NAME, _WIDEST_NAME, _MIN_IN_NAMED = 0.25, 3, 8, 0.15
_MIN_FUNCTION_WORDS, _MIN_DISTINCT, _MIN_WORDS = 0.05, 0.5, 20


def is_word(text: str) -> bool:
    """Whether a text could be a single word: it has no spaces, and at most six Chinese characters."""
    return not any(letter.isspace() for letter in text) and len(_HAN.findall(text)) <= 6


def weighted_length(text: str) -> float:
    """The length of a word in Chinese characters; other scripts need about two and a half letters for one."""
    han = len(_HAN.findall(text))
    return han + (len(text) - han) / 2.5


def without_spaced_names(items: Sequence[str]) -> Sequence[str]:
    """The items of a list of words without a few names that have spaces; other lists as they are.

    Example:
        >>> without_spaced_names(["一只", "Hello Kitty", "的", "包"]), without_spaced_names(["a dog", "two cats"])
        (['一只', '的', '包'], ['a dog', 'two cats'])
    """
    spaced = [item for item in items if len(item.split()) > 1]
    if not spaced or len(spaced) > _MAX_SPACED * len(items):
        return items
    if any(len(item.split()) > _LONGEST_NAME or weighted_length(item) > _WIDEST_NAME for item in spaced):
        return items
    rest = [item for item in items if len(item.split()) < 2]
    num_chinese = sum(_HAN.search(item) is not None for item in rest)
    return rest if 2 * num_chinese > len(rest) or have_function_words(rest, _MIN_IN_NAMED) else items


def are_single_words(texts: Sequence[str]) -> bool:
    """Whether texts, such as the items of lists, are single words throughout."""
    if sum(map(is_word, texts)) < _MIN_SHARE * len(texts):
        return False
    return sum(map(weighted_length, texts)) <= _LONGEST_MEAN * len(texts)


def have_function_words(words: Sequence[str], min_share: float = _MIN_FUNCTION_WORDS) -> bool:
    """Whether enough words are those that connect others in sentences, such as `the` and `在`, or punctuation.

    Example:
        >>> have_function_words(["a", "dog", "on", "grass"]), have_function_words(["dog", "grass", "ball"])
        (True, False)
    """
    found = sum(is_function_word(word.strip().lower()) for word in words)
    return found > 0 and found >= min_share * len(words)


def is_function_word(word: str) -> bool:
    """Whether a word in lower case connects others in sentences, or is punctuation."""
    return word in _FUNCTION_WORDS or not _LETTER.search(word) or bool(_CHINESE_FUNCTION_WORD.fullmatch(word))


def repeat_like_labels(words: Sequence[str]) -> bool:
    """Whether words are few that repeat, none of which connects others, as the names of classes do."""
    if have_function_words(words):
        return False
    return len(words) >= _MIN_WORDS and len(set(words)) < _MIN_DISTINCT * len(words)
