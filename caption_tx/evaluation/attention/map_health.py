"""The health of the attention maps behind the captions of an evaluation."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CaptionTxError, ImageError
from caption_tx.inference.attention.health import MapHealth, measure_health
from caption_tx.inference.attention.teacher_forcing import teacher_forced_scores_in_batches

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner

ENCODED = 64
"""Pictures that go through the backbone at once."""


def measure_map_health(
    captioner: ImageCaptioner, captions: Mapping[str, str], images: str, cache: str | None = None, most: int = 100
) -> MapHealth:
    """Measures the maps of `most` of the captions, spread evenly over all of them.

    Args:
        captions: by the name of the image in `images`, a folder or TSV file.
        cache: a feature cache of the bundle's backbone; where it holds all these images none is read.

    Raises:
        CaptionTxError: no image can be read that has a caption with words.
        CacheError: the cache was made by another backbone, or is damaged.
    """
    bundle = captioner.bundle
    segmenter, longest = bundle.segmenter(), bundle.captioner.max_length - 1
    names = list(captions)
    names = [names[place] for place in sorted(set(np.linspace(0, len(names) - 1, min(most, len(names))).astype(int)))]
    words = {name: found[:longest] for name in names if (found := segmenter.segment(captions[name]))}
    store = None if cache is None else open_cache(cache, bundle.backbone_key)
    if store is not None and store.images.issuperset(words):
        features = np.asarray(dequantize(store.load(list(words))))
    else:
        words, features = _read(captioner, words, images)
    if not words:
        raise CaptionTxError("No image can be read that has a caption with words, so there are no maps to measure.")
    traced = teacher_forced_scores_in_batches(
        bundle.captioner, features, bundle.tokenizer.tokenize(list(words.values()))
    )
    return measure_health(scores[:, :, :-1] for scores, *_ in traced)  # the end mark looks at nothing


def _read(
    captioner: ImageCaptioner, words: Mapping[str, list[str]], images: str
) -> tuple[dict[str, list[str]], np.ndarray]:
    """The words of the images that can be read, and their features (B, h, w, C)."""
    folder, size = open_images(images), captioner.backbone.config.image_size
    pictures = {}
    for name in words:
        with contextlib.suppress(ImageError):  # named already, when it was captioned
            pictures[name] = folder.read_image(name, size)[1]
    shown = list(pictures.values())
    parts = [np.asarray(captioner.features(shown[start : start + ENCODED])) for start in range(0, len(shown), ENCODED)]
    return {name: words[name] for name in pictures}, np.concatenate(parts) if parts else np.empty(0)
