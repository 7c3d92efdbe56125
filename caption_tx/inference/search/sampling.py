"""Greedy search and sampling as a graph. Letters as in `plan.py`."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from caption_tx.inference.search.logits import DOUBT, NEVER, gumbel, keep_top_k, keep_top_p, likeliest
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec, entry_at, next_values, put
from caption_tx.model.captioner import Captioner

LARGE = 32
"""Images that are searched together from which on drawn captions that go on are parted from those that ended."""


def draw(captioner: Captioner, plan: SearchSpec, features: tf.Tensor, numbers: SearchInputs) -> SearchResult:
    """Greedy search and sampling: every caption goes its own way.

    Drawn captions are of very unequal length. Where a quarter of many images are left, or fewer, these
    go on by themselves (experiments/benchmark_decoding.py says what that gives).
    """
    shape, vocabulary_size = (plan.batch, plan.group), captioner.vocabulary_size
    keys_values = captioner.keys_values(features, training=False)
    temperature = numbers.temperature

    def choose(values: tf.Tensor, index: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(B, G, V) -> the tokens taken, and whether the logits' last bits could have changed them; (B, G) each."""
        if not plan.drawn:
            chosen, _, close = likeliest(values, DOUBT)
            return chosen, close
        values /= temperature
        noisy = values + gumbel(tf.gather(keys, index, axis=2), vocabulary_size)
        if not plan.top_k and not plan.top_p:
            chosen, _, close = likeliest(noisy, DOUBT / temperature)
            return chosen, close
        kept, border = tf.nn.softmax(values), tf.zeros(values.shape, tf.bool)
        if plan.top_k:
            kept, border = keep_top_k(kept, numbers.top_k, temperature)
        if plan.top_p:
            kept, unsure = keep_top_p(kept, numbers.top_p, temperature)
            border |= unsure
        chosen, highest, close = likeliest(tf.where(kept > 0, noisy, NEVER), DOUBT / temperature)
        rival = tf.reduce_max(tf.where(border, noisy, NEVER), axis=-1)
        return chosen, close | (rival > highest - DOUBT / temperature)

    def step(keys_values, keys, index, token, done, near_tie, tokens, log_probabilities, total, cache):  # noqa: ANN001, ANN202
        logits, cache = captioner.step(token, index, keys_values, cache)
        log_probs = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        values = next_values(plan, numbers, log_probs, tokens, index)
        chosen, unsure = choose(values, index, keys)
        given = index < numbers.prefix_length
        chosen = tf.where(given, numbers.prefix[index], chosen)
        own = entry_at(log_probs, chosen)
        value = tf.where(given, own, entry_at(values, chosen))
        tokens = put(tokens, index, tf.where(done, plan.pad, chosen))
        log_probabilities = put(log_probabilities, index, tf.where(done, 0.0, own))
        total += tf.where(done, 0.0, value)
        near_tie |= unsure & ~done & ~given
        return index + 1, chosen, done | (chosen == plan.end), near_tie, tokens, log_probabilities, total, cache

    def run(few: int, keys_values: list, keys: tf.Tensor, state: tuple) -> tuple:
        """Goes on until so few images have captions that have not ended."""

        def goes_on(index: tf.Tensor, token: tf.Tensor, done: tf.Tensor, *_: Any) -> tf.Tensor:
            return (index < plan.length) & (tf.reduce_sum(tf.cast(_lively(done), tf.int32)) > few)

        return tf.while_loop(goes_on, lambda *state: step(keys_values, keys, *state), state)

    state = (
        tf.constant(0),
        tf.fill(shape, plan.start),
        tf.broadcast_to(tf.range(plan.batch)[:, None] >= numbers.count, shape),
        tf.zeros(shape, tf.bool),
        tf.fill((*shape, plan.length), plan.pad),
        tf.zeros((*shape, plan.length)),
        tf.zeros(shape),
        captioner.empty_cache(plan.batch, plan.length, plan.group),
    )
    few = plan.batch // 4 if plan.drawn and plan.batch >= LARGE else 0
    index, *captions, cache = run(few, keys_values, numbers.keys, state)
    if few:
        _, places = tf.math.top_k(tf.cast(_lively(captions[1]), tf.float32), few)
        rest, memory, keys = tf.nest.map_structure(
            lambda part: tf.gather(part, places), ((*captions, cache), keys_values, numbers.keys)
        )
        _, *rest, _ = run(0, memory, keys, (index, *rest))
        captions = [
            tf.tensor_scatter_nd_update(all_, places[:, None], some) for all_, some in zip(captions, rest, strict=True)
        ]
    _, done, near_tie, tokens, log_probabilities, total = captions
    return SearchResult(tokens, log_probabilities, total, done, tf.reduce_any(near_tie, axis=-1))


def _lively(done: tf.Tensor) -> tf.Tensor:
    """Boolean (B, G), which captions have ended -> (B,), the images that have others."""
    return ~tf.reduce_all(done, axis=-1)
