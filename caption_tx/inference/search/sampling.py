"""Greedy search and sampling as a graph. Shape letters as in `spec.py`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from caption_tx.inference.search.arrays import batch_size_of, gather_tokens, set_position
from caption_tx.inference.search.logits import (
    NEGATIVE_INFINITY,
    TIE_MARGIN,
    adjust_log_probs,
    argmax,
    gumbel_noise,
    keep_top_k,
    keep_top_p,
)
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec
from caption_tx.model.captioner import Captioner

COMPACTION_BATCH_SIZE = 32
"""Batch size from which sampling gathers the unfinished images into a smaller batch once few are left."""


class _Captions(NamedTuple):
    """The loop state of every image: the tokens so far and the self-attention cache."""

    token_id: tf.Tensor  # int (B, G), the latest
    finished: tf.Tensor  # boolean (B, G)
    near_tie: tf.Tensor  # boolean (B, G)
    token_ids: tf.Tensor  # int (B, G, P)
    log_probs: tf.Tensor  # float32 (B, G, P)
    total: tf.Tensor  # float32 (B, G)
    cache: list[tuple[tf.Tensor, tf.Tensor]]


class _Images(NamedTuple):
    """What stays the same for every image during a search."""

    keys_values: list[tuple[tf.Tensor, tf.Tensor]]
    random_numbers: tf.Tensor


def run_sampling(captioner: Captioner, spec: SearchSpec, features: tf.Tensor, inputs: SearchInputs) -> SearchResult:
    """Run greedy search or sampling, in which the hypotheses of an image are independent.

    Sampled captions vary widely in length. Once at most a quarter of a large batch is unfinished, these images continue
    in a smaller batch (see experiments/benchmark_decoding.py for the gain). Without a fixed batch size they do not.
    """
    batch_size = batch_size_of(features)
    shape = (batch_size, spec.num_hypotheses)
    images = _Images(captioner.keys_values(features, training=False), inputs.random_numbers)
    captions = _Captions(
        token_id=tf.fill(shape, spec.start_token_id),
        finished=tf.broadcast_to(tf.range(batch_size)[:, None] >= inputs.num_images, shape),
        near_tie=tf.zeros(shape, tf.bool),
        token_ids=tf.fill((*shape, spec.length), spec.pad_token_id),
        log_probs=tf.zeros((*shape, spec.length)),
        total=tf.zeros(shape),
        cache=captioner.empty_cache(batch_size, spec.length, spec.num_hypotheses),
    )

    def extend(max_unfinished: int, index: tf.Tensor, images: _Images, captions: _Captions) -> tuple:
        """Extend the captions until at most `max_unfinished` images have an unfinished caption."""

        def should_continue(index: tf.Tensor, captions: _Captions) -> tf.Tensor:
            num_unfinished = tf.reduce_sum(tf.cast(_is_unfinished(captions.finished), tf.int32))
            return (index < spec.length) & (num_unfinished > max_unfinished)

        def step(index: tf.Tensor, captions: _Captions) -> tuple[tf.Tensor, _Captions]:
            return index + 1, _step(captioner, spec, inputs, index, images, captions)

        return tf.while_loop(should_continue, step, (index, captions))

    compact = spec.sampled and isinstance(batch_size, int) and batch_size >= COMPACTION_BATCH_SIZE
    max_unfinished = batch_size // 4 if compact else 0
    index, captions = extend(max_unfinished, tf.constant(0), images, captions)
    *results, _ = captions
    if compact:
        _, rows = tf.math.top_k(tf.cast(_is_unfinished(captions.finished), tf.float32), max_unfinished)
        unfinished, images = tf.nest.map_structure(lambda part: tf.gather(part, rows), (captions, images))
        _, unfinished = extend(0, index, images, unfinished)
        results = [
            tf.tensor_scatter_nd_update(part, rows[:, None], update)
            for part, update in zip(results, unfinished[:-1], strict=True)
        ]
    _, finished, near_tie, token_ids, log_probs, total = results
    return SearchResult(token_ids, log_probs, total, finished, tf.reduce_any(near_tie, axis=-1))


def _step(
    captioner: Captioner,
    spec: SearchSpec,
    inputs: SearchInputs,
    index: tf.Tensor,
    images: _Images,
    captions: _Captions,
) -> _Captions:
    """Extend every unfinished caption by the token at position `index`."""
    finished, token_ids = captions.finished, captions.token_ids
    logits, cache = captioner.step(captions.token_id, index, images.keys_values, captions.cache)
    log_probs = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
    adjusted = adjust_log_probs(spec, inputs, log_probs, token_ids, index)
    token_id, near_tie = _select(spec, inputs, adjusted, index, images.random_numbers)
    in_prefix = index < inputs.prefix_length
    token_id = tf.where(in_prefix, inputs.prefix[index], token_id)
    log_prob = gather_tokens(log_probs, token_id)
    value = tf.where(in_prefix, log_prob, gather_tokens(adjusted, token_id))
    return _Captions(
        token_id=token_id,
        finished=finished | (token_id == spec.end_token_id),
        near_tie=captions.near_tie | (near_tie & ~finished & ~in_prefix),
        token_ids=set_position(token_ids, index, tf.where(finished, spec.pad_token_id, token_id)),
        log_probs=set_position(captions.log_probs, index, tf.where(finished, 0.0, log_prob)),
        total=captions.total + tf.where(finished, 0.0, value),
        cache=cache,
    )


def _select(
    spec: SearchSpec, inputs: SearchInputs, log_probs: tf.Tensor, index: tf.Tensor, random_numbers: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Select a token from log-probabilities (B, G, V).

    Returns:
        int (B, G), the tokens, and boolean (B, G), whether rounding could have changed the selection.
    """
    if not spec.sampled:
        token_id, _, near_tie = argmax(log_probs, TIE_MARGIN)
        return token_id, near_tie
    temperature, margin = inputs.temperature, TIE_MARGIN / inputs.temperature
    log_probs /= temperature
    noisy = log_probs + gumbel_noise(tf.gather(random_numbers, index, axis=2), log_probs.shape[-1])
    if not spec.top_k and not spec.top_p:
        token_id, _, near_tie = argmax(noisy, margin)
        return token_id, near_tie
    kept, border = tf.nn.softmax(log_probs), tf.zeros_like(log_probs, tf.bool)
    if spec.top_k:
        kept, border = keep_top_k(kept, inputs.top_k, temperature)
    if spec.top_p:
        kept, top_p_border = keep_top_p(kept, inputs.top_p, temperature)
        border |= top_p_border
    token_id, highest, near_tie = argmax(tf.where(kept > 0, noisy, NEGATIVE_INFINITY), margin)
    rival = tf.reduce_max(tf.where(border, noisy, NEGATIVE_INFINITY), axis=-1, keepdims=True)
    return token_id, near_tie | (rival > highest[..., None] - margin)[..., 0]


def _is_unfinished(finished: tf.Tensor) -> tf.Tensor:
    """Boolean (B, G), which captions are finished -> (B,), which images have an unfinished one."""
    return ~tf.reduce_all(finished, axis=-1)
