"""What is wrong with the text of one caption, told from the text alone. No TensorFlow."""

from __future__ import annotations

import re
from functools import lru_cache

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_HAN_LETTER = re.compile(f"[{_HAN}]")
# Without the long-vowel mark and the middle dot, which Chinese text borrows.
_KANA_OR_HANGUL = re.compile(
    "[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9f\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"
)
_LETTER = re.compile(r"[^\W\d_]")
_LATIN_LETTERS = "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a"
_LATIN_LETTER = re.compile(f"[{_LATIN_LETTERS}]")
_LATIN_WORD = re.compile(f"[{_LATIN_LETTERS}]+")

# What nearly every caption is, so that a million of them need few further looks.
_PLAIN = {
    "zh": re.compile("[\u4e00-\u9fff]+(?:，[\u4e00-\u9fff]+)?。?"),
    "en": re.compile(r"[A-Za-z']+(?: [A-Za-z']+)+(?:, [A-Za-z']+(?: [A-Za-z']+)*)? ?\.?"),
}

# fmt: off
_PLACEHOLDERS = frozenset((
    "caption", "description", "empty", "example", "image", "n/a", "na", "nan", "nil", "no caption", "no description",
    "no_caption", "none", "not available", "null", "picture", "placeholder", "sample", "tbd", "test", "text", "todo",
    "undefined", "unknown", "untitled", "xxx", "无", "無", "空", "暂无", "暫無", "没有", "无标题", "無標題", "未知",
    "待定", "待标注", "测试", "图片", "描述",
))
# fmt: on
_MARKS = " .。!！?？-<>()[]（）【】\"'“”‘’"
_DAMAGED = re.compile("\ufffd|ï¿½|â€|Ã[^A-Za-zÀ-ÿ\\s]|锟斤拷")
_HTML = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--|&(?:[A-Za-z]{2,8}|#\d{1,6}|#[xX][0-9A-Fa-f]{1,6});")
_URL = re.compile(r"(?:https?|ftp)://|(?<![A-Za-z0-9.])www\.\w", re.IGNORECASE)
_ADDRESS = re.compile(rf"(?:{_URL.pattern})[!-~]*", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[A-Za-z]{2,}", re.ASCII)
_FILE_NAME = re.compile(
    r"\S+\.(?:jpe?g|png|gif|bmp|webp|tiff?|heic|svg)"
    r"|(?:img|dscn?|dscf|pxl|mvimg|pict?|photo|image|screenshot|untitled|p|mmexport|微信图片|图片|截图)"
    r"[_ -]*\d[\d_ -]{2,}",
    re.IGNORECASE,
)
_HASHTAG = re.compile(r"(?<![A-Za-z0-9&])[#＃@][^\W\d_]\w+")
_SAME_LETTER = re.compile(r"([^\W\d_])\1{3}")
_SAME_LETTERS = re.compile(r"([^\W\d_]{2,8}?)\1{2}")
_SAME_WORD = re.compile(r"\b(\w+)(?:\W+\1\b){3}", re.IGNORECASE)
_ITEM_SEPARATOR = re.compile("[,，、;；|]")
# fmt: off
_SHORT_WORDS = frozenset((
    "a", "an", "and", "are", "at", "by", "for", "from", "her", "his", "in", "into", "is", "it", "its", "on", "or",
    "over", "the", "their", "to", "up", "while", "who", "with",
))
# fmt: on
FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
"""A letter or digit as wide as a Chinese character."""

# Joiners (U+200C, U+200D) hold emoji together and stay out.
CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ue000-\uf8ff]"
)
"""A control, invisible or private-use character."""


