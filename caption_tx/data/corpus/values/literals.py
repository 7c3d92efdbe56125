"""JSON, and the same as Python writes it: with single quotes, None and True."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

_FENCE = re.compile(r"\s*```[\w-]*\s*\n?(.*?)\s*```\s*", re.DOTALL)
_COMMENTS = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMAS = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[\]}])', re.DOTALL)
_SPACE = re.compile(r"\s*")

RELAXED = "JSON with comments or with commas after the last entry, both ignored"
TWICE = "JSON inside a string of JSON, which is read"
AS_PYTHON = "lines or documents written as Python instead of JSON, which are read"
_MAX_TEXT = 50_000_000


def load_document(text: str, convert: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[Any, dict[str, int]]:
    """The value of a file of JSON, and notes about what is around it; see `load_json`."""
    notes = {}
    if (inner := strip_fence(text)) != text:
        notes["code block (```) in the file, whose content is read"] = 1
    try:
        document = load_json(inner, convert)
    except ValueError as error:
        if len(inner) > _MAX_TEXT or (relaxed := without_comments(inner)) == inner:
            raise
        try:
            inner, document = relaxed, load_json(relaxed, convert)
        except ValueError:
            raise error from None
        notes[RELAXED] = 1
    if isinstance(document, str) and document.lstrip()[:1] in ("{", "["):
        notes[TWICE] = 1
        inner, document = document, load_json(document, convert)
    if isinstance(document, list) and inner.lstrip()[:1] == "{":
        notes["JSON documents one after the other in the file, read as one list"] = len(document)
    return document, notes


def without_comments(text: str) -> str:
    """JSON without comments, and without commas after the last entry of a list or an object.

    Example:
        >>> without_comments('{"a": "x // y",} // z')
        '{"a": "x // y"} '
    """
    for pattern in (_COMMENTS, _LAST_COMMAS):
        text = pattern.sub(lambda match: match[1] or "", text)
    return text


def strip_fence(text: str) -> str:
    """The content of a code block of Markdown, in which models answer; other texts as they are.

    Example:
        >>> strip_fence('```json\\n{"caption": "a dog"}\\n```')
        '{"caption": "a dog"}'
    """
    match = _FENCE.fullmatch(text) if "```" in text else None
    return match[1] if match else text


class Repeated(list):
    """The values of a key that an object repeats: Python's parser would keep only the last."""


def join_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of keys and values, with the different values of a repeated key as a `Repeated` list."""
    value = dict(pairs)
    for key in value if len(value) < len(pairs) else ():
        items = [item for name, item in pairs if name == key]
        different = [item for at, item in enumerate(items) if item not in items[:at]]
        if len(different) > 1:
            lists = [item if isinstance(item, list) else [item] for item in different]
            value[key] = Repeated(item for inner in lists for item in inner)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=join_pairs)


def load_json(text: str, convert: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Any:
    """The value of JSON, with the different values of a repeated key as a `Repeated` list.

    Args:
        text: one document, or several documents one after the other, which become a list.
        convert: changes each object.

    Raises:
        ValueError: it is no JSON.

    Example:
        >>> load_json('{"caption": "a", "caption": "b"}'), load_json('{"a": 1} {"b": 2}')
        ({'caption': ['a', 'b']}, [{'a': 1}, {'b': 2}])
    """

    decoder = _DECODER
    if convert is not None:
        decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: convert(join_pairs(pairs)))
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        documents, position = [], 0
        while position < len(text):
            document, end = decoder.raw_decode(text, position)
            documents.append(document)
            space = _SPACE.match(text, end)
            position = space.end() if space else end
        if not all(isinstance(document, dict) for document in documents):
            raise error
        return documents


def parse_literal(text: str) -> tuple[Any, bool]:
    """The value of JSON or of a Python dictionary or list, and whether it is Python.

    A comma after it, as between the entries of a list, is ignored. Numbers and bytes that are keys become text.

    Raises:
        ValueError: it is neither; the message is that of the JSON parser.

    Example:
        >>> parse_literal("{'image': 'x.jpg'}"), parse_literal('{"image": "x.jpg"},')
        (({'image': 'x.jpg'}, True), ({'image': 'x.jpg'}, False))
    """
    try:
        return load_json(text), False
    except ValueError as error:
        stripped = text.strip()
        short = stripped.removesuffix(",")
        if short != stripped and stripped[:1] == "{":
            return parse_literal(short)
        if stripped[:1] not in ("{", "[") or len(text) > _MAX_TEXT:
            raise
        try:
            return _with_text_keys(ast.literal_eval(stripped)), True
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            raise error from None


def _with_text_keys(value: Any) -> Any:
    """The value of a Python literal with the keys that JSON would have."""
    if isinstance(value, dict):
        named = {_text_key(key): _with_text_keys(item) for key, item in value.items()}
        if len(named) < len(value):
            raise ValueError("two keys are the same text")
        return named
    return type(value)(map(_with_text_keys, value)) if isinstance(value, (list, tuple)) else value


def _text_key(key: Any) -> str:
    if isinstance(key, (str, bytes)):
        return key.decode() if isinstance(key, bytes) else key
    if isinstance(key, (int, float)) and not isinstance(key, bool):
        return str(key)
    raise ValueError(f"{key!r} is no name")
