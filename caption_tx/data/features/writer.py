"""Write features into shards, in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.shards import ShardWriter, compress, new_token, shard_number
from caption_tx.errors import CacheError

_MAX_COMPRESSORS = 4
_QUEUED_BATCHES = 4


@dataclass(frozen=True)
class EncodedImage:
    """An image and its stored features (num_augmentations, h, w, C); `content` is its content hash."""

    name: str
    content: str
    stamp: str | None
    features: np.ndarray


@contextlib.contextmanager
def explain_write_errors(folder: str) -> Iterator[None]:
    """Turns TensorFlow's error about a full disk or a read-only folder into a CacheError that names the cache."""
    try:
        yield
    except tf.errors.OpError as error:
        raise CacheError(f"Cannot write the feature cache {folder}: {error.message}.") from error


class FeatureWriter:
    """Compresses and writes features in a background thread, so that the backbone does not wait for it.

    Use it as a context. On exit, also after an error, everything that was put is written.

    Args:
        cache: the cache to extend.
        prefix: first part of the names of the new shards, e.g. `shard-1of4`.
        shard_size: images per shard.
    """

    def __init__(self, cache: FeatureCache, prefix: str, shard_size: int) -> None:
        self._cache = cache
        self._prefix = prefix
        self._token = new_token()
        self._next_number = 1 + max(map(shard_number, cache.shards), default=-1)
        self._shard_size = shard_size
        self._queue: queue.Queue[Sequence[EncodedImage] | None] = queue.Queue(maxsize=_QUEUED_BATCHES)
        self._error: BaseException | None = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="feature writer", daemon=True)

    def __enter__(self) -> FeatureWriter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        self._raise_error()

    def put(self, batch: Sequence[EncodedImage]) -> None:
        """Queues a batch. Blocks while several batches are queued.

        Raises:
            CacheError: an earlier batch could not be written.
        """
        self._raise_error()
        self._queue.put(batch)

    def _raise_error(self) -> None:
        if self._error is not None:
            with explain_write_errors(self._cache.folder):
                raise self._error

    def _next_shard(self) -> ShardWriter:
        name = f"{self._prefix}-{self._next_number:05d}-{self._token}"
        self._next_number += 1
        return ShardWriter(self._cache.folder, name, self._cache.digest)

    def _pack(self, image: EncodedImage) -> bytes:
        data = image.features.tobytes()
        return compress(data) if self._cache.compression == "zlib" else data

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self._error = error
            while not self._finished and self._queue.get() is not None:  # `put` must not block forever
                pass

    def _write_all(self) -> None:
        shard = self._next_shard()
        try:
            with ThreadPoolExecutor(min(_MAX_COMPRESSORS, os.cpu_count() or 1)) as pool:
                while (batch := self._queue.get()) is not None:
                    for image, data in zip(batch, pool.map(self._pack, batch), strict=True):
                        shard.add(image.name, image.content, image.stamp, data)
                    if len(shard.images) >= self._shard_size:
                        shard.close()
                        shard = self._next_shard()
                self._finished = True
            shard.close()
        finally:
            shard.abort()
