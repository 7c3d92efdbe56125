"""Images -> frozen backbone -> features, each image once, in a cache that resumes.

A killed run loses at most the shard that it was filling. Several processes, on one machine or on
many, may fill one cache at once: each takes its share of the images (`shard`), and `merge_cache`
checks the whole afterwards.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache, open_cache, read_manifest
from caption_tx.data.features.merging import remove_leftovers, rewrite_shard
from caption_tx.data.features.shards import (
    HEADER,
    ShardWriter,
    compress,
    new_token,
    read_json,
    shard_number,
    write_file,
)
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.decoding import content_hash
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import parallel_map
from caption_tx.data.images.reader import reader_threads
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CacheError, ConfigError, ImageError
from caption_tx.threads import parallel_chunks


def encode_images(
    names: Sequence[str],
    images: str | ImageSource,
    folder: str,
    backbone: Backbone,
    *,
    flips: bool = False,
    crops: int = 0,
    batch_size: int = 32,
    shard_size: int = 512,
    progress: Callable[[Iterable, int], Iterable] | None = None,
    shard: tuple[int, int] = (0, 1),
    compression: str = "zlib",
    renew: bool = False,
) -> FeatureCache:
    """Encodes each image that the cache does not hold yet, once, and returns the cache.

    Unreadable images are skipped, listed with their reason in the cache's `failed`, and tried again
    by the next run.

    Args:
        names: images of `images`; repeats count once.
        images: where they lie: a location for `open_images`, or what it returned.
        folder: the cache's folder, local or on a store that TensorFlow knows.
        flips: also store each image mirrored left to right.
        crops: with `flips`, also store so many random crops of each (see `views.augment`).
        shard_size: images that a killed run may lose.
        progress: wraps an iterable of images and its length, e.g. `tqdm`.
        shard: (i, n) encodes the i-th of n shares of the names only, counted from 0. Processes with
            other shares may run at the same time.
        compression: "zlib" or "none" for a new cache; one that is there keeps its own.
        renew: encode images anew whose file holds another picture by now, instead of refusing them. No
            other process may be at work on the cache meanwhile.

    Raises:
        CacheError: the folder holds a cache made otherwise or of other pictures, or cannot be written.
        ConfigError: `shard` or `compression` is out of range.
    """
    part, parts = shard
    if crops and not flips:
        raise ConfigError("crops are stored behind the mirrored view; ask for flips too.")
    if not 0 <= part < parts:
        raise ConfigError(f"shard must be (i, n) with 0 <= i < n, got {shard}.")
    if compression not in COMPRESSIONS:
        raise ConfigError(f"compression must be one of {', '.join(COMPRESSIONS)}, got {compression!r}.")
    images = open_images(images) if isinstance(images, str) else images
    cache = _open_for_writing(folder, backbone, 1 + flips + crops, compression)
    mine = list(dict.fromkeys(names))[part::parts]
    cache = _without_changed(cache, images, mine, renew)
    remaining = [name for name in mine if name not in cache.images]
    failed: dict[str, str] = {}
    settled = set(cache.images)
    stream: Iterable = _read_ahead(
        images, remaining, backbone.config.image_size, cache.num_augmentations, 2 * batch_size
    )
    if progress is not None:
        stream = progress(stream, len(remaining))

    def batches() -> Iterator[list[_Picture]]:
        batch: list[_Picture] = []
        for name, result in stream:
            settled.add(name)
            if isinstance(result, ImageError):
                failed[name] = str(result)
                continue
            batch.append(result)
            if len(batch) == batch_size:
                yield batch
                batch = []
        if batch:
            yield batch

    try:
        with _Writer(cache, f"shard-{part + 1}of{parts}", shard_size) as writer:
            encode = backbone.encode  # traced once, before threads ask for it
            # One more than are encoded at once, so that a batch is ready when another is done.
            for batch, features in parallel_map(
                lambda batch: _encode(batch, encode), batches(), parallel_chunks(), parallel_chunks() + 1
            ):
                writer.put(batch, features)
    finally:
        _list_failures(folder, "failed.json" if parts == 1 else f"failed-{part + 1}of{parts}.json", settled, failed)
    if parts == 1:
        remove_leftovers(folder)
    return open_cache(folder, backbone.key) if remaining else cache


@contextlib.contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Names the cache in what TensorFlow says of a full disk or a closed folder."""
    try:
        yield
    except tf.errors.OpError as error:
        raise CacheError(f"Cannot write the feature cache {folder}: {error.message}.") from error


def _open_for_writing(folder: str, backbone: Backbone, views: int, compression: str) -> FeatureCache:
    with _writing(folder):
        tf.io.gfile.makedirs(folder)
        header = os.path.join(folder, HEADER)
        if not tf.io.gfile.exists(header):
            write_file(header, {"key": backbone.key, "views": views, "compression": compression})
    cache = open_cache(folder, backbone.key)
    if cache.num_augmentations < views:
        asked = "mirrored views" if cache.num_augmentations == 1 else f"{views - 2} random crops"
        raise CacheError(f"The feature cache {folder} holds no {asked} of each image; name another --cache for them.")
    return cache


