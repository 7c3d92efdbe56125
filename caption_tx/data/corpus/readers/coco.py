"""Documents that join images and captions: COCO's annotations and Karpathy's splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from caption_tx.data.corpus.captions.caption_values import add_captions, image_names
from caption_tx.data.corpus.captions.word_pieces import join_caption
from caption_tx.data.corpus.column_names import caption_key, normalize_name
from caption_tx.data.corpus.names.image_names import join_prefix
from caption_tx.data.corpus.readers.entry_forms import expand
from caption_tx.data.corpus.rows import CaptionRows, UnknownSplitError
from caption_tx.data.corpus.tables.columns import DEFAULT_OPTIONS, Columns, ReadOptions, select_columns
from caption_tx.data.corpus.tables.marks import holds_mark
from caption_tx.data.corpus.values.mark_values import is_mark
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_text, to_image_name
from caption_tx.errors import CorpusError

_KARPATHY = 'Karpathy\'s {"images": [{"filename": .., "split": .., "sentences": [{"raw": ".."}, ..]}, ..]}'
_OTHER_ANNOTATIONS = {
    "keypoints": "keypoints", "segmentation": "object instances", "bbox": "object instances",
    "segments_info": "panoptic segments", "category_id": "object categories",
}  # fmt: skip
_OTHER_TEXTS = {
    "question_id": "questions or answers about images (VQA)", "regions": "descriptions of regions (Visual Genome)",
    "sent_ids": "referring expressions, which tell single objects apart (RefCOCO)",
}  # fmt: skip
_IMAGE_LISTS = {"images", "categories", "info", "licenses"}
_SAMPLE = 1000
_NO_CAPTIONS = (
    "image_id", "id", "area", "bbox", "iscrowd", "category_id", "segmentation", "text_detected", "license", "tokens",
    "tokenized_caption", "tokenized", "keypoints", "num_keypoints",
)  # fmt: skip
_CAPTION_KEYS = ("caption", "captions", "text", "sentence", "description")
_FILE_KEYS = ("file_name", "filename", "image", "path", "name")
_ADDRESS_WORDS = frozenset(("url", "uri", "link", "href", "src"))
_OTHER_ADDRESSES = frozenset(("license", "page", "profile", "author", "owner", "thumbnail", "thumb"))


def list_items(value: Any) -> list[Any]:
    """The entries of a list, or of an object that maps ids to entries; the id becomes a key."""
    if isinstance(value, dict):
        return [
            {"id": key, **item} if isinstance(item, dict) else {"id": key, "file_name": item}
            for key, item in value.items()
        ]
    return value if isinstance(value, list) else []


def is_coco(node: dict[str, Any]) -> bool:
    """Whether an object has images and annotations as COCO writes them."""
    images, annotations = node.get("images"), node.get("annotations")
    entries = [] if annotations else [item for item in list_items(images)[:_SAMPLE] if isinstance(item, dict)]
    has_captions = any(key in entry for entry in entries for key in _CAPTION_KEYS)
    return isinstance(images, (list, dict)) and isinstance(annotations, list) and not has_captions


def require_captions(path: Path, annotations: Any, options: ReadOptions = DEFAULT_OPTIONS) -> None:
    """Rejects annotations of objects, and questions and regions unless the user names a key of captions.

    Args:
        path: the file, for messages.
        annotations: a list of entries, or a whole document.
        options: the keys that the user names.

    Raises:
        CorpusError: there are no captions but boxes, masks, keypoints, questions, regions or only images.
    """
    if _is_image_list(annotations):
        raise CorpusError(f"{path} lists images without captions; read the file of their captions.")
    if not isinstance(annotations, list):
        return
    kind = _other_kind([entry for entry in annotations[:_SAMPLE] if isinstance(entry, dict)], options)
    if kind in _OTHER_TEXTS.values():
        raise CorpusError(f"{path} has {kind}, not captions; read a file of captions of the same images.")
    if kind is not None:
        raise CorpusError(
            f"{path} has annotations of {kind}, not captions; read the file of captions beside it "
            "(COCO: captions_train2017.json, captions_val2017.json)."
        )


def _other_kind(entries: list[dict[str, Any]], options: ReadOptions) -> str | None:
    """What entries are if they hold no captions but boxes, masks, keypoints, questions or regions."""
    if not entries or any("caption" in entry for entry in entries):
        return None
    for key, kind in () if options.caption_columns else _OTHER_TEXTS.items():
        if sum(key in entry for entry in entries) > len(entries) / 2:
            return kind
    for key, kind in _OTHER_ANNOTATIONS.items():
        if sum(key in entry for entry in entries) > len(entries) / 2 and any("image_id" in entry for entry in entries):
            return kind
    return None


def _is_image_list(node: Any) -> bool:
    """Whether a document lists images without captions, as COCO's image_info_test2017.json does."""
    if not isinstance(node, dict) or "images" not in node or not node.keys() <= _IMAGE_LISTS:
        return False
    images = node["images"] if isinstance(node["images"], list) else []
    keys = {key for entry in images[:_SAMPLE] if isinstance(entry, dict) for key in entry}
    return any(key == "file_name" or _is_address_key(key) for key in keys) and not any(
        map(caption_key, keys - {"license"})
    )


