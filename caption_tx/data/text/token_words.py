"""Token ids -> words and text. No Keras."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from caption_tx.data.text.segmentation import detokenize
from caption_tx.data.text.vocabulary import END, PAD, SPECIAL_TOKENS, START, UNK, find_vocabulary_error


class TokenWords:
    """The words of a vocabulary by token id.

    Attributes:
        vocabulary: special tokens followed by words; an index is a token id.
        language: "zh" or "en", for `detokenize`.
        suppress_tokens: ids that captions must not contain and decoding must not generate.

    Raises:
        ValueError: the vocabulary lacks a special token, repeats a word, or contains an invalid word.
    """

    pad_token_id = PAD
    unk_token_id = UNK
    start_token_id = START
    end_token_id = END
    suppress_tokens = (PAD, UNK, START)

    def __init__(self, vocabulary: Sequence[str], language: str) -> None:
        self.vocabulary = tuple(str(word) for word in vocabulary)
        self.language = language
        error = find_vocabulary_error(self.vocabulary)
        if error:
            raise ValueError(f"Vocabulary, token {error[0]}: {error[1]}.")

    @property
    def vocabulary_size(self) -> int:
        """V, including the special tokens."""
        return len(self.vocabulary)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: token_id for token_id, word in enumerate(self.vocabulary) if token_id >= len(SPECIAL_TOKENS)}

    def look_up(self, words: Iterable[str]) -> list[int]:
        """Returns the id of each word; that of UNK for words out of vocabulary."""
        return [self._ids.get(word, UNK) for word in words]

    def to_words(self, token_ids: Iterable[int]) -> list[str]:
        """Returns the words of one caption up to END, without special tokens.

        Raises:
            ValueError: an id is outside [0, V).
        """
        words = []
        for token_id in np.asarray(list(token_ids), dtype=np.int64).tolist():
            if not 0 <= token_id < self.vocabulary_size:
                raise ValueError(f"Token id {token_id} is not in [0, {self.vocabulary_size}).")
            if token_id == END:
                break
            if token_id >= len(SPECIAL_TOKENS):
                words.append(self.vocabulary[token_id])
        return words

    def detokenize(self, token_ids: Iterable[int]) -> str:
        """Returns one caption as text; Chinese has no spaces between words."""
        return detokenize(self.to_words(token_ids), self.language)
