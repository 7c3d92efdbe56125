"""Images that are written as text where a name is expected: hexadecimal digits, base64, or a list of numbers."""

from __future__ import annotations

import re
from typing import Any

_MIN_LETTERS = 64
_HEAD = 256
_HEX = re.compile(r"(?:\\x|0x)?(?:ffd8ff|89504e47|47494638|52494646)[0-9a-f]+", re.IGNORECASE)
_BASE64 = re.compile(r"(?:data:[\w/+.;=-]*,|[/_]9j[/_]|iVBORw0KGgo|R0lGOD|UklGR)\S{64,}", re.ASCII)
_REPR = re.compile(r"b['\"](?:\\xff\\xd8|\\x89PNG|GIF8|RIFF)")
_NUMBERS = re.compile(r"\[\s*(?:255,\s*216,\s*255|137,\s*80,\s*78|71,\s*73,\s*70|82,\s*73,\s*70)\s*,")


def encoded_kind(name: str) -> str | None:
    r"""How the bytes of an image are written in a text; None if it may be a name.

    Example:
        >>> encoded_kind(r"\xffd8ffe0" + 60 * "0"), encoded_kind("ffd8ff.jpg")
        ('as hexadecimal digits of its bytes, as PostgreSQL prints them', None)
    """
    head = name.strip()[:_HEAD]
    if _NUMBERS.match(head):
        return "as the numbers of its bytes"
    head = head if len(head) <= _MIN_LETTERS else "".join(head.split())
    if len(head) <= _MIN_LETTERS:
        return None
    if _HEX.fullmatch(head):
        is_dump = head.startswith("\\x")
        return "as hexadecimal digits of its bytes" + (", as PostgreSQL prints them" if is_dump else "")
    if _BASE64.match(head):
        return "in base64"
    return "as Python prints its bytes" if _REPR.match(head) else None


def number_text(value: Any) -> str | None:
    """The start of the bytes of an image in a list of numbers, or in Node's {"type": "Buffer", "data": [..]}, as text.

    Example:
        >>> number_text([137, 80, 78, 71, 13, 10]), number_text([1, 2])
        ('[137, 80, 78, 71, 13, 10]', None)
    """
    items = value.get("data") if isinstance(value, dict) and value.get("type") == "Buffer" else value
    if not isinstance(items, (list, tuple)) or not all(type(item) is int for item in items[:4]):
        return None
    text = str(list(items[:20]))
    return text if _NUMBERS.match(text) else None
