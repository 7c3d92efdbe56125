"""Beam search as a graph: plain, in diverse groups, and with forced words. Shape letters as in `spec.py`.

`_step` scores hypotheses: it adds the log-probability of every possible next token to each hypothesis' total, moves
the finished ones to the pool of `_keep_finished`, and continues with the best of the others (`_select_beams`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from caption_tx.inference.search.arrays import batch_size_of, gather_hypotheses, set_position
from caption_tx.inference.search.logits import NEGATIVE_INFINITY, adjust_log_probs, argmax
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec
from caption_tx.model.captioner import Captioner


class _Finished(NamedTuple):
    """The `n_best` finished captions per track; rows are images times tracks that may end."""

    score: tf.Tensor  # float32 (B * tracks, n_best): total / length**length_penalty
    total: tf.Tensor  # float32 (B * tracks, n_best)
    token_ids: tf.Tensor  # int (B * tracks, n_best, P)
    log_probs: tf.Tensor  # float32 (B * tracks, n_best, P)


class _Beams(NamedTuple):
    """The loop state: the unfinished hypotheses, the finished captions, and the self-attention cache."""

    index: tf.Tensor  # int (), the position that the next step writes
    token_id: tf.Tensor  # int (B, G), the latest
    total: tf.Tensor  # float32 (B, G), sums of log-probabilities with penalties
    token_ids: tf.Tensor  # int (B, G, P)
    log_probs: tf.Tensor  # float32 (B, G, P)
    ancestors: tf.Tensor  # int (B, G, P), which hypothesis wrote each position of the cache
    finished: _Finished
    done: tf.Tensor  # boolean (B,)
    cache: list[tuple[tf.Tensor, tf.Tensor]]


class _Constants(NamedTuple):
    """What does not change during the loop."""

    keys_values: list[tuple[tf.Tensor, tf.Tensor]]
    own_ancestors: tf.Tensor  # int (B, G, P): every hypothesis is its own ancestor
    is_end: tf.Tensor  # boolean (V,)


def beam_search(captioner: Captioner, spec: SearchSpec, features: tf.Tensor, inputs: SearchInputs) -> SearchResult:
    """Run a beam search in which every hypothesis may end at every step.

    Each track keeps its `n_best` finished captions by total / length**length_penalty; unfinished hypotheses compete
    among themselves. An image is done once none of its hypotheses can enter the finished captions, so the result
    equals that of a search over all P steps.
    """
    batch_size = batch_size_of(features)
    shape = (batch_size, spec.num_hypotheses, spec.length)
    constants = _Constants(
        keys_values=captioner.keys_values(features, training=False),
        own_ancestors=tf.broadcast_to(tf.range(spec.num_hypotheses)[:, None], shape),
        is_end=tf.range(captioner.vocabulary_size) == spec.end_token_id,
    )

    def should_continue(*state: Any) -> tf.Tensor:
        beams = _Beams(*state)
        return (beams.index < spec.length) & ~tf.reduce_all(beams.done)

    def step(*state: Any) -> _Beams:
        return _step(captioner, spec, inputs, constants, _Beams(*state))

    beams = _Beams(*tf.while_loop(should_continue, step, _initial_beams(captioner, spec, inputs, constants)))
    may_end = _hypotheses_that_may_end(spec)
    truncated_total = tf.where(beams.index == spec.length, beams.total, NEGATIVE_INFINITY)[:, may_end]
    finished_total, finished_token_ids, finished_log_probs = (
        tf.reshape(part, (-1, spec.finished_tracks * spec.n_best, *part.shape[2:])) for part in beams.finished[1:]
    )
    is_finished = [tf.ones_like(finished_total, tf.bool), tf.zeros_like(truncated_total, tf.bool)]
    return SearchResult(
        token_ids=tf.concat([finished_token_ids, beams.token_ids[:, may_end]], axis=1),
        log_probs=tf.concat([finished_log_probs, beams.log_probs[:, may_end]], axis=1),
        total=tf.concat([finished_total, truncated_total], axis=1),
        finished=tf.concat(is_finished, axis=1),
        near_tie=tf.zeros((batch_size,), tf.bool),
    )


def _initial_beams(captioner: Captioner, spec: SearchSpec, inputs: SearchInputs, constants: _Constants) -> _Beams:
    """One live hypothesis per starting track; the others have a total of -inf."""
    batch_size, num_hypotheses, length = batch_size_of(constants.own_ancestors), spec.num_hypotheses, spec.length
    track = tf.range(num_hypotheses) // spec.width
    starts = (tf.range(num_hypotheses) % spec.width == 0) & ((inputs.first_track < 0) | (track == inputs.first_track))
    rows = batch_size * spec.finished_tracks
    return _Beams(
        index=tf.constant(0),
        token_id=tf.fill((batch_size, num_hypotheses), spec.start_token_id),
        total=tf.broadcast_to(tf.where(starts, 0.0, NEGATIVE_INFINITY), (batch_size, num_hypotheses)),
        token_ids=tf.fill((batch_size, num_hypotheses, length), spec.pad_token_id),
        log_probs=tf.zeros((batch_size, num_hypotheses, length)),
        ancestors=constants.own_ancestors,
        finished=_Finished(
            score=tf.fill((rows, spec.n_best), NEGATIVE_INFINITY),
            total=tf.fill((rows, spec.n_best), NEGATIVE_INFINITY),
            token_ids=tf.fill((rows, spec.n_best, length), spec.pad_token_id),
            log_probs=tf.zeros((rows, spec.n_best, length)),
        ),
        done=tf.range(batch_size) >= inputs.num_images,
        cache=captioner.empty_cache(batch_size, length, num_hypotheses),
    )


def _hypotheses_that_may_end(spec: SearchSpec) -> slice:
    """The hypotheses of the last tracks; with forced words these are the ones that contain them all."""
    return slice(spec.num_hypotheses - spec.finished_tracks * spec.width, spec.num_hypotheses)


def _step(captioner: Captioner, spec: SearchSpec, inputs: SearchInputs, constants: _Constants, beams: _Beams) -> _Beams:
    """Score every continuation of every hypothesis and keep the best."""
    index = beams.index
    logits, cache = captioner.step(beams.token_id, index, constants.keys_values, beams.cache, beams.ancestors)
    log_probs = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)  # (B, G, V)
    adjusted = adjust_log_probs(spec, inputs, log_probs, beams.token_ids, index)
    in_prefix = index < inputs.prefix_length
    ended_total = tf.where(in_prefix, NEGATIVE_INFINITY, beams.total + adjusted[..., spec.end_token_id])
    ended_log_probs = set_position(beams.log_probs, index, log_probs[..., spec.end_token_id])
    finished = _keep_finished(spec, inputs, beams, ended_total, ended_log_probs)

    candidates = beams.total[..., None] + tf.where(constants.is_end, NEGATIVE_INFINITY, adjusted)  # (B, G, V)
    best, parent, token_id = _select_beams(spec, inputs, candidates, beams.token_ids, index)
    parent = tf.where(in_prefix, tf.range(spec.num_hypotheses), parent)
    token_id = tf.where(in_prefix, inputs.prefix[index], token_id)
    log_prob = _gather_parent_tokens(log_probs, parent, token_id)
    total = tf.where(in_prefix, beams.total + log_prob, best)
    ancestors = gather_hypotheses(beams.ancestors, parent)
    return _Beams(
        index=index + 1,
        token_id=token_id,
        total=total,
        token_ids=set_position(gather_hypotheses(beams.token_ids, parent), index, token_id),
        log_probs=set_position(gather_hypotheses(beams.log_probs, parent), index, log_prob),
        ancestors=tf.where(tf.range(spec.length) <= index, ancestors, constants.own_ancestors),
        finished=finished,
        done=beams.done | _cannot_improve(spec, inputs, total, finished),
        cache=cache,
    )


def _keep_finished(
    spec: SearchSpec, inputs: SearchInputs, beams: _Beams, ended_total: tf.Tensor, ended_log_probs: tf.Tensor
) -> _Finished:
    """The best of the finished captions so far and of the hypotheses that end at this step.

    Args:
        ended_total: float32 (B, G), totals with the end token.
        ended_log_probs: float32 (B, G, P), log-probabilities with the end token.
    """
    may_end = _hypotheses_that_may_end(spec)
    score = ended_total / tf.cast(beams.index + 1, tf.float32) ** inputs.length_penalty
    token_ids = set_position(beams.token_ids, beams.index, tf.fill(tf.shape(ended_total), spec.end_token_id))
    merged = []
    for old, new in zip(beams.finished, (score, ended_total, token_ids, ended_log_probs), strict=True):
        new = new[:, may_end]
        new = tf.reshape(new, (-1, spec.width, *new.shape[2:]))
        merged.append(tf.concat([old, new], axis=1))  # (B * tracks, n_best + width, ..)
    _, best = tf.math.top_k(merged[0], spec.n_best)
    return _Finished(*(gather_hypotheses(part, best) for part in merged))


def _cannot_improve(spec: SearchSpec, inputs: SearchInputs, total: tf.Tensor, finished: _Finished) -> tf.Tensor:
    """Boolean (B,), whether no unfinished hypothesis can score higher than the worst finished caption kept."""
    # A total only decreases as tokens are added, and its divisor is largest for the longest caption.
    upper_bound = tf.reduce_max(tf.reshape(total, (-1, spec.num_hypotheses // spec.finished_tracks)), axis=-1)
    upper_bound /= tf.cast(spec.length, tf.float32) ** inputs.length_penalty
    is_settled = tf.reshape(finished.score[:, -1] >= upper_bound, (-1, spec.finished_tracks))
    return tf.reduce_all(is_settled, axis=-1)


def _select_beams(
    spec: SearchSpec, inputs: SearchInputs, candidates: tf.Tensor, token_ids: tf.Tensor, index: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The hypotheses to continue with.

    Args:
        candidates: float32 (B, G, V), the totals of all continuations.
        token_ids: int (B, G, P), the captions so far.

    Returns:
        The total, the parent hypothesis and the new token of each, (B, G).
    """
    width = spec.width
    tracks = [candidates[:, track * width : (track + 1) * width] for track in range(spec.tracks)]  # (B, width, V) each
    if spec.forced_tokens:
        selected = _select_with_forced_tokens(spec, tracks, token_ids, index)
    else:
        selected = _select_per_group(spec, inputs, tracks)
    return tuple(tf.concat(part, axis=1) for part in zip(*selected, strict=True))


