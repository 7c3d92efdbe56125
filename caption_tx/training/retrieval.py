"""Builds the retrieval index of a run: features and captions of its training images."""

from __future__ import annotations

import numpy as np

from caption_tx.data.batches.packing import pack_captions
from caption_tx.data.corpus.table import evenly_spaced
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.retrieval_index import RetrievalIndex, build_index
from caption_tx.data.preparation import SegmentedCorpus, TrainingData
from caption_tx.training.inputs import TrainingInputs
from caption_tx.training.run import RunContext

RETRIEVAL_WEIGHT = 8.0
"""`DecodingOptions.retrieval` of a run that inherits a search with consensus: experiments/retrieval.py."""

_LOADED_AT_ONCE = 512


def make_retrieval_index(
    run: RunContext, inputs: TrainingInputs, data: TrainingData, segmented: SegmentedCorpus
) -> RetrievalIndex | None:
    """An index of at most `training.retrieval_images` training images, evenly spaced; None if the run has none.

    It contains the captions of the last stage; machine translations only if there are no human captions. Only the first
    worker makes it.
    """
    limit = run.config.training.retrieval_images
    if not limit or not run.distribution.is_chief:
        return None
    if inputs.cache is None:
        run.log("The bundle gets no retrieval index, since features are not cached (--uncached).")
        return None
    rows, words = segmented.select("train", max(data.train))
    human = (rows["origin"] == "human").to_numpy()
    if human.any():
        rows, words = rows[human], words.take(human)
    packed = pack_captions(rows["image"], data.tokenizer.tokenize(words, run.config.model.max_length + 1))
    chosen = evenly_spaced(range(len(packed.images)), limit)
    splits = packed.caption_splits
    captions = [
        [packed.tokens[caption][1:].tolist() for caption in range(splits[row], splits[row + 1])] for row in chosen
    ]
    index = build_index(_pooled(inputs.cache, [packed.images[row] for row in chosen]), captions)
    sizes = index.sizes
    run.log(
        f"The bundle keeps {sizes.captions:,} captions and the compressed features of {sizes.images:,} training images "
        "for searches with retrieval; retrieval_images 0 (--retrieval-images 0) keeps none."
    )
    return index


def _pooled(cache: FeatureCache, names: list[str]) -> np.ndarray:
    """The mean features (R, C) of images."""
    parts = []
    for start in range(0, len(names), _LOADED_AT_ONCE):
        features = np.asarray(dequantize(cache.load(names[start : start + _LOADED_AT_ONCE])))
        parts.append(features.mean(axis=(1, 2)))
    return np.concatenate(parts)
