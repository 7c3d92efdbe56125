"""Pooling of layers and heads, checked by hand where possible."""

import math

import numpy as np
import pytest

from caption_tx.config import DEFAULT_POOL, POOL_NAMES
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import (
    ALL_HEADS,
    POOLINGS,
    MapSelection,
    entropy,
    jensen_shannon_divergence,
    likelihood_weights,
    most_divergent_head,
    posterior,
    rollout,
    select_maps,
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


def test_pooling_by_hand():
    scores = np.array([[1.0, 2.0], [3.0, 10.0]]).reshape(2, 2, 1, 1, 1)

    def pooled(**selection):
        return MapSelection(**selection).pooled(scores).item()

    assert pooled() == 4.0
    assert pooled(pool="max") == 10.0
    assert pooled(layer=0) == 1.5
    assert pooled(layer=-1) == 6.5
    assert pooled(head=1) == 6.0
    assert pooled(layer=1, head=0) == 3.0
    assert pooled(head=0, pool="max") == 3.0


def test_every_pooling(scores, self_scores):
    assert {*POOLINGS, "rollout", "posterior"} == set(POOL_NAMES)
    for name in POOL_NAMES:
        selection = MapSelection(pool=name)
        assert selection.pooled(scores, self_scores, np.zeros((T, H, W))).shape == (T, H, W)
        assert "uniform: 0.048" in selection.unit(scores)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"layer": 2}, r"no layer 2: the model has 2 layer"),
        ({"layer": -3}, r"no layer -3"),
        ({"head": 3}, r"no head 3: the model has 3 head.*0 to 2"),
        ({"pool": "median"}, r"'median'; choose from sharp, mean, max"),
    ],
)
def test_selection_errors(scores, selection, message):
    with pytest.raises(CaptionTxError, match=message):
        MapSelection(**selection).pooled(scores)


def test_the_posterior_by_hand():
    maps = np.array([[[0.6, 0.2], [0.2, 0.0]]])
    logs = np.log([[[0.01, 0.04], [0.16, 1.0]]])
    np.testing.assert_allclose(likelihood_weights(logs)[0], [[0.1, 0.2], [0.4, 1.0]])
    np.testing.assert_allclose(posterior(maps, logs)[0], np.array([[0.06, 0.04], [0.08, 0.0]]) / 0.18)
    np.testing.assert_allclose(posterior(maps, logs - 1000), posterior(maps, logs))  # only ratios matter


def test_the_posterior_weights_the_sharpened_maps_of_the_selection(scores):
    logs = np.random.default_rng(2).normal(size=(T, H, W))
    for selection in ({}, {"layer": 1}, {"head": 0}):
        prior = scores[[selection["layer"]] if "layer" in selection else slice(None)]
        prior = prior[:, [selection["head"]] if "head" in selection else slice(None)].mean(axis=(0, 1)) ** 2
        expected = prior * np.exp(logs / 2)
        expected /= expected.sum(axis=(1, 2), keepdims=True)
        own = MapSelection(pool="posterior", **selection)
        np.testing.assert_allclose(own.pooled(scores, None, logs), expected, atol=1e-9)
    single = MapSelection(layer=0, head=1, pool="posterior")
    np.testing.assert_array_equal(single.pooled(scores), scores[0, 1])
    with pytest.raises(CaptionTxError, match="log-probabilities of cells, and these maps have none"):
        MapSelection(pool="posterior").pooled(scores)
    with pytest.raises(CaptionTxError, match=r"shape \(5, 3, 7\), got \(5, 3, 6\)"):
        MapSelection(pool="posterior").pooled(scores, None, logs[:, :, 1:])


def test_scores_need_all_axes():
    with pytest.raises(CaptionTxError, match=r"layer, head, token, row, column.*\(5, 3, 7\)"):
        MapSelection().pooled(np.ones((T, H, W)))


