"""Texts that an earlier program read or wrote in the wrong encoding, so that their characters are lost or swapped."""

from __future__ import annotations

import re

_DAMAGED = re.compile("\ufffd|ï¿½|â€|Ã[^A-Za-zÀ-ÿ\\s]|锟斤拷|^[?？\\s,，.。]*[?？]{3,}[?？\\s,，.。]*$")
_LATIN = re.compile("[\x80-\xff]{3,}")
_HAN = re.compile("[\u3400-\u9fff]")


def is_damaged(text: str) -> bool:
    """Whether a text has characters that result from decoding with the wrong encoding, or is only question marks.

    Example:
        >>> [is_damaged(text) for text in ("一只锟斤拷", "????????", "un café à l'été", "真的吗？")]
        [True, True, False, False]
    """
    if _DAMAGED.search(text):
        return True
    if not _LATIN.search(text) or _HAN.search(text):
        return False
    redecoded = (text.encode(encoding, "ignore").decode("utf-8", "ignore") for encoding in ("latin-1", "cp1252"))
    return any(len(_HAN.findall(other)) > 1 for other in redecoded)
