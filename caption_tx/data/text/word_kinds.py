"""Content words, which name something that an image can show, and function words, which do not."""

from __future__ import annotations

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError

FUNCTION_WORDS = {
    "zh": frozenset("的地得着了过在是有和与跟从向往对把被给用到上下里中前后旁而并正也都一这那其他她它只个们")
    | {numeral + measure for numeral in "一两三四几" for measure in "个只条群些位名张块片件辆座对起"}
    | {side + suffix for side in "上下里前后旁" for suffix in "面边"}
    | {"很多", "许多", "他们", "正在", "之间", "起来", "下来", "出来"},
    "en": frozenset({
        "a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "by", "with", "from", "into", "onto", "over",
        "under", "through", "up", "down", "out", "off", "along", "across", "near", "around", "behind", "beside",
        "between", "front", "is", "are", "was", "were", "be", "being", "has", "have", "it", "its", "his", "her",
        "their", "them", "he", "she", "they", "that", "this", "there", "while", "as", "for", "some", "one", "two",
        "three", "other", "another", "who", "which", "top", "side",
    }),
}  # fmt: skip
"""Words that name nothing visible; all other words are content words."""


def is_content_word(word: str, language: str) -> bool:
    """Whether a word names something that an image can show.

    Raises:
        ConfigError: the language is unknown.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}.")
    return word not in FUNCTION_WORDS[language]
