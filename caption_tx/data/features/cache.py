"""An opened feature cache: which shard holds which image, and how a record is read in the graph."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features.backbone import STORAGE_KEYS
from caption_tx.data.features.shards import HEADER, Files, header_digest, length_of, names_itself, read_json
from caption_tx.errors import CacheError
from caption_tx.threads import without_tuning

_READERS = 16
"""Threads that read manifests: on a remote store nearly all the time is waiting."""


@dataclass(frozen=True)
class FeatureCache:
    """An opened cache.

    `num_augmentations` is 1, 2 when every image also stands mirrored left to right, and more when random crops of it
    follow. `shards` gives each image to one shard; where several hold it (two runs encoded it at once), the
    first does, and `duplicates` lists it for the others, whose records of it `parse` hides. `notes` and `missing`
    are filled by `merge_cache`: what it did, and which of the names asked for are neither held nor failed.
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
        """Bytes of one image's features, all views, before compression."""
        return self.num_augmentations * int(np.prod(self.feature_shape)) * self.dtype.itemsize

    @property
    def digest(self) -> str:
        """What the manifests of this cache's shards carry; see `header_digest`."""
        return header_digest({"key": self.key, "views": self.num_augmentations, "compression": self.compression})

    @cached_property
    def images(self) -> frozenset[str]:
        """Names of all images held."""
        return frozenset(name for names in self.shards.values() for name in names)

    def path(self, shard: str, kind: str = "tfrecord") -> str:
        """The path of a shard's records, or (`kind` "json") of its manifest."""
        return os.path.join(self.folder, f"{shard}.{kind}")

    def paths_holding(self, names: Iterable[str]) -> list[str]:
        """Paths of the shards that hold any of `names`, in order.

        Raises:
            CacheError: `parse` could not hide a double record, since its shard is of an older version.
        """
        wanted = set(names)
        for shard, again in self.duplicates.items():
            if not names_itself(shard) and not wanted.isdisjoint(again):
                raise CacheError(
                    f"{self.path(shard)} holds {len(again)} images that another shard holds too ({again[0]}); "
                    "join the cache with `caption-tx features --merge`."
                )
        return [self.path(shard) for shard, held in sorted(self.shards.items()) if not wanted.isdisjoint(held)]

    @cached_property
    def _hidden(self) -> tf.lookup.StaticHashTable:
        """The records that `parse` hides, as "shard/image"."""
        keys = [f"{shard}/{name}" for shard, names in self.duplicates.items() for name in names]
        with tf.init_scope():  # not in the graph of the dataset that calls `parse` first
            values = tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.ones(len(keys), tf.int32))
            return tf.lookup.StaticHashTable(values, default_value=0)

    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One serialized record -> (image name, features (views, h, w, C) of `dtype`); runs in the graph.

        The name is empty for a record whose image another shard holds too, so that no image comes twice.
        """
        image, features = self.identify(record)
        return image, self.unpack(features)

    def identify(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The first half of `parse`, the cheap one: (image name, features as bytes)."""
        text = tf.io.FixedLenFeature((), tf.string)
        shard = tf.io.FixedLenFeature((), tf.string, default_value="")
        example = tf.io.parse_single_example(record, {"image": text, "features": text, "shard": shard})
        image = example["image"]
        if self.duplicates:
            hidden = self._hidden.lookup(tf.strings.join([example["shard"], image], "/"))
            image = tf.where(hidden == 1, "", image)
        return image, example["features"]

    def unpack(self, features: tf.Tensor) -> tf.Tensor:
        """The second half of `parse`: bytes -> features (views, h, w, C) of `dtype`."""
        if self.compression == "zlib":
            features = tf.io.decode_compressed(features, compression_type="ZLIB")
        features = tf.io.decode_raw(features, tf.as_dtype(self.dtype))
        return tf.reshape(features, (self.num_augmentations, *self.feature_shape))

    def load(self, names: Sequence[str]) -> np.ndarray:
        """The unmirrored stored features of a few images, (len(names), h, w, C), in that order.

        Raises:
            CacheError: it does not hold them all, or a shard is damaged.
        """
        missing = [name for name in names if name not in self.images]
        if missing:
            raise CacheError(f"The cache {self.folder} does not hold {missing[0]} ({len(missing)} missing).")
        found = {}
        wanted = set(names)
        for path in self.paths_holding(names):
            try:
                for record in without_tuning(tf.data.TFRecordDataset(path)):
                    name, features = self.parse(record)
                    if (text := name.numpy().decode()) in wanted:
                        found[text] = features[0].numpy()
            except tf.errors.OpError as error:
                raise CacheError(f"{path} is damaged: {_again(path)} ({error.message}).") from error
        if lost := [name for name in names if name not in found]:
            paths = ", ".join(self.paths_holding(lost))
            raise CacheError(f"{paths} is damaged, without {lost[0]}: {_again(paths)}.")
        return np.stack([found[name] for name in names])


