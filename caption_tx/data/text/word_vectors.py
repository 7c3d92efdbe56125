"""Word vectors from word2vec, GloVe or fastText text files, for the words of a vocabulary. No TensorFlow."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np

from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import ConfigError

_SAMPLE_LINES = 1000
"""The dimension is the most common one in this many lines, because words with spaces make their lines longer."""


@dataclass(frozen=True)
class WordVectors:
    """Vectors for the words of a vocabulary; E is `embedding_dim`.

    Attributes:
        path: the file they come from.
        matrix: float32 (V, E); rows of words without a vector are zero.
        has_vector: bool (V,), whether the file has a vector for a token.
        num_skipped: number of malformed lines.
        first_skipped: where and why the first malformed line was skipped, "" if there are none.
        num_repeated: number of repeated words; the first vector of a word is used.
    """

    path: str
    matrix: np.ndarray
    has_vector: np.ndarray
    num_skipped: int
    first_skipped: str
    num_repeated: int

    @property
    def embedding_dim(self) -> int:
        """Length of a vector, E."""
        return self.matrix.shape[1]

    @property
    def digest(self) -> str:
        """SHA-256 of all vectors."""
        return hashlib.sha256(self.matrix.tobytes()).hexdigest()

    def summary(self, counts: np.ndarray) -> str:
        """Returns one line on the coverage of the vocabulary.

        Args:
            counts: (V,), how often each token occurs in the training captions.
        """
        first_word = len(SPECIAL_TOKENS)
        num_covered, num_words = int(self.has_vector.sum()), len(self.has_vector) - first_word
        occurrences = counts[first_word:].sum()
        covered_share = counts[first_word:][self.has_vector[first_word:]].sum() / max(occurrences, 1)
        text = (
            f"Word vectors from {self.path}: dimension {self.embedding_dim}, covering {num_covered:,} of "
            f"{num_words:,} words ({num_covered / num_words:.1%}) and {covered_share:.1%} of all word occurrences. "
            "The other words start with random vectors."
        )
        if self.num_skipped:
            text += f" Skipped {self.num_skipped:,} malformed lines; the first: {self.first_skipped}."
        if self.num_repeated:
            text += f" {self.num_repeated:,} words are repeated; the first vector of each is used."
        return text


def read_word_vectors(path: str | Path, vocabulary: Sequence[str]) -> WordVectors:
    """Reads the vectors of the words in a vocabulary and ignores all other words of the file.

    Each line is a word followed by its values, separated by spaces or tabs. A first line of two integers
    (number of words, dimension) is a header. Words may contain spaces, as some in GloVe do. The file may be
    compressed with gzip.

    Args:
        path: a text file of vectors.
        vocabulary: special tokens first; they get no vector.

    Raises:
        ConfigError: the file cannot be read, or has no vector for any of the words.
    """
    try:
        with _open(Path(path)) as file:
            return _read(str(path), file, vocabulary)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"Cannot read the word vectors {path}: {reason}.") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_gzip else path.open("rb")


def _read(path: str, file: IO[bytes], vocabulary: Sequence[str]) -> WordVectors:
    head = list(islice(file, _SAMPLE_LINES))
    if head:
        head[0] = head[0].removeprefix(b"\xef\xbb\xbf")
    has_header, dim = _detect_dimension(head)
    if dim < 1:
        raise ConfigError(f"{path} contains no word vectors: each line must be a word and its values.")
    # Bytes are compared, so that a word in another encoding than UTF-8 matches nothing instead of failing.
    ids = {word.encode(): index for index, word in enumerate(vocabulary) if index >= len(SPECIAL_TOKENS)}
    matrix, has_vector = np.zeros((len(vocabulary), dim), np.float32), np.zeros(len(vocabulary), bool)
    num_skipped, num_repeated, first_skipped = 0, 0, ""
    for line_number, line in enumerate(chain(head, file), 1):
        if line_number == 1 and has_header:
            continue
        token_id, vector, problem = _parse_line(line, dim, ids)
        if problem:
            num_skipped += 1
            first_skipped = first_skipped or f"line {line_number}, {problem}"
        elif token_id is not None and has_vector[token_id]:
            num_repeated += 1
        elif token_id is not None:
            matrix[token_id], has_vector[token_id] = vector, True
    if not has_vector.any():
        skipped = f" Skipped {num_skipped:,} malformed lines; the first: {first_skipped}." if num_skipped else ""
        raise ConfigError(
            f"{path} has a vector for none of the {len(ids):,} words of the vocabulary. Use a text file (not the .bin "
            f"of word2vec or fastText) in the language of the captions.{skipped}"
        )
    return WordVectors(path, matrix, has_vector, num_skipped, first_skipped, num_repeated)


def _detect_dimension(head: Sequence[bytes]) -> tuple[bool, int]:
    """Returns whether the first line is a header, and the dimension of the vectors (0 if unknown)."""
    first = head[0].split() if head else []
    if len(first) == 2 and all(part.isdigit() for part in first):
        return True, int(first[1])
    num_fields = Counter(len(line.split()) for line in head)
    return False, num_fields.most_common(1)[0][0] - 1 if num_fields else 0


def _parse_line(line: bytes, dim: int, ids: Mapping[bytes, int]) -> tuple[int | None, list[float], str | None]:
    """Returns (token id, vector, problem); the id is None for other words, the problem for well-formed lines."""
    word, *values = parts if len(parts := line.rsplit(None, dim)) == dim + 1 else (b"", *line.split()[1:])
    if not word:
        return None, [], f"{len(values)} values instead of {dim}"
    if word in ids:
        vector = list(_finite_numbers(values))
        return ids[word], vector, None if len(vector) == dim else "a value that is not a finite number"
    pieces = word.split()
    extra = list(_finite_numbers(pieces[1:]))
    if extra and len(extra) == len(pieces) - 1:
        return None, [], f"{dim + len(extra)} values instead of {dim}"
    return None, [], None


def _finite_numbers(values: Sequence[bytes]) -> Iterator[float]:
    """Yields the values that are finite float32 numbers."""
    for value in values:
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and abs(number) < 3e38:
            yield number
