"""User dictionaries: words that segmentation keeps whole. Reads their files and finds their entries in captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from caption_tx.data.text.dictionary_characters import look_alike_notes, odd_character_notes
from caption_tx.data.text.dictionary_files import BINARY_KINDS, read_lines, to_json
from caption_tx.data.text.dictionary_forms import TAGS
from caption_tx.data.text.dictionary_japanese import find_japanese_encoding
from caption_tx.data.text.dictionary_lines import NUMBER, Line, split_lines
from caption_tx.data.text.dictionary_pieces import piece_notes, require_no_pieces
from caption_tx.data.text.dictionary_programs import require_word_list, strip_hunspell
from caption_tx.data.text.dictionary_titles import LATIN, read_titles
from caption_tx.data.text.diffs import require_no_diff
from caption_tx.data.text.look_alikes import fold_look_alikes
from caption_tx.data.text.merge_conflicts import require_no_conflict
from caption_tx.data.text.scripts import FOLDED_SIGNS, is_joined
from caption_tx.data.text.text_files import guess_encoding
from caption_tx.errors import ConfigError, CorpusError

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_TAG = re.compile("[a-z]+|PER|LOC|ORG|TIME")
_LETTERS = re.compile("[a-zA-Z]+")
_MAX_FREQUENCY = 10**9
_MAX_LISTED = 5
_USUAL_SIGNS = re.compile(
    rf"(?<=\w)[-.&'’·•・‑]+(?=\w)|(?<={LATIN})[/_@+: ]+(?={LATIN})|^[@#.]+(?=\w)|(?<=\w)[+#%°!]+$"
    r"|(?<=[+#.])[/ ](?=\w)"
)
_ODD_SIGNS = re.compile(r"[^\w\u0300-\u036f\u200b-\u200f\ufeff]|_")

# Names such as 让·雷诺 are written with several dots that look alike.
_SIGNS = FOLDED_SIGNS | {ord(dot): "·" for dot in "\u2022\u2027\u2219\u22c5\u30fb\uff65"}


@dataclass(frozen=True)
class Entry:
    """One line of a user dictionary: the word as written, its frequency if there is one, and the line number."""

    word: str
    frequency: int | None
    line: int


@dataclass(frozen=True)
class UserDictionary:
    """A user dictionary as its file has it.

    Attributes:
        path: the file.
        encoding: its encoding, or the kind of a binary file.
        entries: one per line that is not blank.
        notes: how lines that can be read in two ways were read.
    """

    path: str
    encoding: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DictionaryReport:
    """Which entries of a user dictionary are kept whole.

    Attributes:
        path: the file.
        encoding: its encoding, or the kind of a binary file.
        num_entries: number of different entries, after normalization.
        not_kept: (line number, entry as written, reason) of entries that cannot be kept.
        with_signs: (line number, entry as written) of those that are kept only with their signs or spaces.
        notes: how lines that can be read in two ways were read.
        num_lines: number of lines that have the entries; 0 if there are as many as entries.
    """

    path: str
    encoding: str
    num_entries: int
    not_kept: tuple[tuple[int, str, str], ...]
    notes: tuple[str, ...] = field(default=())
    with_signs: tuple[tuple[int, str], ...] = field(default=())
    num_lines: int = 0

    def to_text(self) -> str:
        """Returns the report as one line."""
        encoding = "" if self.encoding == "utf-8" else f" ({self.encoding.upper()})"
        num_kept = self.num_entries - len(self.not_kept) - len(self.with_signs)
        lines = f" from {self.num_lines:,} line{'s' * (self.num_lines > 1)}" if self.num_lines else ""
        text = (
            f"User dictionary {self.path}{encoding}: {num_kept:,} of {self.num_entries:,} entries{lines} are kept whole"
        )
        if self.with_signs:
            listed = [f"line {line} {word!r}" for line, word in self.with_signs[:_MAX_LISTED]]
            if more := len(self.with_signs) - len(listed):
                listed.append(f"{more:,} more")
            text += f"; only with their signs and spaces: {', '.join(listed)}"
        if self.not_kept:
            listed = [f"line {line} {word!r} ({reason})" for line, word, reason in self.not_kept[:_MAX_LISTED]]
            if more := len(self.not_kept) - len(listed):
                listed.append(f"{more:,} more")
            text += f"; not kept: {', '.join(listed)}"
        advice = "Most lines are no single words: write one word per line, 'word frequency tag'."
        return " ".join([f"{text}.", *self.notes, *[advice] * (2 * len(self.with_signs) > self.num_entries)])

    def to_dict(self) -> dict[str, Any]:
        """Returns the report, ready for JSON."""
        names = ("line", "entry", "reason")
        return {
            "path": self.path,
            "encoding": self.encoding,
            "entries": self.num_entries,
            "lines": self.num_lines or self.num_entries,
            "with_signs": [dict(zip(names, item, strict=False)) for item in self.with_signs],
            "not_kept": [dict(zip(names, item, strict=True)) for item in self.not_kept],
            "notes": list(self.notes),
            "summary": self.to_text(),
        }


def read_user_dictionary(path: str | Path) -> UserDictionary:
    """Reads a jieba user dictionary: one `word [frequency] [tag]` per line, in any encoding of caption files.

    CSV files, JSON lists, thesauri, glossaries with pinyin and lines with comments are read too; see `split_lines`.
    So are Sogou's cell dictionaries (.scel) and Excel workbooks; see `dictionary_files`.

    Entries may contain spaces. A number or tag after a word without Chinese characters (`windows 10`, `plan b`) is
    only a frequency or tag if other lines of the file have one beyond doubt; the notes name such lines.

    Example:
        >>> read_user_dictionary("words.txt").entries[0]
        Entry(word='红色T恤', frequency=1000, line=1)

    Raises:
        ConfigError: the file cannot be read, or a line is malformed.
    """
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot read the user dictionary {path}: {getattr(error, 'strerror', error)}.") from error
    try:
        if (read := read_lines(Path(path), data)) is not None:
            lines, notes, encoding = read
            lines = [replace(line, parts=tuple(map(fold_look_alikes, line.parts))) for line in lines]
        else:
            lines, notes, encoding = _read_text(Path(path), data)
    except CorpusError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"Cannot read the user dictionary {path}: {error}.") from error
    lines, notes = read_titles(lines, notes)
    has_frequencies, tags = _find_fields(lines)
    entries, unclear, unknown_tags = [], {True: [], False: []}, []
    for line in lines:
        number, parts = line.number, line.parts
        size, is_certain = _count_fields(line)
        if size and not is_certain:
            is_field = _is_field(parts, size, has_frequencies, tags)
            unclear[is_field].append(f"line {number} {' '.join(parts)!r}")
            size = size if is_field else 0
        fields = parts[len(parts) - size :]
        if any(not NUMBER.fullmatch(item) and item not in TAGS for item in fields):
            unknown_tags.append(f"line {number} {' '.join(parts)[:40]!r}")
        frequency = next((item for item in fields if NUMBER.fullmatch(item)), None)
        # jieba stores words of frequency 0 in a global list, which would leak into other segmenters.
        if frequency is not None and not (frequency.isdigit() and 0 < int(frequency) < _MAX_FREQUENCY):
            raise ConfigError(
                f"User dictionary {path}, line {number}: expected 'word [frequency above 0] [tag]', "
                f"found {' '.join(parts)[:60]!r}."
            )
        word = " ".join(parts[: len(parts) - size])
        entries.append(Entry(word, None if frequency is None else int(frequency), number))
    words = [(entry.line, entry.word) for entry in entries]
    odd = [*odd_character_notes(words), *piece_notes(words)]
    notes = (*notes, *_unclear_notes(unclear), *_tag_notes(unknown_tags), *_repeated_notes(entries), *odd)
    return UserDictionary(str(path), encoding, tuple(entries), notes)


def dictionary_as_text(path: str | Path) -> bytes:
    """The content of a user dictionary for a file that is read without optional packages: a binary one as JSON.

    Raises:
        ConfigError: the file cannot be read.
    """
    dictionary = read_user_dictionary(path)
    if dictionary.encoding in BINARY_KINDS:
        return to_json((entry.word, entry.frequency) for entry in dictionary.entries)
    return Path(path).read_bytes()


def _read_text(path: Path, data: bytes) -> tuple[list[Line], list[str], str]:
    """The entries of a text file, notes about them, and its encoding.

    Raises:
        ConfigError, CorpusError or ValueError: it is no list of words.
    """
    text, encoding = _decode(path, data)
    require_no_conflict(text, path)
    require_no_diff(text, path)
    require_no_pieces(text, path)
    require_word_list(text)
    words_only, about = strip_hunspell(text)
    lines, notes = split_lines(fold_look_alikes(words_only), TAGS)
    notes = [*about, *notes, *look_alike_notes(text)]
    return lines, notes, encoding


def _decode(path: Path, data: bytes) -> tuple[str, str]:
    """The text of a file and its encoding."""
    # A file of a few words is too short for statistics. A Chinese file that is not UTF-8 is most likely GB18030.
    encoding = guess_encoding(data) or "gb18030"
    if not encoding.startswith("utf"):
        encoding = find_japanese_encoding(data) or encoding
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        reason = f"line {line} is not {encoding.upper()}" if encoding == "utf-8" else "its encoding was not recognized"
        raise ConfigError(f"Cannot read the user dictionary {path}: {reason}; save it as UTF-8.") from error
    if "\0" in text:
        raise ConfigError(f"Cannot read the user dictionary {path}: it is not a text file; save it as UTF-8 text.")
    return text, encoding


def _count_fields(line: Line) -> tuple[int, bool]:
    """The number of fields after the word (0 to 2) that a line seems to have, and whether that is beyond doubt."""
    parts = line.parts
    if line.num_fields is not None:
        return line.num_fields, True
    is_chinese = _HAN.search(" ".join(parts[:-1])) is not None
    if len(parts) > 2 and NUMBER.fullmatch(parts[-2]) and _LETTERS.fullmatch(parts[-1]):
        is_chinese = _HAN.search(" ".join(parts[:-2])) is not None
        return 2, parts[-1] in TAGS or (is_chinese and _TAG.fullmatch(parts[-1]) is not None)
    if len(parts) > 1 and NUMBER.fullmatch(parts[-1]):
        return 1, is_chinese
    if len(parts) > 1 and (parts[-1] in TAGS or (is_chinese and _TAG.fullmatch(parts[-1]) and len(parts[-1]) < 4)):
        return 1, is_chinese
    return 0, True


def _is_field(parts: Sequence[str], size: int, has_frequencies: bool, tags: set[str]) -> bool:
    """Whether the fields of an unclear line are fields, judged by other lines."""
    if size == 2:
        return parts[-1] in tags  # tags are in lower case: `iPhone 15 Pro` is an entry
    return has_frequencies if NUMBER.fullmatch(parts[-1]) else bool(tags)


def _find_fields(lines: Sequence[Line]) -> tuple[bool, set[str]]:
    """Whether a file has frequencies, and its tags."""
    found = [(line.parts, *_count_fields(line)) for line in lines]
    certain = [part for parts, size, is_certain in found if is_certain for part in parts[len(parts) - size :]]
    all_numbers = all(any(NUMBER.fullmatch(part) for part in parts[len(parts) - size :]) for parts, size, _ in found)
    has_frequencies = all_numbers or any(map(NUMBER.fullmatch, certain))
    return has_frequencies, {part for part in certain if not NUMBER.fullmatch(part)}


def _unclear_notes(unclear: dict[bool, list[str]]) -> tuple[str, ...]:
    notes = []
    for is_field, lines in unclear.items():
        if lines:
            what = "as a word with a frequency or tag" if is_field else "as one entry"
            more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
            notes.append(f"Read {what}: {lines[0]}{more}; 'word frequency tag' on the line leaves no doubt.")
    return tuple(notes)


def _tag_notes(lines: Sequence[str]) -> tuple[str, ...]:
    more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    return (f"Read as a word with a part-of-speech tag: {lines[0]}{more}.",) if lines else ()


def _repeated_notes(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The entries that are given again with another frequency."""
    first: dict[str, Entry] = {}
    again = [entry for entry in entries if first.setdefault(entry.word, entry).frequency != entry.frequency]
    if not again:
        return ()
    more = f" and {len(again) - 1:,} more" if len(again) > 1 else ""
    return (
        f"Given again with another frequency, of which the first counts: line {again[0].line} {again[0].word!r}{more}.",
    )


