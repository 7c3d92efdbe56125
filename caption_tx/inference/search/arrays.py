"""Operations on the arrays of a search. Shape letters as in `spec.py`."""

from __future__ import annotations

import tensorflow as tf


def batch_size_of(array: tf.Tensor) -> int | tf.Tensor:
    """B of an array (B, ..): a number if it is known when the graph is built, otherwise a scalar."""
    return tf.shape(array)[0] if array.shape[0] is None else array.shape[0]


def gather_hypotheses(array: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Select hypotheses: (B, G, ..) at int (B, M) -> (B, M, ..)."""
    return tf.gather(array, indices, axis=1, batch_dims=1)


def gather_tokens(array: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """Select one token per hypothesis: (B, G, V) at int (B, G) -> (B, G)."""
    return tf.gather(array, token_ids, axis=2, batch_dims=2)


def set_position(array: tf.Tensor, index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Return (B, G, P) with position `index` replaced by (B, G) values."""
    return tf.where(tf.range(array.shape[-1]) == index, values[..., None], array)