def _again(path: str) -> str:
    return f"delete {path.removesuffix('tfrecord')}json and run `caption-tx features` again"


@contextlib.contextmanager
def explain_damage(folder: str) -> Iterator[None]:
    """Within it a damaged shard that TensorFlow meets becomes a CacheError that says what to do."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise CacheError(
            f"A shard of the feature cache {folder} is damaged: {error.message.splitlines()[0]}. "
            "`caption-tx features --merge` removes what is damaged; train again after it, and only those images are "
            "encoded anew."
        ) from error


def read_manifest(cache: FeatureCache, shard: str) -> dict[str, Any]:
    """A shard's manifest, checked against the cache and the size of the shard's file.

    Raises:
        CacheError: either is damaged or missing, or the shard is of a cache with other settings.
    """
    path, data = cache.path(shard, "json"), cache.path(shard)
    manifest = read_json(path)
    if not isinstance(manifest.get("images"), dict):
        raise CacheError(f"{path} is damaged (no images); delete it and run `caption-tx features` again.")
    if manifest.get("cache", cache.digest) != cache.digest:
        raise CacheError(
            f"{path} belongs to a cache with another key, other views or another compression than "
            f"{os.path.join(cache.folder, HEADER)}; delete it and run `caption-tx features` again."
        )
    if (length := length_of(data)) is None or length != manifest.get("bytes"):
        raise CacheError(f"{data} is missing or damaged; delete {path} and run `caption-tx features` again.")
    return manifest


def open_header(folder: str, key: dict[str, Any] | None = None) -> FeatureCache:
    """A cache as its header says, without looking at its shards; raises as `open_cache`."""
    path = os.path.join(folder, HEADER)
    if not tf.io.gfile.exists(path):
        raise CacheError(f"No feature cache in {folder}; make one with `caption-tx features`.")
    header = read_json(path)
    found, compression = header.get("key"), header.get("compression", "none")
    if not isinstance(found, dict) or header.get("views") not in range(1, 2**15):
        raise CacheError(f"{path} is damaged (no key or views); delete {folder} and run `caption-tx features` again.")
    if key is not None and found != key:
        names = [name for name in key if found.get(name) != key[name]]
        differences = "; ".join(f"{name} is {found.get(name)!r}, wanted {key[name]!r}" for name in names)
        raise CacheError(f"The feature cache {folder} was made otherwise: {differences}. Name another --cache.")
    if found.get("storage") not in STORAGE_KEYS.values() or compression not in COMPRESSIONS:
        raise CacheError(
            f"{path} has storage {found.get('storage')!r} and compression {compression!r}, which this version of "
            f"caption_tx does not know. Name another --cache."
        )
    return FeatureCache(folder, found, header["views"], {}, {}, compression)


def open_cache(folder: str, key: dict[str, Any] | None = None) -> FeatureCache:
    """Opens a cache, and refuses one that another backbone made.

    Raises:
        CacheError: nothing there, damaged, or of another key; the message names the difference.
    """
    cache = open_header(folder, key)
    files = Files(folder)

    def held(shard: str) -> tuple[str, ...]:
        return tuple(read_manifest(cache, shard)["images"])

    with ThreadPoolExecutor(_READERS) as pool:
        return settle(cache, dict(zip(files.shards, pool.map(held, files.shards), strict=True)), files)


def settle(cache: FeatureCache, held: dict[str, tuple[str, ...]], files: Files) -> FeatureCache:
    """The cache with every image given to the first shard that holds it, and the lists of failures as one."""
    owned: set[str] = set()
    shards, duplicates = {}, {}
    for shard, names in sorted(held.items()):
        if again := tuple(name for name in names if name in owned):
            duplicates[shard] = again
            names = tuple(name for name in names if name not in owned)
        owned.update(names)
        shards[shard] = names
    # That of an undivided run, `failed.json`, comes last in the list, and its reasons prevail.
    failed: dict[str, str] = {}
    for name in files.failed:
        failed |= read_json(os.path.join(cache.folder, name))
    failed = {name: reason for name, reason in failed.items() if name not in owned}
    return FeatureCache(cache.folder, cache.key, cache.num_augmentations, shards, failed, cache.compression, duplicates)
