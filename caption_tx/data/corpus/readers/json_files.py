"""JSON: AI Challenger's list, COCO's and Karpathy's documents, and one object a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from caption_tx.data.corpus.image_names import join_prefix
from caption_tx.data.corpus.pre_segmented import join_words
from caption_tx.data.corpus.records import CAPTION_HEADERS, IMAGE_HEADERS, SPLIT_HEADERS, Records, as_name
from caption_tx.data.corpus.text_files import TextFile, undecoded
from caption_tx.errors import CorpusError

_ENTRY = '{"image_id": "x.jpg", "caption": ["..", ..]}'


def _load(file: TextFile, wanted: str, kind: type, hook: Callable[[dict], dict] | None = None) -> Any:
    """The JSON document in a file, a list or a dict; `hook` takes what is not needed out of objects in it.

    Raises:
        CorpusError: it is not valid JSON, or of another kind.
    """
    text = file.text()
    try:
        document = json.loads(text, object_hook=hook)
    except (ValueError, RecursionError) as error:
        byte = undecoded(text)
        reason = error if byte is None else f"{error}; it is {file.reason(byte)}"
        raise CorpusError(f"{file.path} is not valid JSON: {reason}; mend it or fetch the file again.") from error
    if not isinstance(document, kind):
        found = type(document).__name__
        raise CorpusError(f"{file.path}: expected {wanted}, found a JSON {found}; give the right --format.")
    return document


def _value(entry: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of these keys that an entry has, in capitals too."""
    for name in names:
        if name in entry:
            return entry[name]
    lower = {key.lower(): value for key, value in entry.items()}
    return next((lower[name] for name in names if name in lower), None)


def image_names(entry: Any) -> list[str] | None:
    """The images that an entry tells of: one, or a list under `image_ids`. None if it tells of none."""
    if not isinstance(entry, dict):
        return None
    found = _value(entry, (*IMAGE_HEADERS, "image_ids"))
    names = [as_name(value) for value in (found if isinstance(found, list) else [found])]
    return None if not names or None in names else [name for name in names if name is not None]


def _add_entry(records: Records, number: int, entry: Any, captioned: bool = False) -> None:
    """The captions of one entry, each for all of its images; `captioned` says that it must have some."""
    images = image_names(entry)
    found = _value(entry, CAPTION_HEADERS) if images else None
    captions = found if isinstance(found, list) else [found]
    if images is None or isinstance(found, dict) or (captioned and found is None):
        message = f"expected {_ENTRY}, found {str(entry)[:80]!r}; correct it"
        records.bad(number, "not an entry of image and captions", message)
        return
    try:
        split = records.split_of(number, _value(entry, SPLIT_HEADERS))
    except LookupError:
        return
    if not captions:
        records.skip(number, "no caption")
    for caption in captions:
        if caption is not None and not isinstance(caption, str):
            message = f"a caption must be text, found {str(caption)[:60]!r}; correct it"
            records.bad(number, "a caption that is not text", message)
            continue
        for image in images:
            records.add(image, caption or "", number, split)


def read_ai_challenger(file: TextFile, records: Records) -> None:
    """A list of {"url", "image_id", "caption": [five strings]}; other names of the columns are known too."""
    records.place = "entry"
    for number, entry in enumerate(_load(file, f"a list of {_ENTRY}", list), 1):
        _add_entry(records, number, entry, captioned=True)


def read_jsonl(file: TextFile, records: Records) -> None:
    """One entry a line: MUGE (ECommerce-IC), Chinese-CLIP, and what people write themselves."""
    for number, line in file.lines(records.bad):
        if not line.strip():
            records.skip(number, "blank line")
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            records.bad(number, "not valid JSON", f"not valid JSON ({str(error)[:80]}); correct the line")
            continue
        _add_entry(records, number, entry)


# --- COCO: images and annotations, joined by the image's id


