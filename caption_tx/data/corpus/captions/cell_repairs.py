"""Repairs of image names and captions that a program wrote in its own way: quotes, entities, numbers."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from caption_tx.data.corpus.captions.caption_characters import repair_characters
from caption_tx.data.corpus.captions.formulas import resolve_formulas
from caption_tx.data.corpus.captions.markup import repair_names, strip_labels, strip_markup
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.tables.table_ends import drop_totals, note_first_row
from caption_tx.data.corpus.values.encoded_images import encoded_kind
from caption_tx.data.corpus.values.value_kinds import is_valid_unicode
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.errors import CorpusError

_MIN_SHARE = 0.9
_NUMBERED_IMAGE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))#\d{{1,2}}", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_QUOTES = ("''", "``", "“”", "‘’", "「」", "『』", "《》", "＂＂", '""')
_SHORTENED_ID = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE]\+\d{2,3}")
_MARKER = (
    r"(?:<\|?/?(?:s|start|end|sos|eos|bos|pad|begin|cls|startoftext|endoftext|start_of_text|end_of_text)\|?>"
    r"|\[(?:start|end|sos|eos|bos|pad|begin|cls|sep)\]|\b(?:startseq|endseq)\b)"
)
_MARKERS_AT_START = re.compile(rf"^(?:{_MARKER}\s*)+", re.IGNORECASE)
_MARKERS_AT_END = re.compile(rf"(?:\s*{_MARKER})+$", re.IGNORECASE)
_UNKNOWN = re.compile(r"<unk>|\[unk\]", re.IGNORECASE)
_END_LENGTH = 24
_LIST_NUMBER = re.compile(r"(\d{1,7})(?:\.\s+|[、)）:：]\s*|\s+)(?=[^\W\d].*\.\w)")
_SCORES_AT_END = (
    re.compile(r"\s*([(（\[【])[^()（）\[\]【】\d]{0,12}[-+]?(?:[01]?\.\d+|\d{1,3}(?:\.\d+)?%|\d{1,2})\s*[)）\]】]$"),
    re.compile(r"\s*([|#@^~])\s*[-+]?\d{1,6}(?:\.\d+)?%?$"),
    re.compile(r"(?<!\d)\s*([:：;；,，(（\[])\s*[-+]?(?:[01]?\.\d+|1)\s*[)）\]]?$"),
    re.compile(r"(\s)\s*[01]?\.\d+$"),
)
_SCORES_AT_START = (
    re.compile(r"[-+]?\d{1,6}(?:\.\d+)?%?\s*([|@^~])\s*(?=\S)"),
    re.compile(r"[-+]?[01]?\.\d+\s*([:：;；,，])\s*(?=\S)"),
)
_PAGE_AT_END = re.compile(
    r"\s*(?:(?:[.．·•・‧_]\s*){3,}|(?:[…⋯]\s*)+|[—─]{3,}\s*|-{3,}\s*)"
    r"[(（\[]?(?:p{1,2}\.?\s*|第\s*)?(?:\d{1,4}|[ivxlc]{1,7})(?:\s*[页頁])?[)）\]]?$",
    re.IGNORECASE,
)
_PAGE_LENGTH, _PAGE_ENDS = 200, frozenset("0123456789ivxlcIVXLC页頁)）]")


def repair_cells(rows: CaptionRows) -> None:
    """Strips quotes, the number of `x.jpg#0`, start and end markers, scores and pages, and decodes HTML entities.

    `rows.notes` counts what was changed.

    Raises:
        CorpusError: the image names are numbers that a spreadsheet shortened, or images themselves.
    """
    rows.note_other_marks()
    _require_names(rows)
    if rows.format in ("csv", "tsv", "excel", "pairs", "parquet"):
        drop_totals(rows)
        note_first_row(rows)
    if rows.format != "folder":
        rows.images = _strip_quotes(rows, rows.images, "image names")
        rows.captions = _strip_quotes(rows, rows.captions, "captions")
        resolve_formulas(rows)
        repair_names(rows)
    _strip_numbers(rows)
    _note_odd_names(rows)
    _decode_entities(rows)
    repair_characters(rows)
    _note_unknown(rows)
    strip_markers(rows)
    strip_markup(rows)
    strip_labels(rows)
    _strip_pages(rows)
    _strip_scores(rows)


def _require_names(rows: CaptionRows) -> None:
    if rows.format in ("folder", "ofa"):
        return

    def place(row: int) -> str:
        return f"{rows.source}, {rows.unit} {rows.line_numbers[row]}"

    for row, name in enumerate(rows.images):
        if "+" in name and _SHORTENED_ID.fullmatch(name):
            raise CorpusError(f"{place(row)}: the ids were shortened by a spreadsheet ({name}); export them as text.")
        if kind := encoded_kind(name):
            raise CorpusError(
                f"{place(row)}: the image itself is in the file, {kind} ({name[:30]}..); save the images as files and "
                "write their names, or convert the file to Parquet with a column of bytes."
            )


def _strip_quotes(rows: CaptionRows, texts: list[str], kind: str) -> list[str]:
    """Texts without the quotes around nearly all of them; quotes at one end or in few texts belong to the text."""
    if len(texts) < 2:
        return texts
    for opening, closing in _QUOTES:

        def inner(text: str, opening: str = opening, closing: str = closing) -> str:
            wrapped = len(text) > 2 and text[0] == opening and text[-1] == closing
            content = text[1:-1].replace(closing * 2, "") if wrapped else ""
            ambiguous = opening in content and opening != closing
            ambiguous = ambiguous or (opening == closing and opening != "'" and closing in content)
            return "" if ambiguous else text[1:-1].strip() if wrapped else ""

        if mostly(texts, inner):
            stripped = [inner(text).replace(closing * 2, closing) or text for text in texts]
            rows.notes[f"quotes around {kind} stripped ({opening}..{closing})"] += len(texts)
            return stripped
    return texts


def _strip_numbers(rows: CaptionRows) -> None:
    """Strips the number of the caption from image names, as in `x.jpg#0`, if nearly all have one."""
    if not mostly(rows.images, _NUMBERED_IMAGE.fullmatch):
        return
    names = {name: match[1] for name in set(rows.images) if (match := _NUMBERED_IMAGE.fullmatch(name))}
    rows.images = [names.get(name, name) for name in rows.images]
    rows.notes["numbers stripped from image names (#0)"] += len(names)


def _note_odd_names(rows: CaptionRows) -> None:
    """Counts image names that begin with the number of their line."""
    matches = [_LIST_NUMBER.match(name) for name in rows.images[:1000]]
    numbers = [int(match[1]) for match in matches if match]
    if len(numbers) == len(matches) > 1 and all(second - first == 1 for first, second in pairwise(numbers)):
        rows.notes["image names that begin with the numbers of a list (such as '1. '), kept"] += len(rows)


def _decode_entities(rows: CaptionRows) -> None:
    """Decodes HTML entities such as `&amp;`, whose `;` separates nothing."""
    for row, caption in enumerate(rows.captions):
        if "&" in caption and _ENTITY.search(caption):
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), caption).strip()
            if text and text != caption and is_valid_unicode(text):
                rows.captions[row] = text
                rows.notes["captions with HTML entities (such as &amp;), decoded"] += 1


def strip_markers(rows: CaptionRows) -> None:
    """Strips the tokens that mark the start, the end and the padding of a caption for a model."""
    text = "\0".join(rows.captions)
    if not any(sign in text for sign in ("<", "[", "seq", "SEQ")):
        return
    for row, caption in enumerate(rows.captions):
        if stripped := _MARKERS_AT_START.sub("", _MARKERS_AT_END.sub("", caption)).strip():
            rows.captions[row] = stripped
            rows.notes["captions with markers such as <start> and <end>, stripped"] += stripped != caption
    rows.notes += Counter()  # drops zeros


def _note_unknown(rows: CaptionRows) -> None:
    if unknown := len(_UNKNOWN.findall("\0".join(rows.captions))):
        rows.notes["places where <unk> replaces a word, read as text"] += unknown


def _strip_pages(rows: CaptionRows) -> None:
    """Strips the dots and the page number that nearly all captions of a list of figures end in."""
    if len(rows) < 2 or not mostly(rows.captions, _page):
        return
    matches = list(map(_page, rows.captions))
    shown = next(caption for caption, match in zip(rows.captions, matches, strict=True) if match)[-8:]
    pairs = zip(rows.captions, matches, strict=True)
    rows.captions = [caption.removesuffix(match[0]) if match else caption for caption, match in pairs]
    rows.notes[f"captions that end in dots and a page number (such as {shown!r}), which are stripped"] += sum(
        map(bool, matches)
    )


def _page(caption: str) -> re.Match[str] | None:
    """The dots and the page number at the end of a caption."""
    match = _PAGE_AT_END.search(caption[-_PAGE_LENGTH:]) if caption[-1] in _PAGE_ENDS else None
    return match if match and len(match[0]) < len(caption) else None


def _strip_scores(rows: CaptionRows) -> None:
    """Strips a number that nearly all captions have at one end, such as `句子|0` or `0.93: a dog`."""
    if len(rows) < 2:
        return
    for pattern in (*_SCORES_AT_END, *_SCORES_AT_START):
        search = partial(_score, pattern=pattern)
        if not mostly(rows.captions, search):
            continue
        matches = list(map(search, rows.captions))
        if len({match[1] for match in matches if match}) > 1:
            continue
        take = str.removeprefix if pattern in _SCORES_AT_START else str.removesuffix
        pairs = zip(rows.captions, matches, strict=True)
        rows.captions = [take(caption, match[0]) if match else caption for caption, match in pairs]
        rows.notes["captions with a number at one end (such as '|0'), which is stripped"] += len(rows)
        return
    if count := sum(bool(_score(text, _SCORES_AT_END[1])) for text in rows.captions if text[-1].isdigit()):
        rows.notes["captions that end in a number (such as '|0'), kept"] += count


def _score(caption: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The number at one end of a caption; its group is the sign beside it."""
    if pattern in _SCORES_AT_START:
        return pattern.match(caption)
    match = pattern.search(caption[-_END_LENGTH:])
    return match if match and len(match[0]) < len(caption) else None


def mostly(captions: list[str], test: Callable[[str], object], share: float = _MIN_SHARE) -> bool:
    """Whether nearly all captions, or another share of them, pass a test; a sample decides first."""
    for texts in (captions[:: max(1, len(captions) // 200)], captions):
        if sum(map(bool, map(test, texts))) < share * len(texts):
            return False
    return True
