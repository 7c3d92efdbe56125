"""The random numbers of sampling, from the seed and the content of an image. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_bits(seed: int, row_seeds: Sequence[int], samples: int, max_length: int) -> np.ndarray:
    """Random bits, uint32 (B, samples, max_length, 2).

    An image's bits depend only on its row seed and `seed`; a sample's bits do not depend on the number of samples.
    """
    # Convert directly to uint64: through float, integers above 2**53 would lose digits.
    keys = np.array([[seed, row_seed] for row_seed in row_seeds], np.uint64)
    bits = np.stack([np.random.Philox(key=key).random_raw(samples * max_length) for key in keys])
    return bits.view(np.uint32).reshape(len(keys), samples, max_length, 2)


def _mix(bits: np.ndarray) -> np.ndarray:
    """`logits.mix` in NumPy."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return bits ^ (bits >> np.uint32(16))


def expand_bits(bits: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Random bits, uint32 (.., 2) -> the uniform numbers, float32 (.., V), from which `gumbel_noise` is made."""
    indices = np.arange(vocabulary_size, dtype=np.uint32) * np.uint32(0x9E3779B9)
    mixed = _mix(_mix(indices + bits[..., :1]) ^ bits[..., 1:])
    return np.minimum((mixed.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-32), np.float32(1 - 2.0**-24))
