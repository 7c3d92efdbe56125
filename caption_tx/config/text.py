"""Settings of text: normalization, segmentation, vocabulary, word vectors."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import POSITIVE, Bounds, setting, validate

LANGUAGES = ("zh", "en")
"""Chinese is segmented by jieba, English is split at spaces."""

SCRIPTS = ("simplified", "traditional")
"""Forms of Chinese characters that captions can be converted to."""


VOCABULARY_SIZE = Bounds(minimum=5, maximum=1_000_000)
"""Special tokens included."""


@dataclass(frozen=True)
class TextConfig:
    """Normalization and segmentation of captions, and the vocabulary."""

    language: str = setting("zh", "language of the captions", flag="--language", choices=LANGUAGES)
    nfkc: bool = setting(False, "normalize full-width letters and other compatibility forms (NFKC)", flag="--nfkc")
    script: str | None = setting(
        None, "convert Chinese characters", flag="--script", choices=SCRIPTS, unset="no conversion"
    )
    user_dictionary: str | None = setting(
        None, "words to keep whole, one per line, in jieba's format", flag="--user-dictionary", metavar="FILE"
    )
    drop_one_letter_words: bool = setting(False, "remove words of a single letter from English captions")
    drop_words_with_digits: bool = setting(False, "remove words that contain digits")
    max_vocabulary_size: int = setting(20_000, "maximum number of tokens in the vocabulary", bounds=VOCABULARY_SIZE)
    min_frequency: int = setting(
        4, "words seen fewer than N times are out of vocabulary", flag="--min-frequency", metavar="N", bounds=POSITIVE
    )
    word_vectors: str | None = setting(
        None,
        "word2vec, GloVe or fastText text file that initializes the token embeddings",
        flag="--word-vectors",
        metavar="FILE",
    )

    def __post_init__(self) -> None:
        validate(self, "text.")
