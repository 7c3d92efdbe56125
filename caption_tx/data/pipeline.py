"""tf.data: features or pictures plus captions -> batches of packed rows for `fit`.

One row is one image with all its captions behind each other (T tokens): `token_ids`, `positions`
that restart with every caption, and `segment_ids` that number the captions from 1; 0 is padding.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.data.features import FeatureCache
from caption_tx.data.images import read_image
from caption_tx.errors import ImageError

SHUFFLE_ROWS = 4096
"""Rows held for shuffling: 50 KB each for a 7x7x1024 cache."""

WINDOW_BATCHES = 8
"""Batches that are cut from one window of rows sorted by length, so that a batch holds like lengths."""

LENGTH_STEP = 8
"""Batches are padded to a multiple of this many tokens, so that few shapes occur."""


@dataclass(frozen=True)
class PackedCaptions:
    """The captions of n images, packed and laid end to end (compressed sparse rows).

    `offsets` (n+1,): image i owns tokens offsets[i] to offsets[i+1] of the flat arrays, which hold
    the decoder's inputs, the labels (inputs moved on by one), positions and segments.
    """

    images: tuple[str, ...]
    offsets: np.ndarray
    token_ids: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    segment_ids: np.ndarray


def pack_captions(captions: dict[str, Sequence[np.ndarray]]) -> PackedCaptions:
    """Packs each image's tokenized captions, each from its start to its end mark, 2 tokens or more."""
    rows = list(captions.values())
    flat = [caption for row in rows for caption in row]
    lengths = np.array([len(caption) - 1 for caption in flat], np.int64)  # the end mark is no input
    per_image = np.array([sum(len(caption) - 1 for caption in row) for row in rows], np.int64)
    segments = np.concatenate([np.arange(1, len(row) + 1) for row in rows]) if flat else np.zeros(0)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)

    def join(parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32)

    return PackedCaptions(
        images=tuple(captions),
        offsets=np.concatenate([[0], np.cumsum(per_image)]),
        token_ids=join([caption[:-1] for caption in flat]),
        labels=join([caption[1:] for caption in flat]),
        positions=(np.arange(lengths.sum()) - starts).astype(np.int32),
        segment_ids=np.repeat(segments, lengths).astype(np.int32),
    )


def _lookup(images: Sequence[str]) -> tf.lookup.StaticHashTable:
    keys = tf.constant(list(images), tf.string)
    values = tf.range(len(images), dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=-1)


