"""Values of databases that name their types: exports of DynamoDB, MongoDB and Firestore."""

from __future__ import annotations

from collections import Counter
from typing import Any

_DYNAMO = {"S": str, "N": str, "B": str, "SS": list, "NS": list, "BS": list, "M": dict, "L": list, "BOOL": bool,
           "NULL": bool}  # fmt: skip
_MONGO = frozenset((
    "$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$uuid", "$symbol",
))  # fmt: skip
_FIRESTORE = frozenset((
    "stringValue", "integerValue", "doubleValue", "booleanValue", "nullValue", "timestampValue", "referenceValue",
    "bytesValue", "geoPointValue", "arrayValue", "mapValue",
))  # fmt: skip
_DOCUMENT = {"name", "fields", "createTime", "updateTime"}
_WRAPPERS = ({"Item"}, {"PutRequest"}, {"document"}, {"document", "readTime"})
_MARKS = ('"S"', '"L"', '"M"', '"$', 'Value"', "'S'", "'L'", "'M'", "'$", "Value'")


def may_have_types(text: str) -> bool:
    """Whether JSON may have values that name their types."""
    return any(mark in text for mark in _MARKS)


class TypedValues:
    """Replaces values that name their types by the values; `counts` has the number of them for each database.

    Example:
        >>> TypedValues().unwrap({"Item": {"caption": {"S": "a dog"}, "rejected": {"BOOL": False}}})
        {'caption': 'a dog', 'rejected': False}
        >>> TypedValues().unwrap({"_id": {"$oid": "65a1"}, "n": {"$numberInt": "3"}})
        {'_id': '65a1', 'n': 3}
        >>> TypedValues().unwrap({"fields": {"captions": {"arrayValue": {"values": [{"stringValue": "a dog"}]}}}})
        {'captions': ['a dog']}
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def unwrap(self, node: Any) -> Any:
        """A parsed document or entry without types; other values stay as they are."""
        if isinstance(node, list):
            return [self.unwrap(item) for item in node]
        if not isinstance(node, dict) or not node:
            return node
        if all(map(_is_attribute, node.values())):
            self.counts["DynamoDB"] += len(node)
            return {key: _attribute(value) for key, value in node.items()}
        fields = node.get("fields")
        if isinstance(fields, dict) and fields and node.keys() <= _DOCUMENT and all(map(_is_field, fields.values())):
            self.counts["Firestore"] += len(fields)
            return {key: _field(value) for key, value in fields.items()}
        key, value = next(iter(node.items()))
        if len(node) == 1 and key in _MONGO:
            self.counts["MongoDB"] += key not in ("$oid", "$date")  # those of every document
            return _number(self.unwrap(value), key.startswith("$number"))
        count = self.counts.total()
        plain = {key: self.unwrap(value) for key, value in node.items()}
        if self.counts.total() > count and node.keys() in _WRAPPERS and isinstance(plain[key], dict):
            return plain[key]
        return plain


def _is_attribute(value: Any) -> bool:
    """Whether a value is one of DynamoDB, such as {"S": ".."}."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(kind, inner)] = value.items()
    if not isinstance(inner, _DYNAMO.get(kind, ())):
        return False
    return all(map(_is_attribute, inner if kind == "L" else inner.values() if kind == "M" else ()))


def _attribute(value: dict[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    if kind == "L":
        return [_attribute(item) for item in inner]
    if kind == "M":
        return {key: _attribute(item) for key, item in inner.items()}
    return None if kind == "NULL" else _number(inner, kind == "N")


def _is_field(value: Any) -> bool:
    """Whether a value is one of Firestore, such as {"stringValue": ".."}."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _FIRESTORE


def _field(value: Any) -> Any:
    if not _is_field(value):
        return value
    [(kind, inner)] = value.items()
    if kind == "arrayValue":
        return [_field(item) for item in (inner or {}).get("values", [])]
    if kind == "mapValue":
        return {key: _field(item) for key, item in (inner or {}).get("fields", {}).items()}
    return _number(inner, kind == "integerValue")


def _number(value: Any, is_number: bool) -> Any:
    """A value, and instead of the text of a number the number."""
    if not is_number or not isinstance(value, str):
        return value
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            continue
    return value
