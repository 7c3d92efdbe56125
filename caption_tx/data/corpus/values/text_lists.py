"""Lists that are written as text, by programs in JSON, Python, NumPy, R or Scala."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

_ARRAY = re.compile(r"(?:np\.|numpy\.)?array\((.*?)(?:,\s*dtype=[^)]*)?\)", re.DOTALL)
_CALL = re.compile(r"(?:c|[Ll]ist|tuple|(?:frozen)?set|Set|Vector|Array|ArrayBuffer|WrappedArray)\((.*)\)", re.DOTALL)
_NUMPY_ITEMS = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_PAIR = re.compile(r"\bpair\((?=['\"])")  # how jieba shows a word and its tag
_MAX_LIST_TEXT = 100_000


def parse_list(text: str) -> list[Any] | None:
    """The items of a list that is written as text (JSON, Python, NumPy, R or Scala), or None.

    Example:
        >>> parse_list("['a dog', 'it runs']"), parse_list("[a dog]")
        (['a dog', 'it runs'], None)
    """
    text = text.strip()
    if text[-1:] not in "])}":  # also true for the empty text: nearly every caption ends here
        return None
    if match := _ARRAY.fullmatch(text):
        text = match[1].strip()
    elif match := _CALL.fullmatch(text):  # of R, or a class of Python or Scala
        text = match[1].strip()
        text = text if text[:1] in ("[", "(", "{") else f"[{text}]"
    if len(text) < 2 or len(text) > _MAX_LIST_TEXT or (text[0], text[-1]) not in (("[", "]"), ("(", ")"), ("{", "}")):
        return None
    text = _PAIR.sub("(", text)
    inner = text[1:-1].strip()
    if not inner or inner[0] not in "\"'[({":
        return None
    value: Any = None
    for parse in (json.loads, _parse_python):
        try:
            value = parse(text)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    items = _NUMPY_ITEMS.findall(inner)
    rest = _NUMPY_ITEMS.sub("", inner).strip()
    if not rest and len(items) > 1 and text[0] == "[":  # NumPy writes no commas, so Python joins the strings
        value = [first or second for first, second in items]
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list) and is_scored(value):
        return value
    is_list = isinstance(value, list) and all(_is_item(item) for item in value)
    return value if is_list and any(item == item and item is not None for item in value) else None


def _is_item(item: Any) -> bool:
    """Whether an item may be a caption; None and NaN stand for missing ones."""
    return item is None or item != item or isinstance(item, (str, list, dict, tuple))


def _parse_python(text: str) -> Any:
    """The value of a Python literal, with None for nan; the items of a set keep their order."""
    node = _WithoutNan().visit(ast.parse(text, mode="eval")).body
    return [ast.literal_eval(item) for item in node.elts] if isinstance(node, ast.Set) else ast.literal_eval(node)


class _WithoutNan(ast.NodeTransformer):
    """Replaces nan, as NumPy and pandas write missing values, by None."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None) if node.id in ("nan", "NaN", "null", "NA") else node


def parse_items(value: Any) -> list[Any] | None:
    """The items of a list of any values, which may be written as text; None for other values.

    Example:
        >>> parse_items("[true, false]"), parse_items(["a"]), parse_items("a")
        ([True, False], ['a'], None)
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str) or (value.strip()[:1], value.strip()[-1:]) != ("[", "]"):
        return None
    for parse in (json.loads, _parse_python):
        try:
            items = parse(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return items if isinstance(items, list) else None
    return None


def is_scored(items: Sequence[Any]) -> bool:
    """Whether a value is a caption and its score, such as ["a dog", 0.93]."""
    return len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], float) and items[1] == items[1]