def image_caption_key(node: dict[str, Any], rows: CaptionRows) -> str | None:
    """The key of the images that holds captions, in a document whose annotations hold none.

    Args:
        node: an object with images, and annotations or categories as COCO writes them.
        rows: its options may name the key; its notes name what is read, also if it is the annotations.
    """
    if not isinstance(node.get("images"), (list, dict)) or not node.keys() & {"annotations", "categories"}:
        return None
    images = [item for item in list_items(node["images"])[:_SAMPLE] if isinstance(item, dict)]
    key = _text_key(images, rows.options)
    annotations = list_items(node.get("annotations"))
    if key is None or not any(_has_file(image) or any(map(_is_address_key, image)) for image in images):
        return None
    if not all(isinstance(entry, dict) for entry in annotations[:_SAMPLE]):
        return None
    sample = [expand(entry) if _is_nested(entry) else entry for entry in annotations[:_SAMPLE]]
    other = None if _other_kind(sample, rows.options) else _text_key(sample, rows.options)
    if other is not None:
        note = f"captions read from the key {other!r} of the annotations, not from the key {key!r} of the images"
        rows.notes[note] = len(annotations)
        return None
    rows.notes[f"captions read from the key {key!r} of the images"] = len(node["images"])
    unread = [name for name in node if name != "images" and node[name] not in (None, "")]
    rows.notes[f"keys not read ({list_names(unread)})"] = len(unread)
    return key


def _text_key(entries: list[dict[str, Any]], options: ReadOptions) -> str | None:
    """The key of entries that has a caption's name, or one that the user gives, and text; the most certain first."""
    texts = dict.fromkeys(key for entry in entries for key, value in entry.items() if is_text(value))
    if named := [name for name in options.caption_columns if name in texts]:
        return named[0]
    found = [(caption_key(key), key) for key in texts if key not in _NO_CAPTIONS]
    ranks = {key: name[1] for name, key in found if name is not None and name[1] < 2}
    return min(ranks, key=lambda key: ranks[key]) if ranks and not options.caption_columns else None


