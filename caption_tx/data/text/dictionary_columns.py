"""User dictionaries with columns beside the words: codes of thesauri, numbers, pinyin, glosses and scores."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Sequence

from caption_tx.data.text.dictionary_japanese import read_kuromoji, read_mecab
from caption_tx.data.text.dictionary_kinds import (
    INTEGER,
    LIST,
    NUMBER,
    WORD_KINDS,
    Column,
    are_codes,
    count_rows,
    find_kinds,
    split_words,
)
from caption_tx.data.text.dictionary_pinyin import HAN, strip_pinyin

Numbered = list[tuple[int, str]]
"""Lines with their numbers."""

_HAS_HAN = re.compile(f"[{HAN}]")
_MIN_CODES = 3
_MIN_LIST = 3
_MIN_FORM = 0.95
_DELIMITERS = ("\t", "[,，]", r"[|｜]", "[;；]", r"\s+")
_SORT_CODE = re.compile("[a-z]{1,4}")

# Tongyici Cilin (`Aa01A01=`) and its older edition (`Aa01`).
_CILIN = re.compile(r"[A-Z][a-z]\d\d(?:[A-Z](?:\d\d)?)?\s*[=#@:：]?\s*[,，\t]?\s*(\S.*)", re.ASCII)
_SLASHES = re.compile(r"\s*/\s*|\s*(?:—+|--+)\s*")
_CATEGORY = re.compile(r"[^:：\s]{1,12}\s*[:：]\s*(\S.*)")
_CEDICT = re.compile(
    r"(\S+)(?: (\S+))? \[\[?[^\[\]]*\]?\](?: \{[^{}]*\})? /.*/"  # traditional simplified [pin1 yin1] /gloss/
)
_PHRASE = re.compile(r"(?:[a-z]+,\d+=|[a-z]+=\d+,|\d+,[a-z]+=)\s*(\S.*)")  # of input methods: code, position, text
_ARROW = re.compile("[=-]>|→")
_HOWNET = re.compile(r"(?:NO\.|[A-Z]{1,4}(?:_[A-Z]{1,2})?)\s*=.*")
_HOWNET_WORD = re.compile(r"W_C\s*=\s*(\S+)")


def read_columns(content: Numbered, tags: Container[str], notes: list[str]) -> Numbered:
    """Rewrites lines with other columns than `word frequency tag` to words with frequencies, if all lines have them.

    Args:
        content: the lines that are no comments, with their numbers.
        tags: part-of-speech tags.
        notes: receives what was read.

    Example:
        >>> read_columns([(1, "Aa01A01= 人 士"), (2, "Aa01A02= 人类")], (), [])
        [(1, '人'), (1, '士'), (2, '人类')]
    """
    content = _drop_header(_drop_vector_size(content, notes), tags, notes)
    for read, name in _LAYOUTS if len(content) > 1 else _CERTAIN_LAYOUTS:
        words = [read(line.strip()) for _, line in content]
        others = [number for (number, _), found in zip(content, words, strict=True) if found is None]
        if len(others) <= (1 - _MIN_FORM) * len(content) and any(words):
            number, first = content[next(at for at, found in enumerate(words) if found)]
            more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
            but = f"; not line {others[0]}{more}" if others else ""
            notes.append(f"Read {name}: line {number} {first.strip()[:40]!r}{but}.")
            return [
                (number, word)
                for (number, line), found in zip(content, words, strict=True)
                for word in ([line] if found is None else found)
            ]
    if len(content) < 2:
        return _read_lists(content, notes)
    for delimiter in _DELIMITERS:
        if (rewritten := _read_table(content, delimiter, tags, notes)) is not None:
            return rewritten
    return _read_lists(content, notes)


def _drop_vector_size(content: Numbered, notes: list[str]) -> Numbered:
    """Word vectors without their first line, the number of words and of dimensions."""
    if len(content) < 2:
        return content
    number, first = content[0]
    size = first.split()
    if len(size) != 2 or not all(map(INTEGER.fullmatch, size)) or int(size[1]) < 2:
        return content
    if any(len(line.split()) != int(size[1]) + 1 for _, line in content[1:]):
        return content
    notes.append(f"Skipped as the size of word vectors: line {number} {first.strip()!r}.")
    return content[1:]


def _drop_header(content: Numbered, tags: Container[str], notes: list[str]) -> Numbered:
    """A table without its first line, if that has a name above a column of numbers."""
    if len(content) < 3:
        return content
    for delimiter in _DELIMITERS[:-1]:
        names, *rows = [[cell.strip() for cell in re.split(delimiter, line.strip(" "))] for _, line in content]
        if len(names) < 2 or any(len(row) != len(names) for row in rows):
            continue
        are_names = all(len(name) > 1 and name not in tags and not re.match(r"[\d+-]", name) for name in names)
        if are_names and any(all(map(NUMBER.fullmatch, cells)) for cells in zip(*rows, strict=True)):
            number, first = content[0]
            notes.append(f"Line {number} {first.strip()[:40]!r} is a header.")
            return content[1:]
    return content


def _read_cilin(line: str) -> list[str] | None:
    match = _CILIN.fullmatch(line)
    return [part for part in LIST.split(match[1]) if part] if match and _HAS_HAN.search(line) else None


def _read_phrase(line: str) -> list[str] | None:
    match = _PHRASE.fullmatch(line)
    return [match[1]] if match else None


def _read_cedict(line: str) -> list[str] | None:
    match = _CEDICT.fullmatch(line)
    return list(dict.fromkeys(filter(None, match.groups()))) if match else None


def _read_hownet(line: str) -> list[str] | None:
    if not _HOWNET.fullmatch(line):
        return None
    match = _HOWNET_WORD.fullmatch(line)
    return [match[1]] if match else []


_CERTAIN_LAYOUTS: tuple[tuple[Callable[[str], list[str] | None], str], ...] = (
    (read_mecab, "as a dictionary of MeCab or Sudachi, the first column"),
    (read_kuromoji, "as a dictionary of Kuromoji, the first column"),
)
_LAYOUTS = (
    *_CERTAIN_LAYOUTS,
    (_read_cilin, "as a thesaurus, the words after each code"),
    (_read_cedict, "as CC-CEDICT or EDICT, without pinyin and glosses"),
    (strip_pinyin, "without pinyin"),
    (_read_phrase, "as phrases of an input method, without their codes"),
    (_read_hownet, "as HowNet, the words of W_C"),
)


def _read_table(content: Numbered, delimiter: str, tags: Container[str], notes: list[str]) -> Numbered | None:
    """The words and frequencies of a table without a header; None if another form fits or nothing must be left out."""
    rows = [[_normalize(cell) for cell in re.split(delimiter, line.strip(" "))] for _, line in content]
    width = len(rows[0])
    if width < 2 or any(len(row) != width for row in rows):
        return None
    is_spaces = delimiter == r"\s+"
    columns = find_kinds([list(cells) for cells in zip(*rows, strict=True)], tags, is_spaced=is_spaces)
    words = [column for column in columns if column.kind in WORD_KINDS]
    kinds = [column.kind for column in columns]
    if any(_ARROW.search(cell) for column in columns for cell in column.cells):
        return None
    if not words or (is_spaces and "text" in kinds and "numbers of rows" not in kinds and "codes" not in kinds):
        return None
    has_zeros = any(column.kind == "frequencies" and "0" in column.cells for column in columns)
    if (_is_plain(kinds) and not has_zeros) or (len(words) == width and delimiter != "\t"):
        return None
    after = [column for column in columns[words[-1].index :] if column.kind == "frequencies"]
    before = [column for column in columns[: words[0].index] if column.kind == "frequencies"]
    frequency = next(iter([*after, *before]), None)
    read = [column for column in columns if column in words or column is frequency]
    others = [column for column in columns if column not in read and any(column.cells)]
    notes.append(_describe(read, others, content[0]) + " A frequency of 0 counts as none." * has_zeros)
    return [
        (number, _join(word, "" if frequency is None else frequency.cells[at].lstrip("0")))
        for at, (number, _) in enumerate(content)
        for column in words
        for word in column.words(at)
    ]


def _join(word: str, frequency: str) -> str:
    """A line `word frequency`, with a comma between them if white space would leave doubt."""
    is_clear = _HAS_HAN.search(word) and " " not in word
    return f"{word} {frequency}".strip() if is_clear or "," in word else f"{word},{frequency}"


def _normalize(cell: str) -> str:
    cell = cell.strip().strip('"')
    return unicodedata.normalize("NFKC", cell) if cell.isdecimal() else cell


def _is_plain(kinds: Sequence[str]) -> bool:
    """Whether jieba's format or a form with only words, frequencies and tags has the columns."""
    if (
        kinds.count("words") != 1
        or kinds.count("frequencies") > 1
        or not set(kinds) <= {"words", "frequencies", "tags"}
    ):
        return False
    return len(kinds) < 3 or kinds[0] == "words"


