"""An open feature cache: which shard contains which image, and how records are parsed in the graph."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features.backbone import STORAGE_KEYS
from caption_tx.data.features.shards import (
    HEADER,
    CacheFiles,
    file_size,
    header_digest,
    read_json,
    read_record,
    records_name_shard,
    records_of,
)
from caption_tx.errors import CacheError
from caption_tx.threads import without_tuning

_MANIFEST_READERS = 16
"""Threads that read manifests. On a remote store they mostly wait."""


@dataclass(frozen=True, repr=False)
class FeatureCache:
    """An open cache.

    Attributes:
        folder: local or on a remote store.
        key: `Backbone.key` of the backbone that made it.
        num_augmentations: stored features per image. 1: the image itself; 2: also its mirror image; more: also random
            crops. See `augmentation.augment`.
        shards: shard -> its images. Each image belongs to one shard: the first one that contains it.
        failed: images that could not be read, and why.
        compression: "zlib" or "none".
        duplicates: shard -> its images that belong to an earlier shard, because two runs encoded them at once.
            `parse` hides these records.
        notes: what `merge_cache` changed, one line each.
        missing: images that `merge_cache` was asked for and that are neither in `shards` nor in `failed`.
    """

    folder: str
    key: dict[str, Any]
    num_augmentations: int
    shards: dict[str, tuple[str, ...]]
    failed: dict[str, str] = field(default_factory=dict)
    compression: str = "none"
    duplicates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"FeatureCache('{self.folder}', {len(self.images):,} images, features {self.feature_shape})"

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(h, w, C)."""
        h, w, channels = self.key["feature_shape"]
        return h, w, channels

    @property
    def dtype(self) -> np.dtype:
        """The stored number format: uint8 (scale 6/255), float16 or float32."""
        return np.dtype({text: storage for storage, text in STORAGE_KEYS.items()}[self.key["storage"]])

    @property
    def record_bytes(self) -> int:
        """Size of one image's features with all augmentations, before compression."""
        return self.num_augmentations * int(np.prod(self.feature_shape)) * self.dtype.itemsize

    @property
    def digest(self) -> str:
        """`header_digest` of this cache, which the manifests of its shards contain."""
        return header_digest({"key": self.key, "views": self.num_augmentations, "compression": self.compression})

    @cached_property
    def images(self) -> frozenset[str]:
        """Names of all images in the cache."""
        return frozenset(name for names in self.shards.values() for name in names)

    def path(self, shard: str, kind: str = "tfrecord") -> str:
        """The path of a shard's records, or of its manifest (`kind="json"`)."""
        return os.path.join(self.folder, f"{shard}.{kind}")

    def paths_holding(self, names: Iterable[str]) -> list[str]:
        """The paths of the shards that contain any of `names`, in order.

        Raises:
            CacheError: a shard of an older cache contains duplicates, which `parse` cannot hide.
        """
        names = set(names)
        for shard, duplicates in self.duplicates.items():
            if not records_name_shard(shard) and not names.isdisjoint(duplicates):
                raise CacheError(
                    f"{self.path(shard)} contains {len(duplicates)} images that are also in another shard "
                    f"({duplicates[0]}); merge the cache with `caption-tx features --merge`."
                )
        return [self.path(shard) for shard, images in sorted(self.shards.items()) if not names.isdisjoint(images)]

    @cached_property
    def _hidden(self) -> tf.lookup.StaticHashTable:
        """The records that `parse` hides, as "shard/image"."""
        keys = [f"{shard}/{name}" for shard, names in self.duplicates.items() for name in names]
        with tf.init_scope():  # not in the graph of the first dataset that calls `parse`
            values = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.ones(len(keys), tf.int32))
            return tf.lookup.StaticHashTable(values, default_value=0)

    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Parses a serialized record in the graph: (image name, features (num_augmentations, h, w, C) of `dtype`).

        The name is empty if the image belongs to another shard, so that no image is read twice.
        """
        image, features = self.identify(record)
        return image, self.unpack(features)

    def identify(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The first, cheap half of `parse`: (image name, features as bytes)."""
        text = tf.io.FixedLenFeature((), tf.string)
        shard = tf.io.FixedLenFeature((), tf.string, default_value="")
        example = tf.io.parse_single_example(record, {"image": text, "features": text, "shard": shard})
        image = example["image"]
        if self.duplicates:
            hidden = self._hidden.lookup(tf.strings.join([example["shard"], image], "/"))
            image = tf.where(hidden == 1, "", image)
        return image, example["features"]

    def unpack(self, features: tf.Tensor) -> tf.Tensor:
        """The second half of `parse`: bytes -> features (num_augmentations, h, w, C) of `dtype`."""
        if self.compression == "zlib":
            features = tf.io.decode_compressed(features, compression_type="ZLIB")
        features = tf.io.decode_raw(features, tf.as_dtype(self.dtype))
        return tf.reshape(features, (self.num_augmentations, *self.feature_shape))

    def load(self, names: Sequence[str]) -> np.ndarray:
        """Reads the stored features of a few images, not augmented: (len(names), h, w, C), in the given order.

        Raises:
            CacheError: an image is not in the cache, or a shard is damaged.
        """
        if missing := [name for name in names if name not in self.images]:
            raise CacheError(
                f"The feature cache {self.folder} does not contain {missing[0]} ({len(missing):,} missing); "
                "run `caption-tx features`."
            )
        loaded: dict[str, np.ndarray] = {}
        requested = set(names)
        for path in self.paths_holding(names):
            shard = os.path.basename(path).removesuffix(".tfrecord")
            own = requested.difference(self.duplicates.get(shard, ()))
            try:
                for record in without_tuning(records_of(path)):
                    name, features = read_record(record.numpy())
                    if name in own:
                        loaded[name] = self._to_array(features)[0]
            except (tf.errors.OpError, DecodeError, zlib.error, ValueError, IndexError) as error:
                reason = getattr(error, "message", error)
                raise CacheError(f"{path} is damaged ({reason}); {_repair(path)}.") from error
        if lost := [name for name in names if name not in loaded]:
            paths = ", ".join(self.paths_holding(lost))
            raise CacheError(f"{paths} is damaged: {lost[0]} is not in it; {_repair(paths)}.")
        return np.stack([loaded[name] for name in names])

    def _to_array(self, features: bytes) -> np.ndarray:
        """`unpack` outside of graphs."""
        data = zlib.decompress(features) if self.compression == "zlib" else features
        return np.frombuffer(data, self.dtype).reshape(self.num_augmentations, *self.feature_shape)


