"""Words <-> token_ids around `keras.layers.TextVectorization`; the vocabulary is a text file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caption_tx.data.text.segmentation import detokenize
from caption_tx.data.text.vocabulary import END, PAD, SPECIAL_TOKENS, START, UNK, check_vocabulary, is_word
from caption_tx.data.text.word_lists import BLOCK, WordLists, count, take_rows
from caption_tx.errors import BundleError
from caption_tx.files import write_atomically


class TokenLists(Sequence[np.ndarray]):
    """The token_ids of many captions in one array; an item is the int32 array (T,) of one caption.

    Attributes:
        values: int32 (sum of T,), all captions one after the other.
        row_splits: int64 (captions + 1,); caption i is `values[row_splits[i]:row_splits[i + 1]]`.
        truncated: how many captions were cut at `max_length`.
    """

    def __init__(self, values: np.ndarray, row_splits: np.ndarray, truncated: int = 0) -> None:
        self.values = values
        self.row_splits = row_splits
        self.truncated = truncated

    def take(self, rows: np.ndarray) -> TokenLists:
        """Some captions, by their places; `truncated` stays that of all."""
        return TokenLists(*take_rows(self.values, self.row_splits, rows), self.truncated)

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[item] for item in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"caption {index} of {len(self)}")
        index %= len(self)
        return self.values[self.row_splits[index] : self.row_splits[index + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(np.split(self.values, self.row_splits[1:-1]) if len(self) else [])


class Tokenizer:
    """Turns the words of captions into token_ids and back.

    Args:
        vocabulary: special tokens first, then words, as `build_vocabulary` returns it; a token's place is its id.
        language: "zh" or "en", for `detokenize`.

    Attributes:
        layer: the `keras.layers.TextVectorization`, for use in a graph; it knows words split by single
            spaces, and padding as "".
        suppress_tokens: ids that a caption must not contain and a search must not choose.

    Raises:
        ValueError: the vocabulary lacks a special token, repeats a word, or holds what cannot be one.
    """

    pad_token_id = PAD
    unk_token_id = UNK
    start_token_id = START
    end_token_id = END
    suppress_tokens = (PAD, UNK, START)

    def __init__(self, vocabulary: Sequence[str], language: str) -> None:
        self.vocabulary = tuple(str(word) for word in vocabulary)
        self.language = language
        problem = check_vocabulary(self.vocabulary)
        if problem:
            raise ValueError(f"Vocabulary, token {problem[0]}: {problem[1]}.")
        self.layer = keras.layers.TextVectorization(
            standardize=None,
            split="whitespace",
            output_mode="int",
            vocabulary=["", *self.vocabulary[1:]],
            name="tokenizer",
        )

    @property
    def vocabulary_size(self) -> int:
        """V, the special tokens included."""
        return len(self.vocabulary)

    def _lookup(self, words: Sequence[str]) -> np.ndarray:
        """The id of each distinct word, int32 (len(words),), by one call of the layer."""
        ids = np.full(len(words), UNK, np.int32)
        places = [place for place, word in enumerate(words) if is_word(word)]
        if places:
            ids[places] = np.asarray(self.layer([words[place] for place in places]))[:, 0]
        return ids

    def tokenize(self, word_lists: Iterable[Sequence[str]], max_length: int | None = None) -> TokenLists:
        """The token_ids of captions, each from START to END.

        Words outside the vocabulary become UNK. A caption of more than `max_length` tokens, marks
        included, keeps its first `max_length` and has no END: it did not end there.
        """
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length must be at least 1 token, got {max_length}.")
        lists = WordLists.of(word_lists)
        ids = self._lookup(lists.words)
        full = lists.lengths + 2
        lengths = full if max_length is None else np.minimum(full, max_length)
        row_splits = np.concatenate([[0], np.cumsum(lengths)])
        values = np.empty(int(row_splits[-1]), dtype=np.int32)
        for start in range(0, len(lists), BLOCK):
            rows = slice(start, start + BLOCK)
            words = lists.row_splits[start : start + BLOCK + 1]
            ends = np.cumsum(full[rows])
            block = np.empty(int(ends[-1]), dtype=np.int32)
            inner = np.ones(len(block), dtype=bool)
            inner[ends - full[rows]] = inner[ends - 1] = False
            block[inner] = ids[lists.values[words[0] : words[-1]]]
            block[ends - full[rows]], block[ends - 1] = START, END
            places = np.arange(len(block)) - np.repeat(ends - full[rows], full[rows])
            kept = block[places < np.repeat(lengths[rows], full[rows])]
            values[row_splits[start] : row_splits[start] + len(kept)] = kept
        return TokenLists(values, row_splits, int((lengths < full).sum()))

    def words(self, token_ids: Iterable[int]) -> list[str]:
        """The words of one caption up to END, special tokens dropped.

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
        """One caption as text; Chinese without spaces."""
        return detokenize(self.words(token_ids), self.language)

    def count_tokens(self, token_lists: Iterable[np.ndarray]) -> np.ndarray:
        """How often each token is a label (everything after START), int64 (V,)."""
        values = token_lists.values if isinstance(token_lists, TokenLists) else list(token_lists)
        values = values if isinstance(values, np.ndarray) else np.concatenate([*values, []]).astype(np.int64)
        if (highest := int(values.max(initial=0))) >= self.vocabulary_size:
            raise ValueError(f"Token id {highest} is not in [0, {self.vocabulary_size}).")
        counts = count(values, self.vocabulary_size)
        counts[[PAD, START]] = 0
        return counts

    def report(self, word_lists: Iterable[Sequence[str]], most_common: int = 10) -> dict[str, Any]:
        """How captions fit the vocabulary, ready for JSON; the longest caption in words, shares in [0, 1]."""
        lists = WordLists.of(word_lists)
        known = set(self.vocabulary[len(SPECIAL_TOKENS) :])
        counts = zip(lists.words, lists.counts().tolist(), strict=True)
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
        """Writes the vocabulary, UTF-8, one token a line, line n holding id n - 1; whole or not at all."""
        write_atomically(path, "".join(f"{token}\n" for token in self.vocabulary))

    @classmethod
    def load(cls, path: str | Path, language: str) -> Tokenizer:
        """The tokenizer of a file that `save` wrote.

        Raises:
            BundleError: the file is missing or not UTF-8, or a line is empty, repeated, or not the
                special token that belongs there.
        """
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BundleError(f"The vocabulary {path} is not UTF-8; save the bundle again.") from error
        except OSError as error:
            raise BundleError(f"Cannot read the vocabulary {path}: {error.strerror}; save the bundle again.") from error
        vocabulary = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
        problem = check_vocabulary(vocabulary)
        if problem:
            raise BundleError(f"{path}, line {problem[0]}: {problem[1]}; save the bundle again.")
        return cls(vocabulary, language)
