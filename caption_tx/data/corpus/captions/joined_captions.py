"""Cells that hold several captions: numbered, separated, in brackets or in quotes.

A column is split if nearly all its cells are written alike; otherwise the cells that look like several captions are
counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from caption_tx.data.corpus.captions.cell_repairs import mostly
from caption_tx.data.corpus.captions.pre_segmented import are_words
from caption_tx.data.corpus.captions.word_pieces import join_caption
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.words import weighted_length

_BULLETS = re.compile(r"^[-*•·–—]\s+")
_MIN_SENTENCE = 4
_CHINESE_NUMBERS = "零一二三四五六七八九十"
_ROMAN_NUMBERS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_OUTER = (("[", "]"), ("{", "}"), ("【", "】"))
_QUOTES = ("[]", "【】", "{}", "（）", "“”", "‘’", "「」", "『』", '""', "''", "``", "＂＂")


@dataclass(frozen=True)
class _Separator:
    """A text between captions.

    Attributes:
        name: for messages.
        pattern: that matches it.
        starts: texts one of which every match contains, for a fast search.
        min_share: of the cells that must have it.
        reported_share: of the cells from which on unsplit cells are reported if their parts are longer than words;
            0 reports all.
        needs_sentences: whether the parts must be longer than words.
    """

    name: str
    pattern: str
    starts: tuple[str, ...]
    min_share: float = 0.5
    reported_share: float = 0.0
    needs_sentences: bool = False

    def split(self, caption: str) -> list[str]:
        """The parts of a caption that are not blank."""
        parts = re.split(self.pattern, caption)
        return [part for part in (_BULLETS.sub("", part.strip()) for part in parts) if part]


def _literal(*texts: str, **settings: float | bool) -> list[_Separator]:
    return [_Separator(repr(text), re.escape(text), (text,), **settings) for text in texts]


# Rarely part of a caption, so that half of the cells are enough: the others have one caption.
_CERTAIN = [
    *_literal("&&", "|||", "||", "###", "@@", ";;", "$$", "%%", "¶", "•"),
    _Separator("'<sep>'", r"(?i:<\|?sep\|?>|\[sep\])", ("<", "[")),
]
_SEPARATORS = [
    *_CERTAIN,
    _Separator("'<br>'", r"(?i:\s*</?br\s*/?>\s*)+", ("<",), 0.9),
    _Separator("'<p>'", r"(?i:\s*</?(?:p|li|div|item|caption|sentence)>\s*)+", ("<",), 0.9),
    _Separator("'\\n'", r"\\r\\n|\\n", ("\\n",), 0.9),
    _Separator("'//'", r"(?<!:)//", ("//",), 0.9, 0.05),  # not that of a URL
    *_literal("##", "|", min_share=0.9, reported_share=0.05),
    _Separator("line breaks", "\n", ("\n",), 0.9, 0.5),
    _Separator("';'", "[;；]", (";", "；"), 0.9, 0.5),
    *_literal("~", min_share=0.9, reported_share=0.5),
    *_literal(" - ", "->", "→", "\u3000", "\t", "、", min_share=0.9, reported_share=0.5, needs_sentences=True),
    # Not that of a tag or a URL.
    _Separator("'/'", r"(?<![<:/])/(?![>/])", ("/",), 0.9, 0.5, needs_sentences=True),
]
# Between the items of a list in brackets only.
_LIST_SEPARATORS = [_Separator("','", "[,，]", (",", "，")), *_literal("、")]
_SIGNS = re.compile(
    "["
    + re.escape("".join({start.strip(" ")[0] for item in (*_SEPARATORS, *_LIST_SEPARATORS) for start in item.starts}))
    + "]"
)


@dataclass(frozen=True)
class _Numbering:
    """How captions of a cell are numbered: `(1) .. (2) ..`.

    Attributes:
        marker: matches a number with what surrounds it; the group is the number.
        first: characters with which such a cell may begin.
        value: the number.
    """

    marker: re.Pattern[str]
    first: str
    value: Callable[[str], int] = int

    def split(self, caption: str) -> list[str]:
        """The captions of a cell that begins with the first number, 0 or 1; or []."""
        match = self.marker.match(caption)
        if match is None or self.value(match[1]) > 1:
            return []
        starts, ends, expected = [], [], self.value(match[1])
        for match in self.marker.finditer(caption):
            if self.value(match[1]) == expected:
                starts.append(match.start())
                ends.append(match.end())
                expected += 1
        pieces = (caption[end:start] for end, start in zip(ends, [*starts[1:], None], strict=True))
        return [piece for piece in (piece.strip(" \t\n;；|/") for piece in pieces) if piece]


def _value(number: str) -> int:
    """The number that digits, or one of 一 to 十, stand for."""
    return _CHINESE_NUMBERS.index(number) if number in _CHINESE_NUMBERS else int(number)


def _roman(number: str) -> int:
    return _ROMAN_NUMBERS.index(number.lower()) + 1


def _signs(first: str, last: str) -> _Numbering:
    """Numbers that are one character, such as ①."""
    return _Numbering(re.compile(rf"([{first}-{last}])[.、:：]?\s*"), first, lambda sign: ord(sign) - ord(first) + 1)


def _numbering(before: str, number: str, after: str, first: str, value: Callable[[str], int] = int) -> _Numbering:
    return _Numbering(re.compile(rf"{before}({number}){after}"), first, value)


_START = r"(?:^|(?<=[\s。．.;；，,!！?？|/\u3400-\u9fff]))"
_DIGITS, _HAN_DIGITS = r"\d{1,2}", "[一二三四五六七八九十]"
_NUMBERINGS = [
    _numbering(r"[(（]\s?", _DIGITS, r"\s?[)）]\s*", "(（"),
    _numbering(r"[\[【<]\s?", _DIGITS, r"\s?[\]】>]\s*", "[【<"),
    _numbering(_START, _DIGITS, r"\s?[.．、)）:：](?!\s?\d)\s*", "01０１"),
    _numbering(r"(?:^|\s)#", _DIGITS, r"[\s:：.]\s*", "#"),
    _signs("①", "⑳"),
    _signs("❶", "❿"),
    _signs("⑴", "⒇"),
    _signs("㈠", "㈩"),
    _numbering("", "[0-9](?=\ufe0f?\u20e3)", r"\ufe0f?\u20e3\s*", "01"),
    _numbering(_START, _HAN_DIGITS, r"[、.．)）:：]\s*", "一", _CHINESE_NUMBERS.index),
    _numbering("第", _HAN_DIGITS, r"[句条个]?[、:：]\s*", "第", _CHINESE_NUMBERS.index),
    _numbering(
        r"(?:^|(?<=\W)|(?<=[\u3400-\u9fff]))(?i:captions?|sent|sentence|desc|description|text|描述|句子?|说明|标注)\s?[#_]?",
        rf"{_DIGITS}|{_HAN_DIGITS}",
        r"\s?[:：]\s*",
        "cCsSdDtT描句说标",
        _value,
    ),
    _numbering(r"(?:^|(?<=\s))[(（]?", "(?i:viii|iii|vii|iv|vi|ix|ii|i|v|x)", r"[.)）、]\s+", "iI(（", _roman),
    _numbering(
        rf"{_START}[(（]?", "[A-Ea-e]", r"(?:[、)）:：]|\.(?=\s))\s*", "Aa(（", lambda letter: ord(letter.lower()) - 96
    ),
]


def split_captions(rows: CaptionRows) -> None:
    """Splits captions that are joined alike in nearly every cell; `rows.notes` counts them, and those that are kept."""
    if len(rows) < 2:
        return
    if mostly(rows.captions, _inside_brackets):
        _split_lists(rows)
        return
    if _split_quoted(rows) or _split_numbered(rows):
        return
    present = _separators_in(rows, _SEPARATORS)
    if not any(_split_at(rows, separator) for separator in present):
        _report_kept(rows, present)


def _separators_in(rows: CaptionRows, separators: list[_Separator]) -> list[_Separator]:
    """The separators that occur; one pass finds their first characters."""
    text = "\0".join(rows.captions)
    signs = set(_SIGNS.findall(text))
    return [
        separator
        for separator in separators
        if any(start.strip(" ")[0] in signs and start in text for start in separator.starts)
    ]


def _inside_brackets(caption: str) -> str:
    """The text inside brackets around a whole caption, or ""."""
    if caption[0] not in "[{【":
        return ""
    for opening, closing in _OUTER:
        inner = caption[1:-1]
        if caption[0] == opening and caption[-1] == closing and opening not in inner and closing not in inner:
            return "" if re.match(r"\s?\d{1,2}\s*$", inner) else inner.strip()
    return ""


def _split_lists(rows: CaptionRows) -> None:
    """Lists without the straight quotes of JSON or Python: `[句, 句]`, `[“句”, “句”]`, `{句；句}`."""
    cells = [_inside_brackets(caption) or caption for caption in rows.captions]
    rows.notes["captions in brackets, which are stripped"] += len(cells)
    rows.captions = cells
    if not _split_quoted(rows) and not _split_numbered(rows):
        any(_split_at(rows, separator) for separator in _separators_in(rows, [*_SEPARATORS, *_LIST_SEPARATORS]))


def _split_quoted(rows: CaptionRows) -> bool:
    """Splits cells that are several texts in quotes: `“句”，“句”`."""
    for opening, closing in _QUOTES:
        if not rows.captions[0].startswith(opening) and not rows.captions[-1].startswith(opening):
            continue
        item = rf"{re.escape(opening)}([^{re.escape(opening + closing)}]+){re.escape(closing)}"
        cell = re.compile(rf"\s*{item}(?:\s*[,，;；、|/]?\s*{item})*\s*")
        if not mostly(rows.captions, cell.fullmatch):
            continue
        items = [re.findall(item, caption) if cell.fullmatch(caption) else [caption] for caption in rows.captions]
        if sum(len(found) > 1 for found in items) < 0.5 * len(items):
            continue
        _replace(rows, items, f"in {opening}..{closing}")
        return True
    return False


def _split_numbered(rows: CaptionRows) -> bool:
    """Splits cells with several numbered captions, or strips the number of the only caption in each cell."""
    numberings = _numberings_of(rows)
    for numbering in numberings:
        if not mostly(rows.captions, numbering.split):
            continue
        items = [numbering.split(caption) or [caption] for caption in rows.captions]
        if sum(len(found) > 1 for found in items) >= 0.5 * len(items):
            rows.replace(list(enumerate(items)))
            rows.notes["cells with several numbered captions"] += len(items)
            return True
    for numbering in numberings:
        if not mostly(rows.captions, numbering.marker.match):
            continue
        matches = [numbering.marker.match(caption) for caption in rows.captions]
        texts = [
            caption[match.end() :] if match else caption for caption, match in zip(rows.captions, matches, strict=True)
        ]
        if all(texts) and {numbering.value(match[1]) for match in matches if match} & {0, 1}:
            rows.captions = texts
            rows.notes["numbers stripped from the start of captions (such as '1.')"] += len(texts)
            return True
    return False


def _numberings_of(rows: CaptionRows) -> list[_Numbering]:
    """The numberings with which some caption could begin. Many captions begin with 一, but few with 一、."""
    starts = {caption[:2] for caption in rows.captions}
    letters = {start[0] for start in starts}
    return [
        numbering
        for numbering in _NUMBERINGS
        if not letters.isdisjoint(numbering.first)
        and (numbering.first != "一" or any(map(numbering.marker.match, starts)))
    ]


def _split_at(rows: CaptionRows, separator: _Separator) -> bool:
    if not mostly(rows.captions, lambda caption: _is_joined(caption, separator), separator.min_share):
        return False
    parts = [separator.split(caption) or [caption] for caption in rows.captions]
    if are_words(parts):
        rows.replace([(row, [join_caption(rows, items)]) for row, items in enumerate(parts)])
        rows.notes[f"captions joined from words separated by {separator.name}"] += len(parts)
        return True
    if separator.needs_sentences and not _are_sentences(parts):
        return False
    _replace(rows, parts, f"separated by {separator.name}")
    return True


def _replace(rows: CaptionRows, items: list[list[str]], how: str) -> None:
    if are_words(items):
        rows.replace([(row, [join_caption(rows, words)]) for row, words in enumerate(items)])
        rows.notes[f"captions joined from words {how}"] += len(items)
        return
    rows.replace(list(enumerate(items)))
    rows.notes[f"cells with several captions, {how}"] += len(items)


def _is_joined(caption: str, separator: _Separator) -> bool:
    if not any(start in caption for start in separator.starts):
        return False
    return len(separator.split(caption)) > 1


def _are_sentences(parts: list[list[str]]) -> bool:
    lengths = sorted(min(map(weighted_length, items)) for items in parts)
    return lengths[len(lengths) // 2] >= _MIN_SENTENCE


def _report_kept(rows: CaptionRows, separators: list[_Separator]) -> None:
    """Counts cells that look like several captions in a column whose other cells do not."""
    for separator in separators:
        found = {caption for start in separator.starts for caption in rows.captions if start in caption}
        joined = [caption for caption in rows.captions if caption in found and len(separator.split(caption)) > 1]
        is_worth = joined and len(joined) >= separator.reported_share * len(rows)
        is_certain = separator.reported_share == 0
        if is_worth and (is_certain or _are_sentences([separator.split(item) for item in joined])):
            rows.notes[f"captions that look like several, separated by {separator.name}, kept as one"] += len(joined)
            return
    numberings = _numberings_of(rows)
    letters = set("".join(numbering.first for numbering in numberings))
    candidates = [caption for caption in rows.captions if caption[0] in letters]
    if numbered := sum(any(len(item.split(caption)) > 1 for item in numberings) for caption in candidates):
        rows.notes["captions that look like several, numbered, kept as one"] += numbered
