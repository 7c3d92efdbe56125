"""What is kept of a step's words and which noise they get, against NumPy, with ties and all but ties."""

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
"""Nats between two words: none, less and more than what batches can change."""


def make_shares(*gaps):
    """Shares (1, 1, V), float32, in no order, whose logarithms lie so far apart, from the highest on."""
    logits = -np.cumsum([0.0, *gaps])
    probs = np.exp(logits - np.logaddexp.reduce(logits)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(probs))
    return probs[order][None, None], np.argsort(order)


def run(keep, probs, wanted, temperature=1.0):
    kept, border = keep(tf.constant(probs), tf.constant(wanted), tf.constant(temperature, tf.float32))
    return kept.numpy()[0, 0], border.numpy()[0, 0]


def sorted_top_k(probs, k):
    lowest = np.sort(probs)[::-1][min(k, len(probs)) - 1]
    return np.where(probs >= lowest, probs, 0)


def sorted_top_p(probs, p):
    descending = np.sort(probs)[::-1].astype(np.float64)
    lowest = descending[np.searchsorted(np.cumsum(descending), p * descending.sum())]
    return np.where(probs >= np.float32(lowest), probs, 0)


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_top_k_and_top_p_keep_what_sorting_keeps(count):
    random = np.random.default_rng(count)
    for _ in range(2):
        logits = random.normal(0, 3, count)
        probs = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
        probs[random.integers(0, count, count // 3)] = probs[0]  # exact ties
        probs /= probs.sum()
        for k in {1, count // 2 + 1, count + 3}:
            np.testing.assert_array_equal(run(keep_top_k, probs[None, None], k)[0], sorted_top_k(probs, k))
        for p in (0.0123, 0.77, 0.987):
            wanted = sorted_top_p(probs, p)
            np.testing.assert_array_equal(run(keep_top_p, probs[None, None], np.float32(p))[0], wanted)


@pytest.mark.parametrize("exponent", [-20, -3, -1])
def test_neighboring_numbers_are_told_apart(exponent):
    """Two float32 with none between them: a bound that is not found to the last bit keeps both."""
    low = np.float32(2.0**exponent * 1.2345)
    high = np.nextafter(low, np.float32(1))
    for pair in ((high, low), (low, high), (np.nextafter(high, np.float32(1)), high)):
        probs = np.array([0, *pair, 0], np.float32)[None, None]
        kept, border = run(keep_top_k, probs, 1)
        np.testing.assert_array_equal(kept, sorted_top_k(probs[0, 0], 1))
        assert np.count_nonzero(kept) == 1
        assert border.tolist() == [False, True, True, False]  # either could be the higher in another batch


@pytest.mark.parametrize("temperature", [0.5, 1.0, 20.0])
def test_top_k_doubts_the_words_at_its_border_only(temperature):
    for gap, unsure in ((HAIR, True), (APART, False), (TIE, False)):
        probs, place = make_shares(0.5, 0.5, gap / temperature, 0.5)
        kept, border = run(keep_top_k, probs, 3, temperature)
        assert np.count_nonzero(kept) == 3 + (gap == TIE)  # words as likely as the last one stay in
        wanted = np.zeros(5, bool)
        wanted[place[[2, 3]]] = unsure
        assert border.tolist() == wanted.tolist(), gap


@pytest.mark.parametrize("kept_count", [1, 2, 3])
def test_top_p_doubts_what_a_last_bit_of_the_mass_decides(kept_count):
    probs, place = make_shares(0.5, 0.5, 0.5, 0.5)
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
            assert place[kept_count] in np.flatnonzero(border)  # whichever way it fell
            assert set(np.flatnonzero(border)) <= {place[each] for each in unsure}


def test_top_p_doubts_a_tie_of_words_on_its_border():
    probs, place = make_shares(0.5, HAIR, 0.5)
    p = probs[0, 0, place[0]] + 0.5 * probs[0, 0, place[1]]
    kept, border = run(keep_top_p, probs, p)
    assert np.flatnonzero(kept).tolist() == sorted(place[:2])
    assert np.flatnonzero(border).tolist() == sorted(place[1:3])


def test_the_likeliest_says_when_another_is_as_good():
    values = tf.constant([[1.0, 3.0, 3.0, -np.inf], [1.0, 3.0, 3.0 - HAIR, 0.0], [3.0, 1.0, 3.0 - APART, 0.0]])
    chosen, highest, close = argmax(values, TIE_MARGIN)
    assert chosen.numpy().tolist() == [1, 1, 0]
    assert highest.numpy().tolist() == [3.0, 3.0, 3.0]
    assert close.numpy().tolist() == [True, True, False]


def test_noise_is_finite_for_any_bits():
    # Token 0 with a first key of 0 is scrambled to 0, so the second key alone gives the bits.
    wanted = np.array([0xFFFFFFFF, 0xFFFFFF80, 0xFFFFFF00, 0x80000000, 1, 0], np.uint32)
    keys = np.stack([np.zeros_like(wanted), unmix(wanted)], axis=-1)
    noise = gumbel_noise(tf.constant(keys), 1).numpy()[:, 0]
    assert np.isfinite(noise).all()
    assert (np.diff(noise) >= 0).all()
    share = np.minimum((wanted.astype(np.float64) + 0.5) / 2**32, 1 - 2.0**-24)
    np.testing.assert_allclose(noise, -np.log(-np.log1p(-share)), rtol=1e-5, atol=1e-6)


def unmix(bits):
    """The numbers that `_mix` scrambles into these."""
    bits = [int(each) for each in bits]
    undone = []
    for each in bits:
        each ^= each >> 16
        for shift, factor in ((13, 0xC2B2AE35), (16, 0x85EBCA6B)):
            each = each * pow(factor, -1, 2**32) % 2**32
            whole = each
            for _ in range(32 // shift + 1):
                whole = each ^ (whole >> shift)
            each = whole
        undone.append(each)
    return np.array(undone, np.uint32)


def test_a_run_longer_than_the_captions_repeats_nothing():
    tokens = tf.constant([[[4, 4, 4, 4]]])
    assert np.flatnonzero(repeated_ngram_mask(tokens, tf.constant(3), 2, 6)).tolist() == [4]
    assert np.flatnonzero(repeated_ngram_mask(tokens, tf.constant(3), 4, 6)).tolist() == []
    for size in (5, 8):
        nothing = repeated_ngram_mask(tokens, tf.constant(3), size, 6)
        assert nothing.shape == (1, 1, 6) and not nothing.numpy().any()
