"""Captions of rendered scenes, and an exact check of generated captions.

Captions name every object in a fixed order (left to right, or top to bottom), so `check_caption` can
decide exactly whether a generated caption is correct.
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
"""Language -> word class -> name -> word. jieba keeps each Chinese word whole, whatever its neighbors."""

# Number of objects -> sentence templates. {0} is the first object with its article, {b0} adds its size.
_TEMPLATES = {
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
# Direction of the first object relative to the second -> the words for `_SLOTS`. Scenes of several objects
# only use "left" and "above"; `check_caption` also accepts the reverse, which a person may write.
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
    "zh": frozenset(("左边", "右边", "上面", "下面", "左侧", "右侧", "上方", "下方", "中间"))
    | {"一行", "一列", "排成一列", "从左到右", "从右到左", "从上到下", "从下到上"},
    "en": frozenset(["left", "right", "above", "below", "top", "bottom", "middle", "row", "column"]),
}


@dataclass(frozen=True)
class CaptionCheck:
    """The result of `check_caption`.

    Attributes:
        exact: whether the (color, shape) pairs of the caption are exactly those of the scene.
        relation: whether the stated position or order is correct; None if the caption states none.
        named: (color, shape) pairs in the caption, sorted.
        expected: (color, shape) pairs in the scene, sorted.
    """

    exact: bool
    relation: bool | None
    named: tuple[tuple[str, str], ...]
    expected: tuple[tuple[str, str], ...]


def check_language(language: str) -> None:
    """Raises ConfigError unless the language is one of `LANGUAGES`."""
    if language not in LANGUAGES:
        raise ConfigError(f"The language of scenes must be one of {', '.join(LANGUAGES)}, got {language!r}.")


def _phrase(item: SceneObject, language: str, with_size: bool) -> str:
    words = WORDS[language]
    color, shape, size = words["color"][item.color], words["shape"][item.shape], words["size"][item.size]
    if language == "zh":
        return f"一个{size}的{color}的{shape}" if with_size else f"一个{color}的{shape}"
    text = f"{size} {color} {shape}" if with_size else f"{color} {shape}"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def scene_captions(objects: Sequence[SceneObject], direction: str, language: str) -> tuple[str, ...]:
    """Returns four captions of a scene, each naming the color and shape of every object.

    Args:
        objects, direction: as `plan_scene` returns them.
        language: one of `LANGUAGES`.

    Raises:
        ConfigError: the language is unknown.
    """
    check_language(language)
    slots = dict(zip(_SLOTS, _DIRECTIONS[language][direction], strict=True))
    phrases = [_phrase(item, language, with_size=False) for item in objects]
    sized = {f"b{index}": _phrase(item, language, with_size=True) for index, item in enumerate(objects)}
    return tuple(template.format(*phrases, **sized, **slots) for template in _TEMPLATES[language][len(objects)])


@cache
def _object_pattern(language: str) -> re.Pattern[str]:
    words = {kind: "|".join(names.values()) for kind, names in WORDS[language].items()}
    if language == "zh":
        return re.compile(
            rf"(?:一个)?(?:(?:{words['size']})的?)?({words['color']})的?(?:{words['size']})?({words['shape']})"
        )
    return re.compile(rf"\b(?:an? )?(?:(?:{words['size']}) )?({words['color']}) ({words['shape']})\b")


def _normalize(text: str, language: str) -> str:
    """Returns lowercased text without punctuation; Chinese also loses its spaces."""
    return re.sub(r"[^\w@]+", "" if language == "zh" else " ", text.lower()).strip()


def _frame(normalized: str, language: str) -> str:
    """Returns a sentence in the form of the keys of `_frames`: 的 is optional before a position word."""
    return normalized.replace("的", "") if language == "zh" else normalized


@cache
def _frames(language: str) -> dict[str, str | None]:
    """Returns a mapping from sentence, with "@" in place of each object, to the stated direction or None."""
    frames: dict[str, str | None] = {}
    for templates in _TEMPLATES[language].values():
        for template in templates:
            states_direction = any("{" + slot in template for slot in _SLOTS)
            for direction, words in _DIRECTIONS[language].items():
                slots = dict(zip(_SLOTS, words, strict=True))
                sized = {f"b{index}": "@" for index in range(3)}
                sentence = template.format("@", "@", "@", **sized, **slots)
                frame = _frame(_normalize(sentence, language), language)
                # "in a row" fits both directions. A row is read from left to right, so the first one counts.
                frames.setdefault(frame, direction if states_direction else None)
    return frames


def _is_arranged(direction: str, centers: Sequence[tuple[float, float]]) -> bool:
    """Returns whether objects at `centers`, in the order named, are arranged in the stated direction.

    A single object is compared with the center of the image.
    """
    axis = 0 if direction in ("left", "right") else 1
    sign = 1 if direction in ("left", "above") else -1
    if len(centers) == 1:
        along, across = centers[0][axis] - CENTER, centers[0][1 - axis] - CENTER
        return sign * along < 0 and abs(along) > abs(across)
    return all(sign * (later[axis] - earlier[axis]) > 0 for earlier, later in pairwise(centers))


def check_caption(caption: str, objects: Sequence[SceneObject], language: str) -> CaptionCheck:
    """Checks whether a caption names exactly the objects of a scene.

    A color or shape word outside a (color, shape) pair makes a caption inexact. Spaces and punctuation are
    ignored. A relation in an unknown form of sentence counts as incorrect.

    Example:
        >>> circle = SceneObject("circle", "red", "large", (60.0, 100.0), 40.0, 0.0)
        >>> check_caption("there is a red circle", [circle], "en").exact
        True

    Raises:
        ConfigError: the language is unknown.
    """
    check_language(language)
    words = WORDS[language]
    names = {word: name for kind in ("color", "shape") for name, word in words[kind].items()}
    text = _normalize(caption, language)
    pattern = _object_pattern(language)
    named = [(names[color], names[shape]) for color, shape in pattern.findall(text)]
    expected = [(item.color, item.shape) for item in objects]
    frame = _frame(pattern.sub("@", text), language)
    # Chinese is searched without spaces. English is searched by whole words, because "squares" contains "square".
    rest = frame if language == "zh" else frame.split()
    exact = Counter(named) == Counter(expected) and not any(word in rest for word in names)
    relation: bool | None = None
    if frame in _frames(language):
        direction = _frames(language)[frame]
        if direction is not None:
            centers = {(item.color, item.shape): item.center for item in objects}
            relation = all(pair in centers for pair in named)
            relation = relation and _is_arranged(direction, [centers[pair] for pair in named])
    elif any(word in rest for word in _RELATION_WORDS[language]):
        relation = False
    return CaptionCheck(exact, relation, tuple(sorted(named)), tuple(sorted(expected)))


def word_class(word: str, language: str) -> str | None:
    """Returns "color", "shape", "size" or "relation" for such a word of a scene caption, None for other words."""
    check_language(language)
    for name, words in WORDS[language].items():
        if word in words.values():
            return name
    return "relation" if word in _RELATION_WORDS[language] else None


def named_objects(words: Sequence[str], objects: Sequence[SceneObject], language: str) -> list[int | None]:
    """Returns, for each word of a segmented caption, the index of the object whose color or shape it names.

    A color word belongs to the next shape word. Words of pairs that are not in the scene, and all other
    words, get None.
    """
    check_language(language)
    names = {word: name for kind in ("color", "shape") for name, word in WORDS[language][kind].items()}
    index_of = {(item.color, item.shape): index for index, item in enumerate(objects)}
    result: list[int | None] = [None] * len(words)
    color_position: int | None = None
    for position, word in enumerate(words):
        kind = word_class(word, language)
        if kind == "color":
            color_position = position
        elif kind == "shape":
            if color_position is not None:
                index = index_of.get((names[words[color_position]], names[word]))
                result[color_position] = result[position] = index
            color_position = None
    return result
