"""Kinds of text that hold captions in a form that is not read, recognized by their first lines."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from caption_tx.data.corpus.column_names import caption_key, could_be_image
from caption_tx.data.corpus.file_text.token_lines import are_tokens
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_name_like, is_sentence, is_text
from caption_tx.data.images.suffixes import IMAGE_SUFFIXES

_TABLE = "a table with the columns image and caption, saved as CSV"
_TIME = re.compile(r"(?:\d+:)?\d\d:\d\d[,.]\d{1,3} --> (?:\d+:)?\d\d:\d\d[,.]\d{1,3}.*")
_TEX = re.compile(r"\\(?:documentclass|begin|includegraphics|caption|usepackage|section)\b")
_LUA = re.compile(r'\[(?:"[^"]+"|\'[^\']+\'|\d+)\]\s*=\s*(?:["\'{].*)')
_TOML_TABLE = re.compile(r"\[\[?[\w.\"' -]+\]?\]")
_TOML_LINE = re.compile(r"""(?:"[^"]+"|'[^']+'|[\w-]+)\s*=\s*(?:"|'|\[|\d|true|false)""")
_FIELD = re.compile(r"\s*([^\W\d][\w .-]{0,29}?)\s*(?:=| : |：|:(?=\s|$))\s*(\S.*)?")
_HEAD = re.compile(r"==> .+ <==")
_GREP = re.compile(r"[^:\t]+\.(?:txt|caption|caption\.txt):(?:\d+:)?.*\S")
_RIS = re.compile(r"[A-Z][A-Z0-9]  -(?: .*)?")
_FIGURE = re.compile(
    r"(?:(?:插?图|表|照片)\s*|(?:Figure|Fig\.?|Plate|Table)\s+)[\dA-Z]+(?:[-.–—]\d+)*[.:：、\s]+\S.*", re.IGNORECASE
)
_SUFFIX = re.compile("|".join(map(re.escape, IMAGE_SUFFIXES)), re.IGNORECASE)
_MIN_FOUND, _MIN_SHARE, _MIN_LINES = 2, 0.3, 3


def text_kind(lines: Sequence[str]) -> str | None:
    """What a text of no known layout is, and what to do; None if it is not known.

    Args:
        lines: the first lines without blank ones.

    Example:
        >>> text_kind(["1", "00:00:00,000 --> 00:00:02,500", "一只狗"])[:26]
        'a file of subtitles, whose'
    """
    lines = [line.strip() for line in lines if line.strip()]
    if lines and (lines[0].startswith("WEBVTT") or any(map(_TIME.fullmatch, lines))):
        return (
            f"a file of subtitles, whose texts belong to times; write the images (frames) and their texts into {_TABLE}"
        )
    if _are_many(lines, [line for line in lines if _TEX.match(line)]):
        return (
            "a LaTeX document, not a caption file; write the names in its \\includegraphics and the texts in its "
            f"\\caption into {_TABLE}"
        )
    if _are_many(lines, [line for line in lines if _LUA.match(line)]):
        return 'a Lua table, not a caption file; save it as JSON, such as {"x.jpg": ".."}, or as ' + _TABLE
    toml = [line for line in lines if _TOML_LINE.match(line)]
    if any(map(_TOML_TABLE.fullmatch, lines)) and _are_many(lines, toml):
        return "a TOML file, which is not read; save it as JSON or YAML with the same content"
    return _printed_kind(lines) or _list_kind(lines)


def _printed_kind(lines: Sequence[str]) -> str | None:
    """What programs that print text files write, and files of references."""
    files = "pass the folder of the text files, with images (--images) if the images are elsewhere"
    if _are_many(lines, found := list(filter(_HEAD.fullmatch, lines))):
        return f"several text files joined by head or tail ({found[0][:40]!r}); {files}, or write NAME<TAB>caption"
    if _are_many(lines, found := list(filter(_GREP.fullmatch, lines))) and 2 * len(found) > len(lines):
        return f"what grep prints of text files ({found[0][:40]!r}); {files}, or write NAME<TAB>caption"
    if _are_many(lines, found := [line for line in lines if _RIS.fullmatch(line)]) and 2 * len(found) > len(lines):
        return f"a file of references (RIS, {found[0][:20]!r}); export its file names and texts as {_TABLE}"
    if are_tokens(lines):
        return (
            "a file with a word per line (CoNLL) whose sentences name no images; write a comment with the image above "
            "each sentence, such as # image = 1.jpg"
        )
    return None


def _list_kind(lines: Sequence[str]) -> str | None:
    """What lists with several lines per image, or without the names of images, are."""
    if fields := _repeated_fields(lines):
        return (
            f"a list of records with a field per line ({', '.join(fields)[:60]}), as SQLite (.mode line) and "
            f"PowerShell (Format-List) print them; export them as {_TABLE} (.mode csv, Export-Csv)"
        )
    names = [line for line, below in itertools.pairwise(lines) if is_name_like(line) and is_text(below)]
    if _are_many(lines, names) and len(set(names)) == len(names):
        if all(name.lower().endswith(".txt") for name in names):
            return (
                f"several text files below their names ({names[0][:40]!r}), as `type` prints them; pass the folder of "
                "the text files, with images (--images) if the images are elsewhere, or write NAME<TAB>caption"
            )
        return (
            f"a list with the name of each image above its caption (the line {names[0][:40]!r} is a name); write both "
            "into one line, NAME<TAB>caption, or a table with the columns image and caption"
        )
    figures = list(filter(_FIGURE.fullmatch, lines))
    if _are_many(lines, figures) and 2 * len(figures) > len(lines):
        return (
            f"a list of figures, whose numbers ({figures[0][:20]!r}) are no names of image files; write the name of "
            "each image and its text, NAME<TAB>caption"
        )
    return None


def half_kind(lines: Sequence[str]) -> str | None:
    """What a file with only the names or only the captions of a corpus is; None for others.

    Args:
        lines: the first lines without blank ones.

    Example:
        >>> half_kind(["1.jpg", "2.jpg", "3.jpg"])[:43]
        'a list of image names without captions; if '
    """
    join = "join the two line by line, such as paste names.txt captions.txt > captions.tsv"
    if len(lines) < _MIN_LINES or any("\t" in line or "|" in line for line in lines):
        return None
    if all(map(is_image_name, lines)):
        return f"a list of image names without captions; if another file has these in the same order, {join}"
    if all(map(is_sentence, lines)) and not any(_SUFFIX.search(line) for line in lines):
        return f"sentences without the names of their images; if another file has these in the same order, {join}"
    return None


def _are_many(lines: Sequence[str], found: Sequence[str]) -> bool:
    return len(found) >= max(_MIN_FOUND, _MIN_SHARE * len(lines))


def _repeated_fields(lines: Sequence[str]) -> list[str]:
    """The names of fields that lines of records begin with, of which one names the image and another the caption."""
    matches = [match for line in lines if (match := _FIELD.fullmatch(line))]
    counts = Counter(match[1] for match in matches)
    fields = [name for name, count in counts.items() if count >= _MIN_FOUND]
    is_known = any(map(could_be_image, fields)) and any(map(caption_key, fields))
    return fields if is_known and _are_many(lines, matches) else []
