"""Warn about captions in another language than the configured one. No TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Sequence

from caption_tx.data.checks.caption_problems import caption_problems

MIN_SHARE = 0.2
"""A smaller share of captions in another script is not worth a warning; `corpus --check` lists them."""

_MAX_SAMPLE = 2000
_HAN_LETTER = re.compile("[\u3400-\u9fff]")
_LATIN_LETTER = re.compile("[A-Za-z]")
_NAMES = {"zh": "Chinese", "en": "English"}


def language_warning(captions: Sequence[str], language: str) -> str | None:
    """One line if many captions are in another script than the one of `language`, else None.

    At most 2,000 captions are looked at, evenly spaced.

    Args:
        captions: all captions of a corpus.
        language: "zh" or "en".

    Example:
        >>> language_warning(["a dog runs", "two cats"], "zh")
        "warning: 100% of captions are not Chinese ('a dog runs', ..); pass --language en."
    """
    sample = list(captions[:: max(1, len(captions) // _MAX_SAMPLE)])
    others = [text for text in sample if {"wrong_script", "kana_or_hangul"} & {*caption_problems(text, language)}]
    if not others or len(others) < MIN_SHARE * len(sample):
        return None
    other, letter = ("en", _LATIN_LETTER) if language == "zh" else ("zh", _HAN_LETTER)
    same = sum(bool(letter.search(text)) for text in others) > len(others) / 2
    if language == "zh" and any(_HAN_LETTER.search(text) for text in others[:100]):
        same = False  # Japanese, or a mixture
    advice = f"pass --language {other}" if same else "only Chinese (zh) and English (en) are segmented into words"
    if len(others) < 0.9 * len(sample):
        advice += ", or leave them out with --leave-out wrong_script,kana_or_hangul"
    return (
        f"warning: {len(others) / len(sample):.0%} of captions are not {_NAMES[language]} ({others[0][:30]!r}, ..); "
        f"{advice}."
    )
