"""Values of a caption column or key -> captions: lists, lists written as text, and lists of words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from caption_tx.data.corpus.captions.accepted_captions import (
    accepted_captions,
    accepted_items,
    is_by_machine,
    keep_references,
)
from caption_tx.data.corpus.captions.bilingual import keep_language
from caption_tx.data.corpus.captions.cell_repairs import mostly, repair_cells, strip_markers
from caption_tx.data.corpus.captions.joined_captions import split_captions
from caption_tx.data.corpus.captions.markup import note_markup
from caption_tx.data.corpus.captions.not_text import NotTextError
from caption_tx.data.corpus.captions.placeholders import leave_out_placeholders, may_be_words, without_missing
from caption_tx.data.corpus.captions.pre_segmented import (
    are_beside_sentences,
    are_clear_words,
    are_words,
    holds_words,
    restore_tagged,
)
from caption_tx.data.corpus.captions.word_pieces import join_caption, join_marked_text
from caption_tx.data.corpus.captions.word_rows import record_word
from caption_tx.data.corpus.column_names import normalize_name, without_numbers
from caption_tx.data.corpus.names.folder_names import record_folder
from caption_tx.data.corpus.rows import CaptionRows, UnknownSplitError
from caption_tx.data.corpus.tables.columns import Columns
from caption_tx.data.corpus.tables.marks import holds_mark
from caption_tx.data.corpus.tables.table_ends import SECOND_HEADER, why_no_caption
from caption_tx.data.corpus.tables.word_columns import is_word_name
from caption_tx.data.corpus.values.conversations import answers_of, is_conversation
from caption_tx.data.corpus.values.encoded_images import number_text
from caption_tx.data.corpus.values.html_images import img_sources
from caption_tx.data.corpus.values.literals import Repeated, strip_fence
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.origins import MachineText, origins_of
from caption_tx.data.corpus.values.rich_text import RichText, rich_text
from caption_tx.data.corpus.values.text_lists import is_scored, parse_items, parse_list
from caption_tx.data.corpus.values.truncation import find_truncated
from caption_tx.data.corpus.values.value_kinds import is_name_like, is_text, name_in, to_image_name

_TEXT_KEYS = ("raw", "caption", "text", "sentence", "value", "content", "description", "tokens")
_CAPTION_TYPES = frozenset(("caption", "captions", "image_caption", "description"))
_OTHER_TYPES = frozenset((
    "label", "bbox", "mask", "rle_mask", "polygon", "polyline", "points", "ellipse", "skeleton", "cuboid_2d",
    "cuboid_3d",
))  # fmt: skip
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_TAG = re.compile(r"[A-Za-z]{1,5}")

LIST_IN_TEXT = "lists written as text read as captions"
RICH_TEXT = "captions read from rich text, whose segments are joined"
WORDS_JOINED = "captions joined from lists of words"


def add_captions(
    rows: CaptionRows,
    images: list[str],
    value: Any,
    line: int,
    split: str | None,
    machine: bool = False,
    advise: Callable[[], str] = str,
) -> None:
    """Adds the captions of a value for each image; one without any is skipped, or an error with what `advise` says."""
    try:
        captions, is_list = _captions_of(rows, value)
    except NotTextError as error:
        rows.add_error(line, "caption is not a string", error.explain(advise()))
        return
    if isinstance(value, Repeated):
        rows.notes["captions of keys that are repeated in one object, all of which are read"] += len(value)
    if not captions:
        rows.skip(line, "no caption")
    for image in images:
        if is_list:
            rows.start_list(may_be_words(captions))
        for caption in captions:
            rows.add(image, caption, line, split, machine or is_by_machine(rows, value, caption), is_list)


def add_cells(rows: CaptionRows, line: int, cells: Sequence[Any], columns: Columns) -> None:
    """Adds the captions of a row of a table.

    Args:
        rows: receives them.
        line: line or row number, from 1.
        cells: text, or values of other types.
        columns: which cells are read.
    """
    image = cells[columns.image]
    if reason := why_no_caption(cells, columns):
        rows.skip(line, reason)
        rows.notes.update(["rows with names of columns again, not read"] if reason == SECOND_HEADER else [])
        return
    if columns.fills_down:
        image = _fill_down(rows, cells, columns)
    try:
        split = None if columns.split is None else rows.parse_split(line, cells[columns.split])
    except UnknownSplitError:
        return
    if rows.is_of_other_kind(columns, cells) or (columns.rejected and rows.is_rejected(columns, cells, line)):
        return
    if columns.folder is not None:
        record_folder(rows, columns.folder, line, cells[columns.folder[0]])
    name = image_names(image)
    if isinstance(image, str) and name and name != [image]:
        rows.notes["image names in lists written as text"] += 1
    if name and len(name) > 1:
        rows.notes["captions of several images, read for each of them"] += 1
    if record_word(rows, columns.words, line, cells, (name or [""], split)):
        return
    values = accepted_captions(rows, columns, cells, line)
    # Some images have fewer captions than others: only an image without any is reported.
    for value in [value for value in values if not _is_blank(value)] or values[:1]:
        if isinstance(value, str) and "\n" in value.strip():
            rows.notes["multi-line captions"] += 1
        add_captions(rows, name or [""], value, line, split)


def _fill_down(rows: CaptionRows, cells: Sequence[Any], columns: Columns) -> Any:
    """The image cell of a row, or the one above if it is empty and the row has a caption."""
    if not _is_blank(cells[columns.image]):
        rows.image_above = cells[columns.image]
    elif any(not _is_blank(cells[position]) for position in columns.captions):
        rows.notes["rows without an image name, read as captions of the image above"] += 1
        return rows.image_above
    return cells[columns.image]


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def image_names(value: Any) -> list[str] | None:
    """The image names in a value: a name, a number, an object with a path, or a list of these; None for others."""
    if isinstance(value, str) and value[:1] != "[" and "<" not in value:
        return [value]
    if numbers := number_text(value):
        return [numbers]
    if isinstance(value, str) and value[:2] in ("[{", "['", '["') and (items := parse_items(value)):
        value = items
    if isinstance(value, str) and "<img" in value and len(sources := img_sources(value)) > 1:
        value = sources
    items = value if isinstance(value, (list, tuple)) else [value]
    names = [to_image_name(name_in(item) if isinstance(item, dict) else item) for item in items]
    return None if not names or None in names else [name for name in names if name is not None]


def _captions_of(rows: CaptionRows, value: Any) -> tuple[list[str], bool]:
    """The captions in a value, and whether they were items of a list."""
    if isinstance(value, str) and not isinstance(value, RichText):
        if (text := strip_fence(value)) != value:
            rows.notes["captions in code blocks (```) of a model, which are read"] += 1
            value = text
        items = parse_list(value)
        if items is None:
            if value.lstrip()[:2] in ('["', "['"):
                rows.notes["captions that begin like a list but are none, read as text"] += 1
            return [value], False
        rows.notes[LIST_IN_TEXT] += 1
        value = items
    if (text := value if isinstance(value, RichText) else rich_text(value)) is not None:
        rows.notes[RICH_TEXT] += 1
        return [str(text)], False
    if isinstance(value, dict):
        return list(_texts_of(rows, value)), is_numbered(value) and is_word_name(
            without_numbers(str(next(iter(value))))
        )
    if value is None or value != value:  # NaN stands for an empty cell
        return [""], False
    if not isinstance(value, (list, tuple)):
        raise NotTextError(value)
    if is_conversation(value):
        return _first_answer(rows, value), False
    if is_scored(value):
        rows.notes["scores of captions, not read"] += 1
        return [value[0]], False
    if _is_tagged(value):
        rows.notes["part-of-speech tags stripped"] += 1
        value = [[word for word, _ in value]]
    value = _typed_captions(rows, value)
    return [text for item in value for text in _texts_of(rows, item)], True


def _typed_captions(rows: CaptionRows, items: Sequence[Any]) -> Sequence[Any]:
    """The annotations of the type caption in a list of annotations of several types; all items of other lists."""
    types = [normalize_name(str(item.get("type"))) if isinstance(item, dict) else "" for item in items]
    others = sorted(set(types) - _CAPTION_TYPES)
    are_known = _OTHER_TYPES.issuperset(others) or len(others) < len(set(types))
    if not others or not are_known or not {"", "none"}.isdisjoint(others):
        return items
    captions = [item for item, kind in zip(items, types, strict=True) if kind in _CAPTION_TYPES]
    count = len(items) - len(captions)
    rows.notes[f"annotations of other types than captions, not read ({', '.join(others)[:60]})"] += count
    return captions


def _first_answer(rows: CaptionRows, turns: Sequence[Any]) -> list[str]:
    """The first answer of a conversation."""
    answers = answers_of(turns)
    rows.notes["captions read from the first answer of conversations"] += bool(answers)
    if len(answers) > 1:
        rows.notes["later answers in conversations, not read"] += len(answers) - 1
    return answers[:1]


def _is_tagged(items: Sequence[Any]) -> bool:
    """Whether items are pairs of a Chinese word and its part of speech, such as ["狗", "NN"]."""
    pairs = [item for item in items if isinstance(item, (list, tuple)) and len(item) == 2]
    if len(pairs) < max(2, len(items)) or not all(isinstance(text, str) for pair in pairs for text in pair):
        return False
    return all(_TAG.fullmatch(tag) for _, tag in pairs) and any(_HAN.search(word) for word, _ in pairs)


def _texts_of(rows: CaptionRows, item: Any) -> Iterator[str]:
    """The caption in an item of a list: text, an object with text in it, or a list of words."""
    if not isinstance(item, str) and (text := rich_text(item)) is not None:
        rows.notes[RICH_TEXT] += 1
        yield str(text)
        return
    if isinstance(item, dict) and is_numbered(item):
        rows.notes[f"captions below numbered keys ({without_numbers(str(next(iter(item))))!r})"] += len(item)
        for inner in item.values():
            yield from _texts_of(rows, inner)
        return
    if isinstance(item, dict) and (key := _text_key(item)):
        marks = [(name, normalize_name(str(name))) for name in item if name != key]
        marks = [(name, plain) for name, plain in marks if holds_mark(plain, item[name])]
        if rows.find_rejection([(plain, item[name]) for name, plain in marks if parse_items(item[name]) is None]):
            return
        origins = origins_of(item)
        if others := [name for name in item if name not in (key, *dict(marks), *origins)]:
            rows.notes[f"keys of captions not read ({list_names(others, 100)})"] += 1
        if key not in _TEXT_KEYS:
            rows.notes[f"captions read from the key {key!r} of objects"] += 1
        lists = [(plain, items) for name, plain in marks if (items := parse_items(item[name])) is not None]
        item = accepted_items(rows, item[key], lists)
        item = MachineText(item) if any(origins.values()) and isinstance(item, str) else item
    if isinstance(item, (list, tuple)) and is_scored(item):
        rows.notes["scores of captions, not read"] += 1
        item = item[0]
    if item is None or item != item:
        yield ""
    elif isinstance(item, str):
        yield item
    elif isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item):
        if len(item) < 2 or holds_words(item):
            rows.notes.update([WORDS_JOINED] if len(item) > 1 else [])
            yield join_caption(rows, item)
        else:
            rows.notes["lists inside lists or objects, whose items are read as captions"] += 1
            yield from item
    elif isinstance(item, (list, tuple)) and item:
        for inner in item:
            yield from _texts_of(rows, inner)
    else:
        raise NotTextError(item)


def _text_key(item: dict[str, Any]) -> str | None:
    """The key of an object that holds its caption: one with a usual name, or the only one with text."""
    if key := next((key for key in _TEXT_KEYS if item.get(key)), None):
        return key
    texts = [str(key) for key, value in item.items() if is_text(value)]
    return texts[0] if len(texts) == 1 else None


def is_numbered(item: dict[str, Any]) -> bool:
    """Whether the keys of an object number its captions, such as annotator_1 and annotator_2.

    Example:
        >>> is_numbered({"worker1": "a dog", "worker2": "it runs"}), is_numbered({"text": "a dog", "id_1": "b"})
        (True, False)
    """
    names = {without_numbers(str(key)) for key in item}
    are_numbered = len(names) == 1 and all(map(is_text, item.values()))
    return are_numbered and not any(normalize_name(str(key)) in names for key in item)


# --- After the whole source is read


def restore_captions(rows: CaptionRows) -> None:
    """Repairs cells, splits captions that one cell holds, and joins lists of words.

    What was changed is counted in `rows.notes`.

    Raises:
        CorpusError: the image names are none.
    """
    leave_out_placeholders(rows)
    keep_references(rows)
    _note_most_without_caption(rows)
    repair_cells(rows)
    if mostly(rows.captions, is_name_like):
        rows.notes[
            "captions that are file names, URLs or ids (caption_column (--caption-column) names another column)"
        ] += len(rows)
    else:
        keep_language(rows)
        if rows.format != "ofa":
            join_marked_text(rows)
            restore_tagged(rows)
            split_captions(rows)
    _join_lists(rows)
    rows.leave_out_missing()
    if found := find_truncated(rows.captions):
        rows.notes[found.to_text()] += len(found.rows)
    note_markup(rows)


def _note_most_without_caption(rows: CaptionRows) -> None:
    """Warns of a file in which most rows have an image but no caption."""
    count = sum(reason.startswith("no caption") for *_, reason in rows.skipped)
    if count > len(rows) and rows.format != "folder":
        advice = "caption_column (--caption-column) chooses another column"
        rows.notes[f"{rows.units} without a caption, which are most of the file; {advice}"] = count


def _join_lists(rows: CaptionRows) -> None:
    """Joins the lists that are the words of one caption: all lists, or those that differ clearly from the others."""
    lists = rows.lists()
    texts = [[rows.captions[row] for row in members] for members in lists]
    if not lists:
        return
    sure = list(map(without_missing, texts))
    are_all = are_words(sure)
    chosen = [at for at, items in enumerate(sure) if are_all or are_clear_words(items)]
    if not chosen:
        return
    if len(chosen) < len(lists) and not are_beside_sentences(sure, len(chosen)):
        rows.notes["lists that look like the words of one caption, read as captions"] += len(chosen)
        return
    joined = {lists[at][0]: join_caption(rows, texts[at]) for at in chosen}
    dropped = {row for at in chosen for row in lists[at][1:]}
    rows.replace([(row, [joined.get(row, rows.captions[row])]) for row in range(len(rows)) if row not in dropped])
    strip_markers(rows)
    rows.notes[WORDS_JOINED] += len(chosen)
    if len(chosen) == len(lists):
        rows.notes.pop(LIST_IN_TEXT, None)
    else:
        rows.notes["lists of captions beside lists of words"] += len(lists) - len(chosen)