def add_coco(path: Path, node: dict[str, Any], rows: CaptionRows, number: int, split: str | None) -> int:
    """Adds {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}.

    Args:
        path: the file, for messages.
        node: the object.
        rows: receives the captions.
        number: number of entries before it in the document.
        split: split of all its images, or None.

    Returns:
        The number of annotations.
    """
    annotations = node["annotations"]
    require_captions(path, annotations, rows.options)
    annotations = [expand(entry) if _is_nested(entry) else entry for entry in annotations]
    keys = _caption_keys(path, annotations, rows)
    file_of = _files(path, node["images"], rows)
    for entry_number, entry in enumerate(annotations, number + 1):
        image_id = to_image_name(entry.get("image_id")) if isinstance(entry, dict) else None
        caption = _caption_of(entry, keys) if isinstance(entry, dict) else None
        if image_id is None or not isinstance(caption, (str, list)):
            message = f'expected {{"image_id": .., "caption": ".."}}, found {str(entry)[:80]!r}; fix the entry'
            rows.add_error(entry_number, "not an annotation", message)
        elif (name := file_of.get(image_id)) is None:
            rows.add_error(entry_number, *_explain_missing(image_id, image_id in file_of))
        elif not rows.is_rejected(*_marks(entry), entry_number):
            add_captions(rows, [name], caption, entry_number, split)
    return len(annotations)


def _files(path: Path, images: Any, rows: CaptionRows) -> dict[str, str | None]:
    """The file of each image by id; None for an image without a name.

    Raises:
        CorpusError: an id has several files, as where the files of two people were joined that both count from 1.
    """
    file_of: dict[str, str | None] = {}
    repeated: dict[str, str] = {}
    entries = [image for image in list_items(images) if isinstance(image, dict)]
    unnamed = [image for image in entries if not _has_file(image)]
    other = _other_name_key(unnamed, rows)
    for image in entries:
        image_id = to_image_name(image.get("id", image.get("image_id")))
        name = next((image[key] for key in (*_FILE_KEYS, other) if image.get(key)), None)
        name = to_image_name(name) if name is not None and name == image.get(other) else name
        if image_id is None or not isinstance(name, (str, type(None))):
            continue
        first = file_of.setdefault(image_id, name)
        if None not in (first, name) and first != name:
            repeated.setdefault(image_id, name)
    if repeated:
        image_id, name = next(iter(repeated.items()))
        raise CorpusError(
            f"{path}: {len(repeated):,} ids of 'images' have several files (such as {image_id[:40]!r}: "
            f"{file_of[image_id][:80]!r} and {name[:80]!r}), so captions cannot be assigned; give each image its own "
            "id, or read the files that were joined one by one."
        )
    return file_of


def _has_file(image: dict[str, Any]) -> bool:
    return any(image.get(key) for key in _FILE_KEYS)


def _is_address_key(key: str) -> bool:
    """Whether a key has a name for the address of an image, such as coco_url."""
    words = set(normalize_name(key).split("_"))
    return not words.isdisjoint(_ADDRESS_WORDS) and words.isdisjoint(_OTHER_ADDRESSES)


def _other_name_key(images: list[dict[str, Any]], rows: CaptionRows) -> str | None:
    """The key with the addresses or the ids of images that have no file_name, if files have their names.

    Without an image folder the addresses are the names.
    """
    sample, files = images[:_SAMPLE], rows.options.files
    addresses = dict.fromkeys(key for image in sample for key in image if _is_address_key(key))
    counts = {key: len(sample) for key in addresses}
    if files:
        counts = {key: files.count([image.get(key) for image in sample]) for key in (*addresses, "id")}
    key = max(counts, key=lambda key: counts[key], default=None)
    if key is None or not counts[key]:
        return None
    rows.notes[f"image names read from the key {key!r} of the images, which have no file_name"] = len(images)
    return key


def _explain_missing(image_id: str, has_entry: bool) -> tuple[str, str]:
    """The reason why an annotation has no image, and what to do."""
    if not has_entry:
        message = f"no entry of 'images' has the id {image_id[:40]!r} and a file_name; add one"
        return "unknown image id", message
    message = f"the entry of 'images' with the id {image_id[:40]!r} has no file_name, and no image has the name"
    return "image without a file_name", f"{message} in its address or its id; add the key file_name"


def _is_nested(entry: Any) -> bool:
    """Whether the captions of an annotation are below a key per kind."""
    return isinstance(entry, dict) and any(isinstance(value, dict) and caption_key(key) for key, value in entry.items())


