"""The vocabulary: special tokens followed by words, in the order of their token ids. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from caption_tx.data.text.word_lists import WordLists

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
"""The first tokens of every vocabulary, in the order of their ids."""

PAD, UNK, START, END = range(4)

_END_LABELS = {"en": "(end)", "zh": "（结束）"}
"""How the end token, which is not a word of any language, is shown; as by the page's UI strings."""

OPEN_BOX = "\u2423"
"""Stands for a space inside a word where words are separated by spaces; it is in no word."""


MAX_WORD_LENGTH = 1000
"""Characters. Longer words, such as a file's content in place of a caption, are out of vocabulary."""


def end_label(language: str) -> str:
    """How figures and tables of captions show the end token.

    Args:
        language: "zh" or "en"; any other is shown as English.

    Example:
        >>> end_label("zh")
        '（结束）'
    """
    return _END_LABELS.get(language, _END_LABELS["en"])


def is_valid_word(word: str) -> bool:
    """Returns whether a word can be stored on one line and looked up.

    Words of a user dictionary may contain single spaces; all other white space is invalid.
    """
    is_text = (
        len(word) <= MAX_WORD_LENGTH and word.isprintable() and OPEN_BOX not in word and word == " ".join(word.split())
    )
    return is_text and word not in ("", *SPECIAL_TOKENS)


def build_vocabulary(word_lists: Iterable[Sequence[str]], max_size: int, min_frequency: int) -> list[str]:
    """Returns the special tokens followed by the most frequent words; the index of a token is its id.

    Words are sorted by descending count, then alphabetically, so the result is deterministic. Words with
    unprintable characters, words of more than `MAX_WORD_LENGTH` characters and words spelled like a special token are
    excluded.

    Args:
        word_lists: the words of each caption.
        max_size: maximum number of tokens, including the special tokens.
        min_frequency: words that occur fewer times are out of vocabulary.

    Example:
        >>> build_vocabulary([["a", "dog"], ["a", "cat"]], max_size=100, min_frequency=2)
        ['[PAD]', '[UNK]', '[START]', '[END]', 'a']
    """
    lists = WordLists.from_lists(word_lists)
    counts = dict(zip(lists.distinct_words, lists.counts().tolist(), strict=True))
    words = [word for word, count in counts.items() if count >= min_frequency and is_valid_word(word)]
    words.sort(key=lambda word: (-counts[word], word))
    return [*SPECIAL_TOKENS, *words[: max_size - len(SPECIAL_TOKENS)]]


def find_vocabulary_error(vocabulary: Sequence[str]) -> tuple[int, str] | None:
    """Returns the first invalid line (counted from 1) and what is wrong with it, or None."""
    for index, special in enumerate(SPECIAL_TOKENS):
        if index >= len(vocabulary) or vocabulary[index] != special:
            actual = repr(vocabulary[index][:40]) if index < len(vocabulary) else "the end of the file"
            return index + 1, f"expected the special token {special}, found {actual}"
    line_of: dict[str, int] = {}
    for line, word in enumerate(vocabulary, 1):
        if word in line_of:
            return line, f"{word[:40]!r} is already on line {line_of[word]}"
        line_of[word] = line
        if line > len(SPECIAL_TOKENS) and not is_valid_word(word):
            return line, (
                f"{word[:40]!r} is not a valid word (it is empty, has extra spaces or unprintable characters, or has "
                f"more than {MAX_WORD_LENGTH} characters)"
            )
    return None
