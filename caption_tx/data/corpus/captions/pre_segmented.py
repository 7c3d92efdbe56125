"""Captions published as words (`一:m 只:q 狗:n` or `一 只 狗`) -> sentences.

A file is only converted if nearly all its captions have this form, so that `10:30` or `and/or` in an ordinary
caption is not changed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.words import are_single_words, is_word, weighted_length, without_spaced_names

# BosonNLP writes 狗:n, ICTCLAS 狗/n, LTP 狗_n; tags have one to four letters and digits (ude1). NLTK tags punctuation
# with itself (./.), and taggers of names write 狗/B-ANI.
_TAGGED_WORD = re.compile(r"(.+)[:/_#](?:[A-Za-z][A-Za-z0-9]{0,3}\$?|[BIOESM]-[A-Za-z_]{1,20}|[^\w\s]{1,2})")
_GLUED_TAG = re.compile(r"(?<=[^\W\d_a-zA-Z])([/_#][A-Za-z]{1,4})(?=[^\W\d_a-zA-Z]|[，。、！？])")  # 一只/m狗/n
_NAMED_GROUP = re.compile(r"\[([^\[\]]*[/_][^\[\]]*)\]/?[A-Za-z]{1,4}(?![A-Za-z])")  # [中国/ns 土狗/n]nz
_CHUNK_TAG = re.compile(r"O|[BIESM]-[A-Za-z_]{1,20}")
_LONGEST_MEAN = (2.6, 4.5)
_CHINESE = re.compile("[\u3400-\u9fff]")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_LATIN_OR_DIGIT = re.compile(r"[A-Za-z0-9]")
_DOUBLE_SPACE = re.compile(r"\s{2,}")
_MIN_SHARE = 0.9
_CLEAR_WORD, _SENTENCE = 2.6, 4
_SAMPLE_SIZE = 1000
_KEEP_WORDS: ContextVar[bool] = ContextVar("keep_words", default=False)


@contextmanager
def keep_words() -> Iterator[None]:
    """Within it, captions of words are joined with a space between all words, for readers of the words themselves.

    Example:
        >>> with keep_words():
        ...     join_words(["一", "只", "狗"])
        '一 只 狗'
    """
    token = _KEEP_WORDS.set(True)
    try:
        yield
    finally:
        _KEEP_WORDS.reset(token)


def join_words(words: list[str]) -> str:
    """Joins words to a sentence, with spaces between words of Latin letters or digits only.

    Example:
        >>> join_words(["一", "只", "NIKE", "shoes"])
        '一只NIKE shoes'
    """
    if _KEEP_WORDS.get():
        return " ".join(words)
    parts = [words[0]] if words else []
    for left, right in itertools.pairwise(words):
        if left and right and _LATIN_OR_DIGIT.match(left[-1]) and _LATIN_OR_DIGIT.match(right[0]):
            parts.append(" ")
        parts.append(right)
    return "".join(parts)


def join_tokens(words: list[str]) -> str:
    """Joins words to a sentence: with spaces between words unless one of them is Chinese.

    Example:
        >>> join_tokens(["一只", "狗"]), join_tokens(["a", "dog", ",", "too"])
        ('一只狗', 'a dog , too')
    """
    words = [word.strip() for word in words if word.strip()]
    return join_words(words) if any(_HAN.search(word) for word in words) else " ".join(words)


def are_words(lists: list[list[str]]) -> bool:
    """Whether the items of lists are single words throughout, so that each list is a caption.

    Lists of captions of a single word are not expected: at least half of the lists need three items.
    """
    if 2 * sum(len(items) > 2 for items in lists) < len(lists):
        return False
    if len(lists) > 1000 and not are_words(lists[:500]):
        return False
    return are_single_words([item.strip() for items in lists for item in without_spaced_names(items)])


def are_clear_words(items: list[str]) -> bool:
    """Whether a list is surely one caption as words: short items, and too many for captions of a word or two."""
    return len(items) > 3 and sum(map(weighted_length, items)) <= _CLEAR_WORD * len(items) and are_words([items])


def are_beside_sentences(texts: list[list[str]], num_words: int) -> bool:
    """Whether nearly all lists that are no words hold sentences, and the lists of words are no exception."""
    sentences = sum(sum(map(weighted_length, items)) >= _SENTENCE * len(items) for items in texts)
    return num_words >= 0.05 * len(texts) and sentences + num_words >= 0.9 * len(texts)


def holds_words(items: Sequence[str]) -> bool:
    """Whether a list inside a list or an object is one caption as words, not several captions.

    Example:
        >>> holds_words(["一只", "狗", "在", "跑"]), holds_words(["一只狗在草地上跑", "两只猫在睡觉"])
        (True, False)
    """
    words = without_spaced_names([item.strip() for item in items if item.strip()])
    mean = sum(map(weighted_length, words)) / max(1, len(words))
    return all(map(is_word, words)) and mean <= _LONGEST_MEAN[len(words) > 2]


def _strip_tags(caption: str) -> str | None:
    """The sentence of a caption in which nearly all words have a part-of-speech tag, else None."""
    words = _words_with_tags(caption)
    if len(words) > 3 and len(words) % 2 == 0 and all(map(_CHUNK_TAG.fullmatch, words[1::2])):  # 狗 B-ANI 在 O
        return join_words(words[::2])
    matches = [_TAGGED_WORD.fullmatch(word) for word in words]
    if sum(match is not None for match in matches) < _MIN_SHARE * len(words):
        return None
    return join_words([match[1] if match else word for match, word in zip(matches, words, strict=True)])


def _words_with_tags(caption: str) -> list[str]:
    if "/" in caption or "_" in caption or "#" in caption:
        caption = _GLUED_TAG.sub(r"\1 ", _NAMED_GROUP.sub(r"\1", caption))
    return caption.split()


def _join_chinese(caption: str) -> str | None:
    """The sentence of a caption of Chinese words separated by spaces, else None.

    Two spaces mark punctuation that was removed before publication.
    """
    parts = [part.split() for part in _DOUBLE_SPACE.split(caption)]
    words = [word for part in parts for word in part]
    chinese = [word for word in words if _CHINESE.search(word)]
    if len(words) < 2 or 2 * len(chinese) < len(words) or sum(map(len, chinese)) > 4 * len(chinese):
        return None
    return (" " if _KEEP_WORDS.get() else "，").join(join_words(part) for part in parts)


def restore_sentences(rows: CaptionRows) -> None:
    """Strips part-of-speech tags or joins words if nearly all captions have them; counts them in `rows.notes`."""
    if not restore_tagged(rows):
        _convert(rows, ((_join_chinese, "pre-segmented captions joined"),))


def restore_tagged(rows: CaptionRows) -> bool:
    """Strips part-of-speech tags if nearly all words of nearly all captions have one; whether they had."""
    return _convert(rows, ((_strip_tags, "part-of-speech tags stripped"),))


def _convert(rows: CaptionRows, conversions: Sequence[tuple[Callable[[str], str | None], str]]) -> bool:
    captions = rows.captions
    for convert, note in conversions:
        if not _sample_matches(convert, captions[:: max(1, len(captions) // _SAMPLE_SIZE)]):
            continue
        sentences = [convert(caption) for caption in captions]
        if sum(sentence is not None for sentence in sentences) < _MIN_SHARE * len(captions):
            continue
        rows.captions = [new or old for new, old in zip(sentences, captions, strict=True)]
        if convert is not _join_chinese or not _KEEP_WORDS.get():
            rows.notes[note] += sum(bool(sentence) for sentence in sentences)
        return True
    return False


def _sample_matches(convert: Callable[[str], str | None], captions: list[str]) -> bool:
    """Whether most captions can be converted and one has three words: `and/or` alone is no evidence."""
    count = sum(convert(caption) is not None for caption in captions)
    return count >= _MIN_SHARE * len(captions) and any(len(_words_with_tags(caption)) > 2 for caption in captions)
