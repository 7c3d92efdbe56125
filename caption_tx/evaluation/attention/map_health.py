"""The health of the attention maps behind the captions of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.extraction import extract_features
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.health import MapHealth, measure_health
from caption_tx.inference.attention.teacher_forcing import teacher_forced_pass

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner


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
        # Errors were reported when the images were captioned.
        extracted = extract_features(captioner.backbone, images, words)
        words, features = {name: words[name] for name in extracted.names}, np.asarray(dequantize(extracted.features))
    if not words:
        raise CaptionTxError("No image can be read that has a caption with words, so there are no maps to measure.")
    traced = teacher_forced_pass(bundle.captioner, features, bundle.tokenizer.tokenize(list(words.values())))
    return measure_health(scores[:, :, :-1] for scores, *_ in traced)  # the map of the end token has no meaning
