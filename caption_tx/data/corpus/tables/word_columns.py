"""Tables of words: a word per row, numbered within its sentence, or a word in each of several numbered columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from caption_tx.data.corpus.column_names import CHINESE_NUMBER, caption_key, image_rank, normalize_name
from caption_tx.data.corpus.values.value_kinds import (
    fills_down,
    is_filled,
    is_image_name,
    is_text,
    share,
    typical_length,
)
from caption_tx.data.corpus.values.words import (
    are_single_words,
    have_function_words,
    repeat_like_labels,
    without_spaced_names,
)

_WORD_NAMES = (
    "word", "words", "token", "tokens", "tok", "w", "t", "term", "form", "surface", "wordform", "text_token",
    "词", "詞", "词语", "詞語", "单词", "單詞", "分词", "分詞", "字", "字词", "词汇",
)  # fmt: skip
_LABEL_NAMES = (
    "tag", "label", "keyword", "key_word", "category", "class", "object", "obj", "topic", "hashtag", "concept", "attr",
    "attribute", "synonym", "genre", "type", "kind", "color", "colour", "entity", "lemma", "upos", "xpos", "pos",
)  # fmt: skip
_CHINESE_LABELS = (
    "标签", "標籤", "关键词", "關鍵詞", "类别", "類別", "类目", "分类", "物体", "对象", "属性", "话题", "主题", "词性",
    "颜色", "标注类", "同义词",
)  # fmt: skip
_ORDER_NAMES = (
    "pos", "position", "idx", "index", "order", "seq", "no", "num", "number", "offset", "i", "序号", "位置", "词序",
    "次序", "顺序", "序號", "順序", "编号", "词号", "字序",
)  # fmt: skip
_NOT_ORDER = ("rank", "score", "count", "freq", "frequency", "length", "排名", "频次", "次数", "长度")
_SENTENCE_NAMES = ("sent", "sentence", "sid", "caption", "cap", "annotator", "worker", "句", "描述", "标注员", "标注人")
_CERTAIN_RANK = 2
_MIN_SERIES, _MIN_RUN, _SENTENCE = 3, 2, 4
_MIN_SHARE, _HALF, _SOME, _FEW = 0.95, 0.5, 0.1, 0.02  # of rows or words
_BETWEEN = 0.001
_LAST_NUMBER = re.compile(r"(.*?)_?(\d{1,3})(\D*)")
_INTEGER = re.compile(r"\d{1,4}(?:\.0)?")

Values = Callable[[int], list[Any]]


@dataclass(frozen=True)
class Words:
    """Columns that hold words of sentences.

    Attributes:
        captions: positions of the words: one column with a word per row, or several with a word each.
        order: position of the place of a word in its sentence; None for several columns.
        sentences: positions of what tells the sentences of an image apart; without any, the order restarts.
        name: what is read, for messages.
    """

    captions: tuple[int, ...]
    order: int | None = None
    sentences: tuple[int, ...] = ()
    name: str = ""

    @property
    def read(self) -> list[int]:
        """Positions that are read besides the words."""
        return [*([] if self.order is None else [self.order]), *self.sentences]

    def moved(self, place: dict[int, int]) -> Words:
        """The same columns at other positions."""
        order = None if self.order is None else place[self.order]
        return Words(
            tuple(place[at] for at in self.captions), order, tuple(place[at] for at in self.sentences), self.name
        )


class WordRow(NamedTuple):
    """A row with a word: its line, the names of its image, its sentence, its place in it, the word, .."""

    line: int
    images: tuple[str, ...]
    sentence: tuple[str, ...]
    place: str
    text: str
    split: str | None
    read_from: str


def find_words(
    names: Sequence[str], values: Values, wanted: Sequence[str], image: int, unit: str = "column"
) -> Words | None:
    """The columns of words in a table that has no captions; None if there are no such columns.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        wanted: captions that the user names.
        image: position of the image names.
        unit: "column" or "key", for messages.
    """
    if not wanted and (series := find_series(names, values, image)):
        return Words(series, name=describe_series([names[at] for at in series], unit))
    for at in _candidates(names, values, wanted, image):
        words = _texts(values(at))
        if not words or not are_single_words(without_spaced_names(words)):
            continue
        if not _connect(words, normalize_name(str(names[at]))):
            continue
        order = _find_order(names, values, (image, at))
        if order is not None:
            sentences = _find_sentences(names, values, (image, at, order))
            shown = "".join(f", by {names[position]!r}" for position in sentences)
            return Words((at,), order, sentences, f"the {unit} {names[at]!r} in the order of {names[order]!r}{shown}")
    return None


def describe_series(names: Sequence[str], unit: str) -> str:
    """Numbered columns of words, for messages."""
    shown = [str(name).strip() for name in names]
    return f"the numbered {unit}s {', '.join(shown if len(shown) < 4 else [*shown[:2], '..', shown[-1]])}"


def find_series(names: Sequence[str], values: Values, image: int | None) -> tuple[int, ...]:
    """Positions of numbered columns that hold a word each, in order, with empty cells only at the end of a row; or ().

    The words need some that connect others, such as `the` and `在`: fewer in columns with names such as w1 or 词1.
    Columns with names for labels never hold words of sentences.
    """
    groups: dict[str, list[tuple[int, int]]] = {}
    for at, name in enumerate(names):
        if at != image and (numbered := split_number(str(name), at)):
            groups.setdefault(numbered[0], []).append((numbered[1], at))
    for base, numbered in sorted(groups.items(), key=lambda item: not is_word_name(item[0])):
        found = [at for _, at in sorted(numbered)]
        if not base:  # the image of a table without a header has a number too
            found = [at for at in found if share(values(at), is_image_name) < _HALF]
        if len(found) < _MIN_SERIES or _is_label_name(base) or not _hold_words(list(map(values, found)), base):
            continue
        if not any(_holds_sentences(values(at)) for at in range(len(names)) if at not in (image, *found)):
            return tuple(found)
    return ()


def split_number(name: str, position: int) -> tuple[str, int] | None:
    """A name without its last number, and the number, or the position for Chinese numbers; None without a number."""
    plain = normalize_name(name)
    if match := _LAST_NUMBER.fullmatch(plain):
        return f"{match[1]}{match[3]}".strip("_第个"), int(match[2])
    match = CHINESE_NUMBER.search(plain)
    return (plain[: match.start()].strip("_"), position) if match else None


def _hold_words(columns: list[list[Any]], base: str) -> bool:
    """Whether columns hold one word each of a sentence; columns without a name for words need words that connect."""
    rows = [[_text(cell) for cell in row] for row in zip(*columns, strict=True)]
    rows = [row for row in rows if any(row)]
    words = [cell for row in rows for cell in row if cell]
    if not rows or 2 * sum(sum(map(bool, row)) > 2 for row in rows) < len(rows):
        return False
    if sum("" in row[: sum(map(bool, row))] for row in rows) > (1 - _MIN_SHARE) * len(rows):
        return False  # empty cells in the middle of rows
    if not are_single_words(without_spaced_names(words)) or share(words, is_text) < _HALF:
        return False
    return _connect(words, base)


def _connect(words: Sequence[str], name: str) -> bool:
    """Whether words could be those of sentences; columns without a name for words need more that connect others."""
    return have_function_words(words, _FEW if is_word_name(name) else _SOME) and not repeat_like_labels(words)


def _holds_sentences(values: Sequence[Any]) -> bool:
    """Whether a column holds texts of several words."""
    texts = _texts(values)
    return bool(texts) and not are_single_words(texts) and typical_length(texts) >= _SENTENCE


def _candidates(names: Sequence[str], values: Values, wanted: Sequence[str], image: int) -> list[int]:
    """Columns that may hold a word per row."""
    if wanted:
        plain = [str(name).strip().casefold() for name in names]
        key = wanted[0].strip().casefold()
        return [plain.index(key)] if len(wanted) == 1 and key in plain else []
    others = [at for at in range(len(names)) if at != image]
    certain = [at for at in others if _is_certain(names[at]) and _texts(values(at))]
    if certain:
        return certain if len(certain) == 1 else []
    texts = [at for at in others if not _is_label_name(str(names[at])) and _texts(values(at))]
    if any(_holds_sentences(values(at)) for at in texts):
        return []
    return [at for at in texts if is_word_name(normalize_name(str(names[at])))] or (texts if len(texts) == 1 else [])


def _find_order(names: Sequence[str], values: Values, taken: tuple[int, int]) -> int | None:
    """The column of numbers that count the words of a sentence, by its contents; by its name in shuffled rows."""
    image = _filled(values(taken[0]))
    by_name = None
    for at, name in enumerate(names):
        numbers = [] if at in taken or _has_word(name, _NOT_ORDER) else _numbers(values(at))
        if len(numbers) < 2 or len(numbers) != len(image):
            continue
        if _counts_words(image, numbers):
            return at
        if _has_word(name, _ORDER_NAMES) and min(numbers) in (0, 1) and len(set(numbers)) > 1 and by_name is None:
            by_name = at if _are_shuffled(image) else None
    return by_name


def _counts_words(images: Sequence[Any], numbers: Sequence[float]) -> bool:
    """Whether numbers count up and restart, at the latest with the next image."""
    start = min(numbers)
    runs = good = 0
    for at, number in enumerate(numbers):
        is_next = at > 0 and images[at] == images[at - 1] and number > numbers[at - 1]
        runs += not is_next
        good += is_next or number == start
    return start in (0, 1) and runs > 1 and len(numbers) > _MIN_RUN * runs and good >= _MIN_SHARE * len(numbers)


def _are_shuffled(images: Sequence[Any]) -> bool:
    """Whether the rows of images do not follow each other."""
    return len(list(itertools.groupby(images))) > 2 * len(set(images))


def _find_sentences(names: Sequence[str], values: Values, taken: tuple[int, int, int]) -> tuple[int, ...]:
    """The column that tells the sentences of an image apart: it changes where the order restarts."""
    image, _, order = taken
    images, numbers = _filled(values(image)), _numbers(values(order))
    rows = range(1, len(numbers))
    restarts = {at for at in rows if images[at] == images[at - 1] and numbers[at] <= numbers[at - 1]}
    inside = {at for at in rows if images[at] == images[at - 1]} - restarts
    for at, name in enumerate(names):
        if at in taken or image_rank(str(name)) is not None:
            continue
        cells = _filled(values(at))
        if len(cells) != len(images):
            continue
        if _are_shuffled(images):
            is_sentence = _has_word(name, _SENTENCE_NAMES)
        else:
            is_sentence = all(cells[row] == cells[row - 1] for row in inside) and bool(restarts)
            is_sentence = is_sentence and all(cells[row] != cells[row - 1] for row in restarts)
        if is_sentence:
            return (at,)
    return ()


def _is_certain(name: str) -> bool:
    return (caption_key(str(name)) or ("", _CERTAIN_RANK))[1] < _CERTAIN_RANK


def is_word_name(plain: str) -> bool:
    """Whether a normalized name is one for words, such as token or 词."""
    return plain in _WORD_NAMES


def _is_label_name(name: str) -> bool:
    plain = normalize_name(name)
    words = {word.removesuffix("s") for word in plain.split("_")} | set(plain.split("_"))
    return not words.isdisjoint(_LABEL_NAMES) or "categories" in words or any(part in plain for part in _CHINESE_LABELS)


def _has_word(name: str, words: Sequence[str]) -> bool:
    plain = normalize_name(str(name))
    return any(word in plain.split("_") if word.isascii() else word in plain for word in words)


def _texts(values: Sequence[Any]) -> list[str]:
    """The texts among values, if most are text."""
    present = [value for value in values if _text(value)]
    if share(present, lambda value: isinstance(value, str) and is_text(value)) < _HALF:
        return []
    return list(map(_text, present))


def _text(value: Any) -> str:
    """A value as text, "" for an empty cell."""
    return str(value).strip() if is_filled(value) and value == value else ""


def _numbers(values: Sequence[Any]) -> list[float]:
    """The values as integers, a few empty ones as more than the one above; [] if others are none."""
    numbers: list[float] = []
    texts = [str(value).strip() if is_filled(value) and not isinstance(value, bool) else "" for value in values]
    for text in texts:
        if text and not _INTEGER.fullmatch(text):
            return []
        numbers.append(int(float(text)) if text else (numbers[-1] if numbers else 0) + _BETWEEN)
    return numbers if texts.count("") <= (1 - _MIN_SHARE) * len(texts) else []


def _filled(values: Sequence[Any]) -> list[Any]:
    """Values as text, where empty cells of merged ones have the value above."""
    texts = ["" if not is_filled(value) else str(value).strip() for value in values]
    if not fills_down(values):
        return texts
    return list(itertools.accumulate(texts, lambda above, text: text or above))
