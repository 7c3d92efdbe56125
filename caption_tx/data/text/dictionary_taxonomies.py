"""User dictionaries that are taxonomies: paths of categories, such as `3237 - 动物/宠物用品 > 活动物`."""

from __future__ import annotations

import re

from caption_tx.data.text.dictionary_pinyin import HAN

_CODE = re.compile(r"\d+\s*(?:[-–—:：,，\t]\s*|\s)(?=\D)", re.ASCII)
_LEVELS = (re.compile(r"\s*(?<![-=])[>＞›»]+\s*"), re.compile(r"\s*[/／\\]\s*"))
_SLASH = re.compile(r"\s*[/／]\s*")
_MIN_LINES = 3
_LONGEST_LEVEL = 40


def read_taxonomy(content: list[tuple[int, str]], notes: list[str]) -> list[tuple[int, str]] | None:
    """The names of all levels of a taxonomy, each once, with the lines that have them first; None for other files.

    Most lines must have several levels, and many of them the same first one. Numbers before the path are left out.

    Example:
        >>> read_taxonomy([(1, "1 - 动物"), (2, "3 - 动物 > 鸟用品"), (3, "4 - 动物 > 鸟用品 > 鸟笼")], [])
        [(1, '动物'), (2, '鸟用品'), (3, '鸟笼')]
    """
    lines = [line.strip() for _, line in content]
    matches = [_CODE.match(line) for line in lines]
    has_codes = all(matches)
    texts = [line[match.end() :] if has_codes and match else line for line, match in zip(lines, matches, strict=True)]
    for pattern in _LEVELS:
        paths = [pattern.split(text.strip()) for text in texts]
        if not _is_taxonomy(paths, with_slashes=pattern is _LEVELS[1]):
            continue
        words: dict[str, int] = {}
        for (number, _), path in zip(content, paths, strict=True):
            for word in (word for level in path for word in _SLASH.split(level)):
                words.setdefault(word.strip(), number)
        at = next(at for at, path in enumerate(paths) if len(path) > 1)
        codes = ", without numbers" if has_codes else ""
        notes.append(
            f"Read as a taxonomy, each of whose levels is an entry{codes}: line {content[at][0]} {lines[at][:40]!r}."
        )
        return [(number, word) for word, number in words.items() if word]
    return None


def _is_taxonomy(paths: list[list[str]], with_slashes: bool) -> bool:
    """Whether most paths have several levels, all of them names, and first levels repeat."""
    if len(paths) < _MIN_LINES or 2 * sum(len(path) > 1 for path in paths) < len(paths):
        return False
    levels = [level for path in paths for level in path]
    if not all(any(map(str.isalpha, level)) and len(level) <= _LONGEST_LEVEL for level in levels):
        return False
    if with_slashes and (not all(re.search(f"[{HAN}]", level) for level in levels) or max(map(len, paths)) < 3):
        return False  # a word and its tag, or lists of words
    return 3 * len({path[0] for path in paths}) <= 2 * len(paths)
