"""The image features of a run: from the feature cache, or from image files through the backbone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.data.batches.batching import packed_batches
from caption_tx.data.batches.packing import PackedCaptions
from caption_tx.data.batches.rows import RowOptions, cached_rows, image_rows
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache, is_cache
from caption_tx.data.features.corpus_features import (
    encode_splits,
    encoding_options,
    find_unreadable,
    open_complete_cache,
)
from caption_tx.data.features.extraction import extract_features
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images, require_some
from caption_tx.data.preparation import TRAINING_SPLITS
from caption_tx.data.text.tokenizer import Tokenizer
from caption_tx.training.run import RunContext


@dataclass(frozen=True)
class TrainingInputs:
    """Where the features of a run come from.

    Attributes:
        images: the image files.
        backbone: the frozen image encoder.
        cache: the feature cache; None if the backbone runs in every step.
        unreadable: names of images that cannot be read, with the reason.
    """

    images: ImageSource
    backbone: Backbone
    cache: FeatureCache | None
    unreadable: dict[str, str]

    def load_features(self, names: Sequence[str]) -> np.ndarray:
        """The features of readable images, as stored, (B, h, w, C)."""
        if self.cache is not None:
            return self.cache.load(names)
        return extract_features(self.backbone, self.images, names).features

    def batches(
        self, run: RunContext, packed: PackedCaptions, shuffle_seed: int | None = None, augmentations: int = 1
    ) -> Any:
        """What `fit` takes: this worker's batches of an epoch."""
        training, distribution = run.config.training, run.distribution
        options = RowOptions(shuffle_seed, augmentations, distribution.rank, distribution.world_size)
        if self.cache is not None:
            rows = cached_rows(self.cache, packed, options)
        else:
            rows = image_rows(self.images, packed, self.backbone.config.image_size, options, run.log)
        uncounted = (Tokenizer.pad_token_id, Tokenizer.unk_token_id)
        parts = distribution.num_devices
        return distribution.distribute(
            packed_batches(rows, packed, training.batch_size, uncounted, shuffle_seed, parts)
        )


def cache_folder(run: RunContext) -> str:
    """The folder of the feature cache."""
    return run.config.training.cache or str(run.workdir / "features")


def prepare_inputs(run: RunContext, table: pd.DataFrame) -> TrainingInputs:
    """Loads the backbone, and encodes all images of the training splits unless the run has no cache.

    Raises:
        ConfigError: the backbone cannot be loaded.
        BundleError: it is not the backbone of the bundle that the run starts from.
        CacheError: the feature cache was made with other settings, or is damaged.
    """
    config, distribution = run.config, run.distribution
    images = open_images(config.corpus.images)
    names = table["image"][table["split"].isin(TRAINING_SPLITS)].unique()
    if not config.training.cached or not is_cache(cache_folder(run)):
        require_some(images, names)
    # Without a cache the backbone is part of the model that is trained.
    with contextlib.nullcontext() if config.training.cached else distribution.strategy.scope():
        backbone = Backbone(config.backbone)
    if run.initial is not None:
        run.initial.check_backbone(backbone, f"{config.training.init}: ")
    if not config.training.cached:
        unreadable = find_unreadable(images, table, TRAINING_SPLITS, backbone.config.image_size, run.log)
        return TrainingInputs(images, backbone, None, unreadable)
    folder = cache_folder(run)
    options = encoding_options(config, rank=distribution.rank, world_size=distribution.world_size)
    cache = encode_splits(config, folder, backbone, table, TRAINING_SPLITS, run.log, options)
    if distribution.world_size > 1:
        distribution.barrier()
        cache = open_complete_cache(folder, backbone, table, TRAINING_SPLITS, run.log)
    unreadable = {name: cache.failed[name] for name in names if name not in cache.images}
    return TrainingInputs(images, backbone, cache, unreadable)
