"""Find problems in the text of a single caption. No TensorFlow."""

from __future__ import annotations

import re
from functools import lru_cache

from caption_tx.data.corpus.values.damaged_text import is_damaged
from caption_tx.data.corpus.values.missing_values import PLACEHOLDERS
from caption_tx.data.corpus.values.phrase_markup import find_markup

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_HAN_LETTER = re.compile(f"[{_HAN}]")
# The long-vowel mark and the middle dot are excluded, because Chinese text uses them too.
_KANA_OR_HANGUL = re.compile(
    "[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9f\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"
)
_LETTER = re.compile(r"[^\W\d_]")
_LATIN_LETTERS = "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a"
_LATIN_LETTER = re.compile(f"[{_LATIN_LETTERS}]")
_LATIN_WORD = re.compile(f"[{_LATIN_LETTERS}]+")

# A fast path: nearly all captions match one of these and need no further checks.
_ORDINARY = {
    "zh": re.compile("[\u4e00-\u9fff]+(?:，[\u4e00-\u9fff]+)?。?"),
    "en": re.compile(r"[A-Za-z']+(?: [A-Za-z']+)+(?:, [A-Za-z']+(?: [A-Za-z']+)*)? ?\.?"),
}

_SURROUNDING_PUNCTUATION = " .。!！?？-<>()[]（）【】\"'“”‘’"
_HTML = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--|&(?:[A-Za-z]{2,8}|#\d{1,6}|#[xX][0-9A-Fa-f]{1,6});")
_URL = re.compile(r"(?:https?|ftp)://|(?<![A-Za-z0-9.])www\.\w", re.IGNORECASE)
_FULL_URL = re.compile(rf"(?:{_URL.pattern})[!-~]*", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}", re.ASCII)
_FILE_NAME = re.compile(
    r"\S+\.(?:jpe?g|png|gif|bmp|webp|tiff?|heic|svg)"
    r"|(?:img|dscn?|dscf|pxl|mvimg|pict?|photo|image|screenshot|untitled|p|mmexport|微信图片|图片|截图)"
    r"[_ -]*\d[\d_ -]{2,}",
    re.IGNORECASE,
)
_HASHTAG = re.compile(r"(?<![A-Za-z0-9&])[#＃@][^\W\d_]\w+")
_REPEATED_LETTER = re.compile(r"([^\W\d_])\1{3}")
_REPEATED_LETTERS = re.compile(r"([^\W\d_]{2,8}?)\1{2}")
_REPEATED_WORD = re.compile(r"\b(\w+)(?:\W+\1\b){3}", re.IGNORECASE)
_TAG_SEPARATOR = re.compile("[,，、;；|]")
# fmt: off
_FUNCTION_WORDS = frozenset((
    "a", "an", "and", "are", "at", "by", "for", "from", "her", "his", "in", "into", "is", "it", "its", "on", "or",
    "over", "the", "their", "to", "up", "while", "who", "with",
))
# fmt: on

# The zero-width joiners U+200C and U+200D are excluded, because emoji sequences use them.
CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ue000-\uf8ff]"
)
"""A control, invisible or private-use character."""


def caption_problems(caption: str, language: str) -> tuple[str, ...]:
    """Returns the problems that make a caption unsuitable for training, usually none.

    A caption with only a placeholder or without letters has just that problem. Text that is damaged or is only
    a file name is not checked for its script. URLs, e-mail addresses and HTML tags are ignored when looking
    for tag lists and wrong scripts.

    Args:
        caption: the caption as it is in the file.
        language: "zh" or "en".

    Returns:
        Names from `config.CAPTION_PROBLEMS`, in that order:

        - no_letters: no letter of any script.
        - placeholder: a placeholder such as "null" or "无".
        - damaged_text: characters that result from decoding with the wrong encoding.
        - html: HTML tags or entities, or other markup such as `[b]` and `{{..}}`.
        - url, email, file_name: a web address, an e-mail address, or nothing but a file name.
        - hashtag: a hashtag or a mention.
        - repetition: the same letter or word four times in a row, or the same two to eight letters three times.
        - tag_list: a list of three or more tags.
        - kana_or_hangul: at least two kana or hangul in Chinese.
        - wrong_script: in Chinese, no Han character or more Latin words than Han characters; in English, more
          than half of the letters are not Latin.

    Example:
        >>> caption_problems("<b>a dog</b>, see https://example.org", "en")
        ('html', 'url')
    """
    if len(caption) < 25 and caption.strip(_SURROUNDING_PUNCTUATION).lower() in PLACEHOLDERS:
        return ("placeholder",)
    may_repeat = len(caption) - len(set(caption)) >= 3
    if _ORDINARY[language].fullmatch(caption) and not may_repeat:
        return ()
    if not _LETTER.search(caption):
        return ("no_letters",)
    problems, rest = _find_non_caption_text(caption)
    if may_repeat and _is_repetitive(caption):
        problems.append("repetition")
    if rest and _LETTER.search(rest):
        if _is_tag_list(rest, language):
            problems.append("tag_list")
        if script := _script_problem(rest, language):
            problems.append(script)
    return tuple(problems)


