"""JSON entries, each with an image and its captions: their keys, their images and their captions."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from caption_tx.data.corpus.caption_values import add_captions, image_names
from caption_tx.data.corpus.column_names import caption_key, image_rank, normalize_name
from caption_tx.data.corpus.columns import DEFAULT_OPTIONS, Columns, is_file_name, select_columns
from caption_tx.data.corpus.rows import CaptionRows, UnknownSplitError
from caption_tx.errors import CorpusError

ENTRY = '{"image_id": "x.jpg", "caption": ["..", ..]}'
_CONVERSATION_KEYS = ("conversations", "conversation", "messages")
_IMAGE_TAG = re.compile(r"<img>(.*?)</img>", re.DOTALL)
_INSIDE = "image names read from the key "
_MAX_SAMPLES = 50
_MAX_SIGNATURES = 1000


class EntryReader:
    """Adds entries to rows. Entries with the same keys are read from the same keys.

    Args:
        rows: receives the captions.
        sample: entries that show what the keys contain.
    """

    def __init__(self, rows: CaptionRows, sample: list[Any]) -> None:
        self.rows = rows
        self._sample = [_expand(entry) for entry in sample[:_MAX_SAMPLES] if isinstance(entry, dict)]
        self._columns: dict[tuple[str, ...], Columns | None] = {}
        self.prefers_key = False

    def columns_of(self, entry: dict[str, Any]) -> Columns | None:
        """The keys of an expanded entry that are read, or None if it has no image or no caption.

        Raises:
            CorpusError: several keys could be the caption.
        """
        keys = tuple(entry)
        if keys not in self._columns:
            if len(self._columns) > _MAX_SIGNATURES:  # keys are data
                return None
            alike = [other for other in self._sample if tuple(other) == keys] or [entry]
            place = f"{self.rows.source}"
            self._columns[keys] = select_columns(
                keys, lambda position: [other[keys[position]] for other in alike], self.rows.options, place, "key"
            )
        return self._columns[keys]

    def _name_in(self, entry: dict[str, Any]) -> str | None:
        """The image that an expanded entry names itself, if it names one."""
        columns = self.columns_of(entry) if names_image(entry) else None
        names = image_names(list(entry.values())[columns.image]) if columns else None
        return names[0] if names and len(names) == 1 else None

    def share_name(self, entries: list[Any]) -> bool:
        """Whether all entries, at least two, name the same image, which is then none."""
        names = {self._name_in(_expand(entry)) for entry in entries if isinstance(entry, dict)}
        return len(entries) > 1 and len(names) == 1 and None not in names

    def _is_rare(self, entry: dict[str, Any]) -> bool:
        """Whether fewer than one entry in ten of the sample has the keys of an entry."""
        return 10 * sum(tuple(other) == tuple(entry) for other in self._sample) < len(self._sample)

    def has_image_and_caption(self, entry: Any) -> bool:
        """Whether the keys of an entry name its image and its captions."""
        expanded = _expand(entry) if isinstance(entry, dict) else None
        return bool(expanded) and self.columns_of(expanded) is not None

    def add(
        self, number: int, entry: Any, image: str | None = None, split: str | None = None, needs_caption: bool = False
    ) -> None:
        """Adds the captions of an entry for each of its images.

        Args:
            number: line or entry, from 1.
            entry: the parsed value.
            image: name of the image if the entry names none.
            split: split of the entry if it names none.
            needs_caption: whether an entry without a caption is an error.
        """
        rows = self.rows
        expanded = _expand(entry) if isinstance(entry, dict) else None
        other: str | None = None
        if expanded is not None and image is not None:
            inner = self._name_in(expanded)
            if inner is None:
                expanded = {"image": image, **expanded}
            elif self.prefers_key or is_file_name(image) or not is_file_name(inner):
                # A path to the same file says more than its name.
                is_same = posixpath.basename(inner) == posixpath.basename(image) and "://" not in inner
                image, other = (inner, image) if is_same else (image, inner)
            else:
                image, other = inner, image
        try:
            columns = self.columns_of(expanded) if expanded else None
        except CorpusError as error:
            if not self._is_rare(expanded or {}):
                raise
            rows.add_error(number, "several keys could be the caption", str(error).rstrip("."))
            return
        if expanded is None or columns is None:
            self._add_without_caption(number, entry, expanded, needs_caption)
            return
        cells = list(expanded.values())
        images = image_names(cells[columns.image])
        if other is not None and image is not None:
            images = [image]
            rows.add_other_name("the keys" if image != self._name_in(expanded) else "the entries", number, image, other)
        if images is None:
            message = f"expected {ENTRY}, found {str(entry)[:80]!r}; fix the entry"
            rows.add_error(number, "not an entry of image and captions", message)
            return
        try:
            named = None if columns.split is None else rows.parse_split(number, cells[columns.split])
        except UnknownSplitError:
            return
        if rows.is_rejected(columns, cells, number):
            return
        from_key = other is not None and image != self._name_in(expanded)
        rows.add_notes({text: count for text, count in columns.notes.items() if not (from_key and _INSIDE in text)})
        if len(images) > 1:
            rows.notes["captions of several images, read for each of them"] += 1
        values = [cells[position] for position in columns.captions]
        values = [value for value in values if value not in (None, "")] or values[:1]
        for value in values:
            add_captions(rows, images, value, number, named or split)

    def _add_without_caption(
        self, number: int, entry: Any, expanded: dict[str, Any] | None, needs_caption: bool
    ) -> None:
        """Skips an entry with an image only; anything else is an error."""
        if expanded and not needs_caption and names_image(expanded) and not any(map(caption_key, expanded)):
            self.rows.skip(number, "no caption")
            return
        message = f"expected {ENTRY}, found {str(entry)[:80]!r}; fix the entry"
        self.rows.add_error(number, "not an entry of image and captions", message)


def names_image(entry: Any) -> bool:
    """Whether a key of an entry, or its conversation, names its image."""
    if not isinstance(entry, dict):
        return False
    entry = _expand(entry)
    # One key stands for any caption, so that only the image decides.
    keys = [key for key in entry if not caption_key(key)]
    columns = select_columns(
        [*keys, "caption"], lambda at: [entry[key] for key in keys[at : at + 1]], DEFAULT_OPTIONS, ""
    )
    return columns is not None and columns.image < len(keys) and image_names(entry[keys[columns.image]]) is not None


def _expand(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its conversation as a caption and with the keys of nested captions as its own."""
    expanded: dict[str, Any] = {}
    for key, value in entry.items():
        if key in _CONVERSATION_KEYS and isinstance(value, list):
            expanded[key] = value
            if image := _image_of_conversation(value):
                expanded.setdefault("image", image)
        elif isinstance(value, dict) and caption_key(key) and value and all(map(_is_language_key, value)):
            expanded |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            expanded[key] = value
    if not any(image_rank(key) is not None for key in expanded):
        texts = (value for value in expanded.values() if isinstance(value, str))
        if match := next(filter(None, map(_IMAGE_TAG.search, texts)), None):
            expanded["image"] = match[1].strip()
    return expanded


def _is_language_key(key: str) -> bool:
    return normalize_name(key) not in ("raw", "caption", "text", "sentence", "value", "content", "tokens", "id")


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
