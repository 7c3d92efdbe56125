"""Recognizes JSON documents and JSON Lines by the start of a file."""

from __future__ import annotations

import re
from typing import Any

from caption_tx.data.corpus.column_names import IMAGE_WORDS
from caption_tx.data.corpus.file_text.file_head import FileHead
from caption_tx.data.corpus.readers.json_entries import names_image
from caption_tx.data.corpus.values.literals import parse_literal
from caption_tx.data.corpus.values.value_kinds import is_image_name


def is_list_head(head: str) -> bool:
    """Whether a file starts with a list of entries that name an image."""
    keys = [f'"{name}"' for name in IMAGE_WORDS]
    return head.lstrip().startswith("[") and '"caption' in head and any(key in head for key in keys)


def is_coco_head(head: str) -> bool:
    """Whether a file starts with images or annotations of COCO; the start of a large file shows only one of them."""
    if not head.lstrip().startswith("{") or '"sentences"' in head:
        return False
    return ('"images"' in head and '"file_name"' in head) or ('"annotations"' in head and '"image_id"' in head)


def is_karpathy_head(head: str) -> bool:
    """Whether a file starts with an object of images that have sentences."""
    return head.lstrip().startswith("{") and '"images"' in head and '"sentences"' in head


def is_json_head(head: str) -> bool:
    """Whether a file starts like a JSON document."""
    return re.match(r"\s*(?:\{\s*[\"'}]|\[\s*[\[{\]])", head) is not None


def is_jsonl(head: FileHead) -> bool:
    """Whether lines are objects that name an image; a single object in a .json file is a document."""
    if len(head.lines) == 1 and head.path.suffix.lower() == ".json":
        return False
    return head.mostly(_is_jsonl_line) or (
        len(head.lines) > 1 and head.mostly(lambda line: isinstance(parse_line(line), dict))
    )


def _is_jsonl_line(line: str) -> bool:
    entry = parse_line(line) if line.lstrip().startswith("{") else None
    return isinstance(entry, dict) and len(entry) > 0 and (names_image(entry) or all(map(is_image_name, entry)))


def parse_line(line: str) -> Any:
    """The value of a line of JSON or Python; None if it is neither."""
    try:
        return parse_literal(line)[0]
    except (ValueError, RecursionError):
        return None
