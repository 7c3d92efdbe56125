"""Layers and heads brought down to one map: by hand where it can be done by hand."""

import math

import numpy as np
import pytest

from caption_tx.config import POOL_NAMES
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import (
    POOLINGS,
    entropy,
    most_divergent_head,
    pool,
    rollout,
    spread,
    unit,
    unit_of_heads,
)

L, N, T, H, W = 2, 3, 5, 3, 7


@pytest.fixture
def scores():
    raw = np.random.default_rng(0).random((L, N, T, H, W))
    return raw / raw.sum(axis=(-2, -1), keepdims=True)


@pytest.fixture
def self_scores():
    raw = np.tril(np.random.default_rng(1).random((L, N, T, T)))
    return raw / raw.sum(axis=-1, keepdims=True)


def test_every_name_pools(scores, self_scores):
    assert {*POOLINGS, "rollout"} == set(POOL_NAMES)
    for name in POOL_NAMES:
        assert pool(scores, method=name, self_scores=self_scores).shape == (T, H, W)
        assert "evenly spread: 0.048" in unit(scores, method=name)


def test_entropy():
    even, peak = np.full((2, 2), 0.25), np.array([[1.0, 0], [0, 0]])
    np.testing.assert_allclose(entropy(np.stack([even, peak])), [math.log(4), 0], atol=1e-12)


def test_spread_by_hand(scores):
    moving = np.zeros((1, 1, 3, 1, 4))
    moving[0, 0, range(3), 0, range(3)] = 1  # another cell for every word
    fixed = np.zeros((1, 1, 3, 1, 4))
    fixed[..., 2] = 1
    even = np.full((1, 1, 3, 1, 4), 0.25)
    values = spread(np.concatenate([moving, fixed, even]))[:, 0]
    np.testing.assert_allclose(values, [math.log(3), 0, 0], atol=1e-12)
    half = moving.copy()
    half[0, 0, 2] = half[0, 0, 1]  # p = 1/3, 2/3 on two cells
    assert spread(half).item() == pytest.approx(-(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3))
    assert (spread(scores) > 0).all()


def test_the_widest_head_is_chosen_among_those_asked_for(scores):
    scores[0, 1] = np.eye(H * W)[:T].reshape(T, H, W)
    scores[1, 2] = np.eye(H * W)[[0, 0, 0, 1, 2]].reshape(T, H, W)
    assert most_divergent_head(scores) == (0, 1)
    assert most_divergent_head(scores, layer=-1) == (1, 2)
    assert most_divergent_head(scores, head=-1) == (1, 2)
    np.testing.assert_array_equal(pool(scores, method="spread"), scores[0, 1])
    np.testing.assert_array_equal(pool(scores, layer=1, method="spread"), scores[1, 2])
    np.testing.assert_array_equal(pool(scores, layer=1, head=0, method="spread"), scores[1, 0])
    assert "layer 1, head 2, sum over cells = 1" in unit(scores, layer=1, method="spread")


@pytest.mark.parametrize(
    ("choice", "source"),
    [
        ({}, "mean over layers and heads, sum over cells = 1"),
        ({"layer": -1}, "mean over the heads of layer 1, sum over cells = 1"),
        ({"head": -1, "method": "max"}, "max over head 2 of all layers"),
        ({"layer": 0, "method": "max"}, "max over the heads of layer 0"),
        ({"method": "rollout"}, "rollout across layers, sum over cells = 1"),
        ({"layer": -2, "method": "rollout"}, "rollout up to layer 0, sum over cells = 1"),
        ({"layer": 0, "head": 1, "method": "max"}, "layer 0, head 1, sum over cells = 1"),
        ({"layer": -1, "head": -1}, "layer 1, head 2, sum over cells = 1"),
    ],
    ids=str,
)
def test_the_unit_says_what_was_pooled(scores, choice, source):
    assert unit(scores, **choice) == f"attention per cell ({source}, evenly spread: 0.048)"


def test_the_unit_of_all_heads_apart_names_none(scores):
    assert unit_of_heads(scores) == "attention per cell (sum over cells = 1, evenly spread: 0.048)"


def test_rollout_by_hand():
    # Two tokens, two cells. The first looks left in both layers, the second right.
    scores = np.array([[1.0, 0], [0, 1]]).reshape(1, 1, 2, 1, 2).repeat(2, axis=0)
    # The second token takes all of its self-attention from the first one's position.
    own = np.array([[1.0, 0], [1, 0]]).reshape(1, 1, 2, 2).repeat(2, axis=0)
    first, second = rollout(scores, own)[:, :, 0]
    np.testing.assert_allclose(first, [[1, 0], [0, 1]])
    # Layer 0 leaves R = [[1/2, 0], [0, 1/2]]; self-attention makes row 1 ([1/2, 0] + [0, 1/2]) / 2 = [1/4, 1/4],
    # cross-attention [1/8, 5/8], which is a share of 3/4.
    np.testing.assert_allclose(second, [[1, 0], [1 / 6, 5 / 6]])


def test_rollout_sums_to_one_and_sees_no_later_token(scores, self_scores):
    maps = rollout(scores, self_scores)
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), 1, atol=1e-9)
    np.testing.assert_allclose(maps[0], scores[0].mean(axis=0), atol=1e-9)  # nothing to take over in the first layer
    changed = scores.copy()
    changed[:, :, 3:] = changed[:, :, 3:][..., ::-1]
    np.testing.assert_array_equal(rollout(changed, self_scores)[:, :3], maps[:, :3])
    assert np.abs(rollout(changed, self_scores)[:, 3:] - maps[:, 3:]).max() > 1e-3
    np.testing.assert_array_equal(pool(scores, method="rollout", self_scores=self_scores), maps[-1])
    np.testing.assert_array_equal(pool(scores, 0, method="rollout", self_scores=self_scores), maps[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": 1}, "leave out the head"),
        ({"self_scores": None}, "needs the scores of the self-attention"),
        ({"layer": 2}, "no layer 2"),
        ({"self_scores": np.ones((L, N, T, T + 1))}, r"\(2, 3, 5, 5\), got \(2, 3, 5, 6\)"),
    ],
)
def test_rollout_errors(scores, self_scores, arguments, message):
    with pytest.raises(CaptionTxError, match=message):
        pool(scores, method="rollout", **({"self_scores": self_scores} | arguments))
