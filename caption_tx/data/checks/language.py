"""Notes about a corpus before it is used, and captions in another language than the configured one. No TensorFlow."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from caption_tx.data.checks.caption_problems import caption_problems
from caption_tx.data.checks.single_words import single_word_warning
from caption_tx.data.corpus.summary import format_notes, image_notes, missing_warning

if TYPE_CHECKING:
    import pandas as pd

MIN_SHARE = 0.2
"""A smaller share of captions in another script is not worth a warning; `corpus --check` lists them."""

_MAX_SAMPLE = 2000
_HAN_LETTER = re.compile("[\u3400-\u9fff]")
_LATIN_LETTER = re.compile("[A-Za-z]")
_KANA = re.compile("[\u3041-\u30ff]")
_NAMES = {"zh": "Chinese", "en": "English"}
_OTHERS = "only Chinese (zh) and English (en) are segmented into words"

# Words that nearly every sentence has, and that other languages lack or use less.
_COMMON_WORDS = {
    "English": "a an the of in on with is are and at to while two his her by from man woman",
    "German": "ein eine einer einem einen eines der die das dem den und auf mit im ist sind zwei über vor am an sich",
    "French": "un une des le la les et sur dans avec est sont deux du au aux qui par en",
    "Spanish": "un una unos unas el la los las en con de y sobre dos está están por del al que",
    "Italian": "un una uno il lo la gli di con e su in nel nella della due che sono una è",
    "Portuguese": "um uma uns os as em com de e na no da do dois duas que está",
    "Dutch": "een de het en op met van zijn twee voor naar aan over staat",
    "Vietnamese": "một và trên của trong đang với người là các",
    "Polish": "w na z i się jest dwa do o przez oraz",
    "Turkish": "bir ve ile üzerinde iki için bu da",
    "Indonesian": "seorang sebuah yang di dan dengan dua sedang pada",
}
_LANGUAGES_OF: dict[str, set[str]] = {}
for _language, _words in _COMMON_WORDS.items():
    for _word in _words.split():
        _LANGUAGES_OF.setdefault(_word, set()).add(_language)
_WORD = re.compile(r"[^\W\d_]+")
_SYLLABLE = (
    "(?:(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])(?:iang|iong|uang|ang|eng|ing|ong|ian|iao|uai|uan|ai|an|ao|ei|en|ia|ie|in|"
    "iu|ou|ua|ue|ui|un|uo|ve|a|e|i|o|u|v)|ang|eng|ai|an|ao|ei|en|er|ou|a|e|o)"
)
_PINYIN = re.compile(rf"{_SYLLABLE}{{1,4}}")
# Further words of English captions, titles of products and reports, without those of other languages.
_ENGLISH_WORDS = frozenset(
    f"""
    {_COMMON_WORDS["English"]} for no not its their as people person men women boy girl boys girls child
    children baby kid dog dogs cat bird horse white black red blue green yellow brown orange pink gray grey dark
    bright young old little small large big tall new two three four one some many other another wearing standing
    sitting running walking playing holding looking jumping riding eating smiling front back top side next near
    over under down up out off through behind around between water grass snow beach street road tree trees
    building house room table wall background field sky shirt dress jacket hat shoes bag car bike ball food
    flower flowers photo picture image view close style home light normal left right seen shows
    """.split()
)
_MIN_FOREIGN, _MIN_PINYIN = 0.3, 0.85
_MIN_SENTENCES, _MIN_UNLIKE = 8, 0.8
_LAST_LATIN = "\u024f"


def reading_notes(table: pd.DataFrame, language: str) -> list[str]:
    """What to say before a corpus is used: what was read differently, a wrong language, single words, missing images.

    Args:
        table: of `read_corpus`.
        language: "zh" or "en".
    """
    warnings = (language_warning(table["caption"], language), single_word_warning(table), missing_warning(table))
    return [*format_notes(table), *image_notes(table), *filter(None, warnings)]


def language_warning(captions: Sequence[str], language: str) -> str | None:
    """One line if many captions are in another script than the one of `language`, or in another language, else None.

    German, French and other languages in Latin letters are told from English by their most common words, and further
    ones by the lack of common English words.

    At most 2,000 captions are looked at, evenly spaced.

    Args:
        captions: all captions of a corpus.
        language: "zh" or "en".

    Example:
        >>> language_warning(["a dog runs", "two cats"], "zh")
        "warning: 100% of captions are not Chinese ('a dog runs', ..); set language (--language) to en."
    """
    sample = list(captions[:: max(1, len(captions) // _MAX_SAMPLE)])
    others = [text for text in sample if {"wrong_script", "kana_or_hangul"} & {*caption_problems(text, language)}]
    foreign = _latin_language(sample)
    if not others or len(others) < MIN_SHARE * len(sample):
        if language == "en" and foreign:
            name, example, share = foreign
            return f"warning: {share:.0%} of captions look {name} ({example[:30]!r}, ..); {_advice(name)}."
        return None
    other, letter = ("en", _LATIN_LETTER) if language == "zh" else ("zh", _HAN_LETTER)
    same = sum(bool(letter.search(text)) for text in others) > len(others) / 2
    if any((_HAN_LETTER if language == "zh" else _KANA).search(text) for text in others[:100]):
        same = False  # Japanese, or a mixture
    advice = f"set language (--language) to {other}" if same else _OTHERS
    if language == "zh" and foreign:
        advice = f"they look {foreign[0]}: {_advice(foreign[0])}"
    if len(others) < 0.9 * len(sample):
        advice += ", or leave them out with leave_out (--leave-out) wrong_script,kana_or_hangul"
    return (
        f"warning: {len(others) / len(sample):.0%} of captions are not {_NAMES[language]} ({others[0][:30]!r}, ..); "
        f"{advice}."
    )


def _advice(language: str) -> str:
    return "write Chinese characters" if language == "like pinyin" else _OTHERS


def _latin_language(captions: Sequence[str]) -> tuple[str, str, float] | None:
    """The language of captions in Latin letters, one of them and their share; None if few are not English."""
    words_of = [_WORD.findall(unicodedata.normalize("NFC", text).lower()) for text in captions]
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for text, words in zip(captions, words_of, strict=True):
        hits = Counter(name for word in words for name in _LANGUAGES_OF.get(word, ()))
        if hits and hits.most_common(1)[0][1] > hits["English"]:
            name = hits.most_common(1)[0][0]
            counts[name] += 1
            examples.setdefault(name, text)
    words = [word for found in words_of for word in found]
    syllables = sum(_PINYIN.fullmatch(_without_tones(word)) is not None for word in words)
    if len(words) > 2 * len(captions) and syllables >= _MIN_PINYIN * len(words):
        return "like pinyin", captions[0], syllables / len(words)
    name = counts.most_common(1)[0][0] if counts else ""
    share = counts.total() / max(len(captions), 1)
    return (name, examples[name], share) if share >= _MIN_FOREIGN else _unlike_english(captions, words_of)


def _unlike_english(captions: Sequence[str], words_of: Sequence[list[str]]) -> tuple[str, str, float] | None:
    """As `_latin_language`, if hardly a caption of some words has one that is common in English."""
    pairs = zip(captions, words_of, strict=True)
    sentences = [(text, words) for text, words in pairs if len(words) > 2 and max(text) <= _LAST_LATIN]
    found = [text for text, words in sentences if _ENGLISH_WORDS.isdisjoint(words)]
    is_most = len(sentences) >= _MIN_SENTENCES and len(found) >= _MIN_UNLIKE * len(sentences)
    share = len(found) / max(len(captions), 1)
    return ("unlike English", found[0], share) if is_most and share >= _MIN_FOREIGN else None


def _without_tones(word: str) -> str:
    text = "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))
    return text.replace("ü", "v")
