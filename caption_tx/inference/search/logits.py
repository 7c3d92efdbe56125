"""What is done to one step's log-probabilities before a word is taken: bars, penalties, cuts and noise.

Letters: B images, G captions of each that a search follows, P positions, V vocabulary_size. These are plain
TensorFlow functions without state, for use within a graph.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

NEVER = -np.inf
"""The value of a token that may not be taken."""

DOUBT = 2e-5
"""Nats. Batches of different sizes give log-probabilities that differ by 2.4e-6 at most where it was measured."""


def words_of(tokens: tf.Tensor, counted: tf.Tensor, vocabulary_size: int) -> tf.Tensor:
    """int (B, G, M) and boolean, broadcastable to it -> boolean (B, G, V): the tokens among those counted."""
    same = tokens[..., None] == tf.range(vocabulary_size)
    return tf.reduce_any(same & counted[..., None], axis=-2)


def repeating(tokens: tf.Tensor, index: tf.Tensor, size: int, vocabulary_size: int) -> tf.Tensor:
    """The tokens that at position `index` would complete a run of `size` tokens that is there already.

    Args:
        tokens: int (B, G, P), of which the first `index` are the captions so far.

    Returns:
        Boolean (B, G, V).
    """
    starts = tokens.shape[-1] - size + 1
    if starts < 1:
        return tf.zeros((*tokens.shape[:2], vocabulary_size), tf.bool)
    same = tf.range(starts) + size <= index  # the run lies within the caption so far
    for place in range(size - 1):
        latest = tf.gather(tokens, tf.maximum(index - (size - 1) + place, 0), axis=-1)
        same &= tokens[..., place : place + starts] == latest[..., None]
    same = tf.broadcast_to(same, (*tokens.shape[:2], starts))
    return words_of(tokens[..., size - 1 :], same, vocabulary_size)


def likeliest(values: tf.Tensor, margin: tf.Tensor | float = 0.0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(.., V) -> the place of the highest value, the lowest of several; the value; whether another is within `margin`.

    Reductions of floats, which XLA runs on CPUs many times faster than an argmax.
    """
    places = tf.range(values.shape[-1], dtype=tf.float32)
    highest = tf.reduce_max(values, axis=-1, keepdims=True)
    chosen = tf.reduce_min(tf.where(values == highest, places, values.shape[-1] - 1.0), axis=-1)
    close = tf.reduce_sum(tf.where(values > highest - margin, 1.0, 0.0), axis=-1) > 1
    return tf.cast(chosen, tf.int32), highest[..., 0], close


def _lowest_kept(shares: tf.Tensor, weights: tf.Tensor | float, wanted: tf.Tensor) -> tf.Tensor:
    """The highest share t for which the weights of all shares >= t make up `wanted`; 0 where none does.

    Found by halving the range of the numbers' bits, which order non-negative floats as integers do:
    31 sums, where sorting the whole vocabulary took longer by far.

    Args:
        shares: float32 (.., V) in [0, 1]. weights: broadcastable to it. wanted: broadcastable to (.., 1).
    """
    bits = tf.bitcast(shares, tf.int32)
    low = tf.zeros_like(bits[..., :1])
    high = low + int(np.float32(1).view(np.int32)) + 1

    def halve(step: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        middle = low + (high - low) // 2
        enough = tf.reduce_sum(tf.where(bits >= middle, weights, 0.0), axis=-1, keepdims=True) >= wanted
        return step + 1, tf.where(enough, middle, low), tf.where(enough, high, middle)

    _, low, _ = tf.while_loop(lambda step, *_: step < 31, halve, (0, low, high))
    return tf.bitcast(low, tf.float32)


def _near(shares: tf.Tensor, share: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Which shares could have come out as this one."""
    factor = tf.exp(DOUBT / temperature)
    return (shares >= share / factor) & (shares <= share * factor) & (share > 0)


def keep_top_k(shares: tf.Tensor, k: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The k highest of the shares (B, G, V), the rest 0; and boolean (B, G, V), which are in or out by a hair."""
    lowest = _lowest_kept(shares, 1.0, tf.cast(k, tf.float32))
    kept, near = shares >= lowest, _near(shares, lowest, temperature)
    return tf.where(kept, shares, 0.0), near & tf.reduce_any(near & ~kept, axis=-1, keepdims=True)


def keep_top_p(shares: tf.Tensor, p: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The fewest highest shares (B, G, V) that hold the part p of all, the rest 0; and which are in or out by a hair,
    boolean (B, G, V).
    """
    total = tf.reduce_sum(shares, axis=-1, keepdims=True)
    lowest = _lowest_kept(shares, shares, p * total)
    kept = shares >= lowest
    below = tf.reduce_max(tf.where(kept, 0.0, shares), axis=-1, keepdims=True)

    def unsure(part: tf.Tensor) -> tf.Tensor:
        mass = tf.reduce_sum(tf.where(part, shares, 0.0), axis=-1, keepdims=True) / total
        # Where logits move by d, a mass m moves by at most 2 m (1 - m) d / temperature.
        return tf.abs(mass - p) < 1e-6 + 2 * mass * (1 - mass) * DOUBT / temperature

    near = _near(shares, lowest, temperature)
    border = near & (unsure(shares > lowest) | tf.reduce_any(near & ~kept, axis=-1, keepdims=True))
    return tf.where(kept, shares, 0.0), border | (_near(shares, below, temperature) & unsure(kept))


def _mix(bits: tf.Tensor) -> tf.Tensor:
    """A one-to-one scrambling of 32 bits in which every bit depends on all (the last step of MurmurHash3)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32)))
        bits *= tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))


def gumbel(keys: tf.Tensor, vocabulary_size: int) -> tf.Tensor:
    """Standard Gumbel noise (.., V) that follows from the keys, uint32 (.., 2), and from nothing else.

    The place of the highest sum of log-probability and noise is a draw from the distribution (Gumbel 1954).
    It changes with the logits' last bits only where two sums all but tie, while a search through cumulated
    shares can change at the border of any two tokens.
    """
    places = tf.cast(tf.range(vocabulary_size), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    bits = _mix(tf.bitwise.bitwise_xor(_mix(places + keys[..., :1]), keys[..., 1:]))
    # In (0, 1), finest near 0, where the highest noise comes from.
    uniform = tf.minimum((tf.cast(bits, tf.float32) + 0.5) * 2.0**-32, 1 - 2.0**-24)
    return -tf.math.log(-tf.math.log1p(-uniform))
