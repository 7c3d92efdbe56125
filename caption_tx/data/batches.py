"""tf.data: features or pictures plus captions -> batches of packed rows for `fit`.

One row is one image with all its captions behind each other (T tokens): `token_ids`, `positions`
that restart with every caption, and `segment_ids` that number the captions from 1; 0 is padding.
The captions' tokens are held in memory, some 50 bytes a caption; features stream from the shards, unless all
of them are small enough to stay in memory too (`HELD_BYTES`).

Where several workers train together, the order of all rows is decided by their numbers and the seed alone,
so that every worker knows it, and each batch holds the same rows for any number of workers. A worker
(`share`) goes through the same steps as a single process would, but the rows of others are blank, and
leave its batches last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.text.tokenizer import TokenLists
from caption_tx.errors import ImageError
from caption_tx.threads import count_cores, without_tuning

SHUFFLE_ROWS = 4096
"""Rows held for shuffling: 50 KB each for a 7x7x1024 cache."""

HELD_BYTES = 768 * 2**20
"""Features of at most this size stay in memory after the first epoch: inflating them takes a tenth of a step."""

WINDOW_BATCHES = 16
"""Batches that are cut from one window of rows sorted by length: 3% of a batch is padding, with 8 of them 6%."""

PREFETCHED = 4
"""Batches at most that are ready before training asks for them, and as many in the making."""

SHARDS_PER_WORKER = 4
"""Workers share out whole shards where each gets this many, else the records of every shard."""

_OWN = -2
"""Stands where a row's number would for a record that is still to be read."""


@dataclass(frozen=True)
class PackedCaptions:
    """The tokenized captions of n images, those of one image behind each other.

    `caption_splits` int64 (n+1,): image i owns captions caption_splits[i] to caption_splits[i+1] of
    `tokens`, each from its start to its end mark; `weights` float32 (captions,) scale their loss.
    """

    images: tuple[str, ...]
    caption_splits: np.ndarray
    tokens: TokenLists
    weights: np.ndarray


def pack_captions(images: Sequence[str], tokens: TokenLists, weights: np.ndarray | None = None) -> PackedCaptions:
    """Groups captions by image, in the order of the images' first captions.

    Args:
        images: the image of each caption.
        tokens: the token_ids of each, 2 or more.
        weights: of each caption, above 0; 1 by default.
    """
    codes, names = pd.factorize(np.asarray(images, dtype=object))
    order = np.argsort(codes, kind="stable")
    splits = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))]).astype(np.int64)
    weights = np.ones(len(order)) if weights is None else np.asarray(weights)
    return PackedCaptions(tuple(names), splits, tokens.take(order), weights[order].astype(np.float32))


def _row_lengths(packed: PackedCaptions) -> np.ndarray:
    """Tokens of each image's row, int32 (n,): all but the last of each caption, which is no input."""
    ends = packed.tokens.row_splits[packed.caption_splits]
    return (np.diff(ends) - np.diff(packed.caption_splits)).astype(np.int32)


