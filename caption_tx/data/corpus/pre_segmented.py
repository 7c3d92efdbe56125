"""Captions that were published as words, `一:m 只:q 狗:n` or `一 只 狗`, back to sentences.

Whether a file is of that kind is decided on all its captions, so that `10:30` or `and/or` in an ordinary
caption is left alone.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from caption_tx.data.corpus.records import Records

# BosonNLP writes 狗:n, ICTCLAS 狗/n; the tags have one to four letters and digits (ude1).
_TAGGED = re.compile(r"(.+)[:/][A-Za-z][A-Za-z0-9]{0,3}")
_CHINESE = re.compile("[\u3400-\u9fff]")
_LATIN_END = re.compile(r"[A-Za-z0-9]")
_PAUSE = re.compile(r"\s{2,}")
_MOST = 0.9


def join_words(words: list[str]) -> str:
    """A sentence of words: Chinese without spaces, a space between two words of Latin letters or digits."""
    parts = [words[0]] if words else []
    for left, right in itertools.pairwise(words):
        if left and right and _LATIN_END.match(left[-1]) and _LATIN_END.match(right[0]):
            parts.append(" ")
        parts.append(right)
    return "".join(parts)


def _untag(caption: str) -> str | None:
    """The sentence of a caption nearly all of whose words carry a tag, else None."""
    words = caption.split()
    matches = [_TAGGED.fullmatch(word) for word in words]
    if sum(match is not None for match in matches) < _MOST * len(words):
        return None
    return join_words([match[1] if match else word for match, word in zip(matches, words, strict=True)])


def _unsegment(caption: str) -> str | None:
    """The sentence of a caption of Chinese words with spaces between, else None.

    Where punctuation was taken out before it was published, two spaces are left.
    """
    parts = [part.split() for part in _PAUSE.split(caption)]
    words = [word for part in parts for word in part]
    chinese = [word for word in words if _CHINESE.search(word)]
    if len(words) < 2 or 2 * len(chinese) < len(words) or sum(map(len, chinese)) > 4 * len(chinese):
        return None
    return "，".join(join_words(part) for part in parts)


def restore_sentences(records: Records) -> None:
    """Strips part-of-speech tags, or joins words, where most captions are written so; tells how many."""
    captions = records.captions
    for repair, note in ((_untag, "part-of-speech tags stripped"), (_unsegment, "words joined")):
        # Most files are neither, and a thousand captions tell it.
        step = max(1, len(captions) // 1000)
        if not _is_most(repair, captions[::step]):
            continue
        sentences = [repair(caption) for caption in captions]
        if sum(sentence is not None for sentence in sentences) < _MOST * len(captions):
            continue
        records.captions = [new or old for new, old in zip(sentences, captions, strict=True)]
        records.notes[note] += sum(bool(sentence) for sentence in sentences)
        return


def _is_most(repair: Callable[[str], str | None], captions: list[str]) -> bool:
    """Whether most are written so, and one of them has three words: `and/or` alone is no evidence."""
    count = sum(repair(caption) is not None for caption in captions)
    return count >= _MOST * len(captions) and any(len(caption.split()) > 2 for caption in captions)
