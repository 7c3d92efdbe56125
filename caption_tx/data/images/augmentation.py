"""Views of a picture that training goes through: itself, its mirror image, random crops."""

from __future__ import annotations

import numpy as np
from PIL import Image

CROP_AREA = (0.5, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
"""Share of the picture's area that a crop shows, and its width over its height as a multiple of the picture's own."""


def augment(pixels: np.ndarray, view: int, content: str) -> np.ndarray:
    """A picture uint8 (H, W, 3) -> a view of it of the same shape: 0 itself, 1 mirrored left to right, then crops.

    A crop is a random part scaled to the whole size, every other one mirrored (Szegedy et al. 2015). What the n-th
    shows depends on the picture's `content` hash alone: a cache that is made anew holds the same.
    """
    if view < 2:
        return pixels if view == 0 else np.ascontiguousarray(pixels[:, ::-1])
    random = np.random.default_rng([int(content[:16], 16), int(view)])
    height, width = pixels.shape[:2]
    area, ratio = random.uniform(*CROP_AREA), np.exp(random.uniform(*np.log(CROP_ASPECT)) / 2)
    tall, wide = min(1.0, area**0.5 / ratio) * height, min(1.0, area**0.5 * ratio) * width
    top, left = random.uniform(0, height - tall), random.uniform(0, width - wide)
    box = (left, top, left + wide, top + tall)
    crop = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(crop[:, ::-1]) if view % 2 else crop
