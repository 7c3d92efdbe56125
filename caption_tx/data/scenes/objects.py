"""The building blocks of rendered scenes: colors, shapes, sizes, and objects with their pixel masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

IMAGE_SIZE = 224
"""Height and width of a scene in pixels."""

CENTER = IMAGE_SIZE / 2
"""Center of a scene along either axis, in pixels."""

COLORS = {
    "red": (214, 36, 40),
    "orange": (250, 135, 20),
    "yellow": (248, 222, 40),
    "green": (38, 158, 66),
    "blue": (36, 86, 218),
    "purple": (146, 54, 186),
    "white": (244, 244, 244),
}
"""Color name -> RGB in [0, 255]; rendered objects differ by at most `COLOR_JITTER` per channel."""

COLOR_JITTER = 10
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
SIZES = {"small": (27.0, 31.0), "large": (38.0, 43.0)}
"""Size name -> range of the radius of the bounding circle, in pixels."""


@cache
def _outline(shape: str) -> np.ndarray:
    """Returns the corners (x, y) of a shape inside the unit circle, float (corners, 2); y points down."""
    turn = 2 * np.pi
    if shape == "cross":
        a, b = 0.30, 0.95
        x = (-a, a, a, b, b, a, a, -a, -a, -b, -b, -a)
        y = (-b, -b, -a, -a, a, a, b, b, a, a, -a, -a)
        return np.stack([x, y], axis=1)
    if shape == "diamond":
        return np.array([(0.0, -1.0), (0.64, 0.0), (0.0, 1.0), (-0.64, 0.0)])
    # A circle that filled its bounding circle would look larger than the other shapes.
    radii = {"circle": [0.88] * 72, "square": [1.0] * 4, "triangle": [1.0] * 3, "star": [1.0, 0.44] * 5}[shape]
    start = -turn / 8 if shape == "square" else -turn / 4
    angles = start + turn * np.arange(len(radii)) / len(radii)
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene: its appearance and position.

    Attributes:
        shape: one of `SHAPES`.
        color: a key of `COLORS`.
        size: a key of `SIZES`.
        center: (x, y) in pixels from the upper left corner.
        radius: radius of the bounding circle, in pixels.
        angle: clockwise rotation, in degrees.
    """

    shape: str
    color: str
    size: str
    center: tuple[float, float]
    radius: float
    angle: float

    def coverage(self, oversampling: int = 4) -> np.ndarray:
        """Returns the fraction of each pixel that the object covers, float32 (224, 224) in [0, 1]."""
        theta = math.radians(self.angle)
        turn = np.array([[math.cos(theta), math.sin(theta)], [-math.sin(theta), math.cos(theta)]])
        corners = _outline(self.shape) @ turn * self.radius + self.center
        low = np.floor(corners.min(axis=0)).astype(int)
        size = np.ceil(corners.max(axis=0)).astype(int) - low + 1
        patch = Image.new("L", tuple(int(side) for side in size * oversampling))
        ImageDraw.Draw(patch).polygon([tuple(point) for point in (corners - low) * oversampling], fill=255)
        full = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
        part = np.asarray(patch.reduce(oversampling), np.float32) / 255
        full[low[1] : low[1] + size[1], low[0] : low[0] + size[0]] = part
        return full

    def mask(self) -> np.ndarray:
        """Returns the pixels that the object covers at least half, bool (224, 224)."""
        return self.coverage() >= 0.5
