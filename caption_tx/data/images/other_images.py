"""Names of images that are made from a photograph or belong to it, such as masks and thumbnails."""

from __future__ import annotations

import re

_WORDS = frozenset((
    "mask", "masks", "depth", "thermal", "infrared", "ir", "nir", "segmentation", "segmentations", "seg", "segment",
    "segmap", "semantic", "panoptic", "thumbnail", "thumbnails", "thumb", "thumbs", "preview", "conditioning",
    "condition", "control", "canny", "edge", "edges", "sketch", "scribble", "skeleton", "openpose", "heatmap",
    "saliency", "matte", "trimap", "overlay", "icon", "avatar", "logo",
))  # fmt: skip
_CHINESE = ("掩码", "掩膜", "遮罩", "蒙版", "深度图", "热成像", "红外", "分割", "缩略图", "草图", "线稿", "头像")
_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W\d_]+")


def is_other_image(name: str) -> bool:
    """Whether a column or key has the name of a mask, a depth map, a thumbnail and so on, not of the photograph.

    Example:
        >>> is_other_image("mask_image"), is_other_image("thumbnailUrl"), is_other_image("image")
        (True, True, False)
    """
    return any(part.lower() in _WORDS for part in _PARTS.split(name)) or any(word in name for word in _CHINESE)
