"""Tables with an image per column: answers of a survey whose headers name the images, and transposed tables.

time,1.jpg,2.jpg                      image,1.jpg,2.jpg
9:00,a dog runs,two cats              caption 1,a dog runs,two cats
9:10,a brown dog,cats asleep          caption 2,a brown dog,cats asleep
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as Names

from caption_tx.data.corpus.captions.caption_values import add_captions
from caption_tx.data.corpus.column_names import IMAGE_WORDS, caption_key, image_rank, normalize_name
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_text, share
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES
from caption_tx.errors import CorpusError

_NAME = re.compile(
    rf"[^\s\[\](){{}}（）【】「」『』《》<>|\"'“”:：,，;；]+"
    rf"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?!\.?[0-9A-Za-z_])",
    re.IGNORECASE,
)
_NUMBER = r"(?:(?:[Qq]|第|题目?|问题|[Qq]uestion)?\s*\d+\s*题?\s*(?:[、)）]|[.．:：])\s*)?"
"""The number of a question before its text."""
_ASKS = re.compile(
    rf"描述(?!文件)|看图|一句话|请(?=[用描写看为给对说您你])"
    rf"|^{_NUMBER}(?:please|describe|caption|write|give|what (?:is|are|do|does|can))\s",
    re.IGNORECASE,
)
"""Words of a question, which the name of an image seldom has."""
_ASCII_END = re.compile(r"[!-~]+")
_MAX_HEADER = 1000
"""Characters of a header that may name an image; longer cells, such as images in base64, take long to search."""

_MIN_IMAGES = 2
_PREVIEWS = ("Survey Preview", "Survey Test", "Spam")
_MAX_SHOWN = 5


def name_in_header(header: str) -> str | None:
    """The image that a header names, alone or in a question.

    Example:
        >>> name_in_header("Describe the photo [1.jpg]"), name_in_header("IMG 1 (2).jpg"), name_in_header("caption")
        ('1.jpg', 'IMG 1 (2).jpg', None)
        >>> name_in_header("2、请用一句话描述图片 p02.png")
        'p02.png'
    """
    header = header.strip()
    if len(header) > _MAX_HEADER:
        return None
    is_question = _ASKS.search(header) is not None and "://" not in header
    if is_image_name(header) and not is_question and not re.search(r"[\[【：:]", header.partition("://")[2] or header):
        return header
    match = _NAME.search(header)
    if match is None:
        return None
    ends = _ASCII_END.findall(match[0]) if is_question and _ASKS.search(match[0]) else []
    return ends[-1] if ends and ends[-1].rpartition(".")[0] else match[0]


def is_wide(header: Sequence[str], sample: Sequence[Sequence[str]]) -> bool:
    """Whether headers name different images and the cells below them are text.

    Few headers may do so among others about the answers, if none of these is the usual name of an image or a caption.
    """
    names = [(at, name) for at, cell in enumerate(header) if (name := name_in_header(cell))]
    filled = sum(bool(cell.strip()) for cell in header)
    if len({name for _, name in names}) < _MIN_IMAGES:
        return False
    others = set(range(len(header))) - {at for at, _ in names}
    if 2 * len(names) < filled and any(_is_usual(header[at]) for at in others):
        return False
    sample = [row for row in sample if not is_import_row(row)]
    cells = [row[at] for row in sample for at, _ in names if at < len(row)]
    return share(cells, is_text) > 0.5 and share(cells, is_image_name) == 0


def _is_usual(name: str) -> bool:
    """Whether a header is the usual name of an image or a caption, as in tables with a column of captions."""
    return normalize_name(name) in IMAGE_WORDS or (caption_key(name) or ("", 1))[1] == 0


def is_import_row(cells: Sequence[str]) -> bool:
    """Whether a row has the ids of the questions, which Qualtrics writes below its two rows of headers."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    return bool(filled) and all(cell.startswith('{"ImportId"') for cell in filled)


