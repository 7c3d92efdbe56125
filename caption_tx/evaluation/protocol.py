"""How captions are normalized and tokenized before scoring, the same for every system, without TensorFlow.

Chinese: spaces and the punctuation of both scripts are removed, and jieba's precise mode with its own dictionary
segments captions and references alike. A system's own segmentation would move CIDEr by more than most systems differ.
English: the text is lowercased and split at everything but letters, digits and apostrophes within a word.
Words are never mapped to unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from caption_tx.config import LANGUAGES, TextConfig
from caption_tx.data.text.segmentation import Segmenter, detokenize, strip_punctuation
from caption_tx.errors import ConfigError

WORDS, CHARACTERS = "words", "characters"

UNITS = {"zh": (WORDS, CHARACTERS), "en": (WORDS,)}
"""Scoring units of each language. Scores in characters are a second row and not comparable with words."""

DESCRIPTION = {
    "zh": "punctuation of both scripts and spaces removed, lowercased, both sides segmented by jieba's precise mode",
    "en": "lowercased, words of letters, digits and the apostrophes between them",
}
"""The normalization of captions and references, for readers of a report."""


@lru_cache(maxsize=1)
def _chinese_segmenter() -> Segmenter:
    return Segmenter(TextConfig(language="zh"))


def normalize(text: str, language: str) -> str:
    """A caption as text that equals another caption's exactly if their words are equal."""
    return strip_punctuation(text, language)


def join_words(words: Sequence[str], language: str) -> str:
    """Words from `tokenize_for_scoring` -> the normalized text of their caption."""
    return ("" if language == "zh" else " ").join(words)


def tokenize_for_scoring(text: str, language: str, unit: str = WORDS) -> list[str]:
    """The words or characters of a caption that are scored; [] if it has none.

    Example:
        >>> tokenize_for_scoring("A dog's ball, twice!", "en")
        ['a', "dog's", 'ball', 'twice']

    Raises:
        ConfigError: the language or unit is unknown.
    """
    if language not in LANGUAGES or unit not in UNITS[language]:
        raise ConfigError(f"Cannot score {language!r} captions in {unit}; choose from {UNITS}.")
    text = normalize(text, language)
    if unit == CHARACTERS:
        return list(text)
    return _chinese_segmenter().segment(text) if language == "zh" else text.split()


def reference_converter(text: TextConfig) -> Callable[[str], str] | None:
    """A function that converts references like the captioner's training captions; None if they were not converted.

    A captioner trained with `nfkc` or `script` writes only converted characters.

    Raises:
        ConfigError: the script conversion needs OpenCC, which is not installed.
    """
    if not text.nfkc and text.script is None:
        return None
    segmenter = Segmenter(TextConfig(language=text.language, nfkc=text.nfkc, script=text.script))
    return lambda caption: detokenize(segmenter.segment(caption), text.language)
