"""Beam search as a graph: plain, in diverse groups, and with forced words. Letters as in `plan.py`."""

from __future__ import annotations

import tensorflow as tf

from caption_tx.inference.search.logits import NEVER, likeliest
from caption_tx.inference.search.spec import SearchInputs, SearchResult, SearchSpec, next_values, put, take
from caption_tx.model.captioner import Captioner


def _best(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The `count` highest of (B, W, V) values -> each (B, count): the value, its row in W, its token."""
    # Two small selections instead of one among all W * V, which took longer.
    batch, rows, size = values.shape
    if rows == 1 and count == 1:
        token, best, _ = likeliest(values)
        return best, tf.zeros_like(token), token
    # Of rank 2: for another rank XLA would sort the whole vocabulary.
    each = min(count, size)
    best, tokens = tf.math.top_k(tf.reshape(values, (-1, size)), each)
    best, places = tf.math.top_k(tf.reshape(best, (batch, -1)), count)
    return best, places // each, tf.gather(tf.reshape(tokens, (batch, -1)), places, batch_dims=1)


def _next_beams(
    plan: SearchSpec, numbers: SearchInputs, values: tf.Tensor, tokens: tf.Tensor, index: tf.Tensor
) -> tuple:
    """The beams that live on, from the sums (B, G, V) of what each may go on with: sum, parent, token, (B, G) each.

    Args:
        tokens: int (B, G, P), the captions so far.
    """
    batch, width, vocabulary_size = plan.batch, plan.width, values.shape[-1]
    tracks = [values[:, track * width : (track + 1) * width] for track in range(plan.tracks)]  # (B, width, V) each
    chosen = []
    if plan.forced:
        ids = tf.constant(plan.forced)
        written = tf.range(plan.length) < index
        met = tf.reduce_any((tokens[..., None] == ids) & written[:, None], axis=2)  # (B, G, forced)
        ahead = tf.reduce_any((ids[:, None] == tf.range(vocabulary_size)) & ~met[..., None], axis=2)  # (B, G, V)
        for track, stay in enumerate(tracks):
            rows = slice(track * width, (track + 1) * width)
            below = slice((track - 1) * width, track * width)
            candidates = tf.where(ahead[:, rows], NEVER, stay)
            if track:
                candidates = tf.concat([tf.where(ahead[:, below], tracks[track - 1], NEVER), candidates], axis=1)
            best, parent, token = _best(candidates, width)
            chosen.append((best, parent + (track - 1 if track else 0) * width, token))
    else:
        taken = tf.zeros((batch, 1, vocabulary_size))
        for track, own in enumerate(tracks):
            best, parent, token = _best(own - numbers.diversity_penalty * taken if plan.diverse else own, width)
            if plan.diverse:
                cost = numbers.diversity_penalty * tf.gather(taken[:, 0], token, batch_dims=1)
                best += tf.where(best > NEVER, cost, 0.0)
                taken += tf.reduce_sum(tf.one_hot(token, vocabulary_size), axis=1, keepdims=True)
            chosen.append((best, parent + track * width, token))
    return tuple(tf.concat(part, axis=1) for part in zip(*chosen, strict=True))


def beam_search(captioner: Captioner, plan: SearchSpec, features: tf.Tensor, numbers: SearchInputs) -> SearchResult:
    """Beam search in which every beam may end at every step.

    The captions that ended are kept, the `n_best` of each track by total / length**length_penalty; the others
    compete among themselves. An image is done when no beam of it can still enter those kept, so what is found
    is what a search of all P steps finds.
    """
    batch, group, length, n_best = plan.batch, plan.group, plan.length, plan.n_best
    kept_tracks = 1 if plan.forced else plan.tracks
    ending = slice(group - kept_tracks * plan.width, group)  # with forced words only those with all of them end
    keys_values = captioner.keys_values(features, training=False)
    own_place = tf.broadcast_to(tf.range(group)[:, None], (batch, group, length))
    is_end = tf.range(captioner.vocabulary_size) == plan.end

    def by_track(array: tf.Tensor) -> tf.Tensor:
        """(B, G, ..) of the beams that may end -> (B * kept tracks, width, ..)."""
        array = array[:, ending]
        return tf.reshape(array, (batch * kept_tracks, plan.width, *array.shape[2:]))

    def keep(kept: tuple, total: tf.Tensor, tokens: tf.Tensor, own: tf.Tensor, index: tf.Tensor) -> tuple:
        """The best of those kept, (B * tracks, n_best, ..) each, and of those that end at `index`."""
        score = total / tf.cast(index + 1, tf.float32) ** numbers.length_penalty
        tokens = put(tokens, index, tf.fill(total.shape, plan.end))
        joined = [
            tf.concat([old, by_track(new)], axis=1) for old, new in zip(kept, (score, total, tokens, own), strict=True)
        ]
        _, places = tf.math.top_k(joined[0], n_best)
        return tuple(take(part, places) for part in joined)

    def step(index, token, total, tokens, own, ancestors, kept, done, cache):  # noqa: ANN001, ANN202
        logits, cache = captioner.step(token, index, keys_values, cache, ancestors)
        log_probs = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        values = next_values(plan, numbers, log_probs, tokens, index)
        given = index < numbers.prefix_length
        ended = tf.where(given, NEVER, total + values[..., plan.end])
        kept = keep(kept, ended, tokens, put(own, index, log_probs[..., plan.end]), index)

        going_on = total[..., None] + tf.where(is_end, NEVER, values)
        best, parent, chosen = _next_beams(plan, numbers, going_on, tokens, index)
        parent = tf.where(given, tf.range(group), parent)
        chosen = tf.where(given, numbers.prefix[index], chosen)
        value = _from_parents(log_probs, parent, chosen)
        total = tf.where(given, total + value, best)
        tokens = put(take(tokens, parent), index, chosen)
        own = put(take(own, parent), index, value)
        ancestors = tf.where(tf.range(length) <= index, take(ancestors, parent), own_place)

        # A sum only falls as words are added, and its divisor is highest for the longest caption.
        hope = tf.reduce_max(tf.reshape(total, (batch * kept_tracks, -1)), axis=-1)
        hope /= tf.cast(length, tf.float32) ** numbers.length_penalty
        done |= tf.reduce_all(tf.reshape(kept[0][:, -1] >= hope, (batch, kept_tracks)), axis=-1)
        return index + 1, chosen, total, tokens, own, ancestors, kept, done, cache

    first = (tf.range(group) % plan.width == 0) & (
        (numbers.first_track < 0) | (tf.range(group) // plan.width == numbers.first_track)
    )
    rows = batch * kept_tracks
    index, _, total, tokens, own, _, kept, _, _ = tf.while_loop(
        lambda index, *state: (index < length) & ~tf.reduce_all(state[-2]),
        step,
        (
            tf.constant(0),
            tf.fill((batch, group), plan.start),
            tf.broadcast_to(tf.where(first, 0.0, NEVER), (batch, group)),
            tf.fill((batch, group, length), plan.pad),
            tf.zeros((batch, group, length)),
            own_place,
            (
                tf.fill((rows, n_best), NEVER),
                tf.fill((rows, n_best), NEVER),
                tf.fill((rows, n_best, length), plan.pad),
                tf.zeros((rows, n_best, length)),
            ),
            tf.range(batch) >= numbers.count,
            captioner.empty_cache(batch, length, group),
        ),
    )
    cut = tf.where(index == length, total, NEVER)[:, ending]
    kept_total, kept_tokens, kept_own = (
        tf.reshape(part, (batch, kept_tracks * n_best, *part.shape[2:])) for part in kept[1:]
    )
    return SearchResult(
        tokens=tf.concat([kept_tokens, tokens[:, ending]], axis=1),
        log_probabilities=tf.concat([kept_own, own[:, ending]], axis=1),
        total=tf.concat([kept_total, cut], axis=1),
        finished=tf.concat([tf.ones(kept_total.shape, tf.bool), tf.zeros(cut.shape, tf.bool)], axis=1),
        near_tie=tf.zeros((batch,), tf.bool),
    )


def _from_parents(array: tf.Tensor, parent: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """Of (B, G, V) the entries at rows (B, M) and tokens (B, M) -> (B, M)."""
    size = array.shape[-1]
    return tf.gather(tf.reshape(array, (array.shape[0], -1)), parent * size + token, batch_dims=1)