def needs_its_signs(word: str) -> bool:
    """Whether an entry only matches captions with its signs or spaces, which words rarely have.

    Example:
        >>> [word for word in ("leap motion", "C++", "让·雷诺", "1. 红色T恤", "北京 大学") if needs_its_signs(word)]
        ['1. 红色T恤', '北京 大学']
    """
    return _ODD_SIGNS.search(_USUAL_SIGNS.sub("", word)) is not None


def fold_signs(text: str) -> str:
    """Replaces forms of a sign that look alike (`’`, `•`, `‑`), and white space by single spaces.

    Entries are compared with captions after this.
    """
    return " ".join((text if text.isascii() else text.translate(_SIGNS)).split())


class EntryMatcher:
    """Finds entries in a text, the longest first.

    An entry does not match inside a longer word of a script with spaces between words.

    Args:
        words: entries, normalized like the text.

    Example:
        >>> EntryMatcher(["c++", "让·雷诺"]).split("让·雷诺学c++")
        [('让·雷诺', True), ('学', False), ('c++', True)]
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(words)
        lengths: dict[str, set[int]] = {}
        for word in self.words:
            lengths.setdefault(word[0], set()).add(len(word))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile("[" + "".join(map(re.escape, lengths)) + "]") if lengths else None

    def split(self, text: str) -> list[tuple[str, bool]]:
        """Splits a text into (piece, whether it is an entry) pairs, in order."""
        if self._first is None:
            return [(text, False)]
        pieces, done, position = [], 0, 0
        while match := self._first.search(text, position):
            start = match.start()
            end = self._find_end(text, start)
            if end is None:
                position = start + 1
                continue
            pieces += [(text[done:start], False), (text[start:end], True)]
            done = position = end
        pieces.append((text[done:], False))
        return [(piece, is_entry) for piece, is_entry in pieces if piece]

    def _find_end(self, text: str, start: int) -> int | None:
        """The end of the longest entry that starts at a position, or None."""
        if is_joined(text, start):
            return None
        for length in self._lengths[text[start]]:
            if text[start : start + length] in self.words and not is_joined(text, start + length):
                return start + length
        return None
