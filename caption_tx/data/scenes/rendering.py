"""Rendered scenes: one to three colored shapes on a patterned background, with object masks.

`(seed, index)` determines a scene completely, so masks need not be stored and every machine renders the
same corpus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from caption_tx.data.scenes.captions import scene_captions
from caption_tx.data.scenes.objects import CENTER, COLOR_JITTER, COLORS, IMAGE_SIZE, SHAPES, SIZES, SceneObject
from caption_tx.errors import ConfigError

RENDERER = "scenes-1"
"""Version of the renderer; must change whenever the same (seed, index) gives other pixels or captions."""

# Minimum distances in pixels from the edge of the image and between objects.
_MARGIN, _GAP = 3, 4


@dataclass(frozen=True)
class Scene:
    """A rendered scene of n objects.

    Attributes:
        image: uint8 (224, 224, 3), RGB.
        objects: the objects in the order in which every caption names them.
        masks: bool (n, 224, 224), one per object; they never overlap.
        captions_zh: four different Chinese sentences; each names every object.
        captions_en: the same in English.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]
    masks: np.ndarray
    captions_zh: tuple[str, ...]
    captions_en: tuple[str, ...]


def _generator(seed: int, index: int, stream: int) -> np.random.Generator:
    if seed < 0 or index < 0:
        raise ConfigError(f"The seed and index of a scene must not be negative, got {seed} and {index}.")
    return np.random.default_rng((seed, index, stream))


