"""Captions published as words (`一:m 只:q 狗:n` or `一 只 狗`) -> sentences.

A file is only converted if nearly all its captions have this form, so that `10:30` or `and/or` in an ordinary
caption is not changed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from caption_tx.data.corpus.rows import CaptionRows

# BosonNLP writes 狗:n, ICTCLAS 狗/n; tags have one to four letters and digits (ude1).
_TAGGED_WORD = re.compile(r"(.+)[:/][A-Za-z][A-Za-z0-9]{0,3}")
_CHINESE = re.compile("[\u3400-\u9fff]")
_LATIN_OR_DIGIT = re.compile(r"[A-Za-z0-9]")
_DOUBLE_SPACE = re.compile(r"\s{2,}")
_MIN_SHARE = 0.9
_SAMPLE_SIZE = 1000


def join_words(words: list[str]) -> str:
    """Joins words to a sentence, with spaces between words of Latin letters or digits only.

    Example:
        >>> join_words(["一", "只", "NIKE", "shoes"])
        '一只NIKE shoes'
    """
    parts = [words[0]] if words else []
    for left, right in itertools.pairwise(words):
        if left and right and _LATIN_OR_DIGIT.match(left[-1]) and _LATIN_OR_DIGIT.match(right[0]):
            parts.append(" ")
        parts.append(right)
    return "".join(parts)


def _strip_tags(caption: str) -> str | None:
    """The sentence of a caption in which nearly all words have a part-of-speech tag, else None."""
    words = caption.split()
    matches = [_TAGGED_WORD.fullmatch(word) for word in words]
    if sum(match is not None for match in matches) < _MIN_SHARE * len(words):
        return None
    return join_words([match[1] if match else word for match, word in zip(matches, words, strict=True)])


def _join_chinese(caption: str) -> str | None:
    """The sentence of a caption of Chinese words separated by spaces, else None.

    Two spaces mark punctuation that was removed before publication.
    """
    parts = [part.split() for part in _DOUBLE_SPACE.split(caption)]
    words = [word for part in parts for word in part]
    chinese = [word for word in words if _CHINESE.search(word)]
    if len(words) < 2 or 2 * len(chinese) < len(words) or sum(map(len, chinese)) > 4 * len(chinese):
        return None
    return "，".join(join_words(part) for part in parts)


def restore_sentences(rows: CaptionRows) -> None:
    """Strips part-of-speech tags or joins words if nearly all captions have them; counts them in `rows.notes`."""
    captions = rows.captions
    conversions = ((_strip_tags, "part-of-speech tags stripped"), (_join_chinese, "pre-segmented captions joined"))
    for convert, note in conversions:
        if not _sample_matches(convert, captions[:: max(1, len(captions) // _SAMPLE_SIZE)]):
            continue
        sentences = [convert(caption) for caption in captions]
        if sum(sentence is not None for sentence in sentences) < _MIN_SHARE * len(captions):
            continue
        rows.captions = [new or old for new, old in zip(sentences, captions, strict=True)]
        rows.notes[note] += sum(bool(sentence) for sentence in sentences)
        return


def _sample_matches(convert: Callable[[str], str | None], captions: list[str]) -> bool:
    """Whether most captions can be converted and one has three words: `and/or` alone is no evidence."""
    count = sum(convert(caption) is not None for caption in captions)
    return count >= _MIN_SHARE * len(captions) and any(len(caption.split()) > 2 for caption in captions)
