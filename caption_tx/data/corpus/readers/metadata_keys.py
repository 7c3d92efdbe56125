"""Keys of JSON that are about the data: those of JSON-LD and ARB, which begin with @, notes for translators, types."""

from __future__ import annotations

from typing import Any

from caption_tx.data.corpus.column_names import image_rank
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.typed_values import TypedValues, may_have_types
from caption_tx.data.corpus.values.value_kinds import is_image_name

_KEYWORDS = frozenset((
    "@context", "@type", "@id", "@language", "@direction", "@version", "@base", "@vocab", "@index", "@reverse",
    "@import", "@nest", "@none", "@prefix", "@propagate", "@protected", "@container", "@json", "@included",
))  # fmt: skip
_MESSAGES = ("message", "string")
_ABOUT_MESSAGES = frozenset((
    "description", "developer_comment", "context", "placeholders", "character_limit", "comment", "note", "fuzzy",
))  # fmt: skip
_MAX_SHOWN = 6

NOTES = "notes for translators beside texts ({}), not read"


class MetadataKeys:
    """Leaves out keys that are about the data, and reports them in the notes of rows."""

    def __init__(self, rows: CaptionRows) -> None:
        self._rows, self._keys, self._beside = rows, dict[str, int](), dict[str, int]()
        self._types = TypedValues()

    def strip(self, node: Any) -> Any:
        """A parsed document or entry without these keys, and with the values of JSON-LD and databases in their place.

        Example:
            >>> MetadataKeys(rows).strip({"@context": "..", "@graph": [{"caption": {"@value": "狗"}}]})
            [{'caption': '狗'}]
        """
        plain = self._strip(self._types.unwrap(node))
        for database, count in (+self._types.counts).items():
            self._rows.notes[f"values with the types of {database}, read without the types"] = count
        for keys, text in (
            (self._keys, "keys that begin with @, which are no captions, not read ({})"),
            (self._beside, NOTES),
        ):
            if keys:
                shown = ", ".join(list(keys)[:_MAX_SHOWN]) + (", .." if len(keys) > _MAX_SHOWN else "")
                self._rows.notes[text.format(shown)] = sum(keys.values())
        return plain

    def _strip(self, node: Any) -> Any:
        if isinstance(node, list):
            return _by_language(node) or [self._strip(item) for item in node]
        if not isinstance(node, dict):
            return node
        for key in ("@value", "@list", "@set"):
            if key in node:
                return self._strip(node[key])
        if isinstance(node.get("@id"), str) and node.keys() <= {"@id", "@type"}:
            return node["@id"]
        names_image = any(image_rank(str(key)) is not None for key in node)
        kept = {}
        for key, value in node.items():
            is_image = key == "@id" and is_image_name(value) and not names_image
            if not is_image and (key in _KEYWORDS or _is_about(str(key), node)):
                self._keys[key] = self._keys.get(key, 0) + 1
            else:
                kept[key] = self._strip(value)
        return kept["@graph"] if kept.keys() == {"@graph"} else self._message(kept)

    def _message(self, node: dict[str, Any]) -> dict[str, Any]:
        """An entry of a file of messages with its text as the caption, without the notes for translators."""
        key = next((key for key in _MESSAGES if isinstance(node.get(key), str)), None)
        others = node.keys() - {key}
        if key is None or not others or not others <= _ABOUT_MESSAGES:
            return node
        for name in others - {"fuzzy"}:
            self._beside[name] = self._beside.get(name, 0) + 1
        return {"caption": node[key], **({"fuzzy": node["fuzzy"]} if "fuzzy" in node else {})}


def may_have_metadata(text: str) -> bool:
    """Whether JSON may have keys that are about the data."""
    return any(mark in text for mark in ('"@', "'@", '"message"', '"string"')) or may_have_types(text)


def _is_about(key: str, node: dict[Any, Any]) -> bool:
    """Whether a key is one of ARB: about the file (@@locale), or about another key (@title beside title)."""
    return key.startswith("@@") or (key.startswith("@") and key[1:] in node)


def _by_language(items: list[Any]) -> dict[str, Any] | None:
    """Values of JSON-LD in several languages as an object with a key per language; None for other lists."""
    if not items or not all(isinstance(item, dict) and "@value" in item for item in items):
        return None
    languages = [str(item.get("@language", "")) for item in items]
    if len(set(languages)) < 2 or "" in languages:
        return None
    values: dict[str, Any] = {}
    for language, item in zip(languages, items, strict=True):
        values.setdefault(language, []).append(item["@value"])
    return {language: found[0] if len(found) == 1 else found for language, found in values.items()}
