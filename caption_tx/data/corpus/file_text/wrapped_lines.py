"""Texts whose lines were broken at a width, so that a caption goes on in the next line."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from caption_tx.data.corpus.file_text.front_matter import split_front_matter
from caption_tx.data.corpus.values.broken_lines import SENTENCE_ENDS, first_word
from caption_tx.data.text.text_files import TextFile

_MIN_WIDTH = 10
_MIN_LINES = 5
_MIN_SHARE = 0.95
_NUM_SAMPLED = 200


def wrap_width_of_files(encodings: Mapping[Path, str | None]) -> int | None:
    """`wrap_width` of the first text files of a folder, by their encodings."""
    paths = [path for path, name in encodings.items() if name and path.suffix.lower() != ".json"][:_NUM_SAMPLED]
    texts = (list(TextFile(path, encodings[path]).lines(_ignore)) for path in paths)
    return wrap_width([line for _, line in split_front_matter(lines)[1]] for lines in texts)


def _ignore(*_: object) -> None:
    """Lines that do not decode are reported when the file is read."""


def wrap_width(texts: Iterable[Sequence[str]]) -> int | None:
    """The width in characters at which the lines of most texts are broken; None if lines are captions of their own.

    A line was broken if the first word of the next one would not have fitted on it. Lines of one length, many of which
    begin like the first line, such as "a photo of a dog" and "a photo of a cat", are captions of their own.

    Example:
        >>> wrap_width([["一个男人和一个女人站在", "湖边的草地上拍照。"]] * 5)
        11
        >>> wrap_width([["一只狗在草地上奔跑追着球", "一只猫在跑"], ["一只狗", "一只猫"]] * 5)
    """
    paragraphs = [lines for text in texts if len(lines := [line.strip() for line in text]) > 1]
    pairs = [pair for lines in paragraphs for pair in itertools.pairwise(lines) if all(pair)]
    width = max((len(line) for lines in paragraphs for line in lines), default=0)
    if width < _MIN_WIDTH or len(pairs) < _MIN_LINES:
        return None
    alike = sum(_begin_alike(lines[0], after) for lines in paragraphs for after in filter(None, lines[1:]))
    if 3 * alike > len(pairs):
        return None
    broken = sum(_is_broken(line, after, width) for line, after in pairs)
    return width if broken >= _MIN_SHARE * len(pairs) else None


def unwrap(lines: Iterable[tuple[int, str]], width: int) -> Iterator[tuple[int, str]]:
    """Joins lines that were broken at a width: (number of the first line, text).

    Example:
        >>> list(unwrap([(1, "a dog runs over"), (2, "the grass"), (3, "")], 18))
        [(1, 'a dog runs over the grass'), (3, '')]
    """
    first, text, last = 0, "", ""
    for number, line in lines:
        line = line.strip()
        if text and line and _is_broken(last, line, width):
            text += line if _is_chinese(last) else f" {line}"
        else:
            if first:
                yield first, text
            first, text = number, line
        last = line
    if first:
        yield first, text


def _is_broken(line: str, after: str, width: int) -> bool:
    if line.endswith(SENTENCE_ENDS):
        return False
    word = first_word(after)
    if _is_chinese(line):  # which is broken at any character
        return len(line) == width
    return len(line) + 1 + len(word) > width


def _begin_alike(line: str, other: str) -> bool:
    """Whether two lines have the same first word, or the same two first characters in Chinese."""
    words = [text[:2] if _is_chinese(text) else first_word(text) for text in (line, other) if text]
    return len(words) == 2 and words[0] == words[1]


def _is_chinese(line: str) -> bool:
    return 3 * sum(unicodedata.east_asian_width(character) in "WF" for character in line) > len(line)
