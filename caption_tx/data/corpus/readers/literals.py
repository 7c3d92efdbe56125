"""JSON, and the same as Python writes it: with single quotes, None and True."""

from __future__ import annotations

import ast
import json
from typing import Any

AS_PYTHON = "lines or documents written as Python instead of JSON, which are read"
_MAX_TEXT = 50_000_000


def parse_literal(text: str) -> tuple[Any, bool]:
    """The value of JSON or of a Python dictionary or list, and whether it is Python.

    A comma after it, as between the entries of a list, is ignored.

    Raises:
        ValueError: it is neither; the message is that of the JSON parser.

    Example:
        >>> parse_literal("{'image': 'x.jpg'}"), parse_literal('{"image": "x.jpg"},')
        (({'image': 'x.jpg'}, True), ({'image': 'x.jpg'}, False))
    """
    try:
        return json.loads(text), False
    except ValueError as error:
        stripped = text.strip()
        short = stripped.removesuffix(",")
        if short != stripped and stripped[:1] == "{":
            return parse_literal(short)
        if stripped[:1] not in ("{", "[") or len(text) > _MAX_TEXT:
            raise
        try:
            return ast.literal_eval(stripped), True
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            raise error from None