def _caption_keys(path: Path, annotations: list[Any], rows: CaptionRows) -> tuple[str, ...]:
    """The keys of annotations that are read: those that the user names or that are numbered, else the first present.

    Raises:
        CorpusError: several keys could be the caption, or none has the name that the user gives.
    """
    sample = [entry for entry in annotations[:_SAMPLE] if isinstance(entry, dict)]
    names = dict.fromkeys(key for entry in sample for key in entry if key not in _NO_CAPTIONS)
    captions = [name for name in names if caption_key(name)]
    if rows.options.caption_columns or any(sum(bool(entry.get(key)) for key in captions) > 1 for entry in sample):
        keys = ["image_id", *names]
        options = replace(rows.options, image_column="image_id")
        columns = select_columns(keys, lambda at: [entry.get(keys[at]) for entry in sample], options, str(path), "key")
        if columns is not None:
            rows.add_notes(columns.notes)
            return tuple(keys[at] for at in columns.captions)
    elif unread := [name for name in names if name not in captions and not is_mark(normalize_name(name))]:
        rows.add_notes({f"keys not read ({list_names(unread)})": len(unread)})
    return tuple(dict.fromkeys((*_CAPTION_KEYS, *captions)))


def _caption_of(entry: dict[str, Any], keys: tuple[str, ...]) -> Any:
    values = [entry[key] for key in keys if entry.get(key) is not None]
    return values if len(values) > 1 and keys[: len(_CAPTION_KEYS)] != _CAPTION_KEYS else (values or [None])[0]


def _marks(entry: dict[str, Any]) -> tuple[Columns, list[Any]]:
    """The keys of an annotation that may reject it, and its values."""
    names, values = map(normalize_name, entry), list(entry.values())
    marks = [(position, name) for position, name in enumerate(names) if holds_mark(name, values[position])]
    return Columns(0, (), rejected=tuple(marks)), values


def is_karpathy(node: dict[str, Any]) -> bool:
    """Whether an object has images with sentences as Karpathy writes them."""
    images = node.get("images")
    return isinstance(images, list) and any(isinstance(image, dict) and "sentences" in image for image in images[:1000])


def add_karpathy(node: dict[str, Any], rows: CaptionRows, number: int, split: str | None) -> int:
    """Adds {"images": [{"filepath", "filename", "split", "sentences": [{"raw", "tokens"}]}]}.

    The arguments and the result are those of `add_coco`.
    """
    for entry_number, entry in enumerate(node["images"], number + 1):
        entry = entry if isinstance(entry, dict) else {}
        names = image_names(entry.get("filename", entry.get("file_name")))
        sentences, folder = entry.get("sentences"), entry.get("filepath", "")
        if not names or not isinstance(sentences, list) or not isinstance(folder, str):
            message = f"expected an entry of {_KARPATHY}, found {str(entry)[:80]!r}; fix the entry"
            rows.add_error(entry_number, "not an entry of filename and sentences", message)
            continue
        try:
            named = rows.parse_split(entry_number, entry.get("split"))
        except UnknownSplitError:
            continue
        if not sentences:
            rows.skip(entry_number, "no caption")
        for sentence in sentences:
            caption = _sentence_text(rows, sentence)
            if caption is None:
                message = f"a sentence needs text in 'raw' or 'tokens', found {str(sentence)[:60]!r}; fix the entry"
                rows.add_error(entry_number, "sentence without text", message)
            else:
                rows.add(join_prefix(folder, names[0]), caption, entry_number, named or split)
    return len(node["images"])


def _sentence_text(rows: CaptionRows, sentence: Any) -> str | None:
    if isinstance(sentence, str):
        return sentence
    raw, tokens = (sentence.get("raw"), sentence.get("tokens")) if isinstance(sentence, dict) else (None, None)
    if isinstance(raw, str):
        return raw
    tokens = sentence if isinstance(sentence, list) else tokens
    if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
        return join_caption(rows, tokens)
    return None
