"""What of a caption is compared: the same words, cut in the same way, whoever wrote it. No TensorFlow.

Chinese loses spaces and the punctuation of both scripts, and is cut into words by jieba's precise mode with
its own dictionary, the system's captions as the references: the words that a system itself works in would
move CIDEr by more than most systems differ. English is lowercased, and whatever is no letter, digit or
apostrophe within a word separates words. No word is ever mapped to unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from caption_tx.config import LANGUAGES, TextConfig
from caption_tx.data.text.segmentation import Segmenter, detokenize, strip_punctuation
from caption_tx.errors import ConfigError

WORDS, CHARACTERS = "words", "characters"

UNITS = {"zh": (WORDS, CHARACTERS), "en": (WORDS,)}
"""What captions of a language are scored in; characters are a second row, never compared with words."""

DESCRIPTION = {
    "zh": "punctuation of both scripts and spaces removed, lowercased, both sides cut by jieba's precise mode",
    "en": "lowercased, words of letters, digits and the apostrophes between them",
}
"""What is done to hypotheses and references alike, for the reader of a report."""


@lru_cache(maxsize=1)
def _chinese() -> Segmenter:
    return Segmenter(TextConfig(language="zh"))


def plain(text: str, language: str) -> str:
    """A caption as one text that equals another's exactly where their words do."""
    return strip_punctuation(text, language)


def joined(words: Sequence[str], language: str) -> str:
    """Words as `cut` gives them -> the text that `plain` makes of their caption."""
    return ("" if language == "zh" else " ").join(words)


def cut(text: str, language: str, unit: str = WORDS) -> list[str]:
    """The words, or the characters, of a caption that are compared; [] where it holds none.

    Raises:
        ConfigError: captions of this language are not scored, or not in this unit.
    """
    if language not in LANGUAGES or unit not in UNITS[language]:
        raise ConfigError(f"Captions are scored in {UNITS}, not {language!r} in {unit}.")
    text = plain(text, language)
    if unit == CHARACTERS:
        return list(text)
    return _chinese().segment(text) if language == "zh" else text.split()


def reference_converter(text: TextConfig) -> Callable[[str], str] | None:
    """What brings a reference into the letters that a captioner of these settings writes, or None.

    A captioner that was trained with `nfkc` or a `script` knows no other forms; the references are converted
    as its training captions were.

    Raises:
        ConfigError: the script needs OpenCC, which is not there.
    """
    if not text.nfkc and text.script is None:
        return None
    segmenter = Segmenter(TextConfig(language=text.language, nfkc=text.nfkc, script=text.script))
    return lambda caption: detokenize(segmenter.segment(caption), text.language)
