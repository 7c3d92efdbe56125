"""Convert words to token ids and back with `keras.layers.TextVectorization`; the vocabulary is a text file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caption_tx.data.text.token_words import TokenWords
from caption_tx.data.text.vocabulary import (
    END,
    OPEN_BOX,
    PAD,
    SPECIAL_TOKENS,
    START,
    UNK,
    find_vocabulary_error,
    is_valid_word,
)
from caption_tx.data.text.word_lists import BLOCK_SIZE, RaggedLists, WordLists, count_values, take_rows
from caption_tx.errors import BundleError
from caption_tx.files import write_atomically


class TokenLists(RaggedLists[np.ndarray]):
    """The token_ids of many captions in one array; item i is the int32 array (T,) of caption i.

    Attributes:
        values: int32 (sum of T,), all captions concatenated.
        row_splits: int64 (captions + 1,); caption i is `values[row_splits[i]:row_splits[i + 1]]`.
        num_truncated: number of captions that were cut at `max_length`.
    """

    def __init__(self, values: np.ndarray, row_splits: np.ndarray, num_truncated: int = 0) -> None:
        self.values = values
        self.row_splits = row_splits
        self.num_truncated = num_truncated

    def take(self, rows: np.ndarray) -> TokenLists:
        """Returns the captions at the given row indices; `num_truncated` is unchanged."""
        return TokenLists(*take_rows(self.values, self.row_splits, rows), self.num_truncated)

    def _item(self, values: np.ndarray) -> np.ndarray:
        return values

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.values, self.row_splits[1:-1]) if len(self) else [])


class Tokenizer(TokenWords):
    """Converts the words of captions to token_ids and back.

    Args:
        vocabulary: special tokens followed by words, as `build_vocabulary` returns it; an index is a token id.
        language: "zh" or "en", for `detokenize`.

    Attributes:
        layer: the `keras.layers.TextVectorization`, for use in a graph. Its input is words separated by single
            spaces, and its padding token is "". A space inside a word is written as `OPEN_BOX`.

    Example:
        >>> tokenizer = caption_tx.Tokenizer([*SPECIAL_TOKENS, "a", "dog"], language="en")
        >>> tokenizer.tokenize([["a", "dog"]])[0].tolist()
        [2, 4, 5, 3]
        >>> tokenizer.detokenize([2, 4, 5, 3])
        'a dog'

    Raises:
        ValueError: the vocabulary lacks a special token, repeats a word, or contains an invalid word.
    """

    def __repr__(self) -> str:
        return f"Tokenizer({self.vocabulary_size:,} tokens, language '{self.language}')"

    def __init__(self, vocabulary: Sequence[str], language: str) -> None:
        super().__init__(vocabulary, language)
        self.layer = keras.layers.TextVectorization(
            standardize=None,
            split="whitespace",
            output_mode="int",
            vocabulary=["", *map(_mark_spaces, self.vocabulary[1:])],
            name="tokenizer",
        )

    def _lookup(self, words: Sequence[str]) -> np.ndarray:
        """Returns the id of each distinct word, int32 (len(words),), with one call of the layer."""
        ids = np.full(len(words), UNK, np.int32)
        valid = [index for index, word in enumerate(words) if is_valid_word(word)]
        if valid:
            ids[valid] = np.asarray(self.layer([_mark_spaces(words[index]) for index in valid]))[:, 0]
        return ids

    def tokenize(self, word_lists: Iterable[Sequence[str]], max_length: int | None = None) -> TokenLists:
        """Returns the token_ids of captions, each enclosed in START and END.

        Words outside the vocabulary become UNK. A caption of more than `max_length` tokens (including START
        and END) keeps its first `max_length` tokens and has no END, because it does not end there.

        Args:
            word_lists: the words of each caption.
            max_length: maximum number of tokens per caption; None means no limit.

        Raises:
            ValueError: `max_length` is less than 1.
        """
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}.")
        lists = WordLists.from_lists(word_lists)
        ids = self._lookup(lists.distinct_words)
        full_lengths = lists.lengths + 2
        lengths = full_lengths if max_length is None else np.minimum(full_lengths, max_length)
        row_splits = np.concatenate([[0], np.cumsum(lengths)])
        values = np.empty(int(row_splits[-1]), dtype=np.int32)
        for start in range(0, len(lists), BLOCK_SIZE):
            rows = slice(start, start + BLOCK_SIZE)
            word_splits = lists.row_splits[start : start + BLOCK_SIZE + 1]
            word_ids = ids[lists.values[word_splits[0] : word_splits[-1]]]
            block = _enclose(word_ids, full_lengths[rows], lengths[rows])
            values[row_splits[start] : row_splits[start] + len(block)] = block
        return TokenLists(values, row_splits, int((lengths < full_lengths).sum()))

    def count_tokens(self, token_lists: Iterable[np.ndarray]) -> np.ndarray:
        """Counts how often each token is a label, that is, any token but START; int64 (V,).

        Raises:
            ValueError: a token id is not in the vocabulary.
        """
        values = token_lists.values if isinstance(token_lists, TokenLists) else list(token_lists)
        values = values if isinstance(values, np.ndarray) else np.concatenate([*values, []]).astype(np.int64)
        if (highest := int(values.max(initial=0))) >= self.vocabulary_size:
            raise ValueError(f"Token id {highest} is not in [0, {self.vocabulary_size}).")
        counts = count_values(values, self.vocabulary_size)
        counts[[PAD, START]] = 0
        return counts

    def coverage(self, word_lists: Iterable[Sequence[str]], most_common: int = 10) -> dict[str, Any]:
        """Reports how well the vocabulary covers captions, ready for JSON.

        `longest_caption` is in words and `oov_share`, the share of out-of-vocabulary words, in [0, 1].
        """
        lists = WordLists.from_lists(word_lists)
        known = set(self.vocabulary[len(SPECIAL_TOKENS) :])
        counts = zip(lists.distinct_words, lists.counts().tolist(), strict=True)
        unknown = Counter({word: count for word, count in counts if count and word not in known})
        return {
            "vocabulary_size": self.vocabulary_size,
            "captions": len(lists),
            "words": len(lists.values),
            "longest_caption": int(lists.lengths.max(initial=0)),
            "oov_words": unknown.total(),
            "oov_share": unknown.total() / max(len(lists.values), 1),
            "oov_most_common": [[word, count] for word, count in unknown.most_common(most_common)],
        }

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary atomically as UTF-8, one token per line; line n has token id n - 1."""
        write_atomically(path, "".join(f"{token}\n" for token in self.vocabulary))

    @classmethod
    def load(cls, path: str | Path, language: str) -> Tokenizer:
        """Loads a tokenizer from a file written by `save`.

        Raises:
            BundleError: the file is missing or not UTF-8, a line is empty or repeated, or a special token
                is missing.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BundleError(f"The vocabulary {path} is not UTF-8; save the bundle again.") from error
        except OSError as error:
            raise BundleError(f"Cannot read the vocabulary {path}: {error.strerror}; save the bundle again.") from error
        vocabulary = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
        error = find_vocabulary_error(vocabulary)
        if error:
            raise BundleError(f"{path}, line {error[0]}: {error[1]}; save the bundle again.")
        return cls(vocabulary, language)


def _mark_spaces(word: str) -> str:
    return word.replace(" ", OPEN_BOX)


def _enclose(word_ids: np.ndarray, full_lengths: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Puts START and END around captions and cuts them; all captions are concatenated.

    Args:
        word_ids: int32 ids of all words.
        full_lengths: (captions,) number of words of each caption plus 2.
        lengths: (captions,) number of tokens to keep of each caption.

    Returns:
        int32 (sum of `lengths`,).
    """
    ends = np.cumsum(full_lengths)
    starts = ends - full_lengths
    block = np.empty(int(ends[-1]), dtype=np.int32)
    is_word = np.ones(len(block), dtype=bool)
    is_word[starts] = is_word[ends - 1] = False
    block[is_word] = word_ids
    block[starts], block[ends - 1] = START, END
    positions = np.arange(len(block)) - np.repeat(starts, full_lengths)
    return block[positions < np.repeat(lengths, full_lengths)]
