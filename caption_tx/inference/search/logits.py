"""What a search does to one step's log-probabilities before it selects a token: penalties, filters and noise.

Shape letters as in `spec.py`. These are plain TensorFlow functions without state, for use within a graph.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from caption_tx.inference.search.arrays import batch_size_of
from caption_tx.inference.search.spec import SearchInputs, SearchSpec

NEGATIVE_INFINITY = -np.inf
"""The log-probability of a suppressed token."""

TIE_MARGIN = 2e-5
"""Nats. Log-probabilities computed in batches of different sizes differed by at most 2.4e-6 where it was measured."""


def adjust_log_probs(
    spec: SearchSpec, inputs: SearchInputs, log_probs: tf.Tensor, token_ids: tf.Tensor, index: tf.Tensor
) -> tf.Tensor:
    """Apply the repetition penalty and suppress tokens in the log-probabilities (B, G, V) of position `index`.

    Args:
        token_ids: int (B, G, P), the captions so far in the first `index` positions.
    """
    vocabulary_size = log_probs.shape[-1]
    is_end = tf.range(vocabulary_size) == spec.end_token_id
    adjusted = log_probs
    if spec.repetition_penalty:
        written = tf.broadcast_to(tf.range(spec.length) < index, tf.shape(token_ids))  # (B, G, P)
        present = token_mask(token_ids, written, vocabulary_size)
        adjusted = tf.where(present, adjusted * inputs.repetition_penalty, adjusted)
    suppressed = inputs.suppressed | (is_end & (index < inputs.min_length))
    if spec.no_repeat_ngram:
        suppressed |= repeated_ngram_mask(token_ids, index, spec.no_repeat_ngram, vocabulary_size)
        # If every word would repeat an n-gram, the caption may end.
        suppressed &= ~(is_end & tf.reduce_all(suppressed, axis=-1, keepdims=True))
    return tf.where(suppressed, NEGATIVE_INFINITY, adjusted)


def token_mask(token_ids: tf.Tensor, selected: tf.Tensor, vocabulary_size: int) -> tf.Tensor:
    """Boolean (B, G, V), which tokens occur in the selected positions.

    Args:
        token_ids: int (B, G, M).
        selected: boolean, broadcastable to (B, G, M).
    """
    matches = token_ids[..., None] == tf.range(vocabulary_size)  # (B, G, M, V)
    return tf.reduce_any(matches & selected[..., None], axis=-2)


def repeated_ngram_mask(token_ids: tf.Tensor, index: tf.Tensor, size: int, vocabulary_size: int) -> tf.Tensor:
    """Boolean (B, G, V), which tokens at position `index` would repeat an n-gram of `size` tokens.

    Args:
        token_ids: int (B, G, P), the captions so far in the first `index` positions.
    """
    num_starts = token_ids.shape[-1] - size + 1
    if num_starts < 1:
        return tf.zeros((batch_size_of(token_ids), token_ids.shape[1], vocabulary_size), tf.bool)
    matches = tf.range(num_starts) + size <= index  # the n-gram lies within the caption so far
    for offset in range(size - 1):
        latest = tf.gather(token_ids, tf.maximum(index - (size - 1) + offset, 0), axis=-1)
        matches &= token_ids[..., offset : offset + num_starts] == latest[..., None]
    matches = tf.broadcast_to(matches, (batch_size_of(token_ids), token_ids.shape[1], num_starts))
    return token_mask(token_ids[..., size - 1 :], matches, vocabulary_size)


def argmax(values: tf.Tensor, margin: tf.Tensor | float = 0.0) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Find the highest of (.., V) values.

    It uses reductions of floats, which XLA runs on CPUs many times faster than `tf.argmax`.

    Returns:
        The index of the highest value (the lowest index of equal ones), the value itself, and whether another value
        is within `margin` of it; (..) each.
    """
    indices = tf.range(values.shape[-1], dtype=tf.float32)
    highest = tf.reduce_max(values, axis=-1, keepdims=True)
    best = tf.reduce_min(tf.where(values == highest, indices, values.shape[-1] - 1.0), axis=-1)
    near_tie = tf.reduce_sum(tf.where(values > highest - margin, 1.0, 0.0), axis=-1) > 1
    return tf.cast(best, tf.int32), highest[..., 0], near_tie


