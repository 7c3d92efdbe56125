"""Pieces of words, as the tokenizers of models mark them -> whole words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from caption_tx.data.corpus.captions.pre_segmented import join_tokens
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.words import is_function_word, is_word

PIECES_JOINED = "captions joined from word pieces"

_WORD_PIECE = re.compile(r"##\w\S*")
_BPE = re.compile(r"\S*\w@@")
_JOINER = "\uffed"  # of OpenNMT
_STARTS = ("\u2581", "\u0120")  # of SentencePiece and byte-level BPE
_END = "</w>"
_SIGNS = re.compile(f"##|@@|{_END}|[{_JOINER}{''.join(_STARTS)}]")
_MIN_SHARE, _MIN_MARKED, _MAX_FUNCTION_WORDS = 0.9, 0.05, 0.5


def join_pieces(words: Sequence[str]) -> list[str]:
    """The whole words of a list in which pieces of words are marked; other lists as they are.

    WordPiece marks `##s`, BPE `fris@@` or `bee</w>`, SentencePiece `▁dog`, byte-level BPE `Ġdog`, OpenNMT `￭s`.

    Example:
        >>> join_pieces(["a", "dog", "chase", "##s"]), join_pieces(["▁a", "▁dog", "▁chase", "s"])
        (['a', 'dog', 'chases'], ['a', 'dog', 'chases'])
    """
    words = list(words)
    join = _join_of(words) if any(map(_SIGNS.search, words)) else None
    return words if join is None else [word for word in join(words) if word]


def join_caption(rows: CaptionRows, words: Sequence[str]) -> str:
    """The caption that words or their pieces form; `rows.notes` counts those of pieces."""
    words = [word.strip() for word in words]
    rows.notes.update([PIECES_JOINED] if has_pieces(words) else [])
    return join_tokens(join_pieces(words))


def has_pieces(words: Sequence[str]) -> bool:
    """Whether a list has marked pieces of words."""
    return any(map(_SIGNS.search, words)) and _join_of(words) is not None


def _join_of(words: Sequence[str]) -> Callable[[Sequence[str]], list[str]] | None:
    """The function that joins the pieces of a list, or None."""
    for mark in _STARTS:
        if 2 * sum(word.startswith(mark) and word != mark for word in words) >= len(words):
            return partial(_join_starts, mark=mark)
    if any(word.startswith(_STARTS[0]) for word in words[:1]):  # Chinese has no spaces, only a mark at its start
        return partial(_join_starts, mark=_STARTS[0])
    if 2 * sum(word.endswith(_END) and word != _END for word in words) >= len(words):
        return _join_ends
    if any(_WORD_PIECE.fullmatch(word) or _BPE.fullmatch(word) or _JOINER in word for word in words):
        return _join_marked
    return None


def _join_starts(words: Sequence[str], mark: str) -> list[str]:
    """Joins pieces whose first one in each word has a mark."""
    text = "".join(words)
    return [_decode_bytes(word) if mark == _STARTS[1] else word for word in text.split(mark)]


def _join_ends(words: Sequence[str]) -> list[str]:
    """Joins pieces whose last one in each word has a mark."""
    return "".join(words).split(_END)


def _join_marked(words: Sequence[str]) -> list[str]:
    """Joins pieces that say at one end that the word goes on there."""
    joined: list[str] = []
    goes_on = True
    for word in words:
        text = word
        if _WORD_PIECE.fullmatch(text):
            text, goes_on = text[2:], True
        elif text.startswith(_JOINER):
            text, goes_on = text[1:], True
        is_open = _BPE.fullmatch(text) is not None or (text.endswith(_JOINER) and bool(text))
        if is_open:
            text = text.removesuffix("@@").removesuffix(_JOINER)
        if goes_on and joined:
            joined[-1] += text
        else:
            joined.append(text)
        goes_on = is_open
    return joined


def _byte_letters() -> dict[str, int]:
    """The letters that byte-level BPE writes for bytes: those that are visible in Latin-1, and others from U+0100."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + at): byte for at, byte in enumerate(hidden)}


_BYTE_LETTERS = _byte_letters()


def _decode_bytes(word: str) -> str:
    """The text of a word whose letters stand for the bytes of UTF-8; a word of other letters as it is."""
    if word.isascii() or not all(letter in _BYTE_LETTERS for letter in word):
        return word
    try:
        return bytes(_BYTE_LETTERS[letter] for letter in word).decode("utf-8")
    except UnicodeDecodeError:
        return word


def join_marked_text(rows: CaptionRows) -> None:
    """Joins pieces of words in captions with spaces between the pieces, if enough captions have such pieces.

    `##` and `@@` also separate captions, which then begin with words that no piece continues, such as `a`.
    """
    text = "\0".join(rows.captions)
    if not _SIGNS.search(text):
        return
    texts = [row for row, caption in enumerate(rows.captions) if " " in caption]
    marked = [row for row in texts if _SIGNS.search(rows.captions[row]) and has_pieces(rows.captions[row].split())]
    min_share = _MIN_MARKED if any(sign in text for sign in ("##", "@@", _JOINER)) else _MIN_SHARE
    if not marked or len(marked) < min_share * len(texts) or _separate_captions([rows.captions[row] for row in marked]):
        return
    for row in marked:
        rows.captions[row] = " ".join(join_pieces(rows.captions[row].split(" ")))
    rows.notes[PIECES_JOINED] += len(marked)


def _separate_captions(captions: Sequence[str]) -> bool:
    """Whether what looks like marks of pieces are separators between captions."""
    following = [
        after.removeprefix("##")
        for words in map(str.split, captions)
        for before, after in pairwise(words)
        if _BPE.fullmatch(before) or _WORD_PIECE.fullmatch(after)
    ]
    new = sum(is_function_word(word.lower()) or word[:1].isupper() or not is_word(word) for word in following)
    odd = sum(word in ("##", "@@") for caption in captions for word in caption.split())
    return new + odd > _MAX_FUNCTION_WORDS * len(following)
