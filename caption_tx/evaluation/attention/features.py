"""Features of the images of an evaluation, from a feature cache or from image files, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.extraction import extract_features

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner

_IMAGES_AT_ONCE = 256
"""Images whose features and attention maps are in memory together."""


class ImageFeatures:
    """The features of images, by their names."""

    def load(self, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The readable ones of some images, and their features, float32 (B, h, w, C).

        Raises:
            CacheError: a feature cache is damaged.
        """
        raise NotImplementedError

    def batches(self, names: Sequence[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """What `load` returns, for a few hundred images at a time; batches without a readable image are left out."""
        for start in range(0, len(names), _IMAGES_AT_ONCE):
            loaded, features = self.load(names[start : start + _IMAGES_AT_ONCE])
            if loaded:
                yield loaded, features


class EvaluatedImages(ImageFeatures):
    """The images of an evaluation.

    Args:
        captioner: its backbone encodes images.
        location: folder or table of the images.
        cache: feature cache of the bundle's backbone. No image is read if the cache contains all of a batch.
    """

    def __init__(self, captioner: ImageCaptioner, location: str, cache: str | None = None) -> None:
        self._captioner, self._location = captioner, location
        self._cache = None if cache is None else open_cache(cache, captioner.bundle.backbone_key)

    def load(self, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
        names = list(names)
        if self._cache is not None and self._cache.images.issuperset(names):
            return names, np.asarray(dequantize(self._cache.load(names)))
        extracted = extract_features(self._captioner.backbone, self._location, names)
        return list(extracted.names), np.asarray(dequantize(extracted.features))
