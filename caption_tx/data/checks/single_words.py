"""Captions of a single word: labels, the words of sentences, or the wrong column. No TensorFlow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from caption_tx.config import TextConfig
from caption_tx.data.corpus.formats import READERS

if TYPE_CHECKING:
    import pandas as pd

_MAX_SAMPLE = 2000
_MIN_CAPTIONS = 3
_NUM_EXAMPLES = 4
_LETTER = re.compile(r"[^\W\d_]")
_SPACED_LETTER = re.compile("[A-Za-z\u00c0-\u052f\u1e00-\u1fff\uac00-\ud7a3]")  # Latin, Greek, Cyrillic, Hangul
_HAN_WORD = re.compile("[\u3400-\u9fff]{3,4}")
_BETWEEN_WORDS = re.compile(r"[\s_\-.,;:/|，。；：、]+")
_UNREAD = re.compile(r"(?:columns|keys) not read \((.*)\)")


def single_word_warning(table: pd.DataFrame) -> str | None:
    """One line if most captions of a source are a single word, else None.

    A single word is one without spaces, and in Chinese at most two characters or one entry of jieba's dictionary. At
    most 2,000 captions of each source are looked at, evenly spaced.

    Args:
        table: of `read_corpus`.

    Example:
        >>> single_word_warning(caption_tx.read_corpus({"a.jpg": ["狗", "草地"], "b.jpg": "公交车"}))[:51]
        "warning: 100% of captions are a single word ('狗', "
    """
    files = list(table.attrs.get("files", []))
    for source, captions in table.groupby("source", sort=False, observed=True)["caption"]:
        texts = captions.tolist()
        sample = texts[:: max(1, len(texts) // _MAX_SAMPLE)]
        words = _single_words(sample)
        if len(sample) >= _MIN_CAPTIONS and 2 * len(words) > len(sample):
            place = f" in {source}" if len(files) > 1 else ""
            about = next((file for file in files if file["source"] == source), {"format": "", "notes": {}})
            examples = ", ".join(repr(word[:20]) for word in list(dict.fromkeys(words))[:_NUM_EXAMPLES])
            return (
                f"warning: {len(words) / len(sample):.0%} of captions{place} are a single word ({examples}), from "
                f"which no sentences are learned. If they are labels, pass the captions{_columns(about)}. If they are "
                "the words of sentences, write a sentence per row, or number the words of each sentence in a table "
                "with the columns image,sentence,position,word."
            )
    return None


def _columns(about: dict[str, Any]) -> str:
    """How to choose another column of a source, and those that are not read; "" if it has no columns."""
    reader = READERS.get(about["format"])
    if reader is not None and not reader.has_columns:
        return ""
    unread = ", ".join(match[1] for match in map(_UNREAD.match, about["notes"]) if match)[:200]
    return f" or name their column with caption_column (--caption-column; not read: {unread or 'none'})"


def _single_words(captions: list[str]) -> list[str]:
    """The captions that are a single word; jieba is only loaded if its entries decide."""
    plain = {text for text in captions if _is_single(text)}
    others = {text for text in captions if text not in plain and _HAN_WORD.fullmatch(text.strip(" 。"))}
    if 2 * sum(text in plain or text in others for text in captions) <= len(captions):
        return []
    if others:
        from caption_tx.data.text.segmentation import Segmenter

        segmenter = Segmenter(TextConfig(language="zh"))
        plain |= {text for text in others if len(segmenter.segment(text)) == 1}
    return [text for text in captions if text in plain]


def _is_single(text: str) -> bool:
    """Whether a caption is a word without spaces, or at most two letters of a script without spaces between words."""
    letters = _LETTER.findall(text)
    if len(letters) == sum(map(bool, map(_SPACED_LETTER.match, letters))):
        return sum(map(bool, _BETWEEN_WORDS.split(text))) == 1
    return len(letters) <= 2
