"""JSON entries, each with an image and its captions: their keys, their images and their captions."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any

from caption_tx.data.corpus.captions.accepted_captions import accepted_captions
from caption_tx.data.corpus.captions.caption_values import add_captions, image_names
from caption_tx.data.corpus.captions.word_rows import WordKeys, record_word
from caption_tx.data.corpus.column_names import caption_key, image_rank, normalize_name
from caption_tx.data.corpus.names.folder_names import record_folder
from caption_tx.data.corpus.readers.caption_keys import (
    CaptionKeys,
    advise_texts,
    count_captions,
    prefer_main,
    present_columns,
    texts_first,
)
from caption_tx.data.corpus.readers.entry_forms import expand
from caption_tx.data.corpus.readers.tool_exports import is_message, is_request, read_export
from caption_tx.data.corpus.rows import CaptionRows, UnknownSplitError
from caption_tx.data.corpus.tables.columns import DEFAULT_OPTIONS, Columns, ReadOptions, select_columns
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import first_name, is_file_name, is_image_name, is_text
from caption_tx.errors import CorpusError

ENTRY = '{"image_id": "x.jpg", "caption": ["..", ..]}'
_REQUEST = "it is a request to a model, without an answer; pass the file of the answers that belongs to these requests"
_UNREAD = "entries without a caption that have other keys with text, which are not read"
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
        # Entries without a caption, such as failed ones, may all come first.
        ends = sample if len(sample) <= 2 * _MAX_SAMPLES else [*sample[:_MAX_SAMPLES], *sample[-_MAX_SAMPLES:]]
        self._sample = [expand(entry) for entry in ends if isinstance(entry, dict)]
        if word_keys := WordKeys.find(self._sample):
            self._sample = list(map(word_keys.join, self._sample))
        self._word_keys = word_keys
        self._columns: dict[tuple[str, ...], Columns | None] = {}
        self._captions: CaptionKeys | None = None
        self._unread: list[str] = []
        self._has_images: bool | None = None
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
            known = map(_has_known_key, self._sample)
            if not _has_known_key(entry) and any(known) and not self.rows.options.caption_columns:
                self._columns[keys] = None  # such as a line about the file before its entries
                return None
            if not self.rows.options.image_column and not _has_image(entry) and any(map(_names_image, self._sample)):
                self._columns[keys] = None  # such as a message without a photo, whose id is no image
                return None
            self._columns[keys] = self._choose(entry)
        return self._columns[keys]

    def _select(self, entry: dict[str, Any], options: ReadOptions) -> Columns | None:
        """The keys of an expanded entry that are read, from its names and the values of entries like it."""
        keys = tuple(entry)
        alike = [other for other in self._sample if tuple(other) == keys] or [entry]
        return select_columns(
            keys, lambda position: [other[keys[position]] for other in alike], options, f"{self.rows.source}", "key"
        )

    def _choose(self, entry: dict[str, Any]) -> Columns | None:
        """The keys that are read; None if the entry lacks the captions that others have, whatever else it has."""
        options = self.rows.options
        if options.caption_columns:
            present = present_columns(entry, self._sample, options)
            if present is not None:
                return self._select(entry, replace(options, caption_columns=present)) if present else None
            return self._select(entry, options)
        captions = self._count_captions()
        try:
            columns = self._select(entry, options)
        except CorpusError:
            preferred = prefer_main(entry, captions, options)
            if preferred is None and (captions.main is None or not _names_image(entry)):
                raise
            return None if preferred is None else self._select(entry, preferred)
        if columns is None or captions.holds_caption(list(entry)[columns.captions[0]]):
            return columns
        preferred = prefer_main(entry, captions, options)
        return None if preferred is None else self._select(entry, preferred)

    def _count_captions(self) -> CaptionKeys:
        if self._captions is None:
            self._captions = count_captions(self._sample, self._select, self.rows.options)
        return self._captions

    def _name_in(self, entry: dict[str, Any]) -> str | None:
        """The image that an expanded entry names itself, if it names one."""
        columns = self.columns_of(entry) if names_image(entry) else None
        names = image_names(list(entry.values())[columns.image]) if columns else None
        return names[0] if names and len(names) == 1 else None

    def _expand(self, entry: dict[str, Any]) -> dict[str, Any]:
        expanded = expand(entry)
        return self._word_keys.join(expanded) if self._word_keys else expanded

    def share_name(self, entries: list[Any]) -> bool:
        """Whether all entries, at least two, name the same image, which is then none."""
        names = {self._name_in(self._expand(entry)) for entry in entries if isinstance(entry, dict)}
        return len(entries) > 1 and len(names) == 1 and None not in names

    def _choose_name(self, key: str, inner: str) -> tuple[str, str]:
        """The key and the name inside its entry, that of the image first."""
        if self.prefers_key or is_file_name(key) or not is_file_name(inner):
            # A path to the same file says more than its name.
            is_same = posixpath.basename(inner) == posixpath.basename(key) and "://" not in inner
            return (inner, key) if is_same else (key, inner)
        return inner, key

    def _is_rare(self, entry: dict[str, Any]) -> bool:
        """Whether fewer than one entry in ten of the sample has the keys of an entry."""
        return 10 * sum(tuple(other) == tuple(entry) for other in self._sample) < len(self._sample)

    def has_image_and_caption(self, entry: Any) -> bool:
        """Whether the keys of an entry name its image and its captions."""
        expanded = self._expand(entry) if isinstance(entry, dict) else None
        return bool(expanded) and self.columns_of(expanded) is not None

    def list_sizes(self, entry: dict[str, Any]) -> dict[str, int]:
        """The lengths of the lists of images and captions in an entry, if several images meet several captions."""
        expanded = self._expand(entry)
        columns = self.columns_of(expanded)
        read = [] if columns is None else [columns.image, *columns.captions]
        values = list(expanded.items())
        sizes = {values[at][0]: len(values[at][1]) for at in read if isinstance(values[at][1], list)}
        return sizes if len(sizes) > 1 and min(sizes.values()) > 1 else {}

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
        rows, other = self.rows, None
        expanded = self._expand(entry) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and self._is_left_out(number, entry, expanded or {}, image):
            return
        if expanded is not None and image is not None:
            if (inner := self._name_in(expanded)) is None:
                expanded = {"image": image, **expanded}
            else:
                image, other = self._choose_name(image, inner)
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
        rows.name_captions("key", list(expanded), columns)
        images = image_names(cells[columns.image])
        if other is not None and image is not None:
            images = [image]
            rows.add_other_name("the keys" if image != self._name_in(expanded) else "the entries", number, image, other)
        if images is None:
            message = _no_name(list(expanded)[columns.image], cells[columns.image])
            rows.add_error(number, "not an entry of image and captions", message)
            return
        try:
            named = None if columns.split is None else rows.parse_split(number, cells[columns.split])
        except UnknownSplitError:
            return
        if rows.is_of_other_kind(columns, cells) or rows.is_rejected(columns, cells, number):
            return
        from_key = other is not None and image != self._name_in(expanded)
        rows.add_notes({text: count for text, count in columns.notes.items() if not (from_key and _INSIDE in text)})
        if export := read_export(entry):
            rows.notes.update(export[1])
        if columns.folder is not None:
            record_folder(rows, columns.folder, number, cells[columns.folder[0]])
        if len(images) > 1:
            rows.notes["captions of several images, read for each of them"] += 1
        is_word = record_word(rows, columns.words, number, cells, (images, named or split))
        values = [] if is_word else accepted_captions(rows, columns, cells, number)
        values = [value for value in values if value not in (None, "")] or values[:1]
        for value in values:
            add_captions(rows, images, value, number, named or split, advise=lambda: advise_texts(self._sample))

    def _is_left_out(self, number: int, entry: dict[str, Any], expanded: dict[str, Any], image: str | None) -> bool:
        """Whether an entry is a request to a model or a message of a chat without an image, which is then counted."""
        if is_request(entry) and "response" not in entry:
            self.rows.add_error(number, "a request without an answer", _REQUEST)
            return True
        if image is None and is_message(entry) and self._shows_images() and not _shows_image(expanded):
            self.rows.skip(number, "a message without an image")
            self.rows.notes["messages of a chat without an image, left out"] += 1
            return True
        return False

    def _shows_images(self) -> bool:
        """Whether an entry of the sample names an image; the images of others are their ids."""
        if self._has_images is None:
            self._has_images = any(map(_shows_image, self._sample))
        return self._has_images

    def _add_without_caption(
        self, number: int, entry: Any, expanded: dict[str, Any] | None, needs_caption: bool
    ) -> None:
        """Skips an entry with an image only, or with other texts than the captions of the file; others are errors."""
        has_others = bool(self.rows.options.caption_columns) or self._count_captions().main is not None
        is_plain = expanded and not needs_caption and not any(map(caption_key, expanded))
        if expanded and (is_plain or has_others) and (_has_image_name(expanded) or names_image(expanded)):
            self.rows.skip(number, "no caption")
            self._note_unread(expanded)
            return
        message = f"expected {ENTRY}, found {str(entry)[:80]!r}; fix the entry"
        if expanded:
            message = f"expected {ENTRY}, found an entry with {describe_keys(expanded)}"
        self.rows.add_error(number, "not an entry of image and captions", message)

    def _note_unread(self, entry: dict[str, Any]) -> None:
        """Names the keys with texts that entries without a caption have and others have not."""
        known = self._count_captions().keys
        texts = [key for key, value in entry.items() if key not in known and is_text(value)]
        if not texts or not known:
            return
        before = f"{_UNREAD} ({list_names(self._unread)})"
        count = self.rows.notes.pop(before, 0)
        self._unread += [key for key in texts if key not in self._unread]
        self.rows.notes[f"{_UNREAD} ({list_names(self._unread)})"] = count + 1


def _no_name(key: str, value: Any) -> str:
    """What is wrong with the value of an image key that names no file."""
    value = value[0] if isinstance(value, list) and value else value
    if isinstance(value, dict):
        keys = list_names(texts_first(value), 80)
        return f"the key {key!r} holds objects without the name of a file (their keys: {keys}); add a key file_name"
    return f"the key {key!r} must be the name of an image file, found {str(value)[:60]!r}; fix it"


def describe_keys(entry: dict[str, Any]) -> str:
    """The keys of an expanded entry, and how to name those of its image and its captions, for messages."""
    return (
        f"the keys {list_names(texts_first(expand(entry)))}; name those of the image and the captions with "
        "image_column and caption_column (--image-column and --caption-column)"
    )


def first_entry(node: Any, depth: int = 0) -> dict[str, Any] | None:
    """The first of the longest list of objects in a document."""
    if isinstance(node, list):
        return next((item for item in node if isinstance(item, dict) and item), None)
    if not isinstance(node, dict) or depth > 4:
        return None
    lists = [value for value in node.values() if isinstance(value, list)]
    lists.sort(key=len, reverse=True)
    found = (first_entry(value, depth + 1) for value in (*lists, *node.values()))
    return next(filter(None, found), None)


def _has_known_key(entry: dict[str, Any]) -> bool:
    """Whether a key has a name for the image or its caption."""
    return any(caption_key(key) or image_rank(key) is not None for key in entry)


def _has_image(entry: dict[str, Any]) -> bool:
    """Whether a key has a name for the image, or an image name."""
    return any(image_rank(key) is not None or is_image_name(value) for key, value in entry.items())


def _shows_image(entry: dict[str, Any]) -> bool:
    """Whether a value names an image, or has an attachment of any kind."""
    values = (first_name(value) for key, value in entry.items() if value and normalize_name(key) != "id")
    return _has_image_name(entry) or any(map(is_image_name, values))


def _has_image_name(entry: dict[str, Any]) -> bool:
    """Whether a key with a name for the image holds one: the usual case of `names_image`, which takes longer."""
    return any(value and image_rank(key) is not None and image_names(value) for key, value in entry.items())


def _names_image(entry: dict[str, Any]) -> bool:
    return any(image_rank(key) is not None and value not in ("", None) for key, value in entry.items())


def holds_records(values: list[Any], depth: int = 3) -> bool:
    """Whether one of some values, or one inside it, is a list of objects that name images."""
    for value in values:
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(first, dict) and (names_image(first) or _has_image_key(first)):
            return True
        if isinstance(value, dict) and depth and holds_records(list(value.values()), depth - 1):
            return True
    return False


def _has_image_key(entry: dict[str, Any]) -> bool:
    has_caption = any(caption_key(str(key)) for key in entry)
    return has_caption and any(image_rank(str(key)) is not None for key in entry)


def is_about_the_file(value: Any) -> bool:
    """Whether a value beside records is no captions: an object of texts and numbers, none of them by an image name."""
    if not isinstance(value, dict):
        return False
    return not any(isinstance(item, (list, dict)) for item in value.values()) and not any(map(is_file_name, value))


def names_image(entry: Any) -> bool:
    """Whether a key of an entry, or its conversation, names its image."""
    if not isinstance(entry, dict):
        return False
    entry = expand(entry)
    # One key stands for any caption, so that only the image decides.
    keys = [key for key in entry if not caption_key(key)]
    columns = select_columns(
        [*keys, "caption"], lambda at: [entry[key] for key in keys[at : at + 1]], DEFAULT_OPTIONS, ""
    )
    return columns is not None and columns.image < len(keys) and image_names(entry[keys[columns.image]]) is not None
