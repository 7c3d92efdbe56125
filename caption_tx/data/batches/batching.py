"""Batches of rows of similar length, for `fit`.

One row is one image with all its captions packed into T tokens. The tokens of all captions stay in memory, about 50
bytes a caption. Features stream from the shards unless they fit in memory (`rows.MEMORY_BYTES`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from caption_tx.cores import count_cores
from caption_tx.data.batches.packing import PackedCaptions, row_packer
from caption_tx.threads import without_tuning

WINDOW_BATCHES = 16
"""Batches cut from one window of rows sorted by length: 3% of a batch is padding, and 6% with 8 of them."""

PREFETCH_BATCHES = 4
"""Most batches that are ready before training asks for them, and most that are being made."""


def packed_batches(
    rows: tf.data.Dataset,
    packed: PackedCaptions,
    batch_size: int,
    uncounted_labels: Sequence[int],
    shuffle_seed: int | None,
    parts: int = 1,
) -> tf.data.Dataset:
    """Rows -> (inputs, labels (B, T), sample_weight (B, T)) with `features` or `images` among the inputs.

    With `packed.targets`, the inputs have `coverage`, uint8 (B, T, S): where to attend when a label is predicted.

    Rows are sorted by length within a window of a few batches, so that there is little padding. The batches of a
    window are then shuffled.

    Args:
        rows: as `cached_rows` and `image_rows` return them. If they have `mine`, a batch contains only this worker's
            rows of the whole batch.
        batch_size: rows of the whole batch, for all workers and devices.
        uncounted_labels: labels of weight 0 (padding, unknown); other labels have the weight of their caption.
        shuffle_seed: seed of the order of batches; None keeps the order of rows.
        parts: each batch comes as this many batches, one for each device. A part may have no rows.
    """
    row_lengths = tf.constant(packed.row_lengths())

    def longest_row(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_max(tf.gather(row_lengths, batch["row"]))

    def divide(batch: dict[str, tf.Tensor]) -> tf.data.Dataset:
        mine = batch.pop("mine", tf.ones(tf.shape(batch["row"]), tf.bool))
        longest = longest_row(batch)

        def take_part(index: tf.Tensor) -> dict[str, tf.Tensor]:
            indices = tf.where(mine)[index::parts, 0]
            return {name: tf.gather(values, indices) for name, values in batch.items()} | {"longest": longest}

        return tf.data.Dataset.range(parts).map(take_part)

    pack = row_packer(packed)
    coverage = None if packed.targets is None else tf.constant(packed.targets.coverage)

    def finish(batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        # A part is as long as the whole batch: all devices then compute the same shapes.
        length = batch["longest"] if "longest" in batch else longest_row(batch)
        tokens = pack(batch["row"], length)
        if coverage is not None:
            tokens["coverage"] = _coverage_of(batch, tokens.pop("target_indices"), coverage)
        return _to_training_inputs(batch, tokens, uncounted_labels)

    window = batch_size * WINDOW_BATCHES if shuffle_seed is not None else batch_size
    dataset = rows.batch(window).flat_map(lambda rows: _cut_window(rows, row_lengths, batch_size))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(2 * WINDOW_BATCHES, seed=shuffle_seed)
    if parts > 1 or "mine" in dataset.element_spec:
        dataset = dataset.flat_map(divide)
    dataset = dataset.map(finish, num_parallel_calls=min(count_cores(), PREFETCH_BATCHES))
    batches = math.ceil(len(packed.images) / batch_size) * parts
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(PREFETCH_BATCHES * parts)
    return without_tuning(dataset)


def _coverage_of(batch: dict[str, tf.Tensor], indices: tf.Tensor, coverage: tf.Tensor) -> tf.Tensor:
    """uint8 (B, T, S): the coverage of targets (B, T) under the augmentation of each row."""
    augmentations = tf.broadcast_to(batch["augmentation"][:, None], tf.shape(indices))
    return tf.gather_nd(coverage, tf.stack([indices, augmentations], axis=-1))


def _cut_window(window: dict[str, tf.Tensor], row_lengths: tf.Tensor, batch_size: int) -> tf.data.Dataset:
    """Batches of a window's rows, sorted by length."""
    order = tf.argsort(tf.gather(row_lengths, window["row"]), stable=True)
    count = (tf.size(order, tf.int64) + batch_size - 1) // batch_size

    def take_batch(index: tf.Tensor) -> dict[str, tf.Tensor]:
        indices = order[index * batch_size : (index + 1) * batch_size]
        return {name: tf.gather(values, indices) for name, values in window.items()}

    return tf.data.Dataset.range(count).map(take_batch)


def _to_training_inputs(
    batch: dict[str, tf.Tensor], tokens: dict[str, tf.Tensor], uncounted_labels: Sequence[int]
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """(inputs, labels, sample_weight) of a batch and its packed `tokens` (B, T)."""
    labels, weights = tokens.pop("labels"), tokens.pop("weights")
    counted = tf.not_equal(tokens["segment_ids"], 0)
    for label in uncounted_labels:
        counted &= tf.not_equal(labels, label)
    if "readable" in batch:
        counted &= batch["readable"][:, None]
    images = {name: batch[name] for name in ("features", "images") if name in batch}
    return images | tokens, labels, tf.where(counted, weights, 0.0)
