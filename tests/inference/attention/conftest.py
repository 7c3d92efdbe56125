"""Attention maps of one Chinese caption, made without a model."""

import numpy as np
import pytest

from caption_tx.inference.attention.maps import AttentionMaps

L, N, T, H, W = 2, 3, 7, 5, 11


@pytest.fixture
def scores():
    raw = np.random.default_rng(0).random((L, N, T, H, W)).astype(np.float32)
    return raw / raw.sum(axis=(-2, -1), keepdims=True)


@pytest.fixture
def maps(scores):
    words = ("一只", "狗", "在", "草地", "上", "奔跑", "[END]")
    log_probabilities = np.linspace(-2, 0, T).astype(np.float32)
    self_scores = np.tril(np.random.default_rng(1).random((L, N, T, T)))
    self_scores /= self_scores.sum(axis=-1, keepdims=True)
    return AttentionMaps(
        scores,
        words,
        log_probabilities,
        image="dog.jpg",
        caption="一只狗在草地上奔跑",
        self_scores=self_scores,
        unknown=(0, 1, 0, 0, 0, 0, 0),
        language="zh",
        cell_log_probabilities=-np.random.default_rng(2).exponential(3, (T, H, W)).astype(np.float32),
    )
