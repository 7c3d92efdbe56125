"""Files with a word per line, such as CoNLL-U, whose comments name the image: `# image = 1.jpg` above a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from caption_tx.data.corpus.column_names import image_rank
from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.value_kinds import is_image_name
from caption_tx.data.corpus.values.words import are_single_words, is_word

_COMMENT = re.compile(r"#\s*(?:([\w .-]{1,40}?)\s*[=:]\s*)?(\S.*?)\s*")
_PLACE, _RANGE = re.compile(r"\d{1,4}"), re.compile(r"\d{1,4}[-.]\d{1,4}")
_HEADER = "image\tposition\tword"
_NOTE = "sentences of a file with a word per line, under comments that name their images"
_TAG = re.compile(r"[A-Z][A-Z0-9$]*|[BIES]-[A-Za-z_]+|[-_.,:\d]+")
_MIN_WORDS, _MIN_SENTENCES = 3, 2


def token_head(lines: Iterable[str]) -> list[str] | None:
    """The words at the start of a file with a word per line, as a table; None for other files."""
    numbered = list(enumerate(lines, 1))
    texts = [line.strip() for _, line in numbered if line.strip()]
    if not texts or not texts[0].startswith("#") or not any(map(_image_of, texts)):
        return None
    rows = [text for text in texts if not text.startswith("#") or "\t" in text]
    words = [word for text in rows if (word := _word(text)) is not None]
    found, notes = read_tokens(numbered)
    if len(words) < _MIN_WORDS * notes[_NOTE] or notes[_NOTE] < _MIN_SENTENCES:
        return None
    if not are_single_words(words) or not all(map(_is_row, rows)):
        return None
    return [line for _, line in found]


def _is_row(text: str) -> bool:
    """Whether a line has a word, or columns of which those behind it are tags, and is no sentence."""
    if "\t" in text or " " not in text:
        return True
    cells = text.split()
    return all(map(_TAG.fullmatch, cells[2 if _PLACE.fullmatch(cells[0]) else 1 :]))


def read_tokens(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    """The words of sentences, which blank lines or comments divide, as the rows of a table. See `Change`."""
    found: list[Line] = [(0, _HEADER)]
    image, sentence, place = "", 0, 0
    for number, line in lines:
        text = line.strip()
        if not text or (text.startswith("#") and "\t" not in text):
            image = _image_of(text) or image
            place = 0
        elif (word := _word(text)) is not None:
            sentence += place == 0
            place += 1
            found.append((number, f"{image}\t{place}\t{word}"))
    return found, Counter({_NOTE: sentence})


def _image_of(text: str) -> str | None:
    """The image that a comment names, with or without a key such as `image`."""
    match = _COMMENT.fullmatch(text)
    if match is None or "\t" in text:
        return None
    is_key = match[1] is not None and image_rank(match[1]) is not None
    return match[2] if is_image_name(match[2]) or (is_key and is_word(match[2])) else None


def _word(text: str) -> str | None:
    """The word of a line: its first column, or the second one after its number; None for a range of words."""
    cells = [cell.strip() for cell in (text.split("\t") if "\t" in text else text.split())]
    if len(cells) > 1 and _RANGE.fullmatch(cells[0]):
        return None
    return cells[1] if len(cells) > 1 and _PLACE.fullmatch(cells[0]) else cells[0]


def are_tokens(lines: Sequence[str]) -> bool:
    """Whether lines have a number that counts words, a word, and more columns, as CoNLL-U has them."""
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    rows = [row for row in rows if len(row) > 2 and _PLACE.fullmatch(row[0]) and is_word(row[1].strip())]
    return 2 * len(rows) > len(lines) and len(rows) > _MIN_WORDS and rows[0][0] == "1" and rows[1][0] == "2"