def test_entropy():
    uniform, peak = np.full((2, 2), 0.25), np.array([[1.0, 0], [0, 0]])
    np.testing.assert_allclose(entropy(np.stack([uniform, peak])), [math.log(4), 0], atol=1e-12)


def test_jensen_shannon_divergence_by_hand(scores):
    moving = np.zeros((1, 1, 3, 1, 4))
    moving[0, 0, range(3), 0, range(3)] = 1  # a different cell for every word
    fixed = np.zeros((1, 1, 3, 1, 4))
    fixed[..., 2] = 1
    uniform = np.full((1, 1, 3, 1, 4), 0.25)
    values = jensen_shannon_divergence(np.concatenate([moving, fixed, uniform]))[:, 0]
    np.testing.assert_allclose(values, [math.log(3), 0, 0], atol=1e-12)
    half = moving.copy()
    half[0, 0, 2] = half[0, 0, 1]  # probabilities 1/3 and 2/3 on two cells
    expected = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    assert jensen_shannon_divergence(half).item() == pytest.approx(expected)
    assert (jensen_shannon_divergence(scores) > 0).all()


def test_the_most_divergent_head_is_one_of_the_selected_ones(scores):
    scores[0, 1] = np.eye(H * W)[:T].reshape(T, H, W)
    scores[1, 2] = np.eye(H * W)[[0, 0, 0, 1, 2]].reshape(T, H, W)
    assert most_divergent_head(scores) == (0, 1)
    assert most_divergent_head(scores, layer=-1) == (1, 2)
    assert most_divergent_head(scores, head=-1) == (1, 2)
    np.testing.assert_array_equal(MapSelection(pool="spread").pooled(scores), scores[0, 1])
    np.testing.assert_array_equal(MapSelection(1, pool="spread").pooled(scores), scores[1, 2])
    np.testing.assert_array_equal(MapSelection(1, 0, "spread").pooled(scores), scores[1, 0])
    assert "layer 1, head 2, sum over cells = 1" in MapSelection(1, pool="spread").unit(scores)


def test_sharp_maps_are_the_mean_squared_and_scaled(scores):
    for selection in ({}, {"layer": 1}, {"head": -1}):
        mean = MapSelection(**selection).pooled(scores)
        sharp = MapSelection(**selection, pool="sharp").pooled(scores)
        np.testing.assert_allclose(sharp, mean**2 / (mean**2).sum(axis=(1, 2), keepdims=True), rtol=1e-12)
        order, own = (np.argsort(maps.reshape(T, -1)) for maps in (mean, sharp))
        np.testing.assert_array_equal(own, order)
    assert (entropy(sharp) < entropy(mean)).all()
    np.testing.assert_array_equal(MapSelection(1, 0, "sharp").pooled(scores), scores[1, 0])
    one = scores[:1, :1]  # a model with a single head
    assert (entropy(ALL_HEADS.pooled(one)) < entropy(one[0, 0])).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sharp_maps_of_faint_and_empty_maps(dtype):
    faint = np.finfo(dtype).smallest_subnormal * np.array([1, 2, 0, 1])  # their squares are 0
    scores = np.array([faint, np.zeros(4), np.ones(4)], dtype).reshape(1, 1, 3, 2, 2)
    sharp = MapSelection(pool="sharp").pooled(scores).reshape(3, 4)
    assert sharp.dtype == dtype
    np.testing.assert_allclose(sharp, [np.array([1, 4, 0, 1]) / 6, np.zeros(4), np.full(4, 0.25)], rtol=1e-3)


def test_sharp_is_the_default_of_all_layers_and_heads():
    assert ALL_HEADS.pool == DEFAULT_POOL == "sharp"
    assert [select_maps(*shown, None, DEFAULT_POOL).pool for shown in ((None, None), (0, None), (None, 0))] == [
        "sharp",
        "mean",
        "mean",
    ]


