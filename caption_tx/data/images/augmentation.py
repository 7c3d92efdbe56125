"""Augmentations of an image that training uses: the image itself, its mirror image and random crops."""

from __future__ import annotations

import numpy as np
from PIL import Image

CROP_AREA = (0.5, 1.0)
"""Range of a crop's area, as a fraction of the image's area."""

CROP_ASPECT = (3 / 4, 4 / 3)
"""Range of a crop's aspect ratio, as a multiple of the image's aspect ratio."""


def augment(pixels: np.ndarray, index: int, content: str) -> np.ndarray:
    """Returns augmentation `index` of an image, in the same shape.

    0 is the image itself, 1 its mirror image. All others are random crops that are scaled to the full size (Szegedy
    et al. 2015); those with an odd index are mirrored. A crop depends on `content` and `index` only, so that a cache
    that is built again contains the same crops.

    Args:
        pixels: uint8 (H, W, 3).
        content: hex content hash of the image file.
    """
    if index < 2:
        return pixels if index == 0 else np.ascontiguousarray(pixels[:, ::-1])
    rng = np.random.default_rng([int(content[:16], 16), int(index)])
    height, width = pixels.shape[:2]
    area, aspect = rng.uniform(*CROP_AREA), np.exp(rng.uniform(*np.log(CROP_ASPECT)) / 2)
    crop_height, crop_width = min(1.0, area**0.5 / aspect) * height, min(1.0, area**0.5 * aspect) * width
    top, left = rng.uniform(0, height - crop_height), rng.uniform(0, width - crop_width)
    box = (left, top, left + crop_width, top + crop_height)
    crop = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box))
    return np.ascontiguousarray(crop[:, ::-1]) if index % 2 else crop
