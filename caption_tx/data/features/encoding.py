"""Encode images into a cache: each image once, resumable, in parallel processes if needed.

A killed run loses at most the shard that it was writing. Several processes, on one machine or on many, may extend one
cache at the same time: each encodes every `world_size`-th image, and `merge_cache` checks the result.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache, open_cache
from caption_tx.data.features.changes import remove_changed
from caption_tx.data.features.merging import Progress, remove_leftovers
from caption_tx.data.features.shards import HEADER, read_json, write_json
from caption_tx.data.features.writer import EncodedImage, FeatureWriter, explain_write_errors
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import parallel_map
from caption_tx.data.images.reader import reader_threads
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CacheError, ConfigError, ImageError
from caption_tx.locks import lock_to_change, lock_to_extend
from caption_tx.threads import parallel_chunks


@dataclass(frozen=True)
class EncodingOptions:
    """How `encode_images` encodes.

    Attributes:
        flips: also store the features of each image's mirror image.
        crops: with `flips`, also store the features of so many random crops of each image; see `augment`.
        compression: "zlib" or "none" for a new cache. An existing cache keeps its own.
        refresh: encode images again whose file changed, instead of raising an error. No other process may use the
            cache at the same time.
        rank: of this process among `world_size` processes, from 0. It encodes every `world_size`-th image.
        world_size: number of processes that divide the images.
        batch_size: images that the backbone encodes at once.
        shard_size: images per shard, which a killed run may lose.

    Raises:
        ConfigError: a value is out of range.
    """

    flips: bool = False
    crops: int = 0
    compression: str = "zlib"
    refresh: bool = False
    rank: int = 0
    world_size: int = 1
    batch_size: int = 32
    shard_size: int = 512

    def __post_init__(self) -> None:
        if self.crops and not self.flips:
            raise ConfigError("crops are stored after the mirror image; set flips too.")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"rank must be from 0 to world_size - 1, got {self.rank} of {self.world_size}.")
        if self.compression not in COMPRESSIONS:
            raise ConfigError(f"compression must be one of {', '.join(COMPRESSIONS)}, got {self.compression!r}.")

    @property
    def num_augmentations(self) -> int:
        """Stored features per image."""
        return 1 + self.flips + self.crops


def encode_images(
    names: Sequence[str],
    images: str | ImageSource,
    folder: str,
    backbone: Backbone,
    options: EncodingOptions | None = None,
    progress: Progress | None = None,
) -> FeatureCache:
    """Encodes every image that is not in the cache yet, and returns the cache.

    Unreadable images are skipped and listed in the cache's `failed`. The next run tries them again.

    Args:
        names: of images in `images`. Repeated names are encoded once.
        images: a location for `open_images`, or the source that it returned.
        folder: the cache's folder, local or on a remote store.
        progress: wraps an iterable of images, given its length, e.g. with `tqdm`.

    Raises:
        CacheError: the folder contains a cache with other settings or of changed images, or cannot be written.
        CaptionTxError: another process merges or refreshes the cache, or `refresh` is set and one extends it.

    Example:
        >>> options = EncodingOptions(flips=True)
        >>> cache = encode_images(["cat.jpg"], "photos", "features", Backbone(BackboneConfig()), options)
    """
    options = options or EncodingOptions()
    images = open_images(images) if isinstance(images, str) else images
    cache = _open_or_create(folder, backbone, options)
    names = list(dict.fromkeys(names))[options.rank :: options.world_size]
    complete = not options.refresh and cache.images.issuperset(names)  # only read, also while another process merges it
    with contextlib.nullcontext() if complete else _lock(folder, options):
        cache = cache if complete else open_cache(folder, backbone.key)
        return _encode_missing(names, images, cache, backbone, options, progress)


def _lock(folder: str, options: EncodingOptions) -> contextlib.AbstractContextManager[None]:
    """The lock on the cache: several processes may add shards, but only one may replace them."""
    if "://" in folder:  # a remote store has no locks
        return contextlib.nullcontext()
    return lock_to_change(folder) if options.refresh else lock_to_extend(folder)


def _encode_missing(
    names: Sequence[str],
    images: ImageSource,
    cache: FeatureCache,
    backbone: Backbone,
    options: EncodingOptions,
    progress: Progress | None,
) -> FeatureCache:
    """Encodes the images that a locked cache does not contain."""
    folder = cache.folder
    cache = remove_changed(cache, images, names, options.refresh)
    remaining = [name for name in names if name not in cache.images]
    worker = f"{options.rank + 1}of{options.world_size}"
    run = _Run(processed=set(cache.images))
    stream: Iterable = _read_ahead(images, remaining, backbone.config.image_size, cache.num_augmentations, options)
    if progress is not None:
        stream = progress(stream, len(remaining))
    try:
        with FeatureWriter(cache, f"shard-{worker}", options.shard_size) as writer:
            for batch in _encode(run.batches(stream, options.batch_size), backbone):
                writer.put(batch)
    finally:
        run.write_failures(folder, "failed.json" if options.world_size == 1 else f"failed-{worker}.json")
    if options.world_size == 1:
        remove_leftovers(folder)
    return open_cache(folder, backbone.key) if remaining else cache


def _open_or_create(folder: str, backbone: Backbone, options: EncodingOptions) -> FeatureCache:
    with explain_write_errors(folder):
        tf.io.gfile.makedirs(folder)
        header = os.path.join(folder, HEADER)
        if not tf.io.gfile.exists(header):
            settings = {"views": options.num_augmentations, "compression": options.compression}
            write_json(header, {"key": backbone.key} | settings)
    cache = open_cache(folder, backbone.key)
    if cache.num_augmentations < options.num_augmentations:
        lacking, without = f"{options.crops} random crops of each image", f"crops={max(0, cache.num_augmentations - 2)}"
        if cache.num_augmentations == 1:
            lacking, without = "mirror images", "flips=false"
        raise CacheError(
            f"The feature cache {folder} does not contain {lacking}; choose another folder with cache (--cache), "
            f"or train without them: training.{without}."
        )
    return cache


@dataclass(frozen=True)
class _ReadImage:
    """An image for the backbone, uint8 (num_augmentations, H, W, 3), with its content hash and stamp."""

    name: str
    content: str
    stamp: str | None
    pixels: np.ndarray


def _read_ahead(
    images: ImageSource, names: Sequence[str], size: int, num_augmentations: int, options: EncodingOptions
) -> Iterator[tuple[str, _ReadImage | ImageError]]:
    """Yields (name, image or error) in order, and reads about two batches ahead in threads."""

    def read(name: str) -> _ReadImage | ImageError:
        try:
            name.encode()
            stamp = images.stamp(name)  # before the image is read, so that a later change is noticed
            content, pixels = images.read_image(name, size)
            augmented = np.stack([augment(pixels, index, content) for index in range(num_augmentations)])
            return _ReadImage(name, content, stamp, augmented)
        except ImageError as error:
            return error
        except UnicodeEncodeError:
            return ImageError(f"{images.label(name)!r}: the name is not valid Unicode; rename the file.")

    threads = reader_threads(images)
    yield from parallel_map(read, names, threads, max(2 * options.batch_size, threads))


def _encode(batches: Iterable[list[_ReadImage]], backbone: Backbone) -> Iterator[list[EncodedImage]]:
    """Yields each batch with its features; encodes several batches in parallel if `parallel_chunks` says so."""
    encode = backbone.encode  # traced here, before threads call it

    def encode_batch(batch: list[_ReadImage]) -> np.ndarray:
        pixels = np.stack([image.pixels for image in batch], axis=1)  # (num_augmentations, B, H, W, 3)
        return np.stack([encode(augmented).numpy() for augmented in pixels], axis=1)  # (B, num_augmentations, h, w, C)

    # One batch more than are encoded in parallel, so that the next one is always ready.
    for batch, features in parallel_map(encode_batch, batches, parallel_chunks(), parallel_chunks() + 1):
        yield [
            EncodedImage(image.name, image.content, image.stamp, stored)
            for image, stored in zip(batch, features, strict=True)
        ]


@dataclass
class _Run:
    """What a run has done: the images that it read, those encoded before included, and the unreadable ones."""

    processed: set[str]
    failed: dict[str, str] = field(default_factory=dict)

    def batches(self, stream: Iterable[tuple[str, _ReadImage | ImageError]], size: int) -> Iterator[list[_ReadImage]]:
        """Yields the readable images in batches."""
        batch: list[_ReadImage] = []
        for name, image in stream:
            self.processed.add(name)
            if isinstance(image, ImageError):
                self.failed[name] = str(image)
                continue
            batch.append(image)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def write_failures(self, folder: str, file: str) -> None:
        """Writes the list of unreadable images. Keeps those of earlier runs that this run did not get to."""
        path = os.path.join(folder, file)
        before = read_json(path) if tf.io.gfile.exists(path) else {}
        failed = {name: reason for name, reason in before.items() if name not in self.processed} | self.failed
        if failed != before:
            with explain_write_errors(folder):
                write_json(path, failed)