def plan_scene(seed: int, index: int) -> tuple[tuple[SceneObject, ...], str]:
    """Returns the objects of a scene, and where the first is relative to the second: "left" or "above".

    For a single object the direction is its position in the image, which may also be "right" or "below".

    Raises:
        ConfigError: seed or index is negative.
    """
    rng = _generator(seed, index, 0)
    count = int(rng.choice(3, p=(0.25, 0.45, 0.30))) + 1
    pairs = rng.choice(len(COLORS) * len(SHAPES), count, replace=False)
    sizes = [str(rng.choice(list(SIZES))) for _ in range(count)]
    if count == 3:  # Two large objects and a third do not fit in a row.
        sizes = ["small"] * 3
        if rng.random() < 0.5:
            sizes[int(rng.integers(3))] = "large"
    radii = np.array([rng.uniform(*SIZES[size]) for size in sizes])
    axis = int(rng.integers(2))
    direction = ("left", "above")[axis]
    if count == 1:
        along, across, flipped = _position_one(rng, radii[0])
        direction = ("right", "below")[axis] if flipped else direction
    else:
        along, across = _position_row(rng, radii)

    colors = list(COLORS)
    objects = []
    for i, pair in enumerate(pairs):
        center = (along[i], across[i]) if axis == 0 else (across[i], along[i])
        objects.append(
            SceneObject(
                shape=SHAPES[pair % len(SHAPES)],
                color=colors[pair // len(SHAPES)],
                size=sizes[i],
                center=(round(float(center[0]), 2), round(float(center[1]), 2)),
                radius=round(float(radii[i]), 2),
                angle=round(float(rng.uniform(-10, 10)), 1),
            )
        )
    return tuple(objects), direction


def _position_one(rng: np.random.Generator, radius: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """Returns the coordinates of a single object along and across the axis, and whether the side is flipped.

    The object is clearly off center along the axis, so that a caption can state its position.
    """
    offset = rng.uniform(44, CENTER - _MARGIN - radius)
    across = CENTER + rng.uniform(-0.5, 0.5, 1) * offset
    along = np.array([CENTER - offset])
    if rng.random() < 0.5:
        return IMAGE_SIZE - along, across, True
    return along, across, False


def _position_row(rng: np.random.Generator, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the coordinates (n,) of objects in a row, along and across its axis."""
    count = len(radii)
    slack = IMAGE_SIZE - 2 * _MARGIN - 2 * radii.sum() - _GAP * (count - 1)
    before = np.cumsum(rng.dirichlet(np.ones(count + 1)))[:-1] * slack
    along = _MARGIN + before + 2 * np.cumsum(radii) - radii + _GAP * np.arange(count)
    edge = _MARGIN + radii.max()
    # Neighbors differ less across the axis than along it; otherwise the relation would be ambiguous.
    spread = 0.25 * np.diff(along).min()
    base = rng.uniform(edge, IMAGE_SIZE - edge)
    across = np.clip(base + rng.uniform(-spread, spread, count), edge, IMAGE_SIZE - edge)
    return along, across


def _background(rng: np.random.Generator, avoid: np.ndarray) -> np.ndarray:
    """Returns a pattern of two colors that are far from each row of `avoid` (n, 3); float32 (224, 224, 3)."""
    first, second = _background_colors(rng, avoid)
    mix = np.clip(_pattern(rng), 0, 1).astype(np.float32)[..., None]
    return first + mix * (second - first)


def _background_colors(rng: np.random.Generator, avoid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws two colors, float32 (3,) in [0, 255], whose blends all differ clearly from the colors to avoid."""
    steps = np.linspace(0, 1, 5)[:, None, None]
    while True:
        ends = rng.uniform(15, 240, (2, 64, 3))
        gray = ends.mean(axis=2, keepdims=True)
        ends = gray + 0.65 * (ends - gray)
        blends = ends[0] + steps * (ends[1] - ends[0])  # (5, 64, 3)
        distance = np.linalg.norm(blends[:, :, None] - avoid, axis=-1).min(axis=(0, 2))
        contrast = np.linalg.norm(ends[1] - ends[0], axis=-1)
        good = np.flatnonzero((distance > 100) & (contrast > 20) & (contrast < 110))
        if len(good):
            first, second = ends[:, good[0]].astype(np.float32)
            return first, second


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Draws how much of the second color each pixel has, (224, 224); values may lie outside [0, 1]."""
    y, x = (np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] / IMAGE_SIZE - 0.5).astype(np.float32)
    theta = rng.uniform(0, 2 * np.pi)
    u, v = math.cos(theta) * x + math.sin(theta) * y, math.cos(theta) * y - math.sin(theta) * x
    frequency = rng.uniform(12, 60)
    name = rng.choice(("gradient", "radial", "stripes", "checks", "clouds", "grain"))
    if name == "gradient":
        return u / 1.42 + 0.5
    if name == "radial":
        return np.hypot(x - rng.uniform(-0.5, 0.5), y - rng.uniform(-0.5, 0.5))
    if name == "stripes":
        return 0.5 + 0.5 * np.sin(u * frequency)
    if name == "checks":
        return 0.5 + 0.5 * np.sign(np.sin(u * frequency) * np.sin(v * frequency))
    if name == "clouds":
        side = int(rng.integers(4, 14))
        small = Image.fromarray(rng.integers(0, 256, (side, side), np.uint8))
        return np.asarray(small.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)) / 255
    return rng.random((IMAGE_SIZE, IMAGE_SIZE), np.float32)


def render_scene(seed: int, index: int) -> Scene:
    """Renders scene `index` of the infinite sequence of scenes that `seed` defines.

    Example:
        >>> scene = render_scene(seed=0, index=3)
        >>> scene.image.shape, len(scene.objects) == len(scene.masks)
        ((224, 224, 3), True)

    Raises:
        ConfigError: seed or index is negative.
    """
    objects, direction = plan_scene(seed, index)
    rng = _generator(seed, index, 1)
    jitter = rng.uniform(-COLOR_JITTER, COLOR_JITTER, (len(objects), 3))
    colors = np.array([COLORS[item.color] for item in objects]) + jitter
    canvas = _background(rng, colors)
    masks = np.empty((len(objects), IMAGE_SIZE, IMAGE_SIZE), bool)
    for i, item in enumerate(objects):
        coverage = item.coverage()
        masks[i] = coverage >= 0.5
        canvas += coverage[..., None] * (colors[i].astype(np.float32) - canvas)
    amplitude = int(rng.integers(1, 10))
    canvas += rng.integers(-amplitude, amplitude + 1, canvas.shape, np.int8)
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    captions_zh, captions_en = (scene_captions(objects, direction, language) for language in ("zh", "en"))
    return Scene(image, objects, masks, captions_zh, captions_en)