def _repair(path: str) -> str:
    return f"delete {path.removesuffix('tfrecord')}json and run `caption-tx features` again"


@contextlib.contextmanager
def explain_damage(folder: str) -> Iterator[None]:
    """Turns TensorFlow's error about a damaged shard into a CacheError that says what to do."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise CacheError(
            f"A shard of the feature cache {folder} is damaged: {error.message.splitlines()[0]}. "
            "Remove the damage with `caption-tx features --merge`; the next run encodes the lost images again."
        ) from error


def read_manifest(cache: FeatureCache, shard: str) -> dict[str, Any]:
    """Reads the manifest of a shard and checks it against the cache and the size of the records.

    Raises:
        CacheError: a file is damaged or missing, or the shard belongs to a cache with other settings.
    """
    path, records = cache.path(shard, "json"), cache.path(shard)
    manifest = read_json(path)
    if not isinstance(manifest.get("images"), dict):
        raise CacheError(f"{path} is damaged (no images); delete it and run `caption-tx features` again.")
    if manifest.get("cache", cache.digest) != cache.digest:
        raise CacheError(
            f"{path} belongs to a cache with another key, other augmentations or another compression than "
            f"{os.path.join(cache.folder, HEADER)}; delete it and run `caption-tx features` again."
        )
    if (size := file_size(records)) is None or size != manifest.get("bytes"):
        raise CacheError(f"{records} is missing or damaged; delete {path} and run `caption-tx features` again.")
    return manifest


def is_cache(folder: str) -> bool:
    """Whether a folder contains a feature cache."""
    return bool(tf.io.gfile.exists(os.path.join(folder, HEADER)))


def open_header(folder: str, key: dict[str, Any] | None = None) -> FeatureCache:
    """Opens a cache without its shards. Raises the errors of `open_cache`."""
    path = os.path.join(folder, HEADER)
    if not tf.io.gfile.exists(path):
        raise CacheError(f"There is no feature cache in {folder}; make one with `caption-tx features`.")
    header = read_json(path)
    cache_key, compression = header.get("key"), header.get("compression", "none")
    if not isinstance(cache_key, dict) or header.get("views") not in range(1, 2**15):
        raise CacheError(f"{path} is damaged (no key or views); delete {folder} and run `caption-tx features` again.")
    if key is not None and cache_key != key:
        differences = "; ".join(
            f"{name} is {cache_key.get(name)!r}, expected {value!r}"
            for name, value in key.items()
            if cache_key.get(name) != value
        )
        raise CacheError(
            f"The feature cache {folder} does not fit the backbone: {differences}; choose another folder with "
            "cache (--cache)."
        )
    if cache_key.get("storage") not in STORAGE_KEYS.values() or compression not in COMPRESSIONS:
        raise CacheError(
            f"{path} has storage {cache_key.get('storage')!r} and compression {compression!r}, which this version of "
            "caption_tx does not support; choose another folder with cache (--cache)."
        )
    return FeatureCache(folder, cache_key, header["views"], {}, {}, compression)


def open_cache(folder: str, key: dict[str, Any] | None = None) -> FeatureCache:
    """Opens a cache.

    Args:
        folder: local or on a remote store.
        key: `Backbone.key` that the cache must have. None accepts any.

    Raises:
        CacheError: there is no cache, it is damaged, or it has another key. The message names the difference.

    Example:
        >>> cache = open_cache("features")
        >>> cache.load(["cat.jpg"]).shape
        (1, 7, 7, 1024)
    """
    cache = open_header(folder, key)
    files = CacheFiles(folder)

    def images_of(shard: str) -> tuple[str, ...]:
        return tuple(read_manifest(cache, shard)["images"])

    with ThreadPoolExecutor(_MANIFEST_READERS) as pool:
        images = dict(zip(files.shards, pool.map(images_of, files.shards), strict=True))
    return _resolve_duplicates(cache, images, files)


def _resolve_duplicates(cache: FeatureCache, images: dict[str, tuple[str, ...]], files: CacheFiles) -> FeatureCache:
    """The cache in which each image belongs to the first shard that contains it, with its list of failures."""
    seen: set[str] = set()
    shards, duplicates = {}, {}
    for shard, names in sorted(images.items()):
        if repeated := tuple(name for name in names if name in seen):
            duplicates[shard] = repeated
            names = tuple(name for name in names if name not in seen)
        seen.update(names)
        shards[shard] = names
    # `failed.json`, which a run that is not divided among workers writes, is the last file and takes precedence.
    failed: dict[str, str] = {}
    for file in files.failed:
        failed |= read_json(os.path.join(cache.folder, file))
    failed = {name: reason for name, reason in failed.items() if name not in seen}
    return replace(cache, shards=shards, failed=failed, duplicates=duplicates)


def content_hashes(cache: FeatureCache) -> dict[str, str]:
    """The content hash of the file of every image in a cache.

    Raises:
        CacheError: the manifest of a shard is damaged or missing.
    """
    hashes = {}
    for shard, names in cache.shards.items():
        entries = read_manifest(cache, shard)["images"]
        for name in names:
            entry = entries[name]
            hashes[name] = entry if isinstance(entry, str) else entry[0]  # older caches store the hash alone
    return hashes