def _pack_rows(packed: PackedCaptions) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """Lays out the captions of images as rows, in the graph, a batch at a time: only the tokens are kept."""
    caption_splits, token_splits = tf.constant(packed.caption_splits), tf.constant(packed.tokens.row_splits)
    values, weights = tf.constant(packed.tokens.values, tf.int32), tf.constant(packed.weights)
    row_lengths = tf.constant(_row_lengths(packed))

    def pack(rows: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Numbers of images (B,), T -> tensors (B, T)."""
        captions = tf.ragged.range(tf.gather(caption_splits, rows), tf.gather(caption_splits, rows + 1))
        begin, end = tf.gather(token_splits, captions.values), tf.gather(token_splits, captions.values + 1)
        each = tf.ragged.range(begin, end - 1)  # the end mark is no input
        places, lengths = each.values, each.row_lengths()
        segments = captions.values - tf.repeat(tf.gather(caption_splits, rows), captions.row_lengths()) + 1
        flat = {
            "token_ids": tf.gather(values, places),
            "labels": tf.gather(values, places + 1),  # the start mark is no label
            "positions": tf.cast(places - tf.repeat(begin, lengths), tf.int32),
            "segment_ids": tf.cast(tf.repeat(segments, lengths), tf.int32),
            "weights": tf.repeat(tf.gather(weights, captions.values), lengths),
        }
        splits = tf.concat([[0], tf.cumsum(tf.gather(row_lengths, rows))], axis=0)

        def pad(part: tf.Tensor) -> tf.Tensor:
            shape, kinds = tf.stack([-1, length]), ["ROW_SPLITS"]
            tensor = tf.raw_ops.RaggedTensorToTensor(
                shape=shape,
                values=part,
                default_value=tf.zeros((), part.dtype),
                row_partition_tensors=[splits],
                row_partition_types=kinds,
            )
            return tf.ensure_shape(tensor, (None, None))

        return {name: pad(part) for name, part in flat.items()}

    return pack


def _lookup(images: Sequence[str]) -> tf.lookup.StaticHashTable:
    keys = tf.constant(list(images), tf.string)
    values = tf.range(len(images), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=-1)


def _numbered(rows: tf.data.Dataset, seed: int | None) -> tf.data.Dataset:
    """Each row with a random number, others in every epoch."""
    return tf.data.Dataset.zip(rows, tf.data.Dataset.random(seed=seed or 0, rerandomize_each_iteration=True))


def _draw_view(views: int, seed: int | None, number: tf.Tensor) -> tf.Tensor:
    """One of so many views, int32 (); the first where there is no choice."""
    if views == 1:
        return tf.constant(0)
    return tf.random.stateless_uniform((), tf.stack([tf.constant(seed or 0, tf.int64), number]), 0, views, tf.int32)


def cached_rows(
    cache: FeatureCache,
    packed: PackedCaptions,
    shuffle_seed: int | None,
    views: int,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Rows {row, features uint8 (h, w, C)} of the images with captions.

    Args:
        views: each row is one of so many of the image's views, drawn anew in every epoch: 1 is the image itself,
            2 also its mirror image, more also random crops.
        share: (i, n) reads the features of the i-th of n shares only; the other rows are blank and not
            `mine`. A share is every n-th shard, and no other is opened, if there are `SHARDS_PER_WORKER`
            for each; else every n-th row, and all shards are read but only those rows unpacked.
    """
    worker, workers = share
    rows = _lookup(packed.images)
    whole_shards = len(cache.paths_holding(packed.images)) >= SHARDS_PER_WORKER * workers

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        name, features = cache.parse(record)
        return {"row": rows.lookup(name), "features": features[:views]}

    def parse_mine(record: tf.Tensor, known: tf.Tensor) -> dict[str, tf.Tensor]:
        own = tf.equal(known, _OWN)
        name, data = tf.cond(own, lambda: cache.identify(record), lambda: (tf.constant(""), tf.constant("")))
        row = tf.where(own, rows.lookup(name), known)
        mine = own & (row >= 0) & (whole_shards | tf.equal(row % workers, worker))
        # One blank for all rows: it takes no memory in the buffers.
        return {"row": row, "features": tf.cond(mine, lambda: cache.unpack(data)[:views], lambda: blank), "mine": mine}

    def choose_view(row: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
        return row | {"features": row["features"][_draw_view(views, shuffle_seed, number)]}

    # Alike in every worker, as all must have one order.
    held = len(packed.images) * cache.record_bytes * views <= HELD_BYTES * cache.num_augmentations
    path_seed = None if held else shuffle_seed
    if workers == 1:
        paths = tf.data.Dataset.from_tensor_slices(cache.paths_holding(packed.images))
        if path_seed is not None:
            paths = paths.shuffle(10_000, seed=path_seed)
        records = paths.interleave(tf.data.TFRecordDataset, cycle_length=8, block_length=4)
    else:
        blank = tf.zeros((views, *cache.feature_shape), tf.as_dtype(cache.dtype))
        records = _shared_records(cache, packed, path_seed, share if whole_shards else (0, 1))

    # In order even where parallel: the same seed gives the same batches.
    dataset = records.map(parse if workers == 1 else parse_mine, num_parallel_calls=count_cores())
    dataset = dataset.filter(lambda row: row["row"] >= 0)

    def choose(rows: tf.data.Dataset) -> tf.data.Dataset:
        return _numbered(rows, shuffle_seed).map(choose_view, num_parallel_calls=count_cores())

    if not held:
        dataset = choose(dataset)  # before they are shuffled: the buffer holds one view of each
        return dataset if shuffle_seed is None else dataset.shuffle(SHUFFLE_ROWS, seed=shuffle_seed)
    # The buffer, larger than all rows, reads to the end of them: only then are they all held. It holds no copies.
    dataset = dataset.cache()
    return choose(dataset if shuffle_seed is None else dataset.shuffle(len(packed.images) + 1, seed=shuffle_seed))


def _shared_records(
    cache: FeatureCache, packed: PackedCaptions, shuffle_seed: int | None, share: tuple[int, int]
) -> tf.data.Dataset:
    """(record, `_OWN`) of every n-th shard, ("", number of the row) of the others, as their manifests list them.

    An image belongs to whoever owns its shard, so each comes once also where a manifest's order is not the
    records' (duplicates in a cache that was not joined); only the company that it keeps in a batch differs then.
    """
    worker, workers = share
    paths = cache.paths_holding(packed.images)
    numbers = {name: number for number, name in enumerate(packed.images)}
    shards = {cache.path(shard): shard for shard in cache.shards}
    listed = [
        [numbers.get(name, -1) for name in cache.shards[shards[path]]]
        + [-1] * len(cache.duplicates.get(shards[path], ()))
        for path in paths
    ]
    splits = tf.constant(np.concatenate([[0], np.cumsum([len(rows) for rows in listed])]), tf.int64)
    values, names = tf.constant(np.concatenate(listed), tf.int64), tf.constant(paths)

    def read(number: tf.Tensor) -> tf.data.Dataset:
        own = tf.equal(number % workers, worker)
        records = tf.data.TFRecordDataset(tf.boolean_mask(names[number][None], own[None]))
        end = tf.where(own, splits[number], splits[number + 1])
        known = tf.data.Dataset.from_tensor_slices(values[splits[number] : end])
        mine = records.map(lambda record: (record, tf.constant(_OWN, tf.int64)))
        return mine.concatenate(known.map(lambda row: (tf.constant(""), row)))

    order = tf.data.Dataset.range(len(paths))
    if shuffle_seed is not None:
        order = order.shuffle(10_000, seed=shuffle_seed)
    return order.interleave(read, cycle_length=8, block_length=4)


def picture_rows(
    images: ImageSource,
    packed: PackedCaptions,
    image_size: int,
    shuffle_seed: int | None,
    views: int,
    report: Callable[[str], None] = print,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Rows {row, images uint8 (H, W, 3), readable}, read from the files; `views` as of `cached_rows`.

    An unreadable image stays as a black row whose captions do not count, so that an epoch has as many
    rows as there are images; `report` is told of it once. `share` (i, n) reads every n-th image only;
    the other rows are blank and not `mine`.
    """
    worker, workers = share
    blank = tf.zeros((image_size, image_size, 3), tf.uint8)
    told: set[str] = set()
    dataset = tf.data.Dataset.range(len(packed.images))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(len(packed.images), seed=shuffle_seed)

    def read(row: int, view: int) -> tuple[np.ndarray, bool]:
        try:
            content, pixels = images.read_image(packed.images[row], image_size)
            return augment(pixels, view, content), True
        except ImageError as error:
            if str(error) not in told:
                told.add(str(error))
                report(f"Skipped: {error}")
            return np.zeros((image_size, image_size, 3), np.uint8), False

    def load(row: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        if workers == 1:
            return loaded(row, number)
        mine = tf.equal(row % workers, worker)
        others = {"row": row, "images": blank, "readable": tf.constant(False)}
        return tf.cond(mine, lambda: loaded(row, number), lambda: others) | {"mine": mine}

    def loaded(row: tf.Tensor, number: tf.Tensor) -> dict[str, tf.Tensor]:
        picture, readable = tf.numpy_function(read, [row, _draw_view(views, shuffle_seed, number)], (tf.uint8, tf.bool))
        picture = tf.ensure_shape(picture, (image_size, image_size, 3))
        return {"row": row, "images": picture, "readable": tf.ensure_shape(readable, ())}

    return _numbered(dataset, shuffle_seed).map(load, num_parallel_calls=count_cores())


def packed_batches(
    rows: tf.data.Dataset,
    packed: PackedCaptions,
    batch_size: int,
    uncounted_labels: Sequence[int],
    shuffle_seed: int | None,
    parts: int = 1,
) -> tf.data.Dataset:
    """Rows -> (inputs, labels (B, T), sample_weight (B, T)) with `features` or `images` among the inputs.

    Rows are sorted by length within a window of a few batches, so that little is padding; the
    batches of a window are then shuffled. A label weighs what its caption weighs, and 0 where it is
    one of `uncounted_labels` (padding, unknown).

    Where rows say whether they are `mine`, a batch holds those of its `batch_size` rows that are; with
    `parts` above 1 it comes as so many batches, one for each device. A part may have no row at all.
    """
    pack, row_lengths = _pack_rows(packed), tf.constant(_row_lengths(packed))

    def cut(window: dict[str, tf.Tensor]) -> tf.data.Dataset:
        order = tf.argsort(tf.gather(row_lengths, window["row"]), stable=True)
        number = (tf.size(order, tf.int64) + batch_size - 1) // batch_size

        def one(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            chosen = order[batch * batch_size : (batch + 1) * batch_size]
            return {name: tf.gather(values, chosen) for name, values in window.items()}

        return tf.data.Dataset.range(number).map(one)

    def longest_row(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_max(tf.gather(row_lengths, batch["row"]))

    def divide(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
        mine = batch.pop("mine", tf.ones(tf.shape(batch["row"]), tf.bool))
        longest = longest_row(batch)

        def part(number: tf.Tensor) -> dict[str, tf.Tensor]:
            chosen = tf.where(mine)[number::parts, 0]
            return {name: tf.gather(values, chosen) for name, values in batch.items()} | {"longest": longest}

        return tf.data.Dataset.range(parts).map(part)

    def finish(batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        # Of a part, as long as the whole batch: all devices then compute alike.
        length = batch["longest"] if "longest" in batch else longest_row(batch)
        tokens = pack(batch["row"], length)
        labels, weights = tokens.pop("labels"), tokens.pop("weights")
        counted = tf.not_equal(tokens["segment_ids"], 0)
        for label in uncounted_labels:
            counted &= tf.not_equal(labels, label)
        if "readable" in batch:
            counted &= batch["readable"][:, None]
        images = {name: batch[name] for name in ("features", "images") if name in batch}
        return images | tokens, labels, tf.where(counted, weights, 0.0)

    window = batch_size * WINDOW_BATCHES if shuffle_seed is not None else batch_size
    dataset = rows.batch(window).flat_map(cut)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(2 * WINDOW_BATCHES, seed=shuffle_seed)
    if parts > 1 or "mine" in dataset.element_spec:
        dataset = dataset.flat_map(divide)
    batches = math.ceil(len(packed.images) / batch_size) * parts
    dataset = dataset.map(finish, num_parallel_calls=min(count_cores(), PREFETCHED))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(PREFETCHED * parts)
    return without_tuning(dataset)
