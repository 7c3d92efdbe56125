"""Captions of rendered scenes: their words and sentences, and an exact judge of any caption.

Captions name every object in one order (left to right, or top to bottom), so that `judge` can
tell exactly whether a generated caption is right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from caption_tx.config import LANGUAGES
from caption_tx.data.scenes.objects import CENTER, COLORS, SHAPES, SIZES, SceneObject
from caption_tx.errors import ConfigError

WORDS = {
    "zh": {
        "color": dict(zip(COLORS, ("红色", "橙色", "黄色", "绿色", "蓝色", "紫色", "白色"), strict=True)),
        "shape": dict(zip(SHAPES, ("圆形", "正方形", "三角形", "星形", "十字形", "菱形"), strict=True)),
        "size": {"small": "小", "large": "大"},
    },
    "en": {
        "color": {name: name for name in COLORS},
        "shape": {name: name for name in SHAPES},
        "size": {name: name for name in SIZES},
    },
}
"""Language -> kind of word -> name -> the word; each is one word for jieba, whatever stands beside it."""

# Number of objects -> sentences. {0} is the first object with its article, {b0} the same with its size.
_SENTENCES = {
    "zh": {
        1: ("{0}在画面的{place}", "图中有{0}", "{side}是{0}", "这里有{b0}"),
        2: ("{0}在{1}的{side}", "图中有{0}和{1}", "{first}是{0}，{last}是{1}", "这里有{b0}和{b1}"),
        3: (
            "{0}、{1}和{2}排成{line}",
            "图中有{0}、{1}和{2}",
            "{first}是{0}，中间是{1}，{last}是{2}",
            "从{start}到{end}依次是{0}、{1}和{2}",
        ),
    },
    "en": {
        1: ("{0} {place} of the picture", "there is {0}", "{first} is {0}", "this is {b0}"),
        2: ("{0} {side} {1}", "there is {0} and {1}", "{first} is {0}, {last} is {1}", "this is {b0} and {b1}"),
        3: (
            "{0}, {1} and {2} in a {line}",
            "there is {0}, {1} and {2}",
            "{first} is {0}, in the middle is {1}, {last} is {2}",
            "from {start} to {end} there is {0}, {1} and {2}",
        ),
    },
}
_SLOTS = ("side", "place", "first", "last", "start", "end", "line")
# Where the first named object stands -> the words of `_SLOTS`. Scenes of several objects only say "left"
# and "above"; the judge knows the other two as well, because a person may turn a sentence round.
_DIRECTIONS = {
    "zh": {
        "left": ("左边", "左侧", "左边", "右边", "左", "右", "一行"),
        "right": ("右边", "右侧", "右边", "左边", "右", "左", "一行"),
        "above": ("上面", "上方", "上面", "下面", "上", "下", "一列"),
        "below": ("下面", "下方", "下面", "上面", "下", "上", "一列"),
    },
    "en": {
        "left": ("to the left of", "on the left", "on the left", "on the right", "left", "right", "row"),
        "right": ("to the right of", "on the right", "on the right", "on the left", "right", "left", "row"),
        "above": ("above", "at the top", "at the top", "at the bottom", "top", "bottom", "column"),
        "below": ("below", "at the bottom", "at the bottom", "at the top", "bottom", "top", "column"),
    },
}
_RELATION_WORDS = {
    "zh": frozenset(
        [
            "左边",
            "右边",
            "上面",
            "下面",
            "左侧",
            "右侧",
            "上方",
            "下方",
            "中间",
            "从左到右",
            "从右到左",
            "从上到下",
            "从下到上",
            "一行",
            "一列",
            "排成一列",
        ]
    ),
    "en": frozenset(["left", "right", "above", "below", "top", "bottom", "middle", "row", "column"]),
}


@dataclass(frozen=True)
class SceneVerdict:
    """What `judge` found.

    Attributes:
        exact: the (color, shape) pairs of the caption are those of the scene, none missing or added.
        relation: whether the stated place or order is true; None when the caption states none.
        found, expected: (color, shape) pairs of the caption and of the scene, sorted.
    """

    exact: bool
    relation: bool | None
    found: tuple[tuple[str, str], ...]
    expected: tuple[tuple[str, str], ...]


def check_language(language: str) -> None:
    """Nothing for one of `LANGUAGES`, ConfigError for anything else."""
    if language not in LANGUAGES:
        raise ConfigError(f"The language of scenes must be one of {LANGUAGES}, got {language!r}.")


def _phrase(item: SceneObject, language: str, with_size: bool) -> str:
    words = WORDS[language]
    color, shape, size = words["color"][item.color], words["shape"][item.shape], words["size"][item.size]
    if language == "zh":
        return f"一个{size}的{color}的{shape}" if with_size else f"一个{color}的{shape}"
    text = f"{size} {color} {shape}" if with_size else f"{color} {shape}"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def describe(objects: Sequence[SceneObject], direction: str, language: str) -> tuple[str, ...]:
    """Four captions of the objects of `plan_scene`, each naming the color and shape of every object.

    Raises:
        ConfigError: the language is none of `LANGUAGES`.
    """
    check_language(language)
    slots = dict(zip(_SLOTS, _DIRECTIONS[language][direction], strict=True))
    plain = [_phrase(item, language, False) for item in objects]
    sized = {f"b{number}": _phrase(item, language, True) for number, item in enumerate(objects)}
    return tuple(text.format(*plain, **sized, **slots) for text in _SENTENCES[language][len(objects)])


@cache
def _object_pattern(language: str) -> re.Pattern[str]:
    words = {kind: "|".join(names.values()) for kind, names in WORDS[language].items()}
    if language == "zh":
        return re.compile(
            rf"(?:一个)?(?:(?:{words['size']})的?)?({words['color']})的?(?:{words['size']})?({words['shape']})"
        )
    return re.compile(rf"\b(?:an? )?(?:(?:{words['size']}) )?({words['color']}) ({words['shape']})\b")


def _plain(text: str, language: str) -> str:
    """Lower case without punctuation; without spaces as well in Chinese."""
    return re.sub(r"[^\w@]+", "" if language == "zh" else " ", text.lower()).strip()


def _frame(text: str, language: str) -> str:
    """A plain sentence reduced to the form that `_frames` knows; 的 before a place may be left out."""
    return text.replace("的", "") if language == "zh" else text


@cache
def _frames(language: str) -> dict[str, str | None]:
    """Sentence with "@" for each object -> the direction that it states, or None."""
    frames: dict[str, str | None] = {}
    for sentences in _SENTENCES[language].values():
        for text in sentences:
            stated = any("{" + slot in text for slot in _SLOTS)
            for direction, words in _DIRECTIONS[language].items():
                slots = dict(zip(_SLOTS, words, strict=True))
                marks = {f"b{number}": "@" for number in range(3)}
                frame = _frame(_plain(text.format("@", "@", "@", **marks, **slots), language), language)
                # A row reads left to right, so the first reading of a frame is kept.
                frames.setdefault(frame, direction if stated else None)
    return frames


def _holds(direction: str, centers: Sequence[tuple[float, float]]) -> bool:
    """Whether objects at `centers`, as named, stand in the stated direction (one object: in the picture)."""
    axis = 0 if direction in ("left", "right") else 1
    sign = 1 if direction in ("left", "above") else -1
    if len(centers) == 1:
        along, across = centers[0][axis] - CENTER, centers[0][1 - axis] - CENTER
        return sign * along < 0 and abs(along) > abs(across)
    return all(sign * (later[axis] - earlier[axis]) > 0 for earlier, later in pairwise(centers))


def judge(caption: str, objects: Sequence[SceneObject], language: str) -> SceneVerdict:
    """Whether a caption, generated or typed, names exactly the objects of a scene.

    A color or shape word outside a (color, shape) pair makes a caption inexact. Spaces and
    punctuation do not matter. A relation in a sentence of unknown form counts as untrue.

    Raises:
        ConfigError: the language is none of `LANGUAGES`.
    """
    check_language(language)
    words = WORDS[language]
    names = {word: name for kind in ("color", "shape") for name, word in words[kind].items()}
    text = _plain(caption, language)
    pattern = _object_pattern(language)
    found = [(names[color], names[shape]) for color, shape in pattern.findall(text)]
    expected = [(item.color, item.shape) for item in objects]
    frame = _frame(pattern.sub("@", text), language)
    # Chinese is searched without spaces; English by whole words, or "square" would be in "squares".
    rest = frame if language == "zh" else frame.split()
    exact = Counter(found) == Counter(expected) and not any(word in rest for word in names)

    relation: bool | None = None
    if frame in _frames(language):
        direction = _frames(language)[frame]
        if direction is not None:
            centers = {(item.color, item.shape): item.center for item in objects}
            known = all(pair in centers for pair in found)
            relation = known and _holds(direction, [centers[pair] for pair in found])
    elif any(word in rest for word in _RELATION_WORDS[language]):
        relation = False
    return SceneVerdict(exact, relation, tuple(sorted(found)), tuple(sorted(expected)))


def word_class(word: str, language: str) -> str | None:
    """ "color", "shape", "size" or "relation" for a word of a scene caption, None for the rest."""
    check_language(language)
    for kind, words in WORDS[language].items():
        if word in words.values():
            return kind
    return "relation" if word in _RELATION_WORDS[language] else None


def named_objects(words: Sequence[str], objects: Sequence[SceneObject], language: str) -> list[int | None]:
    """For each word of a segmented caption, the index of the object whose color or shape it is, or None.

    A color belongs to the next shape word; a pair that is not in the scene belongs to no object.
    """
    check_language(language)
    names = {word: name for kind in ("color", "shape") for name, word in WORDS[language][kind].items()}
    numbers = {(item.color, item.shape): number for number, item in enumerate(objects)}
    result: list[int | None] = [None] * len(words)
    color_at: int | None = None
    for place, word in enumerate(words):
        kind = word_class(word, language)
        if kind == "color":
            color_at = place
        elif kind == "shape":
            if color_at is not None:
                number = numbers.get((names[words[color_at]], names[word]))
                result[color_at] = result[place] = number
            color_at = None
    return result
