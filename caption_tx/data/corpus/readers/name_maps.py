"""JSON objects that map image names to captions."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.corpus.column_names import caption_key
from caption_tx.data.corpus.names.name_variants import with_dot
from caption_tx.data.corpus.values.conversations import CONVERSATION_KEYS
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text


def is_name_key(key: object) -> bool:
    """Whether a key is a file name, perhaps with another sign for the dot, or has a number."""
    return is_image_name(with_dot(str(key))) or bool(re.search(r"\d", str(key)))


def maps_names(node: dict[str, Any]) -> bool:
    """Whether keys are file names, or have numbers and map to numbered captions; columns have other names."""
    if all(map(is_image_name, node)):
        return True
    numbered = (numbered_captions(value) is not value for value in node.values())
    return all(is_name_key(key) and not caption_key(str(key)) for key in node) and all(numbered)


def numbered_captions(value: Any) -> Any:
    """The captions of {"0": "..", "1": ".."} or [{"0": ".."}, ..] as a list; another value as it is.

    Example:
        >>> numbered_captions({"0": "a dog", "1": ["it runs"]}), numbered_captions({"caption": "a dog"})
        (['a dog', 'it runs'], {'caption': 'a dog'})
    """
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, dict) and item and all(map(_is_number, item)) for item in items):
        return value
    captions: list[Any] = []
    for caption in (caption for item in items for caption in item.values()):
        is_list = isinstance(caption, list) and (len(caption) == 1 or any(map(_is_sentence, caption)))
        captions += caption if is_list else [caption]
    return captions


def _is_number(key: object) -> bool:
    return str(key).strip().isdecimal()


def _is_sentence(item: object) -> bool:
    """Whether an item of a list is too long for a word."""
    return isinstance(item, str) and (" " in item.strip() or (len(item) > 6 and not item.isascii()))


def is_caption_value(value: Any) -> bool:
    """Whether a value is a caption, a list of captions, or an object with a caption."""
    if isinstance(value, dict):
        return any(caption_key(str(key)) or key in CONVERSATION_KEYS for key in value)
    if isinstance(value, list):
        return all(
            item is None or isinstance(item, (str, list)) or (isinstance(item, dict) and is_text(item))
            for item in value
        )
    return value is None or isinstance(value, str)
