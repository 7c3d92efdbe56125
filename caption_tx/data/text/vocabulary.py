"""The words that a model knows, in the order of their ids. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caption_tx.data.text.word_lists import WordLists

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
"""The first tokens of every vocabulary, in the order of their ids."""

PAD, UNK, START, END = range(4)


def is_word(word: str) -> bool:
    """Whether a word can be a line of the vocabulary and survive the split at white space."""
    return word.isprintable() and " " not in word and word not in ("", *SPECIAL_TOKENS)


def build_vocabulary(word_lists: Iterable[Sequence[str]], max_size: int, min_frequency: int) -> list[str]:
    """The special tokens and the most frequent words, as many as fit; a token's place is its id.

    Words go by count, then alphabetically, so the same corpus always gives the same vocabulary. Words
    with white space or unprintable characters, or spelled like a special token, stay out.

    Args:
        word_lists: the words of each caption.
        max_size: the most tokens, special ones included.
        min_frequency: a word seen less often stays unknown.
    """
    lists = WordLists.of(word_lists)
    counts = dict(zip(lists.words, lists.counts().tolist(), strict=True))
    words = [word for word, count in counts.items() if count >= min_frequency and is_word(word)]
    words.sort(key=lambda word: (-counts[word], word))
    return [*SPECIAL_TOKENS, *words[: max_size - len(SPECIAL_TOKENS)]]


def check_vocabulary(vocabulary: Sequence[str]) -> tuple[int, str] | None:
    """The first line (from 1) that cannot be in a vocabulary and why, or None."""
    for place, special in enumerate(SPECIAL_TOKENS):
        if place >= len(vocabulary) or vocabulary[place] != special:
            found = repr(vocabulary[place]) if place < len(vocabulary) else "the end"
            return place + 1, f"expected the special token {special}, found {found}"
    seen: dict[str, int] = {}
    for line, word in enumerate(vocabulary, 1):
        if word in seen:
            return line, f"{word!r} is already on line {seen[word]}"
        seen[word] = line
        if line > len(SPECIAL_TOKENS) and not is_word(word):
            return line, f"{word!r} cannot be a word (empty, white space or an unprintable character)"
    return None
