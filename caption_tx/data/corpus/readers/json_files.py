"""JSON: AI Challenger's list, COCO's and Karpathy's documents, and one object per line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from caption_tx.data.corpus.image_names import join_prefix
from caption_tx.data.corpus.pre_segmented import join_words
from caption_tx.data.corpus.rows import (
    CAPTION_HEADERS,
    IMAGE_HEADERS,
    SPLIT_HEADERS,
    CaptionRows,
    UnknownSplitError,
    to_image_name,
)
from caption_tx.data.text.text_files import TextFile, find_undecoded_byte
from caption_tx.errors import CorpusError

_ENTRY = '{"image_id": "x.jpg", "caption": ["..", ..]}'
_COCO = 'COCO\'s {"images": [{"id", "file_name"}, ..], "annotations": [{"image_id", "caption"}, ..]}'
_KARPATHY = 'Karpathy\'s {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}, ..]}, ..]}'


def _load(file: TextFile, expected: str, kind: type, hook: Callable[[dict], dict] | None = None) -> Any:
    """The JSON document in a file.

    Args:
        file: the file.
        expected: describes the document, for messages.
        kind: list or dict.
        hook: `object_hook` of `json.loads`, to drop values that are not needed.

    Raises:
        CorpusError: the file is not valid JSON or of another kind.
    """
    text = file.text()
    try:
        document = json.loads(text, object_hook=hook)
    except (ValueError, RecursionError) as error:
        byte = find_undecoded_byte(text)
        reason = error if byte is None else f"{error}; it is {file.decode_error(byte)}"
        raise CorpusError(f"{file.path} is not valid JSON: {reason}; fix or download the file again.") from error
    if not isinstance(document, kind):
        actual = type(document).__name__
        raise CorpusError(f"{file.path}: expected {expected}, found a JSON {actual}; pass the right --format.")
    return document


def _wrong_keys(file: TextFile, expected: str, document: dict[str, Any]) -> CorpusError:
    keys = ", ".join(document)[:80]
    return CorpusError(f"{file.path}: expected {expected}, found the keys {keys!r}; pass the right --format.")


def _first_value(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The value of the first of several keys in an entry, ignoring case if none matches exactly."""
    for key in keys:
        if key in entry:
            return entry[key]
    lower = {key.lower(): value for key, value in entry.items()}
    return next((lower[key] for key in keys if key in lower), None)


# --- Entries of an image and its captions: AI Challenger, and an entry per line


def _image_names(entry: Any) -> list[str] | None:
    """The image of an entry, or the list under `image_ids`; None if it has neither."""
    if not isinstance(entry, dict):
        return None
    value = _first_value(entry, (*IMAGE_HEADERS, "image_ids"))
    names = [to_image_name(item) for item in (value if isinstance(value, list) else [value])]
    return None if not names or None in names else [name for name in names if name is not None]


def _add_entry(rows: CaptionRows, entry_number: int, entry: Any, needs_caption: bool = False) -> None:
    """Adds the captions of an entry for each of its images; with `needs_caption` an entry without one is an error."""
    images = _image_names(entry)
    value = _first_value(entry, CAPTION_HEADERS) if images else None
    captions = value if isinstance(value, list) else [value]
    if images is None or isinstance(value, dict) or (needs_caption and value is None):
        message = f"expected {_ENTRY}, found {str(entry)[:80]!r}; fix the entry"
        rows.add_error(entry_number, "not an entry of image and captions", message)
        return
    try:
        split = rows.parse_split(entry_number, _first_value(entry, SPLIT_HEADERS))
    except UnknownSplitError:
        return
    if not captions:
        rows.skip(entry_number, "no caption")
    for caption in captions:
        if caption is not None and not isinstance(caption, str):
            message = f"a caption must be a string, found {str(caption)[:60]!r}; fix the entry"
            rows.add_error(entry_number, "caption is not a string", message)
            continue
        for image in images:
            rows.add(image, caption or "", entry_number, split)


def read_ai_challenger(file: TextFile, rows: CaptionRows) -> None:
    """Reads a list of {"url", "image_id", "caption": [five strings]}, or with other known keys."""
    rows.unit = "entry"
    for entry_number, entry in enumerate(_load(file, f"a list of {_ENTRY}", list), 1):
        _add_entry(rows, entry_number, entry, needs_caption=True)


def read_jsonl(file: TextFile, rows: CaptionRows) -> None:
    """Reads an entry per line: MUGE (ECommerce-IC), Chinese-CLIP and similar files."""
    for line_number, line in file.lines(rows.add_error):
        if not line.strip():
            rows.skip(line_number, "blank line")
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            rows.add_error(line_number, "not valid JSON", f"not valid JSON ({str(error)[:80]}); fix the line")
            continue
        _add_entry(rows, line_number, entry)