def read_wide(header: Sequence[str], table: Iterable[tuple[int, Sequence[str]]], rows: CaptionRows) -> None:
    """Adds the captions of a table with an image per column.

    Args:
        header: its first row.
        table: (number, cells) of the rows below it.
        rows: receives the captions.

    Raises:
        CorpusError: the headers ask several questions about the images, and the user names none.
    """
    images = _choose_question(header, rows)
    asked = [header[at].strip() for at, name in images.items() if header[at].strip() != name]
    if asked:
        rows.notes[f"headers with more than a name, read as the image in them (such as {asked[0][:40]!r})"] = len(asked)
    others = [cell.strip() for at, cell in enumerate(header) if at not in images and cell.strip()]
    is_transposed = 0 not in images and image_rank(header[0]) is not None
    rows.notes["images named by the headers of columns, the cells below read as their captions"] = len(images)
    if others and not is_transposed:
        rows.notes[f"columns not read ({list_names(others)})"] = len(others)
    filled = ((number, cells) for number, cells in table if any(cell.strip() for cell in cells))
    for number, cells in _caption_rows(filled, rows) if is_transposed else filled:
        if is_import_row(cells):
            rows.skip(number, "blank line")
            continue
        if any(cell.strip() in _PREVIEWS for cell in cells):
            rows.skip(number, "a preview of the survey")
            rows.notes["previews and tests of the survey (such as Survey Preview), left out"] += 1
            continue
        for at, image in images.items():
            cell = cells[at] if at < len(cells) else ""
            if not cell.strip() or is_text(cell):
                add_captions(rows, [image], cell, number, None)
            else:
                rows.skip(number, "not text")
                rows.notes["cells without text below the name of an image, not read"] += 1


def _choose_question(header: Sequence[str], rows: CaptionRows) -> dict[int, str]:
    """Position -> image of the columns whose headers ask one question, which the user names if there are several."""
    images = {at: name for at, cell in enumerate(header) if (name := name_in_header(cell))}
    known = {name.casefold() for at, name in images.items() if name != header[at].strip()}
    known |= rows.options.files.names() if rows.options.files else set()
    images = {at: _choose_name(header[at].strip(), name, known) for at, name in images.items()}
    questions: dict[str, list[int]] = {}
    for at, name in images.items():
        questions.setdefault(_question(header[at], name), []).append(at)
    wanted = rows.options.caption_columns
    if wanted:
        chosen = {at for question in questions for at in questions[question] if _is_named(question, wanted)}
        return {at: name for at, name in images.items() if at in chosen} or images
    asked = [name for positions in questions.values() for name in {images[at] for at in positions}]
    if len(asked) > len(set(asked)):
        shown = ", ".join(repr(question) for question in questions)[:200]
        raise CorpusError(
            f"{rows.source}, {rows.unit} 1: the headers ask several questions about each image ({shown}); name the one "
            f"whose answers are captions with caption_column (--caption-column) {next(iter(questions))!r}."
        )
    return images


def _choose_name(header: str, name: str, known: Names[str]) -> str:
    """The known name in a header, such as that of a file: all of it, the name found in it, or the end of that."""
    starts = [0, *(at for at in range(1, len(name)) if not (_is_letter(name[at - 1]) and _is_letter(name[at])))]
    names = (header, *(name[at:] for at in starts))
    return next((text for text in names if text.casefold() in known), name)


def _is_letter(sign: str) -> bool:
    return sign.isascii() and sign.isalnum()


def _question(header: str, name: str) -> str:
    header = re.sub(f"^{_NUMBER}", "", header.strip())
    return re.sub(r"[\s\[\](){}（）【】「」『』《》<>|:：]+", " ", header.replace(name, " ")).strip()


def _is_named(question: str, wanted: Sequence[str]) -> bool:
    return any(normalize_name(name) == normalize_name(question) for name in wanted)


def _caption_rows(table: Iterable[tuple[int, Sequence[str]]], rows: CaptionRows) -> Iterator[tuple[int, Sequence[str]]]:
    """The rows of a transposed table whose first cell is a name for captions, or all rows if none has one."""
    table = list(table)
    named = [(number, cells) for number, cells in table if caption_key(cells[0])]
    unread = [cells[0].strip() for number, cells in table if not caption_key(cells[0])] if named else []
    if unread:
        shown = ", ".join(unread[:_MAX_SHOWN]) + (", .." if len(unread) > _MAX_SHOWN else "")
        rows.notes[f"rows not read ({shown})"] = len(unread)
    yield from named or table
