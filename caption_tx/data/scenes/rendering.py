"""Rendered scenes with captions and object masks: the corpus that needs no download.

A scene holds one to three objects on a background. `(seed, index)` decides everything, so
that masks need not be stored and two machines hold the same corpus.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from caption_tx.config import SPLITS
from caption_tx.data.scenes.captions import check_language, describe
from caption_tx.data.scenes.objects import CENTER, COLOR_JITTER, COLORS, IMAGE_SIZE, SHAPES, SIZES, SceneObject
from caption_tx.errors import ConfigError, CorpusError
from caption_tx.files import atomic_write, write_atomically

RENDERER = "scenes-1"
"""Changes whenever the same (seed, index) would give other pixels or captions."""

_MARGIN, _GAP = 3, 4


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
class SceneFiles:
    """What `write_scenes` wrote: the folder of images, the caption TSV, and the objects of each image."""

    images: Path
    captions: Path
    scenes: Path


def _generator(seed: int, index: int, stream: int) -> np.random.Generator:
    if seed < 0 or index < 0:
        raise ConfigError(f"seed and index of a scene must be 0 or more, got {seed} and {index}.")
    return np.random.default_rng((seed, index, stream))


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
        # One object stands clearly to one side, so that its place can be said and is not the center.
        offset = rng.uniform(44, CENTER - _MARGIN - radii[0])
        across = CENTER + rng.uniform(-0.5, 0.5, 1) * offset
        along = np.array([CENTER - offset])
        if rng.random() < 0.5:
            along, direction = IMAGE_SIZE - along, ("right", "below")[axis]
    else:
        slack = IMAGE_SIZE - 2 * _MARGIN - 2 * radii.sum() - _GAP * (count - 1)
        before = np.cumsum(rng.dirichlet(np.ones(count + 1)))[:-1] * slack
        along = _MARGIN + before + 2 * np.cumsum(radii) - radii + _GAP * np.arange(count)
        room = _MARGIN + radii.max()
        # Neighbors differ less across than along, or the relation could be read either way.
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


def _background(rng: np.random.Generator, keep_away: np.ndarray) -> np.ndarray:
    """A pattern of two colors, none near a row of `keep_away` (n, 3); float32 (224, 224, 3)."""
    steps = np.linspace(0, 1, 5)[:, None, None]
    while True:
        ends = rng.uniform(15, 240, (2, 64, 3))
        gray = ends.mean(axis=2, keepdims=True)
        ends = gray + 0.65 * (ends - gray)
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
        coverage = item.coverage()
        masks[number] = coverage >= 0.5
        canvas += coverage[..., None] * (colors[number].astype(np.float32) - canvas)
    amplitude = int(rng.integers(1, 10))
    canvas += rng.integers(-amplitude, amplitude + 1, canvas.shape, np.int8)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    return Scene(image, objects, masks, describe(objects, direction, "zh"), describe(objects, direction, "en"))


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
    with atomic_write(path) as file:
        Image.fromarray(render_scene(seed, index).image).save(file, format="PNG", compress_level=1, pnginfo=info)


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
    check_language(language)
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
    write_atomically(files.captions, "\n".join(lines) + "\n")
    header = {"renderer": RENDERER, "seed": seed, "language": language}
    write_atomically(files.scenes, json.dumps(header | {"images": listing}, ensure_ascii=False) + "\n")
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
