"""User dictionaries that belong to other programs: Hunspell's word lists, and settings that only name a word list."""

from __future__ import annotations

import re

_COUNT = re.compile(r"\s*(\d+)\s*(?:\r\n|\r|\n)")
_FLAGS = re.compile(r"^([^\s/]+)(/[A-Z0-9][A-Za-z0-9,]*)(?=\s|$)", re.MULTILINE)
_WORD_LIST = re.compile(r'<entry\s+key="ext_\w*dict"\s*>([^<]+)</entry>')
_HZ = re.compile(r"~\{(?:[!-}][!-~])+~\}")
_MAX_DIFFERENCE, _MIN_FLAGS = 0.2, 0.1


def strip_hunspell(text: str) -> tuple[str, list[str]]:
    r"""The text of a word list of Hunspell without its count of words and the flags of words, and a note.

    The count is about the number of words, or words have flags; other texts are returned as they are. The count stays
    as an empty line.

    Example:
        >>> strip_hunspell("2\n叉车\n传送带/SM\n")[0]
        '\n叉车\n传送带\n'
    """
    match = _COUNT.match(text)
    lines = [line for line in re.split("\r\n?|\n", text[match.end() :]) if line.strip()] if match else []
    if match is None or not lines:
        return text, []
    rest, count = _FLAGS.subn(r"\1", text[match.end() :])
    if abs(len(lines) - int(match[1])) > _MAX_DIFFERENCE * len(lines) and count < _MIN_FLAGS * len(lines):
        return text, []
    flags = f", and without flags such as {flag[2]} ({count})" if (flag := _FLAGS.search(text)) else ""
    return "\n" + rest, [f"Read as a word list of Hunspell: without its count of words, {match[1]}{flags}."]


def require_word_list(text: str) -> None:
    """Rejects XML, such as the settings of IK Analyzer, which name a word list, and text in the encoding HZ.

    Raises:
        ValueError: the text is XML or HZ; the message says what to pass.
    """
    lines = [line for line in text.splitlines() if line.strip()] if text.isascii() and "~{" in text else []
    if lines and 2 * sum(map(bool, map(_HZ.search, lines))) > len(lines):
        raise ValueError("it is in the encoding HZ (~{..~}); convert it with iconv -f HZ -t UTF-8")
    if not re.match(r"\s*<(?:\?xml|!DOCTYPE)", text):
        return
    if names := [name.strip() for found in _WORD_LIST.findall(text) for name in found.split(";") if name.strip()]:
        raise ValueError(f"it has settings of IK Analyzer, not words; pass the word list that it names: {names[0]}")
    raise ValueError("it is an XML file, not a list of words; save the words as text, one per line")