def _find_non_caption_text(caption: str) -> tuple[list[str], str]:
    """Returns the problems of text that is not part of a caption, and the rest of the text ("" if unknown)."""
    problems, rest = [], caption
    if is_damaged(caption):
        problems.append("damaged_text")
        rest = ""
    if any(sign in caption for sign in "<&[{(:*\\") and (_HTML.search(caption) or find_markup(caption)):
        problems.append("html")
        rest = _HTML.sub(" ", rest)
    if _URL.search(caption):
        problems.append("url")
        rest = _FULL_URL.sub(" ", rest)
    if "@" in caption and _EMAIL.search(caption):
        problems.append("email")
        rest = _EMAIL.sub(" ", rest)
    if _FILE_NAME.fullmatch(caption):
        problems.append("file_name")
        rest = ""
    if _HASHTAG.search(caption):
        problems.append("hashtag")
    return problems, rest


def _is_repetitive(caption: str) -> bool:
    if _REPEATED_LETTER.search(caption) or _REPEATED_LETTERS.search(caption):
        return True
    words = caption.split()
    return len(words) - len(set(words)) >= 3 and _REPEATED_WORD.search(caption) is not None


def _is_tag_list(caption: str, language: str) -> bool:
    """Returns whether it is a list of tags such as `dog, beach, blue sky`, `天空，大海，沙滩` or `1girl long_hair`."""
    if caption.count("_") >= 2 and sum("_" in word.strip("_") for word in caption.split()) >= 2:
        return True
    items = [item.strip(" .。#()（）") for item in _TAG_SEPARATOR.split(caption)]
    items = [item for item in items if item]
    if len(items) < 3:
        return False
    if language == "zh" and any(_HAN_LETTER.search(item) for item in items):
        # Numerals (一只狗) and prepositions (在海边) begin phrases, not tags.
        return all(len(item) <= 4 and item[0] not in "一两二三四几有在和是还" for item in items)
    words = [item.lower().split() for item in items]
    return all(len(item) <= 2 and _FUNCTION_WORDS.isdisjoint(item) for item in words)


def _script_problem(caption: str, language: str) -> str | None:
    if language == "zh":
        if len(_KANA_OR_HANGUL.findall(caption)) > 1:
            return "kana_or_hangul"
        han = len(_HAN_LETTER.findall(caption))
        return "wrong_script" if not han or len(_LATIN_WORD.findall(caption)) > han else None
    if caption.isascii():
        return None
    letters, latin = len(_LETTER.findall(caption)), len(_LATIN_LETTER.findall(caption))
    return "wrong_script" if letters > 2 * latin else None


@lru_cache(maxsize=1)
def han_forms() -> tuple[frozenset[str], frozenset[str]] | None:
    """Returns the characters that exist only in simplified and only in traditional Chinese; None without OpenCC.

    OpenCC also converts characters that both forms use (里, 后, 台). They are excluded with the standard character
    set of the other form (Big5 or GB 2312).
    """
    try:
        from opencc import OpenCC
    except ImportError:
        return None
    characters = [chr(code) for code in range(0x4E00, 0xA000)]
    forms = []
    for conversion, other_charset in (("s2t", "big5"), ("t2s", "gb2312")):
        converted = OpenCC(conversion).convert("\n".join(characters)).split("\n")
        pairs = zip(characters, converted, strict=True)
        forms.append(frozenset(old for old, new in pairs if old != new and not old.encode(other_charset, "ignore")))
    return forms[0] - forms[1], forms[1] - forms[0]  # OpenCC converts a few variants in both directions
