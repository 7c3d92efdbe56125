"""Words <-> token_ids around `keras.layers.TextVectorization`; the vocabulary is a text file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np

from caption_tx.data.segmentation import detokenize
from caption_tx.errors import BundleError
from caption_tx.files import write_atomically

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
"""The first tokens of every vocabulary, in the order of their ids."""

PAD, UNK, START, END = range(4)


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


def _is_word(word: str) -> bool:
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
    counts = Counter(chain.from_iterable(word_lists))
    words = [word for word, count in counts.items() if count >= min_frequency and _is_word(word)]
    words.sort(key=lambda word: (-counts[word], word))
    return [*SPECIAL_TOKENS, *words[: max_size - len(SPECIAL_TOKENS)]]


def _check_vocabulary(vocabulary: Sequence[str]) -> tuple[int, str] | None:
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
        if line > len(SPECIAL_TOKENS) and not _is_word(word):
            return line, f"{word!r} cannot be a word (empty, white space or an unprintable character)"
    return None


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
        problem = _check_vocabulary(self.vocabulary)
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

    def _lookup(self, words: set[str]) -> dict[str, int]:
        """The id of each distinct word, by one call of the layer."""
        ids = dict.fromkeys(words, UNK)
        known = [word for word in words if _is_word(word)]
        if known:
            found = np.asarray(self.layer(known))[:, 0]
            ids.update(zip(known, found.tolist(), strict=True))
        return ids

    def tokenize(self, word_lists: Iterable[Sequence[str]], max_length: int | None = None) -> TokenLists:
        """The token_ids of captions, each from START to END.

        Words outside the vocabulary become UNK. A caption of more than `max_length` tokens, marks
        included, keeps its first `max_length` and has no END: it did not end there.
        """
        word_lists = list(word_lists)
        if max_length is not None and max_length < 1:
            raise ValueError(f"max_length must be at least 1 token, got {max_length}.")
        # Looking up distinct words only: a million captions share a few ten thousand.
        ids = self._lookup(set(chain.from_iterable(word_lists)))
        full = np.fromiter(map(len, word_lists), dtype=np.int64, count=len(word_lists)) + 2
        ends = np.cumsum(full)
        values = np.empty(int(full.sum()), dtype=np.int32)
        marks = np.zeros(len(values), dtype=bool)
        marks[ends - full] = marks[ends - 1] = True
        values[~marks] = np.fromiter(map(ids.__getitem__, chain.from_iterable(word_lists)), dtype=np.int32)
        values[ends - full] = START
        values[ends - 1] = END
        lengths = full if max_length is None else np.minimum(full, max_length)
        truncated = int((lengths < full).sum())
        if truncated:
            place = np.arange(len(values)) - np.repeat(ends - full, full)
            values = values[place < np.repeat(lengths, full)]
        return TokenLists(values, np.concatenate([[0], np.cumsum(lengths)]), truncated)

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
        counts = np.bincount(values, minlength=self.vocabulary_size)
        if len(counts) > self.vocabulary_size:
            raise ValueError(f"Token id {len(counts) - 1} is not in [0, {self.vocabulary_size}).")
        counts[[PAD, START]] = 0
        return counts

    def report(self, word_lists: Iterable[Sequence[str]], most_common: int = 10) -> dict[str, Any]:
        """How captions fit the vocabulary, ready for JSON; the longest caption in words, shares in [0, 1]."""
        counts: Counter[str] = Counter()
        captions = longest = 0
        for words in word_lists:
            captions += 1
            longest = max(longest, len(words))
            counts.update(words)
        known = set(self.vocabulary[len(SPECIAL_TOKENS) :])
        unknown = Counter({word: count for word, count in counts.items() if word not in known})
        return {
            "vocabulary_size": self.vocabulary_size,
            "captions": captions,
            "words": counts.total(),
            "longest_caption": longest,
            "oov_words": unknown.total(),
            "oov_share": unknown.total() / max(counts.total(), 1),
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
        problem = _check_vocabulary(vocabulary)
        if problem:
            raise BundleError(f"{path}, line {problem[0]}: {problem[1]}; save the bundle again.")
        return cls(vocabulary, language)