# --- COCO: images and annotations, joined by the image id


def read_coco(file: TextFile, rows: CaptionRows) -> None:
    """Reads {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}."""
    rows.unit = "entry"
    document = _load(file, _COCO, dict)
    images, annotations = document.get("images"), document.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise _wrong_keys(file, _COCO, document)
    file_of = {}
    for image in images:
        image_id = to_image_name(image.get("id")) if isinstance(image, dict) else None
        if image_id is not None and isinstance(image.get("file_name"), str):
            file_of[image_id] = image["file_name"]
    for entry_number, entry in enumerate(annotations, 1):
        image_id = to_image_name(entry.get("image_id")) if isinstance(entry, dict) else None
        caption = entry.get("caption") if isinstance(entry, dict) else None
        if image_id is None or not isinstance(caption, str):
            message = f'expected {{"image_id": .., "caption": ".."}}, found {str(entry)[:80]!r}; fix the entry'
            rows.add_error(entry_number, "not an annotation", message)
        elif image_id not in file_of:
            message = f"no entry of 'images' has the id {image_id[:40]!r} and a file_name; add one"
            rows.add_error(entry_number, "unknown image id", message)
        else:
            rows.add(file_of[image_id], caption, entry_number)


# --- Karpathy's splits of COCO, Flickr8k and Flickr30k


def read_karpathy(file: TextFile, rows: CaptionRows) -> None:
    """Reads {"images": [{"filepath", "filename", "split", "sentences": [{"raw", "tokens"}]}]}."""
    rows.unit = "entry"
    document = _load(file, _KARPATHY, dict, _drop_tokens)
    if not isinstance(document.get("images"), list):
        raise _wrong_keys(file, _KARPATHY, document)
    for entry_number, entry in enumerate(document["images"], 1):
        name = entry.get("filename") if isinstance(entry, dict) else None
        sentences = entry.get("sentences") if isinstance(entry, dict) else None
        folder = entry.get("filepath", "") if isinstance(entry, dict) else ""
        if not isinstance(name, str) or not isinstance(sentences, list) or not isinstance(folder, str):
            message = f"expected an entry of {_KARPATHY}, found {str(entry)[:80]!r}; fix the entry"
            rows.add_error(entry_number, "not an entry of filename and sentences", message)
            continue
        try:
            split = rows.parse_split(entry_number, entry.get("split"))
        except UnknownSplitError:
            continue
        if not sentences:
            rows.skip(entry_number, "no caption")
        for sentence in sentences:
            caption = _sentence_text(sentence)
            if caption is None:
                message = f"a sentence needs text in 'raw' or 'tokens', found {str(sentence)[:60]!r}; fix the entry"
                rows.add_error(entry_number, "sentence without text", message)
            else:
                rows.add(join_prefix(folder, name), caption, entry_number, split)


def _drop_tokens(value: dict[str, Any]) -> dict[str, Any]:
    """Drops tokens that `raw` makes unnecessary: they take half of the memory of a document."""
    if isinstance(value.get("raw"), str):
        value.pop("tokens", None)
    return value


def _sentence_text(sentence: Any) -> str | None:
    if isinstance(sentence, str):
        return sentence
    raw, tokens = (sentence.get("raw"), sentence.get("tokens")) if isinstance(sentence, dict) else (None, None)
    if isinstance(raw, str):
        return raw
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return join_words(tokens)
    return None


# --- Detection


def is_list_head(head: str) -> bool:
    """Whether a file starts with a list of entries that name an image."""
    keys = [f'"{name}"' for name in IMAGE_HEADERS]
    return head.lstrip().startswith("[") and '"caption' in head and any(key in head for key in keys)


def is_coco_head(head: str) -> bool:
    """Whether a file starts with images or annotations of COCO; the start of a large file shows only one of them."""
    if not head.lstrip().startswith("{") or '"sentences"' in head:
        return False
    return ('"images"' in head and '"file_name"' in head) or ('"annotations"' in head and '"image_id"' in head)


def is_karpathy_head(head: str) -> bool:
    """Whether a file starts with an object of images that have sentences."""
    return head.lstrip().startswith("{") and '"images"' in head and '"sentences"' in head


def is_jsonl_line(line: str) -> bool:
    """Whether a line is an object that names an image."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return _image_names(json.loads(line)) is not None
    except (ValueError, RecursionError):
        return False
