"""The start of a caption file, from which its layout is detected."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caption_tx.data.corpus.drawn.files import draw_head
from caption_tx.data.corpus.file_text.anki_files import anki_head
from caption_tx.data.corpus.file_text.backslashes import find_escapes, unescape
from caption_tx.data.corpus.file_text.image_markup import image_head
from caption_tx.data.corpus.file_text.log_lines import log_head
from caption_tx.data.corpus.file_text.printed_lines import printed_head
from caption_tx.data.corpus.file_text.quoted_lines import join_quoted_lines
from caption_tx.data.corpus.file_text.scripts import script_data
from caption_tx.data.corpus.file_text.token_lines import token_head
from caption_tx.data.corpus.file_text.via_tables import via_head
from caption_tx.data.corpus.tables.columns import DEFAULT_OPTIONS, ReadOptions
from caption_tx.data.text.text_files import HEAD_BYTES, guess_encoding, normalize_encoding, read_head

_HEAD_LINES = 50
_AS_THEY_ARE = (".yaml", ".yml", ".parquet", ".xlsx")
_OF_LINES = ("anki", "via", "printed", "tokens", "images", "drawn", "log")
_DOCUMENTS = (".json", ".js", ".ts", ".mjs")


@dataclass(frozen=True)
class FileHead:
    """The start of a file: its bytes, their text and its first non-blank lines (the last may be truncated).

    The lines of one quoted cell between tabs count as one. A drawn table has a line with tabs per row, an export of
    Anki its notes, one of VIA its images, a file of tokens a row per word, a page its images, a log its entries, a
    script its data, and what a program prints of a file no numbers and names, which `view` says: "drawn", "anki",
    "via", "tokens", "images", "log", "script", "printed" or "".
    `options` are the columns that the user names.
    """

    path: Path
    data: bytes
    text: str
    lines: list[str]
    options: ReadOptions = DEFAULT_OPTIONS
    view: str = ""

    @classmethod
    def read(cls, path: Path, encoding: str | None = None, options: ReadOptions | None = None) -> FileHead:
        """Reads the start of a file.

        Raises:
            CorpusError: the file cannot be read, or the encoding is unknown.
        """
        data = read_head(path)
        name = normalize_encoding(encoding, path) if encoding else guess_encoding(data)
        try:
            text = data.decode(name or "utf-8", "replace").removeprefix("\ufeff")
        except UnicodeError:
            text = ""
        is_whole = len(data) < HEAD_BYTES
        view, text = _find_view(path, text, is_whole)
        lines = [line for line in re.split("\r\n|\r|\n", text) if line.strip()][: _HEAD_LINES + 1]
        complete = lines if (is_whole or view in _OF_LINES) and len(lines) <= _HEAD_LINES else lines[:-1]
        numbered = list(enumerate(complete or lines, 1))
        if not view and not text.lstrip().startswith(("{", "[")) and (escapes := find_escapes(numbered)):
            unescaped = unescape(numbered, escapes.separator)
            numbered = [(number, line if "\t" in line else line.replace("\n", " ")) for number, line in unescaped]
        complete = [line for _, line in join_quoted_lines(numbered)]
        return cls(path, data, text, complete, options or DEFAULT_OPTIONS, view)

    def mostly(self, test: Callable[[str], object]) -> bool:
        """Whether at least half of the lines pass a test, so that an invalid line does not hide the layout."""
        return bool(self.lines) and 2 * sum(bool(test(line)) for line in self.lines) >= len(self.lines)


def _find_view(path: Path, text: str, is_whole: bool) -> tuple[str, str]:
    """How the text at the start of a file is read if not as it is, and that text."""
    suffix = path.suffix.lower()
    if suffix in _AS_THEY_ARE:
        return "", text
    if (data := script_data(text)) is not None:
        return "script", data
    lines = re.split("\r\n|\r|\n", text)
    views = (
        ("anki", anki_head),
        ("via", via_head),
        ("printed", printed_head),
        ("tokens", token_head),
        ("images", image_head),
        ("drawn", draw_head),
        ("log", log_head),
    )
    for view, read in views if suffix not in _DOCUMENTS else ():
        if found := read(lines if is_whole else lines[:-1]):
            return view, "\n".join(found)
    return "", text
