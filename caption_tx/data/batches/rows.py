"""Datasets of one row per image, read from the feature cache or from image files.

All workers of a run know the order of all rows, since it depends only on the row indices and the seed. Each worker
iterates over every row, but rows of other workers are blank and not `mine`. Thus a batch contains the same images for
any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.cores import count_cores
from caption_tx.data.batches.packing import PackedCaptions
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.shards import records_of
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.image_source import ImageSource
from caption_tx.errors import ImageError

SHUFFLE_ROWS = 4096
"""Size of the shuffle buffer when features do not fit in memory: 50 KB a row for a 7x7x1024 cache."""

MEMORY_BYTES = 768 * 2**20
"""Features up to this size stay in memory after the first epoch: inflating them takes a tenth of a step."""

SHARDS_PER_WORKER = 4
"""Workers divide whole shards if each gets at least this many, else the records of every shard."""

_UNREAD = -2
"""Row index of a record that this worker still has to read."""


@dataclass(frozen=True)
class RowOptions:
    """How rows are ordered, augmented and divided among workers.

    Attributes:
        shuffle_seed: seed of the order, which differs between epochs; None keeps the stored order.
        augmentations: each row is one of this many variants of its image, drawn anew in every epoch: 1 is the image
            itself, 2 adds its mirror image, and more add random crops.
        rank: index of this worker.
        world_size: number of workers.
    """

    shuffle_seed: int | None = None
    augmentations: int = 1
    rank: int = 0
    world_size: int = 1


def cached_rows(cache: FeatureCache, packed: PackedCaptions, options: RowOptions) -> tf.data.Dataset:
    """Rows {row, features (h, w, C) as stored, augmentation} of the images that have captions.

    `row` indexes `packed.images`, and `augmentation` is the index of the variant that `features` belong to.

    With several workers, rows also have `mine`, and those of other workers have blank features. A worker reads every
    world_size-th shard and opens no other, if each worker gets at least `SHARDS_PER_WORKER`. Otherwise it reads all
    shards, but unpacks only every world_size-th row.
    """
    # All workers must decide alike, since they share one order.
    bytes_needed = len(packed.images) * cache.record_bytes * options.augmentations
    in_memory = bytes_needed <= MEMORY_BYTES * cache.num_augmentations
    path_seed = None if in_memory else options.shuffle_seed
    read = _read_all if options.world_size == 1 else _read_mine
    dataset = read(cache, packed, options, path_seed).filter(lambda row: row["row"] >= 0)

    def augment_rows(rows: tf.data.Dataset) -> tf.data.Dataset:
        return _with_random(rows, options).map(choose_augmentation, num_parallel_calls=count_cores())

    def choose_augmentation(row: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
        augmentation = _draw_augmentation(options, number)
        return row | {"features": row["features"][augmentation], "augmentation": augmentation}

    if not in_memory:
        dataset = augment_rows(dataset)  # before the shuffle, whose buffer then holds one variant of each image
        return dataset if options.shuffle_seed is None else dataset.shuffle(SHUFFLE_ROWS, seed=options.shuffle_seed)
    # The buffer is larger than all rows, so it reads to their end: only a complete pass fills the cache. The buffer
    # holds no copies.
    dataset = dataset.cache()
    if options.shuffle_seed is not None:
        dataset = dataset.shuffle(len(packed.images) + 1, seed=options.shuffle_seed)
    return augment_rows(dataset)


def _read_all(
    cache: FeatureCache, packed: PackedCaptions, options: RowOptions, path_seed: int | None
) -> tf.data.Dataset:
    """Rows {row, features (augmentations, h, w, C)} of a single worker; row -1 has no captions."""
    rows = _row_table(packed.images)

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        name, features = cache.parse(record)
        return {"row": rows.lookup(name), "features": features[: options.augmentations]}

    paths = tf.data.Dataset.from_tensor_slices(cache.paths_holding(packed.images))
    if path_seed is not None:
        paths = paths.shuffle(10_000, seed=path_seed)
    records = paths.interleave(records_of, cycle_length=8, block_length=4)
    # Parallel calls keep the order: the same seed gives the same batches.
    return records.map(parse, num_parallel_calls=count_cores())


def _read_mine(
    cache: FeatureCache, packed: PackedCaptions, options: RowOptions, path_seed: int | None
) -> tf.data.Dataset:
    """Rows {row, features (augmentations, h, w, C), mine} of one of several workers; row -1 has no captions."""
    rank, world_size, augmentations = options.rank, options.world_size, options.augmentations
    rows = _row_table(packed.images)
    whole_shards = len(cache.paths_holding(packed.images)) >= SHARDS_PER_WORKER * world_size
    # One blank shared by all rows takes no memory in the buffers.
    blank = tf.zeros((augmentations, *cache.feature_shape), tf.as_dtype(cache.dtype))

    def parse(record: tf.Tensor, known_row: tf.Tensor) -> dict[str, tf.Tensor]:
        unread = tf.equal(known_row, _UNREAD)
        name, data = tf.cond(unread, lambda: cache.identify(record), lambda: (tf.constant(""), tf.constant("")))
        row = tf.where(unread, rows.lookup(name), known_row)
        mine = unread & (row >= 0) & (whole_shards | tf.equal(row % world_size, rank))
        features = tf.cond(mine, lambda: cache.unpack(data)[:augmentations], lambda: blank)
        return {"row": row, "features": features, "mine": mine}

    reader = (rank, world_size) if whole_shards else (0, 1)
    return _records(cache, packed, path_seed, *reader).map(parse, num_parallel_calls=count_cores())


def _records(
    cache: FeatureCache, packed: PackedCaptions, path_seed: int | None, rank: int, world_size: int
) -> tf.data.Dataset:
    """(record, `_UNREAD`) of every world_size-th shard, and ("", row) of the others, as their manifests list them.

    The owner of an image's shard owns the image. So each image occurs once even if a manifest lists its images in
    another order than the records (duplicates in a cache that was not merged). Only batch composition differs then.
    """
    paths = cache.paths_holding(packed.images)
    row_of = {name: row for row, name in enumerate(packed.images)}
    shards = {cache.path(shard): shard for shard in cache.shards}
    listed = [
        [row_of.get(name, -1) for name in cache.shards[shards[path]]]
        + [-1] * len(cache.duplicates.get(shards[path], ()))
        for path in paths
    ]
    splits = tf.constant(np.concatenate([[0], np.cumsum([len(rows) for rows in listed])]), tf.int64)
    values, names = tf.constant(np.concatenate(listed), tf.int64), tf.constant(paths)

    def read(index: tf.Tensor) -> tf.data.Dataset:
        mine = tf.equal(index % world_size, rank)
        records = records_of(tf.boolean_mask(names[index][None], mine[None]))
        end = tf.where(mine, splits[index], splits[index + 1])
        known_rows = tf.data.Dataset.from_tensor_slices(values[splits[index] : end])
        unread = records.map(lambda record: (record, tf.constant(_UNREAD, tf.int64)))
        return unread.concatenate(known_rows.map(lambda row: (tf.constant(""), row)))

    order = tf.data.Dataset.range(len(paths))
    if path_seed is not None:
        order = order.shuffle(10_000, seed=path_seed)
    return order.interleave(read, cycle_length=8, block_length=4)


def image_rows(
    images: ImageSource,
    packed: PackedCaptions,
    image_size: int,
    options: RowOptions,
    report: Callable[[str], None] = print,
) -> tf.data.Dataset:
    """Rows {row, images uint8 (H, W, 3), readable, augmentation}, read from the image files.

    An unreadable image becomes a black row whose captions do not count, so that an epoch has as many rows as there
    are images; `report` gets its error once. With several workers, rows also have `mine`: a worker reads every
    world_size-th image, and the others are black.
    """
    blank = tf.zeros((image_size, image_size, 3), tf.uint8)
    reported: set[str] = set()
    dataset = tf.data.Dataset.range(len(packed.images))
    if options.shuffle_seed is not None:
        dataset = dataset.shuffle(len(packed.images), seed=options.shuffle_seed)

    def read(row: int, augmentation: int) -> tuple[np.ndarray, bool]:
        try:
            content, pixels = images.read_image(packed.images[row], image_size)
            return augment(pixels, augmentation, content), True
        except ImageError as error:
            if str(error) not in reported:
                reported.add(str(error))
                report(f"Skipped: {error}")
            return np.zeros((image_size, image_size, 3), np.uint8), False

    def load(row: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        if options.world_size == 1:
            return load_mine(row, number)
        mine = tf.equal(row % options.world_size, options.rank)
        others = {"row": row, "images": blank, "readable": tf.constant(False), "augmentation": tf.constant(0)}
        return tf.cond(mine, lambda: load_mine(row, number), lambda: others) | {"mine": mine}

    def load_mine(row: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        augmentation = _draw_augmentation(options, number)
        image, readable = tf.numpy_function(read, [row, augmentation], (tf.uint8, tf.bool))
        image = tf.ensure_shape(image, (image_size, image_size, 3))
        readable = tf.ensure_shape(readable, ())
        return {"row": row, "images": image, "readable": readable, "augmentation": augmentation}

    return _with_random(dataset, options).map(load, num_parallel_calls=count_cores())


def _row_table(images: Sequence[str]) -> tf.lookup.StaticHashTable:
    """Maps an image's name to its index; unknown names to -1."""
    keys = tf.constant(list(images), tf.string)
    values = tf.range(len(images), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=-1)


def _with_random(rows: tf.data.Dataset, options: RowOptions) -> tf.data.Dataset:
    """Pairs of a row and a random number, which differs between epochs."""
    numbers = tf.data.Dataset.random(seed=options.shuffle_seed or 0, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(rows, numbers)


def _draw_augmentation(options: RowOptions, number: tf.Tensor) -> tf.Tensor:
    """The index of one augmentation, int32 (); 0 if there is no choice."""
    if options.augmentations == 1:
        return tf.constant(0)
    seed = tf.stack([tf.constant(options.shuffle_seed or 0, tf.int64), number])
    return tf.random.stateless_uniform((), seed, 0, options.augmentations, tf.int32)
