"""JSON entries as objects whose keys name the image and the captions, whatever their form."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.corpus.captions.caption_values import image_names, is_numbered
from caption_tx.data.corpus.column_names import caption_key, image_rank, normalize_name
from caption_tx.data.corpus.readers.tool_exports import is_flat, read_export
from caption_tx.data.corpus.values.conversations import (
    CONVERSATION_KEYS,
    is_conversation,
    is_turn,
    join_history,
    pair_texts,
)
from caption_tx.data.corpus.values.rich_text import rich_text
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text

_IMAGE_TAG = re.compile(r"<img>(.*?)</img>", re.DOTALL)
_NOT_KINDS = ("raw", "caption", "text", "sentence", "value", "content", "tokens", "id")
_MAX_DEPTH = 4


def expand(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its conversation as a caption and with the keys of nested captions as its own.

    Example:
        >>> expand({"image": "a.jpg", "annotations": {"human": ["a dog"]}})
        {'image': 'a.jpg', 'annotations.human': ['a dog']}
    """
    if export := read_export(entry):
        return export[0]
    expanded = dict(entry) if is_flat(entry) else _expand_values(entry)
    if not any(image_rank(key) is not None for key in expanded):
        texts = (value for value in expanded.values() if isinstance(value, str))
        if match := next(filter(None, map(_IMAGE_TAG.search, texts)), None):
            expanded["image"] = match[1].strip()
    return expanded


def _expand_values(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with the texts of its conversations and other objects in their place."""
    expanded: dict[str, Any] = {}
    for key, value in join_history(_with_plain_text(entry, 0)).items():
        if key in CONVERSATION_KEYS and isinstance(value, list):
            expanded[key] = pair_texts(value)
            if image := _image_of_conversation(value):
                expanded.setdefault("image", image)
        elif isinstance(value, dict) and (is_turn(value) or (_may_answer(key) and is_conversation([value]))):
            expanded[key] = [value]
        elif isinstance(value, dict) and caption_key(key) and _are_kinds(value):
            expanded |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            expanded[key] = value
    if not _has_caption(expanded) or not any(image_rank(key) is not None for key in expanded):
        expanded = _flatten(expanded, 0)
    return expanded


def _with_plain_text(entry: dict[str, Any], depth: int) -> dict[str, Any]:
    """An entry with rich text as text, and with the values of Notion's properties in their place."""
    plain = {}
    for key, value in entry.items():
        if not isinstance(value, (dict, list)):
            plain[key] = value
            continue
        if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] in value and depth:
            value = value[value["type"]]  # {"type": "files", "files": [..]}
        if key not in CONVERSATION_KEYS and (text := rich_text(value)) is not None:
            value = text
        elif isinstance(value, dict) and depth < _MAX_DEPTH:
            value = _with_plain_text(value, depth + 1)
        plain[key] = value
    return plain


def _may_answer(key: str) -> bool:
    return caption_key(key) is not None or key in CONVERSATION_KEYS


def _are_kinds(value: dict[str, Any]) -> bool:
    """Whether the keys of an object are kinds of captions, such as languages, each with captions of its own."""
    are_names = all(normalize_name(key) not in _NOT_KINDS for key in value)
    return bool(value) and are_names and not is_numbered(value)


def _has_caption(entry: dict[str, Any]) -> bool:
    """Whether a key with a caption's name has text."""
    return any((caption_key(key) or ("", 2))[1] < 2 and is_text(value) for key, value in entry.items())


def _flatten(entry: dict[str, Any], depth: int) -> dict[str, Any]:
    """An entry with the keys of objects that hold text or an image name as its own, joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in entry.items():
        is_image = image_rank(key) is not None and image_names(value) is not None
        is_nested = isinstance(value, dict) and not is_image and not is_numbered(value)
        if is_nested and depth < _MAX_DEPTH and _holds_text(value):
            for inner, item in _flatten(value, depth + 1).items():
                name = f"{key}.{inner}"
                is_hidden = caption_key(inner) is not None and caption_key(name) is None  # file_attributes.caption
                flat[inner if is_hidden and inner not in entry else name] = item
        else:
            flat[key] = value
    return flat


def _holds_text(value: Any, depth: int = 0) -> bool:
    """Whether a value is text or an image name, or an object or a list with one."""
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return any(_holds_text(item, depth + 1) for item in value.values())
    return is_text(value) or is_image_name(value)


def maps_to_texts(value: Any) -> bool:
    """Whether a value is an object whose values are captions, lists of them, or such objects, and whose keys no names.

    Example:
        >>> maps_to_texts({"human": ["a dog runs"]}), maps_to_texts({"human": [{"id": 1}]})
        (True, False)
    """
    if not isinstance(value, dict) or any(map(is_image_name, value)):
        return False
    return any(
        maps_to_texts(item) or (isinstance(item, (str, list)) and is_text(item) and not _has_entries(item))
        for item in value.values()
    )


def _has_entries(value: str | list[Any]) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) and "image" in item for item in value)


def _image_of_conversation(turns: list[Any]) -> str | None:
    """The image that a question names in `<img>`, or has among the parts of its content."""
    texts = [turn.get("value", turn.get("content")) for turn in turns if isinstance(turn, dict)]
    for part in (part for text in texts if isinstance(text, list) for part in text if isinstance(part, dict)):
        image = next((part[key] for key in ("image_url", "image", "path", "url") if part.get(key)), None)
        image = image.get("url") if isinstance(image, dict) else image
        if isinstance(image, str):
            return image.removeprefix("file://")
    matches = (_IMAGE_TAG.search(text) for text in texts if isinstance(text, str))
    return next((match[1].strip() for match in matches if match), None)
