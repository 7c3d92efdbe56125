"""Packs all captions of an image into one row of tokens: in memory as token lists, in the graph as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from caption_tx.data.text.tokenizer import TokenLists


@dataclass(frozen=True)
class AttentionTargets:
    """The cells that words should attend to, for the words that name boxes.

    Attributes:
        indices: int32, one for each of the packed tokens: its row of `coverage`; 0 for a token without boxes.
        coverage: uint8 (rows, augmentations, S), the share of each cell that the boxes cover, times 255. Row 0 is 0,
            and so are augmentations that do not show the boxes.
    """

    indices: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True)
class PackedCaptions:
    """The tokenized captions of n images, grouped by image.

    Attributes:
        images: names of the n images.
        caption_splits: int64 (n+1,); image i owns captions `caption_splits[i]` to `caption_splits[i+1]` of `tokens`.
        tokens: the token_ids of each caption, from its start token to its end token.
        weights: float32 (captions,), the loss weight of each caption.
        targets: where words should attend; None without boxes.
    """

    images: tuple[str, ...]
    caption_splits: np.ndarray
    tokens: TokenLists
    weights: np.ndarray
    targets: AttentionTargets | None = None

    def row_lengths(self) -> np.ndarray:
        """Tokens of each image's row, int32 (n,): the last token of each caption is a label but no input."""
        ends = self.tokens.row_splits[self.caption_splits]
        return (np.diff(ends) - np.diff(self.caption_splits)).astype(np.int32)


def pack_captions(images: Sequence[str], tokens: TokenLists, weights: np.ndarray | None = None) -> PackedCaptions:
    """Groups captions by image, in the order of each image's first caption.

    Args:
        images: the image of each caption.
        tokens: the token_ids of each caption, at least 2.
        weights: loss weight of each caption, above 0; 1 by default.
    """
    codes, names = pd.factorize(np.asarray(images, dtype=object))
    order = np.argsort(codes, kind="stable")
    splits = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(names)))]).astype(np.int64)
    weights = np.ones(len(order)) if weights is None else np.asarray(weights)
    return PackedCaptions(tuple(names), splits, tokens.take(order), weights[order].astype(np.float32))


def row_packer(packed: PackedCaptions) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a graph function that lays out the rows of a batch, so that only the tokens stay in memory.

    The function takes image indices (B,) and the length T, and returns tensors (B, T): `token_ids`, `labels`,
    `positions` that restart with every caption, `segment_ids` that number the captions from 1 (0 is padding),
    `weights`, and with targets `target_indices`, the row of their coverage for each label.
    """
    caption_splits, token_splits = tf.constant(packed.caption_splits), tf.constant(packed.tokens.row_splits)
    values, weights = tf.constant(packed.tokens.values, tf.int32), tf.constant(packed.weights)
    row_lengths = tf.constant(packed.row_lengths())
    targets = None if packed.targets is None else tf.constant(packed.targets.indices, tf.int32)

    def pack(rows: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        captions = tf.ragged.range(tf.gather(caption_splits, rows), tf.gather(caption_splits, rows + 1))
        begin, end = tf.gather(token_splits, captions.values), tf.gather(token_splits, captions.values + 1)
        inputs = tf.ragged.range(begin, end - 1)  # the end token is no input
        indices, lengths = inputs.values, inputs.row_lengths()
        segments = captions.values - tf.repeat(tf.gather(caption_splits, rows), captions.row_lengths()) + 1
        flat = {
            "token_ids": tf.gather(values, indices),
            "labels": tf.gather(values, indices + 1),  # the start token is no label
            "positions": tf.cast(indices - tf.repeat(begin, lengths), tf.int32),
            "segment_ids": tf.cast(tf.repeat(segments, lengths), tf.int32),
            "weights": tf.repeat(tf.gather(weights, captions.values), lengths),
        }
        if targets is not None:
            flat["target_indices"] = tf.gather(targets, indices + 1)
        splits = tf.concat([[0], tf.cumsum(tf.gather(row_lengths, rows))], axis=0)
        return {name: _pad(part, splits, length) for name, part in flat.items()}  # (B, T)

    return pack


def _pad(values: tf.Tensor, row_splits: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Pads the rows of a ragged tensor with zeros, to (B, length)."""
    tensor = tf.raw_ops.RaggedTensorToTensor(
        shape=tf.stack([-1, length]),
        values=values,
        default_value=tf.zeros((), values.dtype),
        row_partition_tensors=[row_splits],
        row_partition_types=["ROW_SPLITS"],
    )
    return tf.ensure_shape(tensor, (None, None))