def _select_with_forced_tokens(
    spec: SearchSpec, tracks: list[tf.Tensor], token_ids: tf.Tensor, index: tf.Tensor
) -> list[tuple]:
    """Grid beam search: a hypothesis that adds a missing forced token moves to the next track.

    Args:
        tracks: per track float32 (B, width, V), the totals of all continuations.
        token_ids: int (B, G, P), the captions so far.
    """
    width, vocabulary_size = spec.width, tracks[0].shape[-1]
    forced = tf.constant(spec.forced_tokens)
    written = tf.range(spec.length) < index
    contained = tf.reduce_any((token_ids[..., None] == forced) & written[:, None], axis=2)  # (B, G, forced)
    is_forced = forced[:, None] == tf.range(vocabulary_size)
    advances = tf.reduce_any(is_forced & ~contained[..., None], axis=2)  # (B, G, V)
    selected = []
    for track, totals in enumerate(tracks):
        rows = slice(track * width, (track + 1) * width)
        previous_rows = slice((track - 1) * width, track * width)
        candidates = tf.where(advances[:, rows], NEGATIVE_INFINITY, totals)
        if track:
            advancing = tf.where(advances[:, previous_rows], tracks[track - 1], NEGATIVE_INFINITY)
            candidates = tf.concat([advancing, candidates], axis=1)
        best, parent, token_id = _top_candidates(candidates, width)
        selected.append((best, parent + (track - 1 if track else 0) * width, token_id))
    return selected


