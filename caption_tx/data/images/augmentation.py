"""Augmentations of an image that training uses: the image itself, its mirror image and random crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

CROP_AREA = (0.5, 1.0)
"""Range of a crop's area, as a fraction of the image's area."""

CROP_ASPECT = (3 / 4, 4 / 3)
"""Range of a crop's aspect ratio, as a multiple of the image's aspect ratio."""


@dataclass(frozen=True)
class Window:
    """The part of an image that an augmentation shows, in fractions of its width and height.

    Attributes:
        mirrored: left and right are exchanged afterwards.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    mirrored: bool = False


def augmentation_window(index: int, content: str) -> Window:
    """What augmentation `index` shows of an image whose file has the hex hash `content`; see `augment`."""
    mirrored = index % 2 == 1
    if index < 2:
        return Window(mirrored=mirrored)
    rng = np.random.default_rng([int(content[:16], 16), int(index)])
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)) / 2)
    height, width = min(1.0, area**0.5 / aspect), min(1.0, area**0.5 * aspect)
    top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    return Window(left, top, min(1.0, left + width), min(1.0, top + height), mirrored)


def augment(pixels: np.ndarray, index: int, content: str) -> np.ndarray:
    """Returns augmentation `index` of an image, in the same shape.

    0 is the image itself, 1 its mirror image. All others are random crops that are scaled to the full size (Szegedy
    et al. 2015); those with an odd index are mirrored. A crop depends on `content` and `index` only, so that a cache
    that is built again contains the same crops.

    Args:
        pixels: uint8 (H, W, 3).
        content: hex content hash of the image file.
    """
    window = augmentation_window(index, content)
    if index >= 2:
        height, width = pixels.shape[:2]
        box = (window.left * width, window.top * height, window.right * width, window.bottom * height)
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(pixels[:, ::-1]) if window.mirrored else pixels