def _threshold(probs: tf.Tensor, weights: tf.Tensor | float, target: tf.Tensor) -> tf.Tensor:
    """The highest threshold t for which the weights of all probabilities >= t sum to `target`; 0 if none does.

    A bisection over the bit patterns, which order non-negative floats like integers. Its 31 sums are much faster
    than sorting the vocabulary.

    Args:
        probs: float32 (.., V) in [0, 1].
        weights: broadcastable to (.., V).
        target: broadcastable to (.., 1).
    """
    bits = tf.bitcast(probs, tf.int32)
    low = tf.zeros_like(bits[..., :1])
    high = low + int(np.float32(1).view(np.int32)) + 1

    def halve(step: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, ...]:
        middle = low + (high - low) // 2
        enough = tf.reduce_sum(tf.where(bits >= middle, weights, 0.0), axis=-1, keepdims=True) >= target
        return step + 1, tf.where(enough, middle, low), tf.where(enough, high, middle)

    _, low, _ = tf.while_loop(lambda step, *_: step < 31, halve, (0, low, high))
    return tf.bitcast(low, tf.float32)


def _is_near(probs: tf.Tensor, threshold: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Which probabilities equal the threshold up to rounding in the logits."""
    factor = tf.exp(TIE_MARGIN / temperature)
    return (probs >= threshold / factor) & (probs <= threshold * factor) & (threshold > 0)


def keep_top_k(probs: tf.Tensor, k: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Set all but the k highest probabilities to 0.

    Returns:
        The filtered probabilities (B, G, V), and boolean (B, G, V): tokens that rounding could move in or out.
    """
    threshold = _threshold(probs, 1.0, tf.cast(k, tf.float32))
    kept, near = probs >= threshold, _is_near(probs, threshold, temperature)
    return tf.where(kept, probs, 0.0), near & tf.reduce_any(near & ~kept, axis=-1, keepdims=True)


def keep_top_p(probs: tf.Tensor, p: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Keep the smallest set of highest probabilities whose sum reaches the fraction p of the total; set others to 0.

    Returns:
        The filtered probabilities (B, G, V), and boolean (B, G, V): tokens that rounding could move in or out.
    """
    total = tf.reduce_sum(probs, axis=-1, keepdims=True)
    threshold = _threshold(probs, probs, p * total)
    kept = probs >= threshold
    below = tf.reduce_max(tf.where(kept, 0.0, probs), axis=-1, keepdims=True)

    def is_borderline(part: tf.Tensor) -> tf.Tensor:
        mass = tf.reduce_sum(tf.where(part, probs, 0.0), axis=-1, keepdims=True) / total
        # If logits change by d, a mass m changes by at most 2 m (1 - m) d / temperature.
        return tf.abs(mass - p) < 1e-6 + 2 * mass * (1 - mass) * TIE_MARGIN / temperature

    near = _is_near(probs, threshold, temperature)
    border = near & (is_borderline(probs > threshold) | tf.reduce_any(near & ~kept, axis=-1, keepdims=True))
    return tf.where(kept, probs, 0.0), border | (_is_near(probs, below, temperature) & is_borderline(kept))


def mix(bits: tf.Tensor) -> tf.Tensor:
    """A bijective hash of 32 bits in which every output bit depends on all input bits (MurmurHash3's finalizer)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32)))
        bits *= tf.constant(factor, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))


def _exponential(uniform: tf.Tensor) -> tf.Tensor:
    """-log(1 - uniform) for float32 in (0, 1), exact near 0 also where log1p is computed as log(1 + x)."""
    series = uniform * (1 + uniform * (1 / 2 + uniform * (1 / 3 + uniform / 4)))
    return tf.where(uniform < 0.01, series, -tf.math.log(1 - uniform))


def gumbel_noise(random_numbers: tf.Tensor, vocabulary_size: int) -> tf.Tensor:
    """Standard Gumbel noise (.., V), a pure function of random bits, uint32 (.., 2), or of uniforms, float32 (.., V).

    The argmax of log-probabilities plus this noise is a sample from the distribution (Gumbel 1954). Rounding errors
    in the logits change it only if the two highest sums nearly tie. Inverting the cumulative distribution instead
    would be sensitive at the border of every two tokens.
    """
    if random_numbers.dtype == tf.float32:
        return -tf.math.log(_exponential(random_numbers))
    indices = tf.cast(tf.range(vocabulary_size), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    bits = mix(tf.bitwise.bitwise_xor(mix(indices + random_numbers[..., :1]), random_numbers[..., 1:]))
    # Uniform in (0, 1) with the finest resolution near 0, where the highest noise comes from.
    uniform = tf.minimum((tf.cast(bits, tf.float32) + 0.5) * 2.0**-32, 1 - 2.0**-24)
    return -tf.math.log(-tf.math.log1p(-uniform))
