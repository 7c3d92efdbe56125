"""Word vectors of word2vec, GloVe or fastText text files, for the words of a vocabulary. No TensorFlow."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np

from caption_tx.data.text.vocabulary import SPECIAL_TOKENS
from caption_tx.errors import ConfigError

_SAMPLE_LINES = 1000
"""The commonest length of so many lines gives the width: a word with spaces in it makes its line longer."""


@dataclass(frozen=True)
class WordVectors:
    """The vectors of a vocabulary's words.

    `rows` float32 (V, E), zeros where the file has none; `found` bool (V,); `skipped` counts lines that are no
    vector, of which `first_skipped` names the first; `repeated` counts words that came again, whose first counts.
    """

    path: str
    rows: np.ndarray
    found: np.ndarray
    skipped: int
    first_skipped: str
    repeated: int

    @property
    def width(self) -> int:
        """E."""
        return self.rows.shape[1]

    @property
    def digest(self) -> str:
        """Differs where any vector differs."""
        return hashlib.sha256(self.rows.tobytes()).hexdigest()

    def describe(self, counts: np.ndarray) -> str:
        """What was found, as a line; `counts` (V,) say how often each token stands in the training captions."""
        special = len(SPECIAL_TOKENS)
        found, words = int(self.found.sum()), len(self.found) - special
        running = counts[special:].sum()
        share = counts[special:][self.found[special:]].sum() / max(running, 1)
        text = (
            f"Word vectors of {self.path}: {self.width} wide, for {found:,} of {words:,} words ({found / words:.1%}), "
            f"{share:.1%} of running words; the other words start random."
        )
        if self.skipped:
            text += f" Skipped {self.skipped:,} lines that are no vector; the first: {self.first_skipped}."
        if self.repeated:
            text += f" {self.repeated:,} words came again; the first vector of each counts."
        return text


def read_word_vectors(path: str | Path, vocabulary: Sequence[str]) -> WordVectors:
    """Reads the vectors of a vocabulary's words; the others are passed over and never kept.

    A line is a word and its values, with spaces or tabs between. A first line with two whole numbers (how many
    words, how many values) is a header. Words may hold spaces, as some of GloVe do. The file may be gzipped.

    Args:
        vocabulary: special tokens first; those get no vector.

    Raises:
        ConfigError: the file cannot be read, or holds no vector of any of the words.
    """
    try:
        with _open(Path(path)) as file:
            return _read(str(path), file, vocabulary)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"Cannot read the word vectors {path}: {reason}.") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")


def _read(path: str, file: IO[bytes], vocabulary: Sequence[str]) -> WordVectors:
    head = list(islice(file, _SAMPLE_LINES))
    if head:
        head[0] = head[0].removeprefix(b"\xef\xbb\xbf")
    first = head[0].split() if head else []
    has_header = len(first) == 2 and all(part.isdigit() for part in first)
    lengths = Counter(len(line.split()) for line in head[has_header:])
    width = int(first[1]) if has_header else (lengths.most_common(1)[0][0] - 1 if lengths else 0)
    if width < 1:
        raise ConfigError(f"{path} holds no word vectors: a line must be a word and its values, spaces between.")
    # Bytes as they stand: a word that is not UTF-8 is none of the vocabulary.
    ids = {word.encode(): place for place, word in enumerate(vocabulary) if place >= len(SPECIAL_TOKENS)}
    rows, found = np.zeros((len(vocabulary), width), np.float32), np.zeros(len(vocabulary), bool)
    skipped, repeated, first_skipped = 0, 0, ""
    for number, line in enumerate(chain(head, file), 1):
        if number == 1 and has_header:
            continue
        word, *values = parts if len(parts := line.rsplit(None, width)) == width + 1 else (None, *line.split()[1:])
        problem = None
        if word is None:
            problem = f"{len(values)} values instead of {width}"
        elif word in ids:
            numbers = list(_numbers(values))
            place = ids[word]
            if len(numbers) < width:
                problem = "a value that is no finite number"
            elif found[place]:
                repeated += 1
            else:
                rows[place], found[place] = numbers, True
        elif len(pieces := word.split()) > 1 and len(extra := list(_numbers(pieces[1:]))) == len(pieces) - 1:
            problem = f"{width + len(extra)} values instead of {width}"
        if problem:
            skipped += 1
            first_skipped = first_skipped or f"line {number}, {problem}"
    if not found.any():
        lines = f" Skipped {skipped:,} lines that are no vector; the first: {first_skipped}." if skipped else ""
        raise ConfigError(
            f"{path} holds a vector of none of the {len(ids):,} words; it must be a text file (not the .bin of "
            f"word2vec or fastText) of the captions' language.{lines}"
        )
    return WordVectors(path, rows, found, skipped, first_skipped, repeated)


def _numbers(values: Sequence[bytes]) -> Iterator[float]:
    """The finite numbers among values."""
    for value in values:
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and abs(number) < 3e38:
            yield number
