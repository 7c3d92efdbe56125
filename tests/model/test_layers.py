"""The decoder's layers compared with NumPy, and their masks, configs and steps."""

import keras
import numpy as np
import pytest

from caption_tx.model.embedding import TokenAndPositionEmbedding
from caption_tx.model.layers import (
    CausalSelfAttention,
    CrossAttention,
    DecoderBlock,
    FeedForward,
    ImageMemory,
    attend,
)

B, N, T, S, K, D = 2, 3, 5, 7, 11, 33
CAUSAL = np.tril(np.ones((T, T), bool))[None, None]
LAYERS = {
    "embedding": lambda: TokenAndPositionEmbedding(13, 11, D),
    "memory": lambda: ImageMemory(D, 0.1),
    "self_attention": lambda: CausalSelfAttention(D, N, 0.1),
    "cross_attention": lambda: CrossAttention(D, N, 0.1),
    "feed_forward": lambda: FeedForward(D, 17),
    "block": lambda: DecoderBlock(D, 17, N, 0.1, 0.2, "post"),
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def reference_attend(query, key, value, mask):
    """One target, head and row at a time, over the allowed sources only."""
    context, scores = np.zeros((B, T, N * K)), np.zeros((B, N, T, S))
    for b in range(B):
        for n in range(N):
            for t in range(T):
                allowed = np.flatnonzero(mask[b, t])
                logits = np.array([query[b, n, t] @ key[b, n, s] for s in allowed]) / np.sqrt(K)
                share = np.exp(logits - logits.max())
                scores[b, n, t, allowed] = share / share.sum()
                context[b, t, n * K : (n + 1) * K] = scores[b, n, t] @ value[b, n]
    return context, scores


def test_attend_equals_numpy_reference():
    query, key, value = normal(B, N, T, K), normal(B, N, S, K, seed=1), normal(B, N, S, K, seed=2)
    mask = np.random.default_rng(3).random((B, T, S)) < 0.6
    mask[:, :, 0] = True
    context, scores = attend(query, key, value, mask[:, None])
    expected_context, expected_scores = reference_attend(query, key, value, mask)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-6)
    np.testing.assert_allclose(context, expected_context, atol=1e-5)


def test_attend_returns_scores_before_dropout_and_context_after_it():
    query, key, value = normal(B, N, T, K), normal(B, N, S, K, seed=1), normal(B, N, S, K, seed=2)
    context, scores = attend(query, key, value, dropout=lambda weights: 0 * weights)
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(context, 0)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_attend_is_finite_for_fully_masked_rows(dtype):
    x = normal(B, N, S, K).astype(dtype)
    context, scores = attend(*(keras.ops.convert_to_tensor(x) for _ in range(3)), np.zeros((B, 1, S, S), bool))
    assert np.isfinite(context).all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", LAYERS)
def test_config_round_trip(name):
    layer = LAYERS[name]()
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    shape = (None, 3, 5, 7) if name == "memory" else (None, None, D)
    layer.build(shape)
    again.build(shape)
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in layer.weights]


@pytest.mark.parametrize("name", LAYERS)
def test_config_contains_every_argument(name):
    layer = LAYERS[name]()
    code = type(layer).__init__.__code__
    arguments = set(code.co_varnames[1 : code.co_argcount])
    assert arguments <= set(layer.get_config())


def test_memory_keeps_row_order_and_distinguishes_positions():
    layer = ImageMemory(D)
    same = np.ones((B, 3, 5, 7), np.float32)
    memory = np.asarray(layer(same))
    assert memory.shape == (B, 15, D)
    assert len(np.unique(memory[0].round(5), axis=0)) == 15
    changed = same.copy()
    changed[:, 1, 2] = normal(7)
    differs = np.abs(np.asarray(layer(changed)) - memory).max(axis=(0, 2)) > 1e-6
    assert np.flatnonzero(differs).tolist() == [1 * 5 + 2]


@pytest.mark.parametrize("shape", [(B, 5, 3, 7), (B, 3, 3, 7), (B, 15, 1, 7)])
def test_memory_rejects_another_grid(shape):
    layer = ImageMemory(D)
    layer.build((None, 3, 5, 7))
    with pytest.raises(ValueError, match=r"\(3, 5\) grid"):
        layer(np.ones(shape, np.float32))


def test_self_attention_steps_equal_the_full_pass():
    layer = CausalSelfAttention(D, N)
    x = normal(B, T, D)
    layer.build()
    whole, scores = (np.asarray(part) for part in layer(x, CAUSAL))
    np.testing.assert_allclose(scores.sum(axis=-1), 1, atol=1e-6)
    assert not scores[..., ~CAUSAL[0, 0]].any()
    cache = tuple(keras.ops.zeros((B, N, T + 2, D // N)) for _ in range(2))
    for index in range(T):
        one, cache = layer.step(x[:, index : index + 1], cache, index, np.arange(T + 2) <= index)
        np.testing.assert_allclose(one[:, 0], whole[:, index], atol=1e-5)


def test_cross_attention_scores_have_one_row_per_token():
    layer = CrossAttention(D, N)
    layer.build()
    out, scores = layer(normal(B, T, D), layer.keys_values(normal(B, S, D)))
    assert out.shape == (B, T, D)
    assert scores.shape == (B, N, T, S)
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("norm_order", ["pre", "post"])
def test_block_normalizes_the_input_of_a_branch_or_the_sum(norm_order):
    block = DecoderBlock(D, 17, N, norm_order=norm_order)
    block.build()
    out, scores, self_scores = block(100 * normal(B, T, D), block.cross_attention.keys_values(normal(B, S, D)), CAUSAL)
    assert out.shape == (B, T, D)
    assert scores.shape == (B, N, T, S)
    assert self_scores.shape == (B, N, T, T)
    deviation = np.std(out, axis=-1)
    assert (deviation > 10).all() if norm_order == "pre" else np.allclose(deviation, 1, atol=0.01)
