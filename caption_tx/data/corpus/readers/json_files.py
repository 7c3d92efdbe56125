"""Documents of JSON or YAML, whatever their layout."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

from caption_tx.data.corpus.captions.caption_values import add_captions, image_names, is_numbered
from caption_tx.data.corpus.column_names import (
    IMAGE_WORDS,
    SPLIT_NAMES,
    caption_key,
    image_rank,
    normalize_name,
    without_numbers,
)
from caption_tx.data.corpus.file_text.scripts import JSON5, to_json
from caption_tx.data.corpus.readers.caption_keys import texts_first
from caption_tx.data.corpus.readers.coco import (
    add_coco,
    add_karpathy,
    image_caption_key,
    is_coco,
    is_karpathy,
    list_items,
    require_captions,
)
from caption_tx.data.corpus.readers.collection_exports import read_collection
from caption_tx.data.corpus.readers.entry_forms import maps_to_texts
from caption_tx.data.corpus.readers.google_tables import read_google_table, read_numbered_records
from caption_tx.data.corpus.readers.json_entries import (
    ENTRY,
    EntryReader,
    describe_keys,
    first_entry,
    holds_records,
    is_about_the_file,
    names_image,
)
from caption_tx.data.corpus.readers.keyed_ids import read_keyed_ids
from caption_tx.data.corpus.readers.metadata_keys import MetadataKeys, may_have_metadata
from caption_tx.data.corpus.readers.name_maps import is_caption_value, is_name_key, maps_names, numbered_captions
from caption_tx.data.corpus.readers.yaml_files import SUFFIXES, load_yaml
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.literals import AS_PYTHON, load_document, parse_literal
from caption_tx.data.corpus.values.mark_values import rejection
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text, share
from caption_tx.data.text.text_files import TextFile, find_undecoded_byte
from caption_tx.errors import CorpusError

_LAYOUTS = (
    f'a list of {ENTRY}, {{"x.jpg": ["..", ..]}}, or COCO\'s {{"images": [{{"id", "file_name"}}, ..], "annotations": '
    '[{"image_id", "caption"}, ..]}'
)
_ABOUT_THE_FILE = (
    "info", "version", "license", "licenses", "name", "author", "url", "date", "dataset", "dataset_type", "meta",
    "metadata", "type", "description", "title", "homepage", "citation", "language", "num", "count", "total", "status",
)  # fmt: skip


def read_document(file: TextFile, rows: CaptionRows) -> None:
    """Reads a JSON document: a list of entries, COCO's or Karpathy's document, names mapped to captions, columns, or
    any of these below keys such as "data" or "train".

    Raises:
        CorpusError: the file is not valid JSON, or has none of these; the message names its keys.
    """
    rows.unit = "entry"
    reader = _DocumentReader(file, rows)
    document = read_numbered_records(read_google_table(_load(file, rows), rows), rows)
    require_captions(file.path, document, rows.options)
    document = read_keyed_ids(document, rows)
    if not reader.read(document, "", None):
        raise reader.unknown(document)


def _load(file: TextFile, rows: CaptionRows) -> Any:
    """The document of a file without keys that are about the data."""
    if file.path.suffix.lower() in SUFFIXES:
        return MetadataKeys(rows).strip(load_yaml(file))
    text = file.text()
    document = read_collection(_parse(file, text, rows), rows)
    return MetadataKeys(rows).strip(document) if may_have_metadata(text) else document


def _parse(file: TextFile, text: str, rows: CaptionRows) -> Any:
    try:
        document, notes = load_document(text, _drop_tokens)
        rows.add_notes(notes)
        return document
    except (ValueError, RecursionError) as error:
        with suppress(ValueError, RecursionError):
            document, is_python = parse_literal(text)
            rows.notes.update([AS_PYTHON] if is_python else [])
            return document
        with suppress(ValueError, RecursionError):
            document, notes = load_document(to_json(text), _drop_tokens)
            rows.add_notes(notes | {JSON5: 1})
            return document
        byte = find_undecoded_byte(text)
        reason = error if byte is None else f"{error}; it is {file.decode_error(byte)}"
        raise CorpusError(f"{file.path} is not valid JSON: {reason}; fix or download the file again.") from error


def _drop_tokens(value: dict[str, Any]) -> dict[str, Any]:
    """Drops tokens that `raw` makes unnecessary: they take half of the memory of a document."""
    if isinstance(value.get("raw"), str):
        value.pop("tokens", None)
    return value


class _DocumentReader:
    """Reads a document from its root down; entries are numbered through the document."""

    def __init__(self, file: TextFile, rows: CaptionRows) -> None:
        self._path, self._rows, self._number = file.path, rows, 0

    def read(self, node: Any, key: str, split: str | None) -> bool:
        """Reads a list or an object; False if it has none of the known layouts.

        Args:
            node: the list or object.
            key: its place in the document, such as "data.train"; "" is the root.
            split: the split that its keys name.
        """
        if isinstance(node, list):
            return self._read_list(node, split)
        if not isinstance(node, dict) or not node:
            return False
        if image_caption_key(node, self._rows) is not None:
            return self._read_images(node, split)
        if is_coco(node):
            self._number += add_coco(self._path, node, self._rows, self._number, split)
            return True
        if is_karpathy(node):
            self._number += add_karpathy(node, self._rows, self._number, split)
            return True
        if maps_names(node) and self._read_names(node, split):
            return True
        return (
            self._read_columns(node, split)
            or self._read_entry(node, split)
            or self._read_names(node, split)
            or self._read_containers(node, key, split)
        )

    def unknown(self, document: Any) -> CorpusError:
        """The error about a document without captions."""
        if entry := first_entry(document):
            found = f"entries with {describe_keys(entry)}"
            return CorpusError(f"{self._path}: expected {_LAYOUTS}, found {found}, or convert it to one of these.")
        if isinstance(document, dict):
            found = f"the keys {list_names(texts_first(document), 80)!r}"
            if inner := next((value for value in document.values() if isinstance(value, dict) and value), None):
                found += f", with the keys {list_names(texts_first(inner), 80)!r} below"
                if texts := [str(key) for key, value in inner.items() if is_text(value)]:
                    found += f"; name the captions with caption_column (--caption-column) {texts[0]}, or"
                    return CorpusError(f"{self._path}: expected {_LAYOUTS}, found {found} convert it to one of these.")
        elif isinstance(document, list) and document:
            found = f"a list of {str(document[0])[:80]!r}"
        else:
            found = f"a JSON {type(document).__name__}"
        return CorpusError(f"{self._path}: expected {_LAYOUTS}, found {found}; convert it to one of these.")

    def _read_list(self, node: list[Any], split: str | None) -> bool:
        require_captions(self._path, node, self._rows.options)
        if node and all(isinstance(item, (list, tuple)) and len(item) >= 2 for item in node):
            return self._read_table([str(number + 1) for number in range(len(node[0]))], node, split)
        if not any(isinstance(item, dict) for item in node[:100]):
            return not node
        entries = EntryReader(self._rows, node)
        if not any(entries.has_image_and_caption(item) or names_image(item) for item in node[:100]):
            nested = [item for item in node if isinstance(item, dict)]
            if all(len(item) == 1 for item in nested):  # [{"x.jpg": [..]}, ..]
                return self._read_names({key: value for item in nested for key, value in item.items()}, split)
            return False
        for item in node:
            self._number += 1
            entries.add(self._number, item, split=split, needs_caption=True)
        return True

    def _read_images(self, node: dict[str, Any], split: str | None) -> bool:
        """The images of a COCO document, whose entries have captions themselves."""
        if is_karpathy(node):
            self._number += add_karpathy(node, self._rows, self._number, split)
            return True
        return self._read_list(list_items(node["images"]), split)

    def _read_entry(self, node: dict[str, Any], split: str | None) -> bool:
        """An object that is a single entry itself."""
        entries = EntryReader(self._rows, [node])
        if any(isinstance(value, list) and value and isinstance(value[0], dict) for value in node.values()):
            return False
        if all(isinstance(value, dict) for value in node.values()):
            return False  # an entry per key
        if not entries.has_image_and_caption(node) or not is_image_name(_first_image(entries, node)):
            return False
        if sizes := entries.list_sizes(node):
            found = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
            raise CorpusError(f"{self._path}: its lists differ in length ({found}); give each image its captions.")
        self._number += 1
        entries.add(self._number, node, split=split)
        return True

    def _read_columns(self, node: dict[str, Any], split: str | None) -> bool:
        """Columns as pandas writes them: lists, objects by row, or columns and data."""
        data, names = node.get("data"), node.get("columns")
        if isinstance(data, list) and isinstance(names, list) and all(isinstance(row, list) for row in data):
            return self._read_table(list(map(str, names)), data, split)
        columns = {key: value for key, value in node.items() if isinstance(value, (list, dict)) and value}
        if len(columns) < 2 or len({len(value) for value in columns.values()}) != 1:
            return False
        rows = [name for value in columns.values() if isinstance(value, dict) for name in list(value)[:10]]
        if any(caption_key(str(name)) or image_rank(str(name)) is not None for name in rows):
            return False  # an entry per key
        lists = [list(value.values()) if isinstance(value, dict) else value for value in columns.values()]
        if any(isinstance(value, dict) for values in lists for value in values[:10]):
            return False
        return self._read_table(list(columns), list(zip(*lists, strict=True)), split)

    def _read_table(self, names: list[str], table: list[Any], split: str | None) -> bool:
        entries = [{f"{name}": value for name, value in zip(names, row, strict=False)} for row in table]
        reader = EntryReader(self._rows, entries)
        if not any(reader.has_image_and_caption(entry) for entry in entries[:100]):
            return False
        for entry in entries:
            self._number += 1
            reader.add(self._number, entry, split=split)
        return True

    def _read_names(self, node: dict[str, Any], split: str | None) -> bool:
        """An object that maps image names to captions, or to entries."""
        if all(str(key).lower() in SPLIT_NAMES or normalize_name(str(key)) in _ABOUT_THE_FILE for key in node):
            return False
        names = [name for value in node.values() for name in (value if isinstance(value, list) else [value])]
        if share(names, is_image_name) > 0.8 and share(list(node), is_text) > 0.8:
            pairs = [(name, key) for key, value in node.items() for name in image_names(value) or [""]]
            self._rows.notes["captions mapped to image names, read the other way round"] += len(pairs)
            for name, caption in pairs:
                self._number += 1
                add_captions(self._rows, [name], caption, self._number, split)
            return True
        node = {key: numbered_captions(value) for key, value in node.items()}
        values = list(node.values())
        by_name = sum(map(is_name_key, node)) >= 0.8 * len(node)
        if not by_name and holds_records(values):
            return False  # the rest is about the file
        captions = sum(self._is_caption(value) or (by_name and maps_to_texts(value)) for value in values)
        known = any(normalize_name(str(key)) in (*_ABOUT_THE_FILE, *IMAGE_WORDS, *SPLIT_NAMES) for key in node)
        entries = all(isinstance(value, dict) for value in values)
        if captions < 0.8 * len(values) or not (
            by_name
            or (entries and not known)
            or (len(node) > 2 and not known and not any(map(caption_key, map(str, node))))
        ):
            return False
        samples = [{"image": "", **value} for value in values[:50] if isinstance(value, dict)]
        reader = EntryReader(self._rows, samples)
        reader.prefers_key = reader.share_name(values)
        for name, value in node.items():
            self._number += 1
            entry = value if isinstance(value, dict) and not is_numbered(value) else {"caption": value}
            reader.add(self._number, entry, image=str(name), split=split)
        return True

    def _is_caption(self, value: Any) -> bool:
        named = self._rows.options.caption_columns
        return is_caption_value(value) or (isinstance(value, dict) and any(name in value for name in named))

    def _read_containers(self, node: dict[str, Any], key: str, split: str | None) -> bool:
        """An object with lists or objects that hold captions, such as {"train": [..], "val": [..]}."""
        read: list[str] = []
        unread: list[str] = []
        images: list[frozenset[str]] = []
        rejected: dict[str, range] = {}
        if key.count(".") > 3:
            return False
        options = self._rows.options
        chosen = self._choose_containers(node)
        if holds_records(list(node.values())):
            chosen = [name for name in chosen if not is_about_the_file(node[name])]
        for name, value in node.items():
            place = f"{key}.{name}" if key else str(name)
            inner = SPLIT_NAMES.get(re.sub(r"[\W_]*(20)?\d\d$", "", str(name)).lower(), split)
            start = len(self._rows)
            is_read = isinstance(value, (list, dict)) and value and name in chosen
            if is_read and self.read(value, place, inner):
                read.append(place)
                images.append(frozenset(self._rows.images[start:]))
                if rejection("status", str(name)):
                    rejected[place] = range(start, len(self._rows))
            else:
                unread.append(place)
        self._rows.options = options
        if rejected and len(rejected) < len(read):
            self._leave_out(rejected)
            kept = [(place, own) for place, own in zip(read, images, strict=True) if place not in rejected]
            read, images = [place for place, _ in kept], [own for _, own in kept]
        if len(read) > 1 and len(chosen) == len(node):
            self._require_one_kind(read, images)
        others = [place for place in read if place.rpartition(".")[2].lower() not in SPLIT_NAMES]
        if 0 < len(others) < len(read) and split is None:
            note = f"keys beside splits that are none ({list_names(others)}), split by the seed; use train, val or test"
            self._rows.notes[note] = len(others)
        elif len(read) > 1 and others:
            self._rows.notes[f"keys read ({list_names(read)})"] = len(read)
        if read and unread:
            self._rows.notes[f"keys not read ({list_names(unread)})"] = len(unread)
        return bool(read)

    def _leave_out(self, rejected: dict[str, range]) -> None:
        """Leaves out the rows of keys such as discarded, which stand beside keys of captions that are kept."""
        left = set()
        for place, rows in rejected.items():
            for row in rows:
                if reason := self._rows.find_rejection([("status", place.rpartition(".")[2])]):
                    self._rows.skip(self._rows.line_numbers[row], reason)
                    left.add(row)
        self._rows.leave_out(left)

    def _choose_containers(self, node: dict[str, Any]) -> list[str]:
        """The keys that the user names as captions, or all if none of them is here; inside, other names apply."""
        options = self._rows.options
        named = {str(key).casefold(): key for key in node if isinstance(node[key], (dict, list))}
        chosen = [name for name in options.caption_columns if name.strip().casefold() in named]
        if chosen:
            others = tuple(name for name in options.caption_columns if name not in chosen)
            self._rows.options = replace(options, caption_columns=others)
        return [named[name.strip().casefold()] for name in chosen] or list(node)

    def _require_one_kind(self, places: list[str], images: list[frozenset[str]]) -> None:
        """Rejects captions of the same images below several keys: the user must say whether they are folders."""
        names = [place.rpartition(".")[2] for place in places]
        twice = [image for image, count in Counter(image for own in images for image in own).items() if count > 1]
        if twice and len(set(map(without_numbers, names))) > 1 and SPLIT_NAMES.keys().isdisjoint(map(str.lower, names)):
            raise CorpusError(
                f"{self._path}: {len(names)} keys hold captions of the same images: {', '.join(names)[:200]}; choose "
                f"with caption_column (--caption-column) {names[0]} or read several with {','.join(names)[:200]}. If "
                f"the keys are folders, write the path of each image, such as '{names[0]}/{min(twice)}'."
            )


def _first_image(entries: EntryReader, node: dict[str, Any]) -> str | None:
    columns = entries.columns_of(node)
    return next(iter(image_names(list(node.values())[columns.image]) or ()), None) if columns else None