def caption_problems(caption: str, language: str) -> tuple[str, ...]:
    """All that makes a caption unfit for training, names in `config.CAPTION_PROBLEMS`; mostly none.

    Looked for are: no letter of any script in it; a placeholder such as "null" or "无";
    damaged characters (read in the wrong encoding); HTML tags or entities; a web address; an e-mail
    address; a file name; a hashtag or a mention; the same letter or word four times, or the same two to
    eight letters three times in a row; a list of three tags or more; in Chinese two kana or hangul;
    no Han letter, or fewer than Latin words, in Chinese; more letters of other scripts than Latin ones
    in English. Where all of a caption is a placeholder or a file name, or damaged, its script says nothing
    more; nor do tags and addresses count in a list or as Latin words.

    Args:
        caption: as it stands in the file; language: "zh" or "en".
    """
    if len(caption) < 25 and caption.strip(_MARKS).lower() in _PLACEHOLDERS:
        return ("placeholder",)
    repeats = len(caption) - len(set(caption)) >= 3
    if _PLAIN[language].fullmatch(caption) and not repeats:
        return ()
    if not _LETTER.search(caption):
        return ("no_letters",)
    problems, rest = _foreign_text(caption)
    if repeats and _repeats(caption):
        problems.append("repetition")
    if rest and _LETTER.search(rest):
        if _is_tag_list(rest, language):
            problems.append("tag_list")
        if script := _script_problem(rest, language):
            problems.append(script)
    return tuple(problems)


def _foreign_text(caption: str) -> tuple[list[str], str]:
    """What was not written as a caption, and the rest, "" where it cannot be told."""
    problems, rest = [], caption
    if _DAMAGED.search(caption):
        problems.append("damaged_text")
        rest = ""
    if ("<" in caption or "&" in caption) and _HTML.search(caption):
        problems.append("html")
        rest = _HTML.sub(" ", rest)
    if _URL.search(caption):
        problems.append("url")
        rest = _ADDRESS.sub(" ", rest)
    if "@" in caption and _EMAIL.search(caption):
        problems.append("email")
        rest = _EMAIL.sub(" ", rest)
    if _FILE_NAME.fullmatch(caption):
        problems.append("file_name")
        rest = ""
    if _HASHTAG.search(caption):
        problems.append("hashtag")
    return problems, rest


def _repeats(caption: str) -> bool:
    if _SAME_LETTER.search(caption) or _SAME_LETTERS.search(caption):
        return True
    words = caption.split()
    return len(words) - len(set(words)) >= 3 and _SAME_WORD.search(caption) is not None


def _is_tag_list(caption: str, language: str) -> bool:
    """Whether it names things without a sentence: `dog, beach, blue sky`, `天空，大海，沙滩`, `1girl long_hair`."""
    if caption.count("_") >= 2 and sum("_" in word.strip("_") for word in caption.split()) >= 2:
        return True
    items = [item.strip(" .。#()（）") for item in _ITEM_SEPARATOR.split(caption)]
    items = [item for item in items if item]
    if len(items) < 3:
        return False
    if language == "zh" and any(_HAN_LETTER.search(item) for item in items):
        # A counted thing (一只狗) or a position (在海边) begins a phrase, not a tag.
        return all(len(item) <= 4 and item[0] not in "一两二三四几有在和是还" for item in items)
    words = [item.lower().split() for item in items]
    return all(len(item) <= 2 and _SHORT_WORDS.isdisjoint(item) for item in words)


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
    """Letters that exist only in simplified, and only in traditional Chinese; None without OpenCC.

    OpenCC also changes letters that belong to both (里, 后, 台), which the standard character sets of the
    other side (Big5, GB 2312) hold.
    """
    try:
        from opencc import OpenCC
    except ImportError:
        return None
    letters = [chr(code) for code in range(0x4E00, 0xA000)]
    forms = []
    for reference_converter, other in (("s2t", "big5"), ("t2s", "gb2312")):
        changed = OpenCC(reference_converter).convert("\n".join(letters)).split("\n")
        pairs = zip(letters, changed, strict=True)
        forms.append(frozenset(a for a, b in pairs if a != b and not a.encode(other, "ignore")))
    return forms[0] - forms[1], forms[1] - forms[0]  # a few variants are changed both ways
