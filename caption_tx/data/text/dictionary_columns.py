"""User dictionaries with columns beside the words: codes of thesauri, numbers, pinyin, glosses and scores."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from caption_tx.data.text.dictionary_pinyin import HAN, is_pinyin, strip_pinyin

Numbered = list[tuple[int, str]]
"""Lines with their numbers."""

_HAS_HAN = re.compile(f"[{HAN}]")
_LONGEST_WORD = 16
_MIN_CATEGORIZED = 4
_MIN_CODES = 3
_MIN_LIST = 3
_MIN_FORM = 0.95
_LONGEST_MEAN = 6
_DELIMITERS = ("\t", "[,，]", r"[|｜]", "[;；]", r"\s+")
_INTEGER = re.compile(r"\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_PADDED = re.compile(r"0\d+|\d{3,}", re.ASCII)
_LABEL = re.compile(r"[BIESOM]-\w+|(?:[A-Z]{1,5},)+[A-Z]*", re.ASCII)
_SORT_CODE = re.compile("[a-z]{1,4}")

# Tongyici Cilin (`Aa01A01=`) and its older edition (`Aa01`).
_CILIN = re.compile(r"[A-Z][a-z]\d\d(?:[A-Z](?:\d\d)?)?\s*[=#@:：]?\s*[,，\t]?\s*(\S.*)", re.ASCII)
_LIST = re.compile(r"\s*[、,，;；|]\s*|\s+")
_SLASHES = re.compile(r"\s*/\s*|\s*(?:—+|--+)\s*")
_CATEGORY = re.compile(r"[^:：\s]{1,12}\s*[:：]\s*(\S.*)")
_CEDICT = re.compile(
    r"(\S+)(?: (\S+))? \[\[?[^\[\]]*\]?\](?: \{[^{}]*\})? /.*/"  # traditional simplified [pin1 yin1] /gloss/
)
_PHRASE = re.compile(r"(?:[a-z]+,\d+=|[a-z]+=\d+,|\d+,[a-z]+=)\s*(\S.*)")  # of input methods: code, position, text
_NO_WORD = re.compile(r"[\s=:：/\[\](){}（）'\"“”]")
_ARROW = re.compile("[=-]>|→")
_HOWNET = re.compile(r"(?:NO\.|[A-Z]{1,4}(?:_[A-Z]{1,2})?)\s*=.*")
_HOWNET_WORD = re.compile(r"W_C\s*=\s*(\S+)")


@dataclass(frozen=True)
class _Column:
    """A column of a table without a header: its index, its cells and what they are."""

    index: int
    cells: list[str]
    kind: str


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
    if len(content) < 2:
        return _read_lists(content, notes)
    for read, name in _LAYOUTS:
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
    if len(size) != 2 or not all(map(_INTEGER.fullmatch, size)) or int(size[1]) < 2:
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
        if are_names and any(all(map(_NUMBER.fullmatch, cells)) for cells in zip(*rows, strict=True)):
            number, first = content[0]
            notes.append(f"Line {number} {first.strip()[:40]!r} is a header.")
            return content[1:]
    return content


def _split_words(text: str, pattern: re.Pattern[str] = _LIST) -> list[str] | None:
    """Chinese words between separators; None if a part is none."""
    parts = [part for part in pattern.split(text.strip()) if part]
    return parts if parts and all(_is_word(part) for part in parts) else None


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and _HAS_HAN.search(text) is not None and not _NO_WORD.search(text)


def _read_cilin(line: str) -> list[str] | None:
    match = _CILIN.fullmatch(line)
    return [part for part in _LIST.split(match[1]) if part] if match and _HAS_HAN.search(line) else None


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


_LAYOUTS: tuple[tuple[Callable[[str], list[str] | None], str], ...] = (
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
    columns = _find_kinds([list(cells) for cells in zip(*rows, strict=True)], tags)
    is_spaces = delimiter == r"\s+"
    words = [column for column in columns if column.kind == "words"]
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
        (number, f"{word} {'' if frequency is None else frequency.cells[at].lstrip('0')}".strip())
        for at, (number, _) in enumerate(content)
        for column in words
        for word in _split_words(column.cells[at]) or ()
    ]


def _normalize(cell: str) -> str:
    cell = cell.strip().strip('"')
    return unicodedata.normalize("NFKC", cell) if cell.isdecimal() else cell


def _is_plain(kinds: Sequence[str]) -> bool:
    """Whether jieba's format or a form with only words, frequencies and tags has the columns."""
    return list(kinds).count("words") == 1 and set(kinds) <= {"words", "frequencies", "tags"} and (
        len(kinds) < 3 or kinds[0] == "words"
    )  # fmt: skip