def _changed_images(cache: FeatureCache, images: ImageSource, names: Iterable[str]) -> dict[str, list[str]]:
    """Names whose picture is another now than the cache holds, by the shard that holds them.

    Only images whose stamp is not the one in the manifest are read; files that are gone are not asked.
    """
    asked = cache.images.intersection(names)

    def changed(shard: str) -> list[str]:
        """Those of a shard; the stamps of the others are brought up to date."""
        held = [name for name in cache.shards[shard] if name in asked]
        manifest = read_manifest(cache, shard) if held else {}
        found, news = [], {}
        for name in held:
            entry = manifest["images"][name]
            known, before = entry if isinstance(entry, list) else (entry, None)  # a plain hash in older caches
            stamp = images.stamp(name)
            if stamp is None or stamp == before:
                continue
            try:
                if content_hash(images.read_bytes(name)) != known:
                    found.append(name)
                    continue
            except ImageError:
                continue
            news[name] = (known, stamp)
        if news:
            with contextlib.suppress(tf.errors.OpError):  # a stamp only saves time, if the cache cannot be written
                write_file(cache.path(shard, "json"), manifest | {"images": manifest["images"] | news})
        return found

    with ThreadPoolExecutor(reader_threads(images)) as pool:
        found = zip(cache.shards, pool.map(changed, cache.shards), strict=True)
        return {shard: names for shard, names in found if names}


def _without_changed(cache: FeatureCache, images: ImageSource, names: Iterable[str], renew: bool) -> FeatureCache:
    """The cache, from which the features of changed pictures are removed if `renew`; else they are refused."""
    changed = _changed_images(cache, images, names)
    if not changed:
        return cache
    if not renew:
        found = [name for held in changed.values() for name in held]
        others = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        raise CacheError(
            f"{images.label(found[0])}{others} is another picture than the '{found[0]}' in the feature cache "
            f"{cache.folder}; encode such images anew with `caption-tx features --refresh`, or name another --cache."
        )
    if cache.duplicates:
        raise CacheError(f"Several shards of {cache.folder} hold the same images; `caption-tx features --merge` first.")
    for shard, gone in changed.items():
        keep = [name for name in cache.shards[shard] if name not in set(gone)]
        rewrite_shard(cache, shard, keep, read_manifest(cache, shard)["images"])
    return open_cache(cache.folder, cache.key)


def _list_failures(folder: str, file: str, settled: set[str], failed: dict[str, str]) -> None:
    """Writes this run's list of unreadable images, with those of earlier runs that it did not come to."""
    path = os.path.join(folder, file)
    before = read_json(path) if tf.io.gfile.exists(path) else {}
    failed = {name: reason for name, reason in before.items() if name not in settled} | failed
    if failed != before:
        with _writing(folder):
            write_file(path, failed)


@dataclass(frozen=True)
class _Picture:
    """A picture on its way to the backbone, uint8 (views, H, W, 3), and what the manifest keeps of its file."""

    name: str
    stamp: str | None
    content: str
    pixels: np.ndarray


def _read_ahead(
    images: ImageSource, names: Sequence[str], size: int, views: int, depth: int
) -> Iterator[tuple[str, _Picture | ImageError]]:
    """Yields (name, picture or the error) in order, reading up to `depth` images ahead in threads."""

    def read(name: str) -> _Picture | ImageError:
        try:
            name.encode()
            stamp = images.stamp(name)  # before the picture, so that a later change shows
            content, pixels = images.read_image(name, size)
            return _Picture(name, stamp, content, np.stack([augment(pixels, view, content) for view in range(views)]))
        except ImageError as error:
            return error
        except UnicodeEncodeError:
            return ImageError(f"{images.label(name)!r}: the name is not valid Unicode; rename the file.")

    workers = reader_threads(images)
    yield from parallel_map(read, names, workers, max(depth, workers))


def _encode(batch: list[_Picture], encode: Callable[[np.ndarray], tf.Tensor]) -> np.ndarray:
    """Stored features of a batch, (B, views, h, w, C)."""
    pixels = np.stack([picture.pixels for picture in batch], axis=1)  # (views, B, H, W, 3)
    return np.stack([encode(view).numpy() for view in pixels], axis=1)


class _Writer:
    """Compresses and writes in a thread of its own, so that the backbone does not wait for it.

    On leaving, whole or by an error, what was encoded is written.
    """

    def __init__(self, cache: FeatureCache, prefix: str, shard_size: int) -> None:
        self._cache = cache
        self._prefix = f"{prefix}-"
        self._token = new_token()
        self._number = 1 + max(map(shard_number, cache.shards), default=-1)
        self._shard_size = shard_size
        self._queue: queue.Queue = queue.Queue(maxsize=4)
        self._error: BaseException | None = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="feature writer", daemon=True)

    def __enter__(self) -> _Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._check()

    def put(self, batch: list[_Picture], features: np.ndarray) -> None:
        """Hands over a batch; waits while several others are unwritten.

        Raises:
            CacheError: an earlier batch could not be written.
        """
        self._check()
        self._queue.put(([(picture.name, picture.content, picture.stamp) for picture in batch], features))

    def _check(self) -> None:
        if self._error is not None:
            with _writing(self._cache.folder):
                raise self._error

    def _next_shard(self) -> ShardWriter:
        name = f"{self._prefix}{self._number:05d}-{self._token}"
        self._number += 1
        return ShardWriter(self._cache.folder, name, self._cache.digest)

    def _pack(self, features: np.ndarray) -> bytes:
        data = features.tobytes()
        return compress(data) if self._cache.compression == "zlib" else data

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self._error = error
            while not self._finished and self._queue.get() is not None:  # nobody shall wait for room in the queue
                pass

    def _write_all(self) -> None:
        shard = self._next_shard()
        try:
            with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
                while (item := self._queue.get()) is not None:
                    facts, features = item
                    for fact, data in zip(facts, pool.map(self._pack, features), strict=True):
                        shard.add(*fact, data)
                    if len(shard.images) >= self._shard_size:
                        shard.close()
                        shard = self._next_shard()
                self._finished = True
            shard.close()
        finally:
            shard.abort()