def cached_rows(cache: FeatureCache, packed: PackedCaptions, shuffle_seed: int | None, flips: bool) -> tf.data.Dataset:
    """Rows {row, features uint8 (h, w, C)} of the images with captions; with `flips`, half of them mirrored."""
    paths = tf.data.Dataset.from_tensor_slices(cache.paths_holding(packed.images))
    rows = _lookup(packed.images)
    if shuffle_seed is not None:
        paths = paths.shuffle(10_000, seed=shuffle_seed)
    records = paths.interleave(tf.data.TFRecordDataset, cycle_length=8, block_length=4)

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        name, views = cache.parse(record)
        return {"row": rows.lookup(name), "features": views}

    def choose_view(row: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
        view = 0
        if flips:
            seed = tf.stack([tf.constant(shuffle_seed or 0, tf.int64), number])
            view = tf.random.stateless_uniform((), seed, maxval=cache.views, dtype=tf.int32)
        return row | {"features": row["features"][view]}

    # In order even where parallel: the same seed gives the same batches.
    dataset = records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).filter(lambda row: row["row"] >= 0)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(SHUFFLE_ROWS, seed=shuffle_seed)
    counter = tf.data.Dataset.random(seed=shuffle_seed or 0, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(dataset, counter).map(choose_view, num_parallel_calls=tf.data.AUTOTUNE)


def picture_rows(
    image_folder: str,
    packed: PackedCaptions,
    image_size: int,
    shuffle_seed: int | None,
    flips: bool,
    report: Callable[[str], None] = print,
) -> tf.data.Dataset:
    """Rows {row, images uint8 (H, W, 3), readable}, read from the files.

    An unreadable image stays as a black row whose captions do not count, so that an epoch has as many
    rows as there are images; `report` is told of it once.
    """
    told: set[str] = set()
    paths = [os.path.join(image_folder, name) for name in packed.images]
    dataset = tf.data.Dataset.from_tensor_slices((tf.range(len(paths), dtype=tf.int64), paths))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(len(paths), seed=shuffle_seed)

    def read(path: bytes) -> tuple[np.ndarray, bool]:
        try:
            return read_image(path.decode(), image_size)[1], True
        except ImageError as error:
            if str(error) not in told:
                told.add(str(error))
                report(f"Skipped: {error}")
            return np.zeros((image_size, image_size, 3), np.uint8), False

    def load(row: tf.Tensor, path: tf.Tensor) -> dict[str, tf.Tensor]:
        picture, readable = tf.numpy_function(read, [path], (tf.uint8, tf.bool))
        picture = tf.ensure_shape(picture, (image_size, image_size, 3))
        return {"row": row, "images": picture, "readable": tf.ensure_shape(readable, ())}

    def mirror(row: dict[str, tf.Tensor], number: tf.Tensor) -> dict[str, tf.Tensor]:
        seed = tf.stack([tf.constant(shuffle_seed or 0, tf.int64), number])
        flip = tf.random.stateless_uniform((), seed) < 0.5
        picture = tf.cond(flip, lambda: row["images"][:, ::-1], lambda: row["images"])
        return row | {"images": picture}

    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if not flips:
        return dataset
    counter = tf.data.Dataset.random(seed=shuffle_seed or 0, rerandomize_each_iteration=True)
    return tf.data.Dataset.zip(dataset, counter).map(mirror, num_parallel_calls=tf.data.AUTOTUNE)


def packed_batches(
    rows: tf.data.Dataset,
    packed: PackedCaptions,
    batch_size: int,
    uncounted_labels: Sequence[int],
    shuffle_seed: int | None,
) -> tf.data.Dataset:
    """Rows -> (inputs, labels (B, T), sample_weight (B, T)) with `features` or `images` among the inputs.

    Rows are sorted by length within a window of a few batches, so that little is padding; the
    batches of a window are then shuffled. `uncounted_labels` (padding, unknown) weigh 0.
    """
    offsets = tf.constant(packed.offsets, tf.int64)
    flat = {name: tf.constant(getattr(packed, name)) for name in ("token_ids", "labels", "positions", "segment_ids")}

    def attach(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        begin, end = offsets[row["row"]], offsets[row["row"] + 1]
        captions = {name: values[begin:end] for name, values in flat.items()}
        return {name: value for name, value in row.items() if name != "row"} | captions

    def sort(window: dict[str, tf.Tensor]) -> tf.data.Dataset:
        lengths = tf.math.count_nonzero(window["segment_ids"], axis=1)
        order = tf.argsort(lengths, stable=True)
        ordered = {name: tf.gather(values, order) for name, values in window.items()}
        return tf.data.Dataset.from_tensor_slices(ordered).batch(batch_size)

    def trim(batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        longest = tf.reduce_max(tf.math.count_nonzero(batch["segment_ids"], axis=1, dtype=tf.int32))
        length = (longest + LENGTH_STEP - 1) // LENGTH_STEP * LENGTH_STEP
        room = length - tf.minimum(length, tf.shape(batch["labels"])[1])
        tokens = {name: tf.pad(batch[name][:, :length], [[0, 0], [0, room]]) for name in flat}
        labels = tokens.pop("labels")
        counted = tf.not_equal(tokens["segment_ids"], 0)
        for label in uncounted_labels:
            counted &= tf.not_equal(labels, label)
        if "readable" in batch:
            counted &= batch["readable"][:, None]
        images = {name: batch[name] for name in ("features", "images") if name in batch}
        return images | tokens, labels, tf.cast(counted, tf.float32)

    window = batch_size * WINDOW_BATCHES if shuffle_seed is not None else batch_size
    dataset = rows.map(attach, num_parallel_calls=tf.data.AUTOTUNE).padded_batch(window).flat_map(sort)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(2 * WINDOW_BATCHES, seed=shuffle_seed)
    batches = math.ceil(len(packed.images) / batch_size)
    dataset = dataset.map(trim, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(tf.data.AUTOTUNE)