def _select_per_group(spec: SearchSpec, inputs: SearchInputs, tracks: list[tf.Tensor]) -> list[tuple]:
    """The best of each group; in a diverse search a token costs more the more often earlier groups selected it.

    Args:
        tracks: per group float32 (B, width, V), the totals of all continuations.
    """
    vocabulary_size = tracks[0].shape[-1]
    counts = tf.zeros((batch_size_of(tracks[0]), 1, vocabulary_size))  # how often earlier groups selected each token
    selected = []
    for track, totals in enumerate(tracks):
        penalized = totals - inputs.diversity_penalty * counts if spec.diverse else totals
        best, parent, token_id = _top_candidates(penalized, spec.width)
        if spec.diverse:
            penalty = inputs.diversity_penalty * tf.gather(counts[:, 0], token_id, batch_dims=1)
            best += tf.where(best > NEGATIVE_INFINITY, penalty, 0.0)
            counts += tf.reduce_sum(tf.one_hot(token_id, vocabulary_size), axis=1, keepdims=True)
        selected.append((best, parent + track * spec.width, token_id))
    return selected


def _top_candidates(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The `count` highest of (B, W, V) values: the values, their rows in W and their tokens, (B, count) each."""
    # Two small selections are faster than one among all W * V.
    _, rows, vocabulary_size = values.shape
    if rows == 1 and count == 1:
        token_id, best, _ = argmax(values)
        return best, tf.zeros_like(token_id), token_id
    # Rank 2, because XLA sorts the whole vocabulary for any other rank.
    per_row = min(count, vocabulary_size)
    best, token_ids = tf.math.top_k(tf.reshape(values, (-1, vocabulary_size)), per_row)
    best, indices = tf.math.top_k(tf.reshape(best, (-1, rows * per_row)), count)
    token_ids = tf.gather(tf.reshape(token_ids, (-1, rows * per_row)), indices, batch_dims=1)
    return best, indices // per_row, token_ids


def _gather_parent_tokens(array: tf.Tensor, parent: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
    """(B, G, V) at rows (B, M) and tokens (B, M) -> (B, M)."""
    vocabulary_size = array.shape[-1]
    flat = tf.reshape(array, (-1, array.shape[1] * vocabulary_size))
    return tf.gather(flat, parent * vocabulary_size + token_ids, batch_dims=1)