def _describe(read: Sequence[Column], others: Sequence[Column], first: tuple[int, str]) -> str:
    names = ", ".join(str(column.index + 1) for column in read)
    text = f"Read from column{'s' * (len(read) > 1)} {names} of lines such as line {first[0]} {first[1].strip()[:40]!r}"
    if others:
        text += f", without column {', '.join(f'{column.index + 1} ({column.kind})' for column in others[:4])}"
        text += ", .." if len(others) > 4 else ""
    return f"{text}."


def _read_lists(content: Numbered, notes: list[str]) -> Numbered:
    """The words of lines with several, after a number, a code or the name of a category if they have one."""
    lines = [line.strip() for _, line in content]
    for rest, name in _rests(lines):
        for pattern in (LIST, _SLASHES):
            words = [split_words(text, pattern) for text in rest]
            if all(words) and (name or _are_lists(words, pattern)):
                number, first = content[0]
                notes.append(f"Read as a list of words on one line{name}: line {number} {first.strip()[:40]!r}.")
                return [
                    (number, word) for (number, _), found in zip(content, words, strict=True) for word in found or ()
                ]
    return content


def _rests(lines: Sequence[str]) -> list[tuple[list[str], str]]:
    """The lines without what each begins with, and how to say so."""
    halves = [re.split(r"[\s,，:：=]+", line, maxsplit=1) for line in lines]
    rests = []
    if all(len(half) == 2 for half in halves):
        firsts, rest = [half[0] for half in halves], [half[1] for half in halves]
        are_sorted = len(lines) >= _MIN_CODES and firsts == sorted(firsts)
        if count_rows(firsts) or are_codes(firsts) or (are_sorted and all(map(_SORT_CODE.fullmatch, firsts))):
            rests.append((rest, ", without the code before them"))
    matches = [_CATEGORY.fullmatch(line) for line in lines]
    if all(matches):
        rest = [match[1] for match in matches if match]
        if 2 * sum(len(split_words(text) or ()) > 1 for text in rest) > len(rest):
            rests.append((rest, ", without the category before the colon"))
    return [*rests, (list(lines), "")]


def _are_lists(words: Sequence[list[str] | None], pattern: re.Pattern[str]) -> bool:
    """Whether every line has several words; characters between spaces could be a word that is spaced out."""
    least = _MIN_LIST if len(words) < 2 else 2
    are_long = pattern is _SLASHES or all(len(word) > 1 for found in words for word in found or ())
    return are_long and all(found and len(found) >= least for found in words)
