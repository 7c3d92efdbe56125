"""Rendered scenes with captions and object masks: the corpus that needs no download.

A scene holds one to three objects on a background. `(seed, index)` decides everything, so
that masks need not be stored and two machines hold the same corpus. Captions name every
object in one order (left to right, or top to bottom), so that `judge` can tell exactly
whether a generated caption is right.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin
from tqdm import tqdm

from caption_tx.config import LANGUAGES, SPLITS
from caption_tx.errors import ConfigError, CorpusError

IMAGE_SIZE = 224
"""Height and width of a scene, in pixels."""

RENDERER = "scenes-1"
"""Changes whenever the same (seed, index) would give other pixels or captions."""

COLORS = {
    "red": (214, 36, 40),
    "orange": (250, 135, 20),
    "yellow": (248, 222, 40),
    "green": (38, 158, 66),
    "blue": (36, 86, 218),
    "purple": (146, 54, 186),
    "white": (244, 244, 244),
}
"""Colour name -> RGB in [0, 255]; a rendered object strays by at most `COLOR_JITTER` per channel."""

COLOR_JITTER = 10
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
SIZES = {"small": (27.0, 31.0), "large": (38.0, 43.0)}
"""Size name -> range of the radius of the bounding circle, in pixels."""

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
_MARGIN, _GAP = 3, 4
_CENTER = IMAGE_SIZE / 2


@dataclass(frozen=True)
class SceneObject:
    """One object: what it is and where it stands.

    Attributes:
        shape: one of `SHAPES`.
        color: a key of `COLORS`.
        size: a key of `SIZES`.
        center: (x, y) in pixels from the upper left corner.
        radius: of the bounding circle, in pixels.
        angle: clockwise turn, in degrees.
    """

    shape: str
    color: str
    size: str
    center: tuple[float, float]
    radius: float
    angle: float

    def mask(self) -> np.ndarray:
        """The pixels at least half covered by the object, bool (224, 224)."""
        return _coverage(self) >= 0.5


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        image: uint8 (224, 224, 3), RGB.
        objects: in the order in which every caption names them.
        masks: bool (n, 224, 224), one per object; they never overlap.
        captions_zh, captions_en: four different sentences each; each names every object.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    masks: np.ndarray
    captions_zh: tuple[str, ...]
    captions_en: tuple[str, ...]


@dataclass(frozen=True)
class SceneVerdict:
    """What `judge` found.

    Attributes:
        exact: the (colour, shape) pairs of the caption are those of the scene, none missing or added.
        relation: whether the stated place or order is true; None when the caption states none.
        found, expected: (colour, shape) pairs of the caption and of the scene, sorted.
    """

    exact: bool
    relation: bool | None
    found: tuple[tuple[str, str], ...]
    expected: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SceneFiles:
    """What `write_scenes` wrote: the folder of images, the caption TSV, and the objects of each image."""

    images: Path
    captions: Path
    scenes: Path


def _check_language(language: str) -> None:
    if language not in LANGUAGES:
        raise ConfigError(f"The language of scenes must be one of {LANGUAGES}, got {language!r}.")


def _generator(seed: int, index: int, stream: int) -> np.random.Generator:
    if seed < 0 or index < 0:
        raise ConfigError(f"seed and index of a scene must be 0 or more, got {seed} and {index}.")
    return np.random.default_rng((seed, index, stream))


@cache
def _outline(shape: str) -> np.ndarray:
    """Corners of a shape inside the unit circle, float (corners, 2), y downwards."""
    turn = 2 * np.pi
    if shape == "cross":
        a, b = 0.30, 0.95
        x = (-a, a, a, b, b, a, a, -a, -a, -b, -b, -a)
        y = (-b, -b, -a, -a, a, a, b, b, a, a, -a, -a)
        return np.stack([x, y], axis=1)
    if shape == "diamond":
        return np.array([(0.0, -1.0), (0.64, 0.0), (0.0, 1.0), (-0.64, 0.0)])
    # The circle is smaller than its bounding circle so that it does not look larger than the rest.
    radii = {"circle": [0.88] * 72, "square": [1.0] * 4, "triangle": [1.0] * 3, "star": [1.0, 0.44] * 5}[shape]
    start = -turn / 8 if shape == "square" else -turn / 4
    angles = start + turn * np.arange(len(radii)) / len(radii)
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _coverage(item: SceneObject, oversampling: int = 4) -> np.ndarray:
    """Share of each pixel that the object covers, float32 (224, 224) in [0, 1]."""
    theta = math.radians(item.angle)
    turn = np.array([[math.cos(theta), math.sin(theta)], [-math.sin(theta), math.cos(theta)]])
    corners = _outline(item.shape) @ turn * item.radius + item.center
    low = np.floor(corners.min(axis=0)).astype(int)
    size = np.ceil(corners.max(axis=0)).astype(int) - low + 1
    patch = Image.new("L", tuple(int(side) for side in size * oversampling))
    ImageDraw.Draw(patch).polygon([tuple(point) for point in (corners - low) * oversampling], fill=255)
    full = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    part = np.asarray(patch.reduce(oversampling), np.float32) / 255
    full[low[1] : low[1] + size[1], low[0] : low[0] + size[0]] = part
    return full


def plan_scene(seed: int, index: int) -> tuple[tuple[SceneObject, ...], str]:
    """The objects of a scene, and where the first stands to the next: "left" or "above".

    For a single object it is the place in the picture, which may be "right" or "below" as well.

    Raises:
        ConfigError: seed or index is negative.
    """
    rng = _generator(seed, index, 0)
    count = int(rng.choice(3, p=(0.25, 0.45, 0.30))) + 1
    pairs = rng.choice(len(COLORS) * len(SHAPES), count, replace=False)
    sizes = [str(rng.choice(list(SIZES))) for _ in range(count)]
    if count == 3:  # only one large object leaves room for two others in a row
        sizes = ["small"] * 3
        if rng.random() < 0.5:
            sizes[int(rng.integers(3))] = "large"
    radii = np.array([rng.uniform(*SIZES[size]) for size in sizes])
    axis = int(rng.integers(2))
    direction = ("left", "above")[axis]

    if count == 1:
        # One object stands clearly to one side, so that its place can be said and is not the centre.
        offset = rng.uniform(44, _CENTER - _MARGIN - radii[0])
        across = _CENTER + rng.uniform(-0.5, 0.5, 1) * offset
        along = np.array([_CENTER - offset])
        if rng.random() < 0.5:
            along, direction = IMAGE_SIZE - along, ("right", "below")[axis]
    else:
        slack = IMAGE_SIZE - 2 * _MARGIN - 2 * radii.sum() - _GAP * (count - 1)
        before = np.cumsum(rng.dirichlet(np.ones(count + 1)))[:-1] * slack
        along = _MARGIN + before + 2 * np.cumsum(radii) - radii + _GAP * np.arange(count)
        room = _MARGIN + radii.max()
        # Neighbours differ less across than along, or the relation could be read either way.
        spread = 0.25 * np.diff(along).min()
        base = rng.uniform(room, IMAGE_SIZE - room)
        across = np.clip(base + rng.uniform(-spread, spread, count), room, IMAGE_SIZE - room)

    colors = list(COLORS)
    objects = []
    for number, pair in enumerate(pairs):
        place = (along[number], across[number]) if axis == 0 else (across[number], along[number])
        objects.append(
            SceneObject(
                shape=SHAPES[pair % len(SHAPES)],
                color=colors[pair // len(SHAPES)],
                size=sizes[number],
                center=(round(float(place[0]), 2), round(float(place[1]), 2)),
                radius=round(float(radii[number]), 2),
                angle=round(float(rng.uniform(-10, 10)), 1),
            )
        )
    return tuple(objects), direction


def _phrase(item: SceneObject, language: str, with_size: bool) -> str:
    words = WORDS[language]
    color, shape, size = words["color"][item.color], words["shape"][item.shape], words["size"][item.size]
    if language == "zh":
        return f"一个{size}的{color}的{shape}" if with_size else f"一个{color}的{shape}"
    text = f"{size} {color} {shape}" if with_size else f"{color} {shape}"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def describe(objects: Sequence[SceneObject], direction: str, language: str) -> tuple[str, ...]:
    """Four captions of the objects of `plan_scene`, each naming the colour and shape of every object.

    Raises:
        ConfigError: the language is none of `LANGUAGES`.
    """
    _check_language(language)
    slots = dict(zip(_SLOTS, _DIRECTIONS[language][direction], strict=True))
    plain = [_phrase(item, language, False) for item in objects]
    sized = {f"b{number}": _phrase(item, language, True) for number, item in enumerate(objects)}
    return tuple(text.format(*plain, **sized, **slots) for text in _SENTENCES[language][len(objects)])


def _background(rng: np.random.Generator, keep_away: np.ndarray) -> np.ndarray:
    """A pattern of two colours, none near a row of `keep_away` (n, 3); float32 (224, 224, 3)."""
    steps = np.linspace(0, 1, 5)[:, None, None]
    while True:
        ends = rng.uniform(15, 240, (2, 64, 3))
        grey = ends.mean(axis=2, keepdims=True)
        ends = grey + 0.65 * (ends - grey)
        way = ends[0] + steps * (ends[1] - ends[0])
        distance = np.linalg.norm(way[:, :, None] - keep_away, axis=-1).min(axis=(0, 2))
        contrast = np.linalg.norm(ends[1] - ends[0], axis=-1)
        good = np.flatnonzero((distance > 100) & (contrast > 20) & (contrast < 110))
        if len(good):
            break
    first, second = ends[:, good[0]].astype(np.float32)
    y, x = (np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] / IMAGE_SIZE - 0.5).astype(np.float32)
    theta = rng.uniform(0, 2 * np.pi)
    u, v = math.cos(theta) * x + math.sin(theta) * y, math.cos(theta) * y - math.sin(theta) * x
    frequency = rng.uniform(12, 60)
    kind = rng.choice(("gradient", "radial", "stripes", "checks", "clouds", "grain"))
    if kind == "gradient":
        mix = u / 1.42 + 0.5
    elif kind == "radial":
        mix = np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5))
    elif kind == "stripes":
        mix = 0.5 + 0.5 * np.sin(u * frequency)
    elif kind == "checks":
        mix = 0.5 + 0.5 * np.sign(np.sin(u * frequency) * np.sin(v * frequency))
    elif kind == "clouds":
        side = int(rng.integers(4, 14))
        small = Image.fromarray(rng.integers(0, 256, (side, side), np.uint8))
        mix = np.asarray(small.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)) / 255
    else:
        mix = rng.random((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    mix = np.clip(mix, 0, 1).astype(np.float32)[..., None]
    return first + mix * (second - first)


def render_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the endless row of scenes of `seed`.

    Raises:
        ConfigError: seed or index is negative.
    """
    objects, direction = plan_scene(seed, index)
    rng = _generator(seed, index, 1)
    jitter = rng.uniform(-COLOR_JITTER, COLOR_JITTER, (len(objects), 3))
    colors = np.array([COLORS[item.color] for item in objects]) + jitter
    canvas = _background(rng, colors)
    masks = np.empty((len(objects), IMAGE_SIZE, IMAGE_SIZE), bool)
    for number, item in enumerate(objects):
        coverage = _coverage(item)
        masks[number] = coverage >= 0.5
        canvas += coverage[..., None] * (colors[number].astype(np.float32) - canvas)
    amplitude = int(rng.integers(1, 10))
    canvas += rng.integers(-amplitude, amplitude + 1, canvas.shape, np.int8)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    return Scene(image, objects, masks, describe(objects, direction, "zh"), describe(objects, direction, "en"))


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
        along, across = centers[0][axis] - _CENTER, centers[0][1 - axis] - _CENTER
        return sign * along < 0 and abs(along) > abs(across)
    return all(sign * (later[axis] - earlier[axis]) > 0 for earlier, later in pairwise(centers))


