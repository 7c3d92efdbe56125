"""Other forms of user dictionaries: lists on one line, numbered lists, Rime, pinyin, YAML, JSON Lines, synonyms."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

_NUMBERED = re.compile(r"\d{1,6}\s*[.．、)）]\s*(\D.*)")
_BULLET = re.compile(r"[-*•·–]\s+(\S.*)")
_QUOTED = re.compile(r"""(?:"([^"]+)"|“([^”]+)”|「([^」]+)」|'([^']+)'|‘([^’]+)’)([\s,，;\t]+\d+.*)?""")
_SLASH_TAG = re.compile(r"(.+\S)/([a-z]{1,4}[0-9]?)")
_BARS = re.compile(r"([^|]+)\|\s*(\d+)\s*(?:\|\s*([a-z]{0,4})\s*)?")
_FREQUENCY_FIRST = re.compile(r"(\d+)[\s,，;]+(\D.*?)")
_COLON = re.compile(r"[\"']?([^:：\"']+?)[\"']?\s*[:：=]\s*(\d+),?")
_PINYIN = re.compile(r"(\S*[\u3400-\u9fff]\S*)\s+([a-zü]+[1-5]?(?:[ '][a-zü]+[1-5]?)+)(?:\s+(\d+))?")
_SYNONYMS = re.compile(r"\s*(?:=+>|->|→|=)\s*")
_LIST = re.compile(r"\s*[,，、;；|]\s*")
_WORD_KEYS = ("word", "term", "entry", "token", "name", "text", "词", "词语", "词条")
_FREQUENCY_KEYS = ("freq", "frequency", "count", "weight", "词频", "频次")


def rewrite_forms(lines: list[str], is_comment: Callable[[str], object]) -> tuple[list[tuple[int, str]], list[str]]:
    """The lines of a user dictionary as `word frequency tag`, with their numbers, and notes about their form.

    A form is recognized if every line has it, so that an entry such as `7 up` is not changed.

    Example:
        >>> rewrite_forms(["1. 红色T恤", "2. 草莓奶盖"], lambda line: False)
        ([(1, '红色T恤'), (2, '草莓奶盖')], ["Read without the numbers of a list: line 1 '1. 红色T恤'."])
    """
    numbered = list(enumerate(lines, 1))
    notes: list[str] = []
    starts = [number for number, line in numbered if line.strip() == "---"]
    ends = [number for number, line in numbered if line.strip() == "..."]
    if starts and ends and starts[0] < ends[0]:
        numbered = [(number, line) for number, line in numbered if not starts[0] <= number <= ends[0]]
        notes.append(f"Skipped as the header of a Rime dictionary: lines {starts[0]} to {ends[0]}.")
    content = [(number, line) for number, line in numbered if line.strip() and not is_comment(line)]
    for convert, name in _FORMS:
        found = [convert(line.strip()) for _, line in content]
        if not found or not all(found) or (convert is not _split_list and len(found) < 2):
            continue
        if convert is _drop_index and not content[0][1].startswith(","):  # it would be a frequency
            continue
        if convert is _split_list and len(found) > 1 and not all("、" in line for _, line in content):
            continue
        number, first = content[0]
        notes.append(f"Read {name}: line {number} {first.strip()[:40]!r}.")
        content = [(number, word) for (number, _), words in zip(content, found, strict=True) for word in words or ()]
        kept = {number for number, _ in content}
        others = [(number, line) for number, line in numbered if number not in kept]
        return sorted([*content, *others], key=lambda item: item[0]), notes
    return numbered, notes


def _match(pattern: re.Pattern[str], order: tuple[int, ...]) -> Callable[[str], list[str] | None]:
    """Groups of a pattern in another order, as one line."""

    def convert(line: str) -> list[str] | None:
        match = pattern.fullmatch(line)
        return [" ".join(match[at].strip() for at in order if match[at])] if match else None

    return convert


def _unquote(line: str) -> list[str] | None:
    match = _QUOTED.fullmatch(line)
    return [next(filter(None, match.groups()[:5])) + (match[6] or "")] if match else None


def _drop_index(line: str) -> list[str] | None:
    """A row of a table whose first column is the index that pandas writes."""
    first, comma, rest = line.partition(",")
    is_index = (first == "" and rest.lower().startswith(_WORD_KEYS)) or (first.isdecimal() and rest[:1].isalpha())
    return [rest] if comma and is_index else None


def _parse_object(line: str) -> list[str] | None:
    try:
        value = json.loads(line) if line[:1] == "{" else None
    except (ValueError, RecursionError):
        return None
    word = word_of(value)
    return None if word is None else [word]


def word_of(value: object) -> str | None:
    """The line `word frequency` of an object such as {"word": "红色T恤", "freq": 100}; None for other values."""
    if not isinstance(value, dict):
        return None
    word = next((value[key] for key in _WORD_KEYS if isinstance(value.get(key), str)), None)
    frequency = next((value[key] for key in _FREQUENCY_KEYS if isinstance(value.get(key), int)), "")
    return f"{word} {frequency}".strip() if word else None


def _split_synonyms(line: str) -> list[str] | None:
    parts = _SYNONYMS.split(line)
    return parts if len(parts) > 1 and all(parts) and not any(part.isdecimal() for part in parts) else None


def _split_list(line: str) -> list[str] | None:
    """The words of a list on one line."""
    parts = [part for part in _LIST.split(line) if part]
    words = [part for part in parts if any(map(str.isalpha, part))]
    is_list = len(parts) > 1 and words == parts and not re.fullmatch("[a-z]{1,3}", parts[-1])
    return parts if is_list else None


_FORMS: tuple[tuple[Callable[[str], list[str] | None], str], ...] = (
    (_parse_object, "as JSON Lines"),
    (_drop_index, "without the index of a table"),
    (_match(_NUMBERED, (1,)), "without the numbers of a list"),
    (_match(_BULLET, (1,)), "without the marks of a list"),
    (_unquote, "without quotes"),
    (_match(_BARS, (1, 2, 3)), "as 'word|frequency|tag'"),
    (_match(_COLON, (1, 2)), "as 'word: frequency'"),
    (_match(_PINYIN, (1, 3)), "without pinyin"),
    (_match(_SLASH_TAG, (1, 2)), "as 'word/tag'"),
    (_match(_FREQUENCY_FIRST, (2, 1)), "as 'frequency word'"),
    (_split_synonyms, "as synonyms, each of which is an entry"),
    (_split_list, "as a list of words on one line"),
)