def _describe(read: Sequence[_Column], others: Sequence[_Column], first: tuple[int, str]) -> str:
    names = ", ".join(str(column.index + 1) for column in read)
    text = f"Read from column{'s' * (len(read) > 1)} {names} of lines such as line {first[0]} {first[1].strip()[:40]!r}"
    if others:
        text += f", without column {', '.join(f'{column.index + 1} ({column.kind})' for column in others[:4])}"
        text += ", .." if len(others) > 4 else ""
    return f"{text}."


def _find_kinds(columns: Sequence[list[str]], tags: Container[str]) -> list[_Column]:
    """What the cells of each column are."""
    kinds = [_kind(cells, at == 0, tags) for at, cells in enumerate(columns)]
    words = next((cells for cells, kind in zip(columns, kinds, strict=True) if kind == "words"), [])
    if words:
        for at, cells in enumerate(columns):
            if kinds[at] in ("text", "tags") and all(map(is_pinyin, cells, words)):
                kinds[at] = "pinyin"
            elif kinds[at] == "words" and cells is not words and _are_categories(words, cells):
                kinds[at] = "categories"
        first = kinds.index("words")
        after = next((at for at in range(first, len(kinds)) if kinds[at] in ("frequencies", "tags")), len(kinds))
        kinds[after:] = ["text" if kind == "words" else kind for kind in kinds[after:]]
    return [_Column(at, cells, kind) for at, (cells, kind) in enumerate(zip(columns, kinds, strict=True))]


def _kind(cells: list[str], is_first: bool, tags: Container[str]) -> str:
    filled = [cell for cell in cells if cell]
    if is_first and _count_rows(cells):
        return "numbers of rows"
    if filled and all(map(_NUMBER.fullmatch, filled)):
        return "frequencies" if all(map(_INTEGER.fullmatch, filled)) and any(map(int, filled)) else "scores"
    if all(cell in tags for cell in filled):
        return "tags"
    if all(map(_split_words, cells)) and (is_first or sum(map(len, cells)) <= _LONGEST_MEAN * len(cells)):
        return "words"
    if is_first and _are_codes(cells):
        return "codes"
    return "labels" if all(map(_LABEL.fullmatch, filled)) else "text"


def _count_rows(cells: Sequence[str]) -> bool:
    """Whether cells are the numbers of rows: 1, 2, 3 .. or numbers of one width with zeros in front."""
    if not all(map(_INTEGER.fullmatch, cells)):
        return False
    numbers = [int(cell) for cell in cells]
    is_padded = len(set(map(len, cells))) == 1 and cells[0].startswith("0") and len(set(cells)) == len(cells)
    return is_padded or (numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers))))


def _are_codes(cells: Sequence[str]) -> bool:
    """Whether different cells differ only in a number that is padded, long or marked: W001, No.1, 02084071-n."""
    shapes = {re.sub(r"\d+", "0", cell) for cell in cells}
    if len(shapes) != 1 or len(set(cells)) < len(cells) or not re.search(r"\d", cells[0]):
        return False
    return all(map(_PADDED.search, cells)) or cells[0].lower().startswith(("no.", "id", "#"))


def _are_categories(words: Sequence[str], cells: Sequence[str]) -> bool:
    names = set(cells)
    return len(cells) >= _MIN_CATEGORIZED and 2 * len(names) <= len(cells) and names.isdisjoint(words)


def _read_lists(content: Numbered, notes: list[str]) -> Numbered:
    """The words of lines with several, after a number, a code or the name of a category if they have one."""
    lines = [line.strip() for _, line in content]
    for rest, name in _rests(lines):
        for pattern in (_LIST, _SLASHES):
            words = [_split_words(text, pattern) for text in rest]
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
        if _count_rows(firsts) or _are_codes(firsts) or (are_sorted and all(map(_SORT_CODE.fullmatch, firsts))):
            rests.append((rest, ", without the code before them"))
    matches = [_CATEGORY.fullmatch(line) for line in lines]
    if all(matches):
        rest = [match[1] for match in matches if match]
        if 2 * sum(len(_split_words(text) or ()) > 1 for text in rest) > len(rest):
            rests.append((rest, ", without the category before the colon"))
    return [*rests, (list(lines), "")]


def _are_lists(words: Sequence[list[str] | None], pattern: re.Pattern[str]) -> bool:
    """Whether every line has several words; characters between spaces could be a word that is spaced out."""
    least = _MIN_LIST if len(words) < 2 else 2
    are_long = pattern is _SLASHES or all(len(word) > 1 for found in words for word in found or ())
    return are_long and all(found and len(found) >= least for found in words)
