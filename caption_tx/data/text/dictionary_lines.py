"""Lines of a user dictionary as people write them: with comments, as CSV, or as a JSON list."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from caption_tx.data.text.dictionary_forms import rewrite_forms, word_of

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)

_COMMENT = re.compile(r"\s*(?:#+(?:\s|$)|//)")
_TRAILING_COMMENT = re.compile(r"\s(?:#+|//+)\s.*$")
_HASH_WORD = re.compile(r"\s*#\w")
WORD_HEADERS = (
    "word", "words", "term", "entry", "token", "name", "词", "词语", "词条", "单词", "词汇", "关键词", "名称",
    "詞", "詞語", "詞彙",
)  # fmt: skip
FREQUENCY_HEADERS = (
    "freq", "frequency", "count", "weight", "词频", "频率", "频次", "次数", "权重", "詞頻", "頻率",
)  # fmt: skip
TAG_HEADERS = ("tag", "pos", "flag", "type", "词性", "詞性")
"""Names of the columns of a table of words."""

_SEPARATOR = re.compile("[,，;\t]")


@dataclass(frozen=True)
class Line:
    """One entry with its fields.

    Attributes:
        number: of the line, from 1.
        parts: the word's parts, followed by a frequency and a tag if there are any.
        num_fields: how many of the last parts are fields; None if white space separates them from the word.
    """

    number: int
    parts: tuple[str, ...]
    num_fields: int | None = None


def split_lines(text: str, tags: frozenset[str]) -> tuple[list[Line], list[str]]:
    """The entries of a user dictionary, and notes about what was read differently from how it is written.

    Comments are skipped: lines that begin with `# ` or `//`, and the rest of a line after ` # ` or ` // `.

    Args:
        text: of the file.
        tags: the part-of-speech tags that a CSV file may have.

    Raises:
        ValueError: the text is JSON, but not of words. The message says what was expected.

    Example:
        >>> split_lines("word,freq\\n大红袍茶,10\\n", frozenset())[0]
        [Line(number=2, parts=('大红袍茶', '10'), num_fields=1)]
    """
    if (items := _parse_json(text)) is not None:
        return items, ["Read as JSON."]
    lines, comments, hashes, with_commas = [], [], [], []
    numbered, notes = rewrite_forms(re.split("\r\n?|\n", text), _COMMENT.match)
    for number, written in numbered:
        if _COMMENT.match(written):
            comments.append(f"line {number} {written.strip()[:40]!r}")
            continue
        line = _TRAILING_COMMENT.sub("", written)
        if line != written:
            comments.append(f"line {number} {written.strip()[:40]!r}")
        if not line.strip():
            continue
        if not lines and _is_header(line):
            notes.append(f"Line {number} {line.strip()[:40]!r} is a header.")
            continue
        if _HASH_WORD.match(line):
            hashes.append(f"line {number} {line.strip()[:40]!r}")
        if cells := _split_cells(line, tags):
            with_commas.append(f"line {number} {line.strip()[:40]!r}")
            word, fields = cells
            lines.append(Line(number, (*word.split(), *fields), len(fields)))
        else:
            lines.append(Line(number, tuple(line.split())))
    notes += _note("Skipped as a comment", comments)
    notes += _note("Read as an entry", hashes, "; a comment has a space after #")
    return lines, notes + _note("Read as 'word,frequency,tag'", with_commas)


def _note(what: str, lines: Sequence[str], advice: str = "") -> list[str]:
    more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    return [f"{what}: {lines[0]}{more}{advice}."] if lines else []


def _is_header(line: str) -> bool:
    cells = [cell.strip().strip('"').lower() for cell in _SEPARATOR.split(line.strip())]
    return (
        len(cells) > 1
        and cells[0] in WORD_HEADERS
        and all(cell in (*FREQUENCY_HEADERS, *TAG_HEADERS) for cell in cells[1:])
    )


def _split_cells(line: str, tags: frozenset[str]) -> tuple[str, list[str]] | None:
    """The word and the fields of `word,frequency,tag`; None if a line with a comma is one entry, or has none."""
    match = re.search("[,，;]", line)
    if not match:
        return None
    cells = [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=match[0], skipinitialspace=True))]
    word, fields = cells[0], [cell for cell in cells[1:] if cell]
    is_number = [NUMBER.fullmatch(field) is not None for field in fields]
    is_tag = [field in tags for field in fields]
    has_fields = len(fields) < 3 and (not fields or is_number[0] or is_tag[0]) and (len(fields) < 2 or is_tag[1])
    return (word, fields) if has_fields and any(map(str.isalpha, word)) else None


def _parse_json(text: str) -> list[Line] | None:
    """The words of a JSON list, or of a JSON object of words and frequencies; None if the text is not JSON."""
    if text.strip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and word_of(value) is not None and len(value) > 1:
        return None  # one line of JSON Lines
    items = list(value.items()) if isinstance(value, dict) else [(item, None) for item in value]
    if items and all(word_of(item) for item, _ in items):
        return [Line(1, tuple((word_of(item) or "").split())) for item, _ in items]
    lines, position = [], 0
    for word, frequency in items:
        is_frequency = frequency is None or (isinstance(frequency, int) and not isinstance(frequency, bool))
        if not isinstance(word, str) or not is_frequency:
            found = json.dumps(word if not isinstance(word, str) else {word: frequency}, ensure_ascii=False)[:60]
            raise ValueError(
                f"it is JSON; expected a list of words or an object of words and frequencies, found {found}"
            )
        position = max(position, text.find(json.dumps(word, ensure_ascii=False), position))
        fields = [] if frequency is None else [str(frequency)]
        if word.strip():
            lines.append(Line(text.count("\n", 0, position) + 1, (*word.split(), *fields), len(fields)))
    return lines
