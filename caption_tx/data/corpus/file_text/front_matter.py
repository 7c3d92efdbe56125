"""Front matter: keys between two lines of --- (YAML) or +++ (TOML) at the start of a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.name_lists import list_names

_KEYS = {
    "---": re.compile(r"[\"']?([^\W\d][\w-]*)[\"']?\s*:(?:\s+(.*))?"),
    "+++": re.compile(r"[\"']?([^\W\d][\w.-]*)[\"']?\s*=\s*(.*)"),
}
_ENDS = {"---": ("---", "..."), "+++": ("+++",)}
_CONTINUED = re.compile(r"\s+\S.*|-\s.*|#.*|[\]})].*|\[{1,2}[\w.-]+\]{1,2}|")
_BLOCK = re.compile(r"[|>][+-]?\d?")
_CAPTIONS = ("caption", "captions", "description", "alt", "alt_text", "描述", "说明", "說明", "图片描述", "图片说明")
_MAX_LINES = 200

NumberedLines = Sequence[tuple[int, str]]
"""Lines with their numbers."""


def split_front_matter(lines: NumberedLines) -> tuple[NumberedLines, NumberedLines]:
    """The lines between the marks of front matter, and those below it; no front matter leaves all lines as they are.

    Example:
        >>> split_front_matter([(1, "---"), (2, "title: Dogs"), (3, "---"), (4, "a dog runs")])
        ([(2, 'title: Dogs')], [(4, 'a dog runs')])
    """
    start = next((at for at, (_, line) in enumerate(lines) if line.strip()), None)
    if start is None or (mark := lines[start][1].strip()) not in _KEYS:
        return [], lines
    inside = lines[start + 1 : start + 1 + _MAX_LINES]
    end = next((at for at, (_, line) in enumerate(inside) if line.strip() in _ENDS[mark]), None)
    if end is None:
        return [], lines
    matter = inside[:end]
    texts = [line.rstrip() for _, line in matter if line.strip()]
    if not texts or not _KEYS[mark].fullmatch(texts[0]):
        return [], lines
    if not all(_KEYS[mark].fullmatch(line) or _CONTINUED.fullmatch(line) for line in texts):
        return [], lines
    return matter, lines[start + end + 2 :]


class FrontMatter:
    """Takes front matter from the texts of a folder, and counts what is done with it.

    Args:
        rows: receives the notes.
    """

    def __init__(self, rows: CaptionRows) -> None:
        self._rows = rows
        self._keys: dict[str, None] = {}
        self._count = 0

    def strip(self, lines: Iterable[tuple[int, str]]) -> NumberedLines:
        """The lines of a text without its front matter, or those of the caption in it if there is no text below."""
        matter, below = split_front_matter(list(lines))
        if not matter:
            return below
        keys = _read_keys(matter)
        if not any(line.strip() for _, line in below):
            found = (name for name in keys if name.lower() in _CAPTIONS and keys[name])
            if name := next(found, None):
                self._rows.notes[f"captions read from the key {name!r} of front matter, which has no text below"] += 1
                return keys[name]
        self._count += 1
        self._keys |= dict.fromkeys(keys)
        return below

    def note(self) -> None:
        """Reports how many texts have front matter that is not read."""
        if self._count:
            self._rows.notes[f"texts with front matter, not read (its keys: {list_names(self._keys, 100)})"] = (
                self._count
            )


def _read_keys(matter: NumberedLines) -> dict[str, list[tuple[int, str]]]:
    """The texts of each key: the value on its line, a block of lines joined, or the items of a list."""
    keys: dict[str, list[tuple[int, str]]] = {}
    texts: list[tuple[int, str]] = []
    is_block = False
    for number, line in matter:
        match = next(filter(None, (pattern.fullmatch(line.rstrip()) for pattern in _KEYS.values())), None)
        if match:
            value = (match[2] or "").strip()
            is_block = _BLOCK.fullmatch(value) is not None
            texts = keys.setdefault(match[1], [])
            if value and not is_block:
                texts.append((number, _unquote(value)))
        elif (item := line.strip()).startswith("- ") and not is_block:
            texts.append((number, _unquote(item[2:].strip())))
        elif item and not line.startswith("#"):
            if texts:  # a text that goes on in the next line
                first, text = texts.pop()
                item, number = f"{text} {item}", first
            texts.append((number, item))
    return keys


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
