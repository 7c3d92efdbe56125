"""Logs whose lines have an entry of image and caption behind a time, a level or another text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, image_rank
from caption_tx.data.corpus.file_text.changed_lines import Line
from caption_tx.data.corpus.values.literals import parse_literal
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_split, is_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES

_DATE = r"\d{4}[-/.]\d\d?[-/.]\d\d?"
_TIME = r"\d\d?:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_STAMP = rf"(?:{_DATE}[T ]{_TIME}|[A-Z][a-z]{{2}} +\d\d? {_TIME}|{_TIME}|\d{{9,10}}\.\d+)"
_SUFFIXES = "|".join(re.escape(suffix[1:]) for suffix in IMAGE_SUFFIXES)
_LEVEL = r"(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|TRACE|NOTICE|SUCCESS)"
_PREFIX = re.compile(
    rf"(?:\[?{_STAMP}\]?[\s|:,-]*(?:[\w.@-]{{1,40}}[\s|:-]+){{0,2}})?[\[(<]?\b{_LEVEL}\b[\])>]?:?(?:[\s|:-]*\[{_STAMP}\])?"
    rf"[\s:|\]-]*(?=\S)|[IWEF]\d{{4}} {_TIME} +\d+ [\w.]+:\d+\] |\[?{_STAMP}\]?[ :-]+(?=\S+\.(?:{_SUFFIXES})\b)"
)
_MODULE = re.compile(r"([\w.:<>/-]{1,60})(?: [-:]|:|\]) *(?=\S)")
_DOCUMENT = re.compile(r"\s*(?:\{|\[\s*(?:[\[{\"']|$)|<|-\s*$)")
_NOT_BEFORE = tuple("[(=,\"'{")
_PAIR = re.compile(
    r"(?:^|(?<=[\s,;，；]))([^\W\d]\w{0,30})\s?[=:：]\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*'|.*?)[\s,;，；]*"
    r"(?=[\s,;，；][^\W\d]\w{0,30}\s?[=:：]|$)"
)
_NAME = re.compile(rf"(.*?)[^\s\"'(\[:=]+\.(?:{_SUFFIXES})\b", re.IGNORECASE)
_MAX_LINES = 40
_UNREAD = "lines of a log without a caption, not read"


def log_head(lines: Iterable[str]) -> list[str] | None:
    """The entries of the lines at the start of a log; None for other files."""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered or (_DOCUMENT.match(numbered[0][1]) and not (len(numbered) > 1 and _list_values(numbered[0][1]))):
        return None
    if not any(_may_be_log(line) for _, line in numbered):
        return None
    found, notes = read_entries(numbered)
    texts = {number: line.strip() for number, line in numbered}
    changed = sum(line != texts.get(number) for number, line in found)
    size = len(numbered) - sum(count for note, count in notes.items() if note.startswith(_UNREAD))
    is_log = 2 * sum(bool(_end(line.strip())) for _, line in numbered) >= len(numbered) and len(found) > 1
    is_most = 2 * changed > len(found) and (is_log or 2 * size >= len(numbered))
    return [line for _, line in found] if is_most else None


def read_entries(lines: Sequence[Line]) -> tuple[list[Line], Counter[str]]:
    """The entries or messages of a log without what is around them. See `Change`."""
    entries, notes, unread = [], Counter[str](), []
    around = ""
    at = 0
    while at < len(lines):
        number, line = lines[at][0], lines[at][1].strip()
        found, used = _find_entry(lines, at)
        if found is not None:
            entries.append((number, found[1]))
            before = f"{found[0]} .. {found[2]}" if found[2] and found[0] else found[0] or found[2]
            around = around or before
            notes["around"] += bool(before)
        elif values := _list_values(line[_end(line) :]):
            entries.append((number, json.dumps(values, ensure_ascii=False)))
            notes["lists and tuples of a name and captions, a line each, read as entries"] += 1
        elif values := _named_values(line[_end(line) :]):
            entries.append((number, json.dumps(values, ensure_ascii=False)))
            notes["lines of named values, such as image=.. caption=.., read as entries"] += 1
        elif line:
            unread.append((number, line))
        at += used
    if not entries:
        entries, around, unread = _read_messages(unread)
        notes["around"] = len(entries) if around else 0
    count = notes.pop("around", 0)
    if count:
        notes[f"lines of a log, read without what is around their entries ({around[:40]!r})"] = count
    if unread:
        notes[f"{_UNREAD} (such as {unread[0][1][:40]!r})"] = len(unread)
    return entries, notes


def _read_messages(lines: Sequence[Line]) -> tuple[list[Line], str, list[Line]]:
    """The messages of a log that are no entries, from the names of their images on; what is before, and other lines."""
    messages = [(number, line[_end(line) :]) for number, line in lines]
    names = {number: match for number, message in messages if (match := _NAME.match(message))}
    around = next((line[: _end(line)] for _, line in lines if _end(line)), "")
    if 2 * len(names) < len(lines) or not around:
        return messages, around.strip(), []
    before = {match[1] for match in names.values()}
    start = len(min(before)) if len(before) == 1 else 0
    kept = [(number, message[start:]) for number, message in messages if number in names]
    return kept, (around + min(before) * bool(start)).strip(), [item for item in lines if item[0] not in names]


def _may_be_log(line: str) -> bool:
    return "{" in line or bool(_PREFIX.match(line) or _list_values(line) or _named_values(line))


def _list_values(text: str) -> dict[str, Any] | None:
    """The values of a line such as `('1.jpg', 'a dog')` or `[7, "1.jpg", "a dog", "it runs", "val"]`; or None.

    The image name is among the first two; texts are captions, unless they name a split.
    """
    text = text.strip().rstrip(",;")
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]"):
        return None
    try:
        items = parse_literal(f"[{text[1:-1]}]")[0]
    except (ValueError, RecursionError):
        return None
    image = next(filter(is_image_name, items[:2]), None) if isinstance(items, list) else None
    if image is None:
        return None
    values: dict[str, Any] = {"image": image, "caption": []}
    for place, item in enumerate(items, 1):
        if isinstance(item, str) and is_split(item):
            values["split"] = item
        elif is_text(item) and not isinstance(item, dict):
            values["caption"] += [item] if isinstance(item, str) else item
        elif item != image:
            values[str(place)] = item
    return values if values["caption"] and all(isinstance(text, str) for text in values["caption"]) else None


def _end(line: str) -> int:
    """Where the message of a line of a log begins; 0 if nothing shows that it is one."""
    match = _PREFIX.match(line)
    end = match.end() if match else 0
    module = _MODULE.match(line, end) if end else None
    return module.end() if module and not is_image_name(module[1].strip(":")) else end


def _find_entry(lines: Sequence[Line], at: int) -> tuple[tuple[str, str, str] | None, int]:
    """The text before an entry, the entry and the text behind it, and how many lines it has; None if there is none."""
    text = lines[at][1].strip()
    start = text.find("{")
    before = text[:start].strip()
    is_entry = start >= 0 and len(before) < 200 and not before.endswith(_NOT_BEFORE)
    if not is_entry or is_image_name(before.rstrip(":：= ").strip("\"'")):
        return None, 1
    for used in range(1, _MAX_LINES):
        if (found := _parse(text[start:])) is not None:
            return (before, *found), used
        if at + used >= len(lines) or "}" in text[start:] or _end(lines[at + used][1].strip()):
            break
        text = f"{text} {lines[at + used][1].strip()}"
    return None, 1


def _parse(text: str) -> tuple[str, str] | None:
    """The object with an image and a caption that a text begins with, and the rest."""
    end = text.rfind("}") + 1
    try:
        value = parse_literal(text[:end])[0] if end else None
    except (ValueError, RecursionError):
        return None
    return (text[:end], text[end:].strip()) if _is_entry(value) else None


def _is_entry(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    keys = list(_keys(value))
    has_names = any(image_rank(key) is not None for key in keys) and any(map(caption_key, keys))
    return has_names or all(map(is_image_name, value))


def _keys(value: dict[Any, Any], depth: int = 2) -> Iterator[str]:
    """The keys of an object, and of those in it."""
    for key, item in value.items():
        yield str(key)
        if isinstance(item, dict) and depth:
            yield from _keys(item, depth - 1)


def _named_values(message: str) -> dict[str, str]:
    """The values of a line such as `image=1.jpg caption="a dog"`; empty if none is an image or a caption."""
    if message.count("=") + message.count(":") + message.count("：") < 2:
        return {}
    values = {match[1]: match[2].strip().strip("\"'") for match in _PAIR.finditer(message)}
    images = [key for key in values if image_rank(key) is not None and is_image_name(values[key])]
    return values if images and any((caption_key(key) or ("", 2))[1] < 2 for key in values) else {}
