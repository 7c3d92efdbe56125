"""Recognizes the text of a chat, as WhatsApp, WeChat, QQ, Telegram and LINE export it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_DATE = r"\d{1,4}[/.年-]\d{1,2}[/.月-]\d{1,4}日?"
_TIME = r"(?:(?:上午|下午|中午|凌晨|早上|晚上)\s?)?\d{1,2}[:：]\d{2}(?:[:：]\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\.?)?"
_MESSAGES = (
    rf"\u200e?\[?{_DATE}[,，]?\s+{_TIME}(?:\]|\s[-–])\s*\S.*",  # [2024/5/3 10:10] name: text, or with a dash
    rf"(?!.*\.(?:jpe?g|png)\b)[^\s,|][^\t,|]{{0,40}}\s[(（]?{_DATE}\s+{_TIME}[)）]?[:：]?",  # name 2024-05-03 10:10:11
    rf"{_DATE}\s+{_TIME}\s+\S.{{0,40}}[)）>]",  # 2024-05-03 10:10:11 name(12345678)
    rf"\S.{{0,40}}, \[{_DATE}[,]?\s+{_TIME}\]",  # name, [03.05.2024 10:10]
    rf"{_TIME}\t[^\t]{{1,40}}\t.+",  # 10:10<TAB>name<TAB>text
)
_MESSAGE = re.compile("|".join(f"(?:{pattern})" for pattern in _MESSAGES))
_MIN_MESSAGES, _MIN_SHARE = 2, 0.2


def chat_message(lines: Sequence[str]) -> str | None:
    """The first line of a chat that begins a message; None if the lines are no chat.

    Example:
        >>> chat_message(["2024/5/3 10:10 - 李梅: a.jpg (文件附件)", "一只狗", "2024/5/3 10:12 - 王强: 好"])
        '2024/5/3 10:10 - 李梅: a.jpg (文件附件)'
    """
    filled = [line for line in lines if line.strip()]
    found = [line for line in filled if _MESSAGE.fullmatch(line.strip())]
    return found[0] if len(found) >= max(_MIN_MESSAGES, _MIN_SHARE * len(filled)) else None


def explain_chat(message: str) -> str:
    """What a chat is and what to do, for messages."""
    return (
        f"a chat, not a caption file (the line {message[:60]!r} begins a message); write the names of its images and "
        "their captions into a table with the columns image and caption, and save it as CSV"
    )
