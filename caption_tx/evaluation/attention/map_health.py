"""Measures the health of the attention maps of an evaluation's captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from caption_tx.data.corpus.table import evenly_spaced
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.attention.features import EvaluatedImages
from caption_tx.inference.attention.health import MapHealth, measure_health
from caption_tx.inference.attention.teacher_forcing import teacher_forced_pass

if TYPE_CHECKING:
    from caption_tx.inference.captioner import ImageCaptioner


def measure_map_health(
    captioner: ImageCaptioner, captions: Mapping[str, str], images: str, cache: str | None = None, limit: int = 100
) -> MapHealth:
    """Measures the attention maps of at most `limit` captions, evenly spaced over all of them.

    Args:
        captions: by the name of the image in `images`, a folder or a base64 table. Unreadable images are skipped.
        cache: feature cache of the bundle's backbone; no image is read if the cache contains all of them.

    Raises:
        CaptionTxError: no readable image has a caption with words.
        CacheError: the cache was made with another backbone, or is damaged.
    """
    bundle = captioner.bundle
    max_words = bundle.captioner.max_length - 1
    names = evenly_spaced(captions, limit)
    segmented = {name: captioner.segmenter.segment(captions[name])[:max_words] for name in names}
    words = {name: caption for name, caption in segmented.items() if caption}
    loaded, features = EvaluatedImages(captioner, images, cache).load(list(words))
    words = {name: words[name] for name in loaded}
    if not words:
        raise CaptionTxError("Cannot measure attention maps: no readable image has a caption with words.")
    token_lists = bundle.tokenizer.tokenize(list(words.values()))
    passes = teacher_forced_pass(bundle.captioner, features, token_lists)
    return measure_health(passed.attention_scores[:, :, :-1] for passed in passes)  # without the end token
