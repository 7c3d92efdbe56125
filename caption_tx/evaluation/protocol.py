"""How captions are normalized and tokenized before scoring, the same for every system, without TensorFlow.

jieba       Chinese: spaces and the punctuation of both scripts are removed, and jieba's precise mode with its own
            dictionary segments captions and references alike. A system's own segmentation would move CIDEr by more
            than most systems differ. A second row scores characters.
characters  Chinese: the characters of the same text, as the only row.
spaces      words are separated by spaces already, as in corpora that were published segmented.
english     lowercased and split at everything but letters, digits and apostrophes within a word.

Words are never mapped to unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from caption_tx.config import LANGUAGES, TextConfig
from caption_tx.data.text.segmentation import Segmenter, detokenize, strip_punctuation
from caption_tx.errors import ConfigError

JIEBA, CHARACTERS, SPACES, ENGLISH = "jieba", "characters", "spaces", "english"
WORDS = "words"

SEGMENTATIONS = {"zh": (JIEBA, CHARACTERS, SPACES), "en": (ENGLISH, SPACES)}
"""Segmentations of each language, the default first. Scores of different segmentations are not comparable."""

_DESCRIPTIONS = {
    JIEBA: "punctuation of both scripts and spaces removed, lowercased, both sides segmented by jieba's precise mode",
    CHARACTERS: "punctuation of both scripts and spaces removed, lowercased, split into characters",
    SPACES: "lowercased, words as they are separated by spaces, without the punctuation that MS COCO's tokenizer drops",
    ENGLISH: "lowercased, words of letters, digits and the apostrophes between them",
}

# What the Penn Treebank tokenizer and the list of punctuation of MS COCO's evaluation do to segmented captions: quotes,
# dashes and ellipses disappear, other signs are words of their own, and marks at the end of a word are dropped. The
# full-width comma and full stop stay.
_DROPPED = re.compile('["`\u201c\u201d\u2018\u2019\u300a\u300b\u3010\u3011\u2026\u2014\ufe50]|--+|\\.\\.+')
_SIGNS = re.compile("[\uff0c\u3002\u3001\uff1f\uff01\uff1a\uff1b\uff08\uff09\u00b7\uff05\uff5e\uffe5()\\[\\]{}%&+~$#@]")
_MARKS = ".,;:?!'-"


@lru_cache(maxsize=1)
def _chinese_segmenter() -> Segmenter:
    return Segmenter(TextConfig(language="zh"))


@dataclass(frozen=True)
class Protocol:
    """A language and a segmentation, by default the first that `SEGMENTATIONS` lists for the language.

    Raises:
        ConfigError: the language is unknown or does not have the segmentation.

    Example:
        >>> Protocol("zh", "spaces").tokenize("一 只 狗 , 在 跑")
        ['一', '只', '狗', '在', '跑']
    """

    language: str = "zh"
    segmentation: str = ""

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ConfigError(f"Cannot score captions in language {self.language!r}; known: {', '.join(LANGUAGES)}.")
        known = SEGMENTATIONS[self.language]
        if not self.segmentation:
            object.__setattr__(self, "segmentation", known[0])
        if self.segmentation not in known:
            raise ConfigError(
                f"Cannot score '{self.language}' captions in segmentation '{self.segmentation}'; choose one of "
                f"{', '.join(known)}."
            )

    @classmethod
    def of(cls, language: str | Protocol) -> Protocol:
        """A protocol, or the default one of a language."""
        return language if isinstance(language, Protocol) else cls(language)

    @property
    def unit(self) -> str:
        """What is compared: "words" or "characters"."""
        return CHARACTERS if self.segmentation == CHARACTERS else WORDS

    @property
    def label(self) -> str:
        """Names the rows of a table of scores, for example "words/jieba"."""
        return self.unit if self.unit == CHARACTERS else f"{WORDS}/{self.segmentation}"

    @property
    def description(self) -> str:
        """What is done to captions and references, for readers of a report."""
        return _DESCRIPTIONS[self.segmentation]

    def others(self) -> tuple[Protocol, ...]:
        """Protocols of further rows."""
        return (Protocol(self.language, CHARACTERS),) if self.segmentation == JIEBA else ()

    def tokenize(self, text: str) -> list[str]:
        """The words or characters of a caption that are scored; [] if it has none."""
        if self.segmentation == SPACES:
            return _split_at_spaces(text)
        text = strip_punctuation(text, self.language)
        if self.segmentation == CHARACTERS:
            return list(text)
        return _chinese_segmenter().segment(text) if self.segmentation == JIEBA else text.split()

    def join(self, words: Sequence[str]) -> str:
        """What `tokenize` returned -> the normalized text."""
        return ("" if self.segmentation in (JIEBA, CHARACTERS) else " ").join(words)

    def normalize(self, text: str) -> str:
        """A caption as text that equals another caption's exactly if their words are equal."""
        if self.segmentation == SPACES:
            return self.join(self.tokenize(text))
        return strip_punctuation(text, self.language)

    def converter(self, text: TextConfig) -> Callable[[str], str] | None:
        """As `reference_converter`; spaces between words stay if they separate the words that are scored."""
        convert = reference_converter(text)
        if convert is None or self.segmentation != SPACES:
            return convert
        return lambda caption: " ".join(convert(word) or word for word in caption.split())


def _split_at_spaces(text: str) -> list[str]:
    words = _SIGNS.sub(r" \g<0> ", _DROPPED.sub(" ", text.lower())).split()
    return [word for word in (word.strip(_MARKS) for word in words) if word]


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
