"""Batches of a table of captions for a `fit` of your own: `caption_batches`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from caption_tx.config import TextConfig
from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.packing import PackedCaptions, pack_captions
from caption_tx.data.batches.rows import RowOptions, cached_rows
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.errors import CorpusError


def caption_batches(
    captions: pd.DataFrame,
    features: FeatureCache | Mapping[str, Any],
    tokenizer: Tokenizer,
    *,
    batch_size: int = 32,
    max_length: int = 50,
    shuffle_seed: int | None = None,
    segmenter: Segmenter | None = None,
) -> tf.data.Dataset:
    """Batches that `Captioner.fit` takes: one row per image, with all its captions packed into one sequence.

    Args:
        captions: a table with the columns image and caption.
        features: the features of each image by its name, float or as stored (h, w, C), or the cache that
            `caption_tx.features` returns.
        tokenizer: turns words into token_ids.
        batch_size: images per batch.
        max_length: `max_length` of the captioner; longer captions are cut.
        shuffle_seed: seed of the order, which differs between epochs; None keeps the order of the table.
        segmenter: splits captions into words; by default with the settings of the language of the tokenizer.

    Returns:
        A dataset of (inputs, labels int (B, T), sample_weight float (B, T)). The inputs are `features` float32 (B, h,
        w, C) and `token_ids`, `positions` and `segment_ids` int (B, T).

    Raises:
        CorpusError: a column is missing, a caption has no words, or an image has no features.

    Example:
        >>> batches = caption_tx.caption_batches(captions, {"dog.jpg": features[0]}, tokenizer, max_length=9)
        >>> captioner.compile("adam", caption_tx.MaskedLoss(), weighted_metrics=[caption_tx.TokenAccuracy()])
        >>> history = captioner.fit(batches, epochs=2, shuffle=False, verbose=0)
        >>> len(history.history["loss"])
        2
    """
    packed = _pack(captions, tokenizer, max_length, segmenter or Segmenter(TextConfig(language=tokenizer.language)))
    known = features.images if isinstance(features, FeatureCache) else features
    if missing := [name for name in packed.images if name not in known]:
        raise CorpusError(
            f"{len(missing)} of {len(packed.images)} images have no features; the first is '{missing[0]}'."
        )
    if isinstance(features, FeatureCache):
        rows = cached_rows(features, packed, RowOptions(shuffle_seed))
    else:
        rows = _rows(np.stack([np.asarray(features[name]) for name in packed.images]), shuffle_seed)
    uncounted = (tokenizer.pad_token_id, tokenizer.unk_token_id)
    batches = packed_batches(rows, packed, batch_size, uncounted, shuffle_seed)
    return batches.map(lambda inputs, *rest: (inputs | {"features": dequantize(inputs["features"])}, *rest))


def _rows(features: np.ndarray, shuffle_seed: int | None) -> tf.data.Dataset:
    """Rows {row, features (h, w, C)} of an array (n, h, w, C), which stays in memory once."""
    values = tf.constant(features)
    rows = tf.data.Dataset.range(len(features))
    if shuffle_seed is not None:
        rows = rows.shuffle(len(features), seed=shuffle_seed)
    return rows.map(lambda row: {"row": row, "features": values[row]})


def _pack(captions: pd.DataFrame, tokenizer: Tokenizer, max_length: int, segmenter: Segmenter) -> PackedCaptions:
    if missing := [name for name in ("image", "caption") if name not in captions]:
        raise CorpusError(f"The table of captions has no column '{missing[0]}'; it has {', '.join(captions.columns)}.")
    if not len(captions):
        raise CorpusError("The table of captions is empty.")
    words = []
    for row, text in zip(captions.index, captions["caption"], strict=True):
        words.append(segmenter.segment(text) if isinstance(text, str) else [])
        if not words[-1]:
            raise CorpusError(f"The caption in row {row} has no words: {text!r}; drop the row.")
    # One token more than positions: the last is only ever a label.
    return pack_captions(captions["image"].tolist(), tokenizer.tokenize(words, max_length + 1))
