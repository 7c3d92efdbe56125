"""Every image of a corpus through the backbone, once: alone, or one share of it beside other processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from caption_tx.config import SPLITS, Config
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache, open_cache
from caption_tx.data.features.encoding import encode_images
from caption_tx.data.features.merging import merge_cache
from caption_tx.data.images.image_source import ImageSource
from caption_tx.errors import CacheError, ImageError


def encode_corpus(
    config: Config,
    folder: str | Path,
    log: Callable[[str], None] = print,
    share: tuple[int, int] = (0, 1),
    renew: bool = False,
) -> FeatureCache:
    """Encodes every image of the corpus that the cache in `folder` does not hold; returns the cache.

    Args:
        share: (i, n), i from 0, encodes the i-th of n shares only; other processes may encode the others.
        renew: encodes images anew whose file holds another picture by now.

    Raises:
        ConfigError, CorpusError, CacheError: as `train`.
    """
    return encode_splits(
        config, str(folder), Backbone(config.backbone), read_table(config.corpus), SPLITS, log, share, renew
    )


def merge_corpus(config: Config, folder: str | Path, log: Callable[[str], None] = print) -> FeatureCache:
    """Checks every record of a cache that several processes made, and that it holds the whole corpus.

    Raises:
        CorpusError: the captions cannot be read.
        CacheError: there is no cache, or images of the corpus are neither held nor listed as unreadable.
    """
    table = read_table(config.corpus)
    names = table["image"].unique()
    cache = merge_cache(
        str(folder), names, lambda shards, total: tqdm(shards, total=total, unit="shard", desc="checking")
    )
    for note in cache.notes:
        log(note)
    _tell_failed(cache, names, log)
    key = cache.key
    log(
        f"{folder} holds features of {key.get('backbone')} {key.get('alpha')}, {key.get('feature_layer')}, "
        f"{key.get('image_size')} pixels, {key.get('storage')}; every record is sound."
    )
    if cache.missing:
        missing = set(cache.missing)
        splits = table.drop_duplicates("image")
        counts = splits["split"][splits["image"].isin(missing)].value_counts()
        for name in cache.missing[:10]:
            log(f"Not there: {name}")
        raise CacheError(
            f"{len(missing):,} images of the corpus are not in {folder} "
            f"({', '.join(f'{count:,} of {split}' for split, count in counts.items())}); `caption-tx features` encodes "
            "them, all together or share by share."
        )
    return cache


def encode_splits(
    config: Config,
    folder: str,
    backbone: Backbone,
    table: pd.DataFrame,
    splits: Sequence[str],
    log: Callable[[str], None],
    share: tuple[int, int] = (0, 1),
    renew: bool = False,
) -> FeatureCache:
    """The cache with every readable image of these splits; split by split, so that a shard holds one split."""
    names = [name for split in splits for name in table["image"][table["split"] == split].unique()]
    cache = encode_images(
        names,
        config.corpus.images,
        folder,
        backbone,
        flips=config.training.flips,
        crops=config.training.crops,
        progress=lambda images, total: tqdm(images, total=total, unit="image", desc="features", disable=not total),
        shard=share,
        compression=config.training.compression,
        renew=renew,
    )
    for note in cache.notes:
        log(note)
    _tell_failed(cache, names, log)
    return cache


def find_unreadable(
    images: ImageSource, names: Sequence[str], size: int, log: Callable[[str], None] = print
) -> dict[str, str]:
    """Reads every image once; the unreadable ones with their reason."""

    def problem(name: str) -> str | None:
        try:
            images.read_image(name, size)
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        found = tqdm(pool.map(problem, names), total=len(names), unit="image", desc="reading")
        failed = {name: reason for name, reason in zip(names, found, strict=True) if reason}
    _tell(failed, log, "left_out.csv in the workdir")
    return failed


def encode_together(
    config: Config,
    folder: str,
    backbone: Backbone,
    table: pd.DataFrame,
    splits: Sequence[str],
    log: Callable[[str], None],
    share: tuple[int, int],
    barrier: Callable[[], None],
) -> FeatureCache:
    """As `encode_splits`, each worker its share; all of them return the same cache.

    Raises:
        CacheError: images are missing that other workers encoded: they do not write to this folder.
    """
    encode_splits(config, folder, backbone, table, splits, log, share)
    barrier()
    cache = open_cache(folder, backbone.key)
    names = list(table["image"][table["split"].isin(splits)].unique())
    if missing := [name for name in names if name not in cache.images and name not in cache.failed]:
        raise CacheError(
            f"{len(missing):,} images that other workers encoded are not in {folder}, '{missing[0]}' for one; name a "
            "--cache that all workers share."
        )
    _tell_failed(cache, names, log)
    return cache


def _tell_failed(cache: FeatureCache, names: Sequence[str], log: Callable[[str], None]) -> None:
    wanted = set(names)
    _tell({name: reason for name, reason in cache.failed.items() if name in wanted}, log, cache.folder)


def _tell(failed: dict[str, str], log: Callable[[str], None], where: str) -> None:
    for name in sorted(failed)[:10]:
        log(f"Skipped: {failed[name]}")
    if len(failed) > 10:
        log(f"... and {len(failed) - 10:,} more; all are listed in {where}.")
