"""Filters, argmax and noise of one search step compared with NumPy, with exact ties and near ties."""

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.inference.search.logits import (
    TIE_MARGIN,
    argmax,
    gumbel_noise,
    keep_top_k,
    keep_top_p,
    repeated_ngram_mask,
)

TIE, HAIR, APART = 0.0, TIE_MARGIN / 4, 100 * TIE_MARGIN
"""Nats between two tokens: none, less than rounding can change, and more."""


def make_probs(*gaps):
    """Probabilities (1, 1, V), float32, shuffled; `gaps` are the differences of their sorted logarithms."""
    logits = -np.cumsum([0.0, *gaps])
    probs = np.exp(logits - np.logaddexp.reduce(logits)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(probs))
    return probs[order][None, None], np.argsort(order)


def run(keep, probs, expected, temperature=1.0):
    kept, border = keep(tf.constant(probs), tf.constant(expected), tf.constant(temperature, tf.float32))
    return kept.numpy()[0, 0], border.numpy()[0, 0]


def sorted_top_k(probs, k):
    lowest = np.sort(probs)[::-1][min(k, len(probs)) - 1]
    return np.where(probs >= lowest, probs, 0)


def sorted_top_p(probs, p):
    descending = np.sort(probs)[::-1].astype(np.float64)
    lowest = descending[np.searchsorted(np.cumsum(descending), p * descending.sum())]
    return np.where(probs >= np.float32(lowest), probs, 0)


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_top_k_and_top_p_equal_sorting(count):
    random = np.random.default_rng(count)
    for _ in range(2):
        logits = random.normal(0, 3, count)
        probs = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
        probs[random.integers(0, count, count // 3)] = probs[0]  # exact ties
        probs /= probs.sum()
        for k in {1, count // 2 + 1, count + 3}:
            np.testing.assert_array_equal(run(keep_top_k, probs[None, None], k)[0], sorted_top_k(probs, k))
        for p in (0.0123, 0.77, 0.987):
            expected = sorted_top_p(probs, p)
            np.testing.assert_array_equal(run(keep_top_p, probs[None, None], np.float32(p))[0], expected)


@pytest.mark.parametrize("exponent", [-20, -3, -1])
def test_adjacent_floats_are_distinguished(exponent):
    """Adjacent float32 numbers: a threshold that is not exact to the last bit would keep both."""
    low = np.float32(2.0**exponent * 1.2345)
    high = np.nextafter(low, np.float32(1))
    for pair in ((high, low), (low, high), (np.nextafter(high, np.float32(1)), high)):
        probs = np.array([0, *pair, 0], np.float32)[None, None]
        kept, border = run(keep_top_k, probs, 1)
        np.testing.assert_array_equal(kept, sorted_top_k(probs[0, 0], 1))
        assert np.count_nonzero(kept) == 1
        assert border.tolist() == [False, True, True, False]  # in another batch either one could be higher


@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
def test_top_k_marks_near_ties_at_its_border(temperature):
    for gap, unsure in ((HAIR, True), (APART, False), (TIE, False)):
        probs, token_of_rank = make_probs(0.5, 0.5, gap / temperature, 0.5)
        kept, border = run(keep_top_k, probs, 3, temperature)
        assert np.count_nonzero(kept) == 3 + (gap == TIE)  # tokens that tie with the last one are kept
        expected = np.zeros(5, bool)
        expected[token_of_rank[[2, 3]]] = unsure
        assert border.tolist() == expected.tolist(), gap


@pytest.mark.parametrize("kept_count", [1, 2, 3])
def test_top_p_marks_tokens_that_rounding_of_the_mass_decides(kept_count):
    probs, token_of_rank = make_probs(0.5, 0.5, 0.5, 0.5)
    descending = np.sort(probs[0, 0].astype(np.float64))[::-1]
    mass = descending[:kept_count].sum() / descending.sum()
    for distance, count, unsure in (
        (-1e-7, kept_count, {kept_count - 1, kept_count}),
        (1e-7, kept_count + 1, {kept_count - 1, kept_count}),
        (-1e-3, kept_count, set()),
        (1e-3, kept_count + 1, set()),
    ):
        kept, border = run(keep_top_p, probs, np.float32(mass + distance))
        if abs(distance) > 1e-5:
            assert np.count_nonzero(kept) == count
            assert not border.any()
        else:
            assert token_of_rank[kept_count] in np.flatnonzero(border)  # kept or not
            assert set(np.flatnonzero(border)) <= {token_of_rank[value] for value in unsure}


def test_top_p_marks_ties_at_its_border():
    probs, token_of_rank = make_probs(0.5, HAIR, 0.5)
    p = probs[0, 0, token_of_rank[0]] + 0.5 * probs[0, 0, token_of_rank[1]]
    kept, border = run(keep_top_p, probs, p)
    assert np.flatnonzero(kept).tolist() == sorted(token_of_rank[:2])
    assert np.flatnonzero(border).tolist() == sorted(token_of_rank[1:3])


def test_argmax_reports_near_ties():
    values = tf.constant([[1.0, 3.0, 3.0, -np.inf], [1.0, 3.0, 3.0 - HAIR, 0.0], [3.0, 1.0, 3.0 - APART, 0.0]])
    chosen, highest, close = argmax(values, TIE_MARGIN)
    assert chosen.numpy().tolist() == [1, 1, 0]
    assert highest.numpy().tolist() == [3.0, 3.0, 3.0]
    assert close.numpy().tolist() == [True, True, False]


def test_gumbel_noise_is_finite_for_any_bits():
    # Token 0 with a first key of 0 hashes to 0, so the second key alone determines the bits.
    expected = np.array([0xFFFFFFFF, 0xFFFFFF80, 0xFFFFFF00, 0x80000000, 1, 0], np.uint32)
    keys = np.stack([np.zeros_like(expected), invert_mix(expected)], axis=-1)
    noise = gumbel_noise(tf.constant(keys), 1).numpy()[:, 0]
    assert np.isfinite(noise).all()
    assert (np.diff(noise) >= 0).all()
    uniform = np.minimum((expected.astype(np.float64) + 0.5) / 2**32, 1 - 2.0**-24)
    np.testing.assert_allclose(noise, -np.log(-np.log1p(-uniform)), rtol=1e-5, atol=1e-6)


def invert_mix(bits):
    """The inverse of `_mix`."""
    bits = [int(value) for value in bits]
    inverted = []
    for value in bits:
        value ^= value >> 16
        for shift, factor in ((13, 0xC2B2AE35), (16, 0x85EBCA6B)):
            value = value * pow(factor, -1, 2**32) % 2**32
            whole = value
            for _ in range(32 // shift + 1):
                whole = value ^ (whole >> shift)
            value = whole
        inverted.append(value)
    return np.array(inverted, np.uint32)


def test_ngram_longer_than_the_caption_repeats_nothing():
    tokens = tf.constant([[[4, 4, 4, 4]]])
    assert np.flatnonzero(repeated_ngram_mask(tokens, tf.constant(3), 2, 6)).tolist() == [4]
    assert np.flatnonzero(repeated_ngram_mask(tokens, tf.constant(3), 4, 6)).tolist() == []
    for size in (5, 8):
        nothing = repeated_ngram_mask(tokens, tf.constant(3), size, 6)
        assert nothing.shape == (1, 1, 6) and not nothing.numpy().any()
