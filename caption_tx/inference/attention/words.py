"""The words that figures and pages show, each made of one or more tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caption_tx.data.text.vocabulary import END, SPECIAL_TOKENS

END_TOKEN = SPECIAL_TOKENS[END]

_HYPHENATED = re.compile(r"\w+(?:[-'\u2010\u2011\u2019]\w+)+", re.ASCII)


@dataclass(frozen=True)
class ShownWord:
    """A word as it is shown.

    Attributes:
        text: its spelling.
        tokens: positions of its tokens among the T tokens of the caption.
    """

    text: str
    tokens: tuple[int, ...]


def hyphenated_words(text: str) -> list[str]:
    """Words with hyphens or apostrophes inside, without repetitions; a segmenter may split them.

    Example:

        hyphenated_words("a T-shirt and the dog's ball")  # ["T-shirt", "dog's"]
    """
    return list(dict.fromkeys(_HYPHENATED.findall(text)))


def letters_and_digits(text: str) -> str:
    """Lowercase letters and digits of a text, for comparing spellings."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def find_spelling(tokens: Sequence[str], text: str) -> list[range]:
    """The shortest runs of consecutive tokens that spell a text; case and punctuation do not matter."""
    spelling = letters_and_digits(text)
    if not spelling:
        return []
    parts = [letters_and_digits(token) for token in tokens]
    return [
        range(first, last)
        for first in range(len(tokens))
        for last in range(first + 1, len(tokens) + 1)
        # A run that starts or ends with punctuation spells the same word, but is not the shortest one.
        if parts[first] and parts[last - 1] and "".join(parts[first:last]) == spelling
    ]


def word_log_probabilities(words: Sequence[ShownWord], log_probabilities: np.ndarray) -> np.ndarray:
    """(T,) log-probabilities of tokens -> (W,) of words, each the sum over its tokens."""
    return np.array([log_probabilities[list(word.tokens)].sum() for word in words])