@pytest.mark.parametrize(
    ("selection", "source"),
    [
        ({"pool": "sharp"}, "sharp: squared mean over layers and heads, sum over cells = 1"),
        ({"pool": "sharp", "layer": 0}, "sharp: squared mean over the heads of layer 0, sum over cells = 1"),
        ({"pool": "sharp", "layer": 0, "head": 1}, "layer 0, head 1, sum over cells = 1"),
        ({}, "mean over layers and heads, sum over cells = 1"),
        ({"layer": -1}, "mean over the heads of layer 1, sum over cells = 1"),
        ({"head": -1, "pool": "max"}, "max over head 2 of all layers"),
        ({"layer": 0, "pool": "max"}, "max over the heads of layer 0"),
        ({"pool": "rollout"}, "rollout across layers, sum over cells = 1"),
        ({"layer": -2, "pool": "rollout"}, "rollout up to layer 0, sum over cells = 1"),
        ({"layer": 0, "head": 1, "pool": "max"}, "layer 0, head 1, sum over cells = 1"),
        ({"layer": -1, "head": -1}, "layer 1, head 2, sum over cells = 1"),
    ],
    ids=str,
)
def test_the_unit_describes_the_selection(scores, selection, source):
    assert MapSelection(**selection).unit(scores) == f"attention per cell ({source}, uniform: 0.048)"


def test_the_unit_of_all_heads(scores):
    assert unit_of_heads(scores) == "attention per cell (sum over cells = 1, uniform: 0.048)"


def test_rollout_by_hand():
    # Two tokens, two cells. In both layers the first token looks left, the second right.
    scores = np.array([[1.0, 0], [0, 1]]).reshape(1, 1, 2, 1, 2).repeat(2, axis=0)
    # All self-attention of the second token is on the first position.
    own = np.array([[1.0, 0], [1, 0]]).reshape(1, 1, 2, 2).repeat(2, axis=0)
    first, second = rollout(scores, own)[:, :, 0]
    np.testing.assert_allclose(first, [[1, 0], [0, 1]])
    # After layer 0, R = [[1/2, 0], [0, 1/2]]. Self-attention turns row 1 into ([1/2, 0] + [0, 1/2]) / 2 = [1/4, 1/4],
    # cross-attention into [1/8, 5/8], which sums to 3/4.
    np.testing.assert_allclose(second, [[1, 0], [1 / 6, 5 / 6]])


def test_rollout_sums_to_one_and_is_causal(scores, self_scores):
    maps = rollout(scores, self_scores)
    np.testing.assert_allclose(maps.sum(axis=(2, 3)), 1, atol=1e-9)
    np.testing.assert_allclose(maps[0], scores[0].mean(axis=0), atol=1e-9)  # layer 0 has no earlier content to mix
    changed = scores.copy()
    changed[:, :, 3:] = changed[:, :, 3:][..., ::-1]
    np.testing.assert_array_equal(rollout(changed, self_scores)[:, :3], maps[:, :3])
    assert np.abs(rollout(changed, self_scores)[:, 3:] - maps[:, 3:]).max() > 1e-3
    np.testing.assert_array_equal(MapSelection(pool="rollout").pooled(scores, self_scores), maps[-1])
    np.testing.assert_array_equal(MapSelection(0, pool="rollout").pooled(scores, self_scores), maps[0])


@pytest.mark.parametrize(
    ("selection", "own", "message"),
    [
        ({"head": 1}, np.ones((L, N, T, T)), "leave out the head"),
        ({}, None, "needs self-attention scores"),
        ({"layer": 2}, np.ones((L, N, T, T)), "no layer 2"),
        ({}, np.ones((L, N, T, T + 1)), r"\(2, 3, 5, 5\), got \(2, 3, 5, 6\)"),
    ],
)
def test_rollout_errors(scores, selection, own, message):
    with pytest.raises(CaptionTxError, match=message):
        MapSelection(**selection, pool="rollout").pooled(scores, own)
