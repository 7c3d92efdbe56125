"""Rich text of editors and tables, whose segments are one caption.

Feishu (Lark) writes `[{"text", "type"}]`, Notion `[{"plain_text"}]`, Slate, Lexical and Portable Text `children`,
ProseMirror and Contentful `content`, Quill `ops` of `insert`, Draft.js and Editor.js `blocks`, Slack `elements`,
Telegram strings beside `{"type", "text"}`.
"""

from __future__ import annotations

from typing import Any

# fmt: off
_INLINE = frozenset((
    "text", "url", "link", "a", "hyperlink", "mention", "mentionuser", "mentiondoc", "mentiondate", "docmention", "at",
    "user", "usermention", "equation", "emoji", "emotion", "span", "code", "hardbreak", "linebreak", "br",
    "richtextsection", "plain", "bold", "italic", "underline", "strikethrough", "textlink", "hashtag", "customemoji",
    "spoiler", "pre",
))
_BLOCKS = frozenset((
    "doc", "document", "root", "paragraph", "p", "div", "line", "heading", "header", "h1", "h2", "h3", "blockquote",
    "quote", "list", "listitem", "bulletlist", "orderedlist", "bulletedlist", "numberedlist", "li", "ul", "ol", "block",
    "unstyled", "codeblock", "callout", "richtext",
))
_FORMATS = frozenset((
    "bold", "italic", "underline", "strikethrough", "strike", "strikethru", "color", "fontcolor", "fontsize",
    "background", "backgroundcolor", "highlight", "segmentstyle", "marks", "attributes",
))
# fmt: on
_WRAPPERS = ("ops", "blocks", "root", "document", "rich_text", "elements")
_CHILDREN = ("children", "content", "elements")
_MAX_DEPTH = 12


class RichText(str):
    """The text of rich text."""


def rich_text(value: Any) -> RichText | None:
    """The text of rich text, with a line break between blocks; None for other values.

    Example:
        >>> rich_text([{"text": "一只", "type": "text"}, {"text": "狗", "type": "url", "link": "https://.."}])
        '一只狗'
        >>> rich_text({"ops": [{"insert": "a "}, {"insert": "dog", "attributes": {"bold": True}}]})
        'a dog'
        >>> rich_text([{"text": "a dog"}, {"text": "it runs"}]) is None
        True
    """
    if isinstance(value, list):
        if not any(isinstance(item, dict) for item in value):
            return None
    elif not isinstance(value, dict) or not value:
        return None
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, dict)]
    if not all(isinstance(item, (dict, str)) for item in items):
        return None
    if not _is_evident(value if isinstance(value, dict) else objects):
        return None
    text = _render(value, 0)
    return None if text is None else RichText(text.strip())


def _is_evident(value: dict[str, Any] | list[dict[str, Any]]) -> bool:
    """Whether the keys are surely those of rich text: a list of objects with text could be several captions."""
    if isinstance(value, dict):
        inner = next((value[key] for key in _WRAPPERS if key in value), None)
        if isinstance(inner, (dict, list)) and inner:
            items = inner if isinstance(inner, list) else [inner]
            return all(isinstance(item, dict) for item in items) and (
                _is_evident(inner) or "type" in items[0] or _children(items[0]) is not None
            )
        return _kind(value) in _BLOCKS and _children(value) is not None
    return any(
        isinstance(item.get("plain_text", item.get("insert")), str)
        or (_kind(item) in _INLINE | _BLOCKS and _text(item) is not None)
        or (_children(item) is not None and _render(_children(item), 1) is not None and "role" not in item)
        or ("text" in item and not _FORMATS.isdisjoint(_plain(key) for key in item))
        for item in value
    )


def _render(node: Any, depth: int) -> str | None:
    """The text of a node; None if it is no rich text."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, list):
        parts = [_render(item, depth + 1) for item in node]
        return None if not parts or None in parts else "".join(part for part in parts if part is not None)
    if isinstance(node, str) and depth == 1:  # Telegram writes plain segments as strings
        return node
    if not isinstance(node, dict) or "role" in node or "from" in node:
        return None
    for key in _WRAPPERS:
        if isinstance(node.get(key), (dict, list)) and node[key] and _kind(node) in ("", "richtext"):
            return _render(node[key], depth + 1)
    kind = _kind(node)
    if kind in ("hardbreak", "linebreak", "br"):
        return "\n"
    if (children := _children(node)) is not None:
        text = _render(children, depth + 1) if children else ""
    else:
        text = _text(node)
        text = "" if text is None and kind in _BLOCKS else text
    is_block = kind in _BLOCKS or (not kind and _children(node) is not None)
    return f"{text}\n" if text is not None and is_block and not text.endswith("\n") else text


def _children(node: dict[str, Any]) -> list[Any] | None:
    return next((node[key] for key in _CHILDREN if isinstance(node.get(key), list)), None)


def _text(node: dict[str, Any]) -> str | None:
    """The text of a segment or of a block without children."""
    if "insert" in node:  # of Quill, where an object is an image
        return node["insert"] if isinstance(node["insert"], str) else ""
    for key in ("plain_text", "text", "data", "value", "content", "name"):
        value = node.get(key)
        if isinstance(value, dict) and key in ("text", "data"):
            value = value.get("content", value.get("text"))
        if isinstance(value, str) and (key != "name" or _kind(node) in ("emoji", "emotion")):
            return value
    return None


def _kind(node: dict[str, Any]) -> str:
    kind = next((node[key] for key in ("type", "_type", "nodeType") if isinstance(node.get(key), str)), "")
    return _plain(kind)


def _plain(name: Any) -> str:
    return str(name).lower().replace("-", "").replace("_", "")
