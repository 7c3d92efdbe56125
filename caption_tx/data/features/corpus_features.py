"""Encode the images of a corpus into a cache, in one process or divided among several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from caption_tx.config import SPLITS, Config
from caption_tx.data.corpus.summary import format_notes, image_notes
from caption_tx.data.corpus.table import read_table
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache, content_hashes, is_cache, open_cache
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.features.merging import merge_cache
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.interpretation import SEVERAL
from caption_tx.data.images.sources import open_images, require_some
from caption_tx.errors import CacheError, ImageError

_LOGGED_NAMES = 10
_MIN_COPIES = 0.01


def encoding_options(config: Config, **changes: Any) -> EncodingOptions:
    """The `EncodingOptions` of a configuration, with changes such as `rank` and `world_size`."""
    training = config.training.resolved()
    return EncodingOptions(training.flips, training.crops, training.compression, **changes)


def encode_corpus(
    config: Config,
    folder: str | Path,
    log: Callable[[str], None] = print,
    rank: int = 0,
    world_size: int = 1,
    refresh: bool = False,
) -> FeatureCache:
    """Encodes every image of the corpus that is not in the cache yet, and returns the cache.

    Args:
        folder: the cache's folder.
        log: called with each message.
        rank, world_size: encode every `world_size`-th image only, from image `rank`. Other processes may encode the
            others at the same time.
        refresh: encode images again whose file changed.

    Raises:
        ConfigError, CorpusError, CacheError: as `train`.
    """
    options = encoding_options(config, rank=rank, world_size=world_size, refresh=refresh)
    return encode_table(config, str(folder), read_table(config.corpus, config.text.language), log, options)


def encode_table(
    config: Config, folder: str, table: pd.DataFrame, log: Callable[[str], None], options: EncodingOptions
) -> FeatureCache:
    """`encode_corpus` of captions that `read_corpus` has returned."""
    for note in (*format_notes(table), *image_notes(table)):
        log(note)
    if not is_cache(folder):
        require_some(open_images(config.corpus.images), table["image"].unique())
    return encode_splits(config, folder, Backbone(config.backbone), table, SPLITS, log, options)


def encode_splits(
    config: Config,
    folder: str,
    backbone: Backbone,
    table: pd.DataFrame,
    splits: Sequence[str],
    log: Callable[[str], None],
    options: EncodingOptions | None = None,
) -> FeatureCache:
    """Encodes the images of some splits. One split follows another, so that nearly every shard has only one.

    Args:
        table: a corpus, as `read_corpus` returns it.
        options: replaces those of the configuration; see `encoding_options`.
    """
    names = [name for split in splits for name in table["image"][table["split"] == split].unique()]
    images, options = open_images(config.corpus.images), options or encoding_options(config)
    cache = encode_images(
        names,
        images,
        folder,
        backbone,
        options,
        progress=lambda images, total: tqdm(
            images, total=total, unit="image", desc="features", disable=not total, delay=1
        ),
    )
    for note in (*images.notes(), *images.interpretation_notes(without=_reported(table)), *cache.notes):
        log(note)
    _log_failed(cache, names, log)
    if options.world_size == 1:
        _log_copies(cache, table, splits, log)
    return cache


def open_complete_cache(
    folder: str, backbone: Backbone, table: pd.DataFrame, splits: Sequence[str], log: Callable[[str], None]
) -> FeatureCache:
    """Opens the cache that several workers made with `encode_splits`, once all of them are done.

    Raises:
        CacheError: images are missing, because other workers wrote to another folder.
    """
    cache = open_cache(folder, backbone.key)
    names = list(table["image"][table["split"].isin(splits)].unique())
    if missing := [name for name in names if name not in cache.images and name not in cache.failed]:
        raise CacheError(
            f"{len(missing):,} images that other workers encoded are not in {folder}, for example '{missing[0]}'; "
            "choose a folder that all workers share with cache (--cache)."
        )
    _log_failed(cache, names, log)
    _log_copies(cache, table, splits, log)
    return cache


def merge_corpus(config: Config, folder: str | Path, log: Callable[[str], None] = print) -> FeatureCache:
    """Merges a cache that several processes made, and checks that it contains the whole corpus.

    Raises:
        CorpusError: the captions cannot be read.
        CacheError: there is no cache, or images of the corpus are neither encoded nor listed as unreadable.
    """
    table = read_table(config.corpus, config.text.language)
    names = table["image"].unique()
    cache = merge_cache(
        str(folder), names, lambda shards, total: tqdm(shards, total=total, unit="shard", desc="checking", delay=1)
    )
    for note in cache.notes:
        log(note)
    _log_failed(cache, names, log)
    key = cache.key
    log(
        f"{folder} contains features of {key.get('backbone')} {key.get('alpha')}, {key.get('feature_layer')}, "
        f"{key.get('image_size')} pixels, {key.get('storage')}; all records are valid."
    )
    if cache.missing:
        images = table.drop_duplicates("image")
        counts = images["split"][images["image"].isin(set(cache.missing))].value_counts()
        for name in cache.missing[:_LOGGED_NAMES]:
            log(f"Missing: {name}")
        raise CacheError(
            f"{len(cache.missing):,} images of the corpus are not in {folder} "
            f"({', '.join(f'{count:,} of {split}' for split, count in counts.items())}); encode them with "
            "`caption-tx features`."
        )
    return cache


def _reported(table: pd.DataFrame) -> tuple[str, ...]:
    """The kinds of interpretation that are reported when the captions are read."""
    return (SEVERAL,) if image_notes(table) else ()


def find_unreadable(
    images: ImageSource, table: pd.DataFrame, splits: Sequence[str], size: int, log: Callable[[str], None] = print
) -> dict[str, str]:
    """Reads every image of some splits once, and returns the unreadable ones and why."""
    names = table["image"][table["split"].isin(splits)].unique()

    def find_problem(name: str) -> str | None:
        try:
            images.read_image(name, size)
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        problems = tqdm(pool.map(find_problem, names), total=len(names), unit="image", desc="reading", delay=1)
        failed = {name: problem for name, problem in zip(names, problems, strict=True) if problem}
    for note in (*images.notes(), *images.interpretation_notes(without=_reported(table))):
        log(note)
    _log_skipped(failed, log, "left_out.csv in the workdir")
    return failed


def _log_failed(cache: FeatureCache, names: Sequence[str], log: Callable[[str], None]) -> None:
    requested = set(names)
    failed = {name: reason for name, reason in cache.failed.items() if name in requested}
    _log_skipped(failed, log, cache.folder)


def _log_copies(cache: FeatureCache, table: pd.DataFrame, splits: Sequence[str], log: Callable[[str], None]) -> None:
    """Says how many images have the file of an earlier one under another name, if it is in another split or many do."""
    rows = table[table["split"].isin(splits)].drop_duplicates("image")
    rows = rows.assign(content=rows["image"].map(content_hashes(cache))).dropna(subset="content")
    copies = rows[rows.duplicated("content")]
    first = rows.drop_duplicates("content").set_index("content").loc[copies["content"]]
    leaked = copies["split"].astype(str).to_numpy() != first["split"].astype(str).to_numpy()
    if not leaked.any() and len(copies) < max(1, _MIN_COPIES * len(rows)):
        return
    at = int(leaked.argmax())
    text = f"{len(copies):,} of {len(rows):,} images have the same file as another one (such as "
    text += f"{copies['image'].iloc[at]} and {first['image'].iloc[at]})"
    if leaked.any():
        text += f", {leaked.sum():,} of them in another split, so that scores are too good"
    log(f"{text}; `caption-tx corpus --check` lists them.")


def _log_skipped(failed: dict[str, str], log: Callable[[str], None], where: str) -> None:
    for name in sorted(failed)[:_LOGGED_NAMES]:
        log(f"Skipped: {failed[name]}")
    if len(failed) > _LOGGED_NAMES:
        log(f"... and {len(failed) - _LOGGED_NAMES:,} more; all are listed in {where}.")
