"""Lines of a user dictionary as people write them: with comments, as CSV, or as a JSON list."""

from __future__ import annotations

import ast
import csv
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from caption_tx.data.text.dictionary_forms import (
    FREQUENCY_HEADERS,
    TAG_HEADERS,
    frequency_of,
    is_word_header,
    rewrite_forms,
    word_of,
)
from caption_tx.data.text.dictionary_pinyin import HAN

NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)

_COMMENT = re.compile(r"\s*(?:#+(?:\s|$)|#!|//|;|(?:%+|--+)\s|/\*.*\*/\s*$|<!--.*-->\s*$)")
_TRAILING_COMMENT = re.compile(rf"\s(?:#+|//+)\s.*$|(?<=[{HAN}])(?:\s*//.*[^/]|\s+#[{HAN}].*)$")
_HASH_WORD = re.compile(r"\s*#\w")
_ASSIGNMENT = re.compile(r"\b\w+\s*=\s*(?=[\[({])")
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

    Comments are skipped: lines that begin with `# `, `#!`, `//`, `;`, `% ` or `-- `, and the rest of a line after ` # `
    or ` // `, or after `//` behind a Chinese character.

    Args:
        text: of the file.
        tags: the part-of-speech tags that a CSV file may have.

    Raises:
        ValueError: the text is JSON, but not of words. The message says what was expected.

    Example:
        >>> split_lines("word,freq\\n大红袍茶,10\\n", frozenset())[0]
        [Line(number=2, parts=('大红袍茶', '10'), num_fields=1)]
    """
    if (parsed := _parse_json(text)) is not None:
        return parsed[0], [parsed[1]]
    lines, comments, hashes, with_commas = [], [], [], []
    written = re.split("\r\n?|\n", text)
    stripped = ["" if _COMMENT.match(line) else _TRAILING_COMMENT.sub("", line) for line in written]
    for number, (line, rest) in enumerate(zip(written, stripped, strict=True), 1):
        if line != rest:
            comments.append(f"line {number} {line.strip()[:40]!r}")
    numbered, notes = rewrite_forms(stripped)
    for number, line in numbered:
        if not line.strip():
            continue
        if not lines and _is_header(line):
            notes.append(f"Line {number} {line.strip()[:40]!r} is a header.")
            continue
        if _HASH_WORD.match(line):
            hashes.append(f"line {number} {line.strip()[:40]!r}")
        if cells := _split_cells(line, tags):
            if stripped[number - 1].strip().endswith(line.strip()):
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
        and is_word_header(cells[0])
        and all(cell in (*FREQUENCY_HEADERS, *TAG_HEADERS) for cell in cells[1:])
    )


def _split_cells(line: str, tags: frozenset[str]) -> tuple[str, list[str]] | None:
    """The word and the fields of `word,frequency,tag`; None if a line with a comma is one entry, or has none."""
    match = re.search("[,，;]", line)
    if not match:
        return None
    cells = [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=match[0], skipinitialspace=True))]
    word, fields = cells[0], [unicodedata.normalize("NFKC", cell) for cell in cells[1:] if cell]
    is_number = [NUMBER.fullmatch(field) is not None for field in fields]
    is_tag = [field in tags for field in fields]
    has_fields = len(fields) < 3 and (not fields or is_number[0] or is_tag[0])
    has_fields = has_fields and (len(fields) < 2 or is_tag[1] or (is_tag[0] and is_number[1]))
    return (word, fields) if has_fields and any(map(str.isalpha, word)) else None


def _parse_json(text: str) -> tuple[list[Line], str] | None:
    """The words of a list or an object in JSON or Python, and a note; None if the text is neither.

    Words may be below keys, beside their frequency in a pair, or keys of objects with a frequency.
    """
    text = _ASSIGNMENT.sub("", text.strip()).rstrip(";")
    if text[:1] not in ("[", "{", "("):
        return None
    value, kind = None, "JSON"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value, kind = ast.literal_eval(text), "Python"
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not isinstance(value, (list, tuple, dict, set)):
        return None
    if isinstance(value, dict) and word_of(value) is not None and len(value) > 1:
        return None  # one line of JSON Lines
    lines, position, keys = [], 0, []
    for word, frequency in _words_in(value, keys):
        position = max(position, text.find(json.dumps(word, ensure_ascii=False)[1:-1], position))
        fields = [] if frequency is None else [str(frequency)]
        if word.strip():
            lines.append(Line(text.count("\n", 0, position) + 1, (*word.split(), *fields), len(fields)))
    below = f", with the words below its keys ({', '.join(dict.fromkeys(keys))[:60]})" if keys else ""
    return lines, f"Read as {kind}{below}."


def _words_in(value: Any, keys: list[str]) -> Iterator[tuple[str, int | None]]:
    """(word, frequency) of the words in a list or an object; `keys` receives the keys below which words are.

    Raises:
        ValueError: a value is none of these.
    """
    items = list(value.items()) if isinstance(value, dict) else [(item, None) for item in value]
    for item, below in items:
        if isinstance(item, str) and _is_frequency(below):
            yield item, below
        elif isinstance(item, str) and isinstance(below, (list, tuple)):
            keys.append(item)
            yield from _words_in(below, keys)
        elif isinstance(item, str) and isinstance(below, dict) and below and not word_of(below):
            if frequency_of(below) is None:
                keys.append(item)
                yield from _words_in(below, keys)
            else:
                yield item, frequency_of(below)
        elif isinstance(item, dict) and word_of(item):
            word = next(word for word in item.values() if isinstance(word, str) and word_of(item).startswith(word))
            yield word, frequency_of(item)
        elif isinstance(item, (list, tuple)) and len(item) == 2 and isinstance(item[0], str) and _is_frequency(item[1]):
            yield item[0], item[1]
        else:
            found = item if below is None else {item: below}
            raise ValueError(
                "it is JSON; expected a list of words or an object of words and frequencies, found "
                f"{json.dumps(found, ensure_ascii=False, default=str)[:60]}"
            )


def _is_frequency(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
