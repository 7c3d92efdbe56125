"""JSON objects whose keys are ids, such as those of Firebase: `{"x.jpg": {"-NUq1": {"text": ".."}, ..}}`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

from caption_tx.data.corpus.column_names import SPLIT_NAMES, caption_key, normalize_name
from caption_tx.data.corpus.names.name_variants import with_dot
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.mark_values import is_mark
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text
from caption_tx.errors import CorpusError

_MAX_DEPTH = 6
_MIN_SHARE = 0.7
_ID = re.compile(r"-?\w*\d\w*|[\w-]{12,}", re.ASCII)
_LONG_ID = re.compile(r"[\w-]{16,}", re.ASCII)


def read_keyed_ids(document: Any, rows: CaptionRows) -> Any:
    """The document with the captions of each image as a list where the keys of an object are ids.

    Keys are ids if they differ in every record and their objects have the same keys, one of them a caption. Captions
    that a mark such as "deleted" rejects are left out. `rows.notes` counts what was read.

    Raises:
        CorpusError: several keys of such objects could be the caption.
    """
    converter = _Converter(rows)
    converted = converter.convert(document, 0)
    if converter.used_columns:
        columns = rows.options.caption_columns
        rows.options = replace(rows.options, caption_columns=tuple(set(columns) - converter.used_columns))
    return converted


class _Converter:
    def __init__(self, rows: CaptionRows) -> None:
        self.rows = rows
        self.used_columns: set[str] = set()
        self._shared: set[str] = set()

    def convert(self, node: Any, depth: int) -> Any:
        """A node with captions instead of objects by id."""
        if depth > _MAX_DEPTH or not isinstance(node, (dict, list)):
            return node
        items = node.items() if isinstance(node, dict) else enumerate(node)
        children = {key: value for key, value in items if isinstance(value, dict) and value}
        changed: dict[Any, Any] = {}
        names = [str(key) for key in children]
        if isinstance(node, dict) and self._are_names(names, children) and self._hold_ids(list(children.values())):
            changed = {key: self._captions(value) for key, value in children.items()}
        elif len(children) > 1:
            changed = self._convert_fields(children)
        if isinstance(node, list):
            return [changed.get(at, value) for at, value in enumerate(node)] if changed else node
        found = {key: changed[key] if key in changed else self.convert(value, depth + 1) for key, value in node.items()}
        return self._without_tables(node, found)

    def _without_tables(self, node: dict[Any, Any], found: dict[Any, Any]) -> dict[Any, Any]:
        """An object without the tables beside captions by id, such as those of users."""
        if all(found[key] is node[key] for key in node):
            return node
        others = [key for key in node if found[key] is node[key] and _is_other_table(node[key])]
        if others:
            self.rows.notes[f"keys not read ({list_names(others)})"] = len(others)
        return {key: value for key, value in found.items() if key not in others}

    def _convert_fields(self, records: dict[Any, dict[str, Any]]) -> dict[Any, Any]:
        """Records with captions instead of the objects by id below one of their keys, such as `captions`."""
        first = next(iter(records.values()))
        for key in (key for key in first if caption_key(str(key)) and isinstance(first[key], dict)):
            holding = {at: item for at, item in records.items() if isinstance(item.get(key), dict) and item[key]}
            if len(holding) > 1 and self._hold_ids([item[key] for item in holding.values()]):
                return {at: {**item, key: self._captions(item[key])} for at, item in holding.items()}
        return {}

    @staticmethod
    def _are_names(names: list[str], children: dict[Any, Any]) -> bool:
        """Whether keys name images; names without a suffix count if the ids below are long."""
        if len(names) < 2 or any(name.lower() in SPLIT_NAMES for name in names):
            return False
        if 10 * sum(is_image_name(with_dot(name)) for name in names) >= 9 * len(names):
            return True
        has_digits = all(re.search(r"\d", name) for name in names)
        return has_digits and all(_LONG_ID.fullmatch(str(key)) for value in children.values() for key in value)

    def _hold_ids(self, maps: list[dict[str, Any]]) -> bool:
        """Whether the keys of objects are ids: they differ, and hold objects of one shape with a caption."""
        keys = [str(key) for item in maps for key in item]
        values = [value for item in maps for value in item.values()]
        is_list = all(map(str.isdecimal, keys))
        if not is_list and (len(set(keys)) < len(keys) or not all(map(_ID.fullmatch, keys))):
            return False
        if any(is_image_name(with_dot(key)) for key in keys) or not all(isinstance(value, dict) for value in values):
            return False
        counts = Counter(key for value in values for key in value)  # some may have a reason instead of a caption
        shared = {key for key, count in counts.items() if count >= _MIN_SHARE * len(values)}
        named = {key for key in shared if caption_key(str(key)) or key in self.rows.options.caption_columns}
        has_image = any(is_image_name(item) for value in values[:50] for item in value.values())
        self._shared = shared
        return not has_image and any(is_text(value.get(key)) for key in named for value in values[:50])

    def _captions(self, items: dict[str, dict[str, Any]]) -> list[str]:
        """The captions of one image that no mark rejects."""
        found = []
        for value in items.values():
            key = self._caption_key(value)
            marks = [(normalize_name(str(name)), mark) for name, mark in value.items()]
            if key and not self.rows.find_rejection([mark for mark in marks if is_mark(mark[0])]):
                found.append(value[key])
        self.rows.notes["captions in objects by id"] += len(found)
        return found

    def _caption_key(self, value: dict[str, Any]) -> str | None:
        """The key of an object that holds its caption."""
        named = [name for name in self.rows.options.caption_columns if name in value]
        if named:
            self.used_columns.add(named[0])
            return named[0]
        ranks = {key: found[1] for key in value if (found := caption_key(str(key))) and is_text(value[key])}
        ranks = {key: rank for key, rank in ranks.items() if key in self._shared}
        best = [key for key, rank in ranks.items() if rank == min(ranks.values())]
        if len(best) > 1:
            raise CorpusError(
                f"{self.rows.source}: {len(best)} keys could be the caption: {', '.join(best)}; choose with "
                f"caption_column (--caption-column) {best[0]}."
            )
        return best[0] if best else None


def _is_other_table(value: Any) -> bool:
    """Whether a value is an object of objects that name neither images nor captions."""
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        return False
    keys = {str(key) for item in value.values() for key in item}
    texts = (item for inner in value.values() for item in inner.values())
    return not any(is_image_name(with_dot(str(name))) for name in (*value, *texts)) and not any(map(caption_key, keys))