def judge(caption: str, objects: Sequence[SceneObject], language: str) -> SceneVerdict:
    """Whether a caption, generated or typed, names exactly the objects of a scene.

    A colour or shape word outside a (colour, shape) pair makes a caption inexact. Spaces and
    punctuation do not matter. A relation in a sentence of unknown form counts as untrue.

    Raises:
        ConfigError: the language is none of `LANGUAGES`.
    """
    _check_language(language)
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
    _check_language(language)
    for kind, words in WORDS[language].items():
        if word in words.values():
            return kind
    return "relation" if word in _RELATION_WORDS[language] else None


def named_objects(words: Sequence[str], objects: Sequence[SceneObject], language: str) -> list[int | None]:
    """For each word of a segmented caption, the index of the object whose colour or shape it is, or None.

    A colour belongs to the next shape word; a pair that is not in the scene belongs to no object.
    """
    _check_language(language)
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


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _write_image(path: Path, seed: int, index: int) -> None:
    """Writes a scene unless `path` already holds it, which a text chunk of the PNG tells without decoding."""
    mark = f"{RENDERER}/{seed}/{index}"
    try:
        with Image.open(path) as image:
            if image.info.get("scene") == mark:
                return
    except OSError:
        pass  # missing or not an image: written below
    info = PngImagePlugin.PngInfo()
    info.add_text("scene", mark)
    temporary = path.with_name(path.name + ".part")
    Image.fromarray(render_scene(seed, index).image).save(temporary, format="PNG", compress_level=1, pnginfo=info)
    os.replace(temporary, path)


