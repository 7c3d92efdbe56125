"""Attention maps that need no model, for tests of drawing and the page."""

import numpy as np
import pytest

from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.attention.words import END_TOKEN

L, N, H, W = 2, 3, 3, 5


@pytest.fixture(scope="session")
def make_maps():
    """Makes random maps of a Chinese caption with one unknown word, over an image of noise."""

    def make(words=("一只", "龘", "狗", END_TOKEN), image="dog.jpg", seed=0, **changes):
        random = np.random.default_rng(seed)
        tokens = len(words)
        scores = random.random((L, N, tokens, H, W)) ** 4
        scores /= scores.sum(axis=(-2, -1), keepdims=True)
        own = np.tril(random.random((L, N, tokens, tokens)))
        values = {
            "scores": scores.astype(np.float32),
            "words": words,
            "log_probabilities": np.linspace(-3, -0.1, tokens),
            "image": image,
            "caption": "".join(words[:-1]),
            "picture": random.integers(0, 255, (60, 90, 3), dtype=np.uint8),
            "self_scores": own / own.sum(axis=-1, keepdims=True),
            "unknown": tuple(word == "龘" for word in words),
            "language": "zh",
            "cell_log_probabilities": -random.exponential(4, (tokens, H, W)).astype(np.float32),
        }
        return AttentionMaps(**(values | changes))

    return make