def read_coco(file: TextFile, records: Records) -> None:
    """{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}."""
    records.place = "entry"
    wanted = 'COCO\'s {"images": [{"id", "file_name"}, ..], "annotations": [{"image_id", "caption"}, ..]}'
    document = _load(file, wanted, dict)
    images, annotations = document.get("images"), document.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list):
        keys = ", ".join(document)[:80]
        raise CorpusError(f"{file.path}: expected {wanted}, found the keys {keys!r}; give the right --format.")
    file_of = {}
    for image in images:
        key = as_name(image.get("id")) if isinstance(image, dict) else None
        if key is not None and isinstance(image.get("file_name"), str):
            file_of[key] = image["file_name"]
    for number, entry in enumerate(annotations, 1):
        key = as_name(entry.get("image_id")) if isinstance(entry, dict) else None
        caption = entry.get("caption") if isinstance(entry, dict) else None
        if key is None or not isinstance(caption, str):
            message = f'expected {{"image_id": .., "caption": ".."}}, found {str(entry)[:80]!r}; correct it'
            records.bad(number, "not an annotation", message)
        elif key not in file_of:
            message = f"no image of the file has the id {key[:40]!r} with a file_name; add it to 'images'"
            records.bad(number, "an unknown image id", message)
        else:
            records.add(file_of[key], caption, number)


# --- Karpathy's splits of COCO, Flickr8k and Flickr30k


def read_karpathy(file: TextFile, records: Records) -> None:
    """{"images": [{"filepath", "filename", "split", "sentences": [{"raw", "tokens"}]}]}."""
    records.place = "entry"
    wanted = 'Karpathy\'s {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}, ..]}, ..]}'
    document = _load(file, wanted, dict, _without_tokens)
    if not isinstance(document.get("images"), list):
        keys = ", ".join(document)[:80]
        raise CorpusError(f"{file.path}: expected {wanted}, found the keys {keys!r}; give the right --format.")
    for number, entry in enumerate(document["images"], 1):
        name = entry.get("filename") if isinstance(entry, dict) else None
        sentences = entry.get("sentences") if isinstance(entry, dict) else None
        folder = entry.get("filepath", "") if isinstance(entry, dict) else ""
        if not isinstance(name, str) or not isinstance(sentences, list) or not isinstance(folder, str):
            message = f"expected one of {wanted}, found {str(entry)[:80]!r}; correct it"
            records.bad(number, "not an entry of filename and sentences", message)
            continue
        try:
            split = records.split_of(number, entry.get("split"))
        except LookupError:
            continue
        if not sentences:
            records.skip(number, "no caption")
        for sentence in sentences:
            caption = _sentence(sentence)
            if caption is None:
                message = f"a sentence must hold text under 'raw' or 'tokens', found {str(sentence)[:60]!r}; correct it"
                records.bad(number, "a sentence without text", message)
            else:
                records.add(join_prefix(folder, name), caption, number, split)


def _without_tokens(value: dict[str, Any]) -> dict[str, Any]:
    """Half of the memory of such a document is tokens."""
    if isinstance(value.get("raw"), str):
        value.pop("tokens", None)
    return value


def _sentence(sentence: Any) -> str | None:
    if isinstance(sentence, str):
        return sentence
    raw, tokens = (sentence.get("raw"), sentence.get("tokens")) if isinstance(sentence, dict) else (None, None)
    if isinstance(raw, str):
        return raw
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return join_words(tokens)
    return None


# --- What a document's beginning looks like


def looks_like_list(head: str) -> bool:
    """A list of entries that name an image."""
    names = [f'"{name}"' for name in IMAGE_HEADERS]
    return head.lstrip().startswith("[") and '"caption' in head and any(name in head for name in names)


def looks_like_coco(head: str) -> bool:
    """COCO's parts, in any order; in a large file only the first is in sight."""
    if not head.lstrip().startswith("{") or '"sentences"' in head:
        return False
    return ('"images"' in head and '"file_name"' in head) or ('"annotations"' in head and '"image_id"' in head)


def looks_like_karpathy(head: str) -> bool:
    """An object with images that have sentences."""
    return head.lstrip().startswith("{") and '"images"' in head and '"sentences"' in head


def looks_like_jsonl(line: str) -> bool:
    """An object that names an image."""
    if not line.lstrip().startswith("{"):
        return False
    try:
        return image_names(json.loads(line)) is not None
    except (ValueError, RecursionError):
        return False