def _rows(counts: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    """(split, index, file name); each split has its own indices, so that one can grow without the others."""
    for split, count in counts.items():
        if split not in SPLITS or count < 0:
            raise ConfigError(f"Scene counts are 0 or more for the splits {SPLITS}, got {split!r}: {count!r}.")
        start = SPLITS.index(split) * 1_000_000
        for number in range(count):
            yield split, start + number, f"{split}-{number:06d}.png"


def write_scenes(
    folder: str | Path, counts: Mapping[str, int] | None = None, language: str = "zh", seed: int = 0
) -> SceneFiles:
    """Writes scenes as a corpus: `images/*.png`, `captions.tsv` (image, caption, split) and `scenes.json`.

    Nothing half-written stays under its final name, and images already there from the same
    seed are kept, so that the call may be repeated after an interruption.

    Args:
        counts: images per split; 1600 train, 200 val and 200 test by default.
        language: of the captions, one of `LANGUAGES`.
        seed: another seed gives other scenes.

    Raises:
        ConfigError: an unknown split or language, or a negative number.
    """
    _check_language(language)
    folder = Path(folder)
    files = SceneFiles(folder / "images", folder / "captions.tsv", folder / "scenes.json")
    rows = list(_rows({"train": 1600, "val": 200, "test": 200} if counts is None else counts))
    files.images.mkdir(parents=True, exist_ok=True)
    # Compression frees the interpreter lock, so two threads keep two cores busy.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(lambda row: _write_image(files.images / row[2], seed, row[1]), rows)
        for _ in tqdm(written, "scenes", len(rows), unit="image"):
            pass
    lines, listing = ["image\tcaption\tsplit"], {}
    for split, index, name in rows:
        objects, direction = plan_scene(seed, index)
        lines += [f"{name}\t{caption}\t{split}" for caption in describe(objects, direction, language)]
        listing[name] = {"split": split, "index": index, "objects": [asdict(item) for item in objects]}
    _write_text(files.captions, "\n".join(lines) + "\n")
    header = {"renderer": RENDERER, "seed": seed, "language": language}
    _write_text(files.scenes, json.dumps(header | {"images": listing}, ensure_ascii=False) + "\n")
    return files


def read_scenes(path: str | Path) -> dict[str, tuple[SceneObject, ...]]:
    """File name -> objects, from the `scenes.json` of `write_scenes`.

    Raises:
        CorpusError: the file is missing, damaged, or of another renderer.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        renderer = content["renderer"]
        if renderer != RENDERER:
            raise CorpusError(f"{path} is of renderer {renderer!r}, this one is {RENDERER!r}; write the scenes again.")
        return {
            name: tuple(SceneObject(**(item | {"center": tuple(item["center"])})) for item in entry["objects"])
            for name, entry in content["images"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"Cannot read scenes from {path}: {error}; write them with write_scenes.") from error
