"""Texts that an earlier program read or wrote in the wrong encoding, so that their characters are lost or swapped."""

from __future__ import annotations

import re

from caption_tx.data.text.encodings import is_common_chinese

_DAMAGED = re.compile("\ufffd|ï¿½|â€|Ã[^A-Za-zÀ-ÿ\\s]|锟斤拷|^[?？\\s,，.。]*[?？]{3,}[?？\\s,，.。]*$")
_LATIN = re.compile("[\x80-\xff]{3,}")
_HAN = re.compile("[\u3400-\u9fff]")
_HIGH = re.compile("[^\x00-\x7f]")
_LATIN_RUN = re.compile("[\x80-\xffŒœŠšŽžŸƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]{6,}")
_UTF8_AS_GBK = re.compile("[涓浜鍦鐨鐫锛銆绌鍙嬪瓙嶉]")
"""Rare letters that GBK has for the first two bytes of frequent Chinese letters in UTF-8."""

_SUSPECT = re.compile("[^\x00-\x7f\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]|[涓浜鍦鐨鐫锛銆绌鍙嬪瓙嶉锟]|[?？]{3}")
"""What a text must have to be damaged or repaired; the rest of this module is not tried on others."""

_MAX_TIMES = 3


def is_damaged(text: str) -> bool:
    """Whether a text has characters that result from decoding with the wrong encoding, or is only question marks.

    Example:
        >>> [is_damaged(text) for text in ("一只锟斤拷", "????????", "un café à l'été", "真的吗？")]
        [True, True, False, False]
    """
    if _SUSPECT.search(text) is None:
        return False
    if _DAMAGED.search(text) or repair_text(text) is not None:
        return True
    if _HAN.search(text):
        return len(_UTF8_AS_GBK.findall(text)) > 1 and _was_utf8(text)
    if not _LATIN.search(text):
        return False
    redecoded = (text.encode(encoding, "ignore").decode("utf-8", "ignore") for encoding in ("latin-1", "cp1252"))
    return any(len(_HAN.findall(other)) > 1 for other in redecoded)


def repair_text(text: str) -> str | None:
    """A text that was decoded with the wrong encoding, up to three times, decoded with the right one; None for others.

    UTF-8, GBK or Big5 taken for Windows' Latin letters, UTF-8 taken for GBK, for the letters of a Mac or of DOS. The
    letters of the result must be common ones, and none may be lost.

    Example:
        >>> repair_text("Á½¸öÈË"), repair_text("ä¸¤ä¸ª"), repair_text("cafÃ©"), repair_text("un café à l'été")
        ('两个人', '两个', 'café', None)
    """
    found = None
    for _ in range(_MAX_TIMES):
        repaired = None if text.isascii() or not _SUSPECT.search(text) else _repair_once(text)
        if repaired is None:
            break
        found = text = repaired
    return found


def _repair_once(text: str) -> str | None:
    if _HAN.search(text):
        if _UTF8_AS_GBK.search(text) and (repaired := _recode(_bytes(text, "gb18030"), "utf-8")):
            return repaired
        parts = _LATIN_RUN.sub(lambda match: _recode(_bytes(match[0], "cp1252"), "utf-8") or match[0], text)
        return parts if parts != text else None
    for shown, stored in _PAIRS:
        if repaired := _recode(_bytes(text, shown), stored):
            return repaired
    return None


_PAIRS = (
    ("cp1252", "utf-8"),
    ("mac_roman", "utf-8"),
    ("cp437", "utf-8"),
    ("cp1252", "gb18030"),
    ("cp1252", "big5"),
)
"""The encoding in which a text was shown, and the one in which it was stored."""


def _bytes(text: str, encoding: str) -> bytes:
    """The bytes of a text; the bytes that code page 1252 leaves undefined are those of Latin-1. b"" if it has none."""
    if encoding != "cp1252":
        return text.encode(encoding, "ignore") if _is_encodable(text, encoding) else b""
    parts = []
    for letter in text:
        if "\x80" <= letter <= "\xff":
            parts.append(bytes([ord(letter)]))
        elif _is_encodable(letter, "cp1252"):
            parts.append(letter.encode("cp1252"))
        else:
            return b""
    return b"".join(parts)


def _is_encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    return True


def _recode(data: bytes, encoding: str) -> str | None:
    """The text of bytes if its letters are common Chinese ones, or, in UTF-8, Latin ones; None otherwise."""
    try:
        text = data.decode(encoding)
    except UnicodeError:
        return None
    han = _HAN.findall(text)
    common = sum(map(is_common_chinese, han))
    if not han:
        high = _HIGH.findall(text)
        return text if high and encoding == "utf-8" and _bytes(text, "cp1252") else None
    has_words = re.search("[A-Za-z]{2}", text) is not None
    others = len(_HIGH.findall(re.sub("[\u3000-\u303f\uff00-\uffef\u2010-\u2030·]", "", text))) - len(han)
    is_sure = 10 * common >= 9 * len(han) and others <= len(han) // 5 and (len(han) > 1 or not has_words)
    return text if is_sure and (encoding == "utf-8" or len(han) > 1) else None


def _was_utf8(text: str) -> bool:
    """Whether most of the bytes of a text in GBK are common Chinese letters in UTF-8, of which some are lost."""
    data = text.encode("gb18030", "ignore")
    letters = _HAN.findall(data.decode("utf-8", "ignore"))
    return len(letters) > 1 and 3 * sum(map(is_common_chinese, letters)) > 0.5 * len(data)
