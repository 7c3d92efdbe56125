"""The searches as compiled graphs: features and numbers in, token_ids and log-probabilities out.

Letters: B images, G captions of each that are followed at once, P positions, V vocabulary_size. A search has
G samples, or G = tracks * width beams: a track is a group of diverse beams or, with forced words, the beams
that hold as many of them as the track's number. The captions of an image share its keys and values.

Everything runs as one XLA program of static shapes (experiments/benchmark_decoding.py says what that gives).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import ref

import tensorflow as tf

from caption_tx.inference.choosing import (
    DOUBT,
    NEVER,
    gumbel,
    keep_top_k,
    keep_top_p,
    likeliest,
    repeating,
    words_of,
)
from caption_tx.model.captioner import Captioner

LARGE = 32
"""Images that are searched together from which on drawn captions that go on are parted from those that ended."""


@dataclass(frozen=True)
class Plan:
    """What the graph of a search depends on; all else is a number that it is given.

    Attributes:
        batch: B. length: P, most tokens of a caption. end, pad: token ids.
        width: captions of a track. tracks: 1, or the diverse groups, or the forced words and one more.
        beam: a beam search; else each of `width` captions goes its own way.
        forced: tokens that each caption must hold. n_best: captions kept of each track.
        drawn, top_k, top_p, repetition, diverse: whether the option of that name is in use.
        no_repeat_ngram: its size, or 0.
    """

    batch: int
    length: int
    start: int
    end: int
    pad: int
    width: int = 1
    tracks: int = 1
    beam: bool = False
    forced: tuple[int, ...] = ()
    n_best: int = 1
    drawn: bool = False
    top_k: bool = False
    top_p: bool = False
    repetition: bool = False
    diverse: bool = False
    no_repeat_ngram: int = 0

    @property
    def group(self) -> int:
        """G."""
        return self.width * self.tracks


class Numbers(NamedTuple):
    """What a search is given beside the features; scalars where no shape stands.

    Attributes:
        count: images of the batch that are there; the others are padding. barred: boolean (V,), tokens that
            are never taken. prefix: int (P,), of which the first `prefix_length` are the captions' start.
        keys: uint32 (B, G, P, 2), the random bits of every caption and position.
        first_track: of the track that the search begins in, or -1 for all.
    """

    count: tf.Tensor
    barred: tf.Tensor
    prefix: tf.Tensor
    prefix_length: tf.Tensor
    min_length: tf.Tensor
    first_track: tf.Tensor
    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    repetition_penalty: tf.Tensor
    length_penalty: tf.Tensor
    diversity_penalty: tf.Tensor
    keys: tf.Tensor


class Found(NamedTuple):
    """Captions of a search, (B, M): those that ended first, for beams followed by those that were cut.

    Attributes:
        tokens: int (B, M, P), log_probabilities: float32 (B, M, P), the model's own, up to the end mark.
        total: sum of the log-probabilities with their penalties, -inf where there is no caption.
        finished: boolean. doubtful: boolean (B,), whether a near tie was decided on the way.
    """

    tokens: tf.Tensor
    log_probabilities: tf.Tensor
    total: tf.Tensor
    finished: tf.Tensor
    doubtful: tf.Tensor


def compile_search(captioner: Captioner, plan: Plan) -> Callable[[tf.Tensor, Numbers], Found]:
    """The search of this plan with this captioner, whose weights it reads anew at every call."""
    held = ref(captioner)  # the graph is kept for as long as the captioner lives, so it may not keep it alive
    run = _beam if plan.beam else _draw

    def search(features: tf.Tensor, numbers: Numbers) -> Found:
        return run(held(), plan, features, numbers)

    whole, real, scalar = tf.int32, tf.float32, ()
    signature = [
        tf.TensorSpec((plan.batch, *captioner.settings["feature_shape"]), real),
        Numbers(
            count=tf.TensorSpec(scalar, whole),
            barred=tf.TensorSpec((captioner.vocabulary_size,), tf.bool),
            prefix=tf.TensorSpec((plan.length,), whole),
            prefix_length=tf.TensorSpec(scalar, whole),
            min_length=tf.TensorSpec(scalar, whole),
            first_track=tf.TensorSpec(scalar, whole),
            temperature=tf.TensorSpec(scalar, real),
            top_k=tf.TensorSpec(scalar, whole),
            top_p=tf.TensorSpec(scalar, real),
            repetition_penalty=tf.TensorSpec(scalar, real),
            length_penalty=tf.TensorSpec(scalar, real),
            diversity_penalty=tf.TensorSpec(scalar, real),
            keys=tf.TensorSpec((plan.batch, plan.group, plan.length if plan.drawn else 0, 2), tf.uint32),
        ),
    ]
    search = tf.function(search, input_signature=signature, autograph=False, jit_compile=True)
    search.get_concrete_function()  # traced here and now: several threads may run it
    return search


def _values(plan: Plan, numbers: Numbers, log_shares: tf.Tensor, tokens: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Log-probabilities (B, G, V) of the next tokens with the penalties, and -inf where a token is barred."""
    vocabulary_size = log_shares.shape[-1]
    is_end = tf.range(vocabulary_size) == plan.end
    values = log_shares
    if plan.repetition:
        there = words_of(tokens, tf.broadcast_to(tf.range(plan.length) < index, tokens.shape), vocabulary_size)
        values = tf.where(there, values * numbers.repetition_penalty, values)
    barred = numbers.barred | (is_end & (index < numbers.min_length))
    if plan.no_repeat_ngram:
        barred |= repeating(tokens, index, plan.no_repeat_ngram, vocabulary_size)
        # Where every word would repeat, the caption ends.
        barred &= ~(is_end & tf.reduce_all(barred, axis=-1, keepdims=True))
    return tf.where(barred, NEVER, values)


def _take(array: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Of (B, G, ..) the entries at int (B, M) -> (B, M, ..)."""
    return tf.gather(array, places, axis=1, batch_dims=1)


def _at(array: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Of (B, G, V) one entry each at int (B, G) -> (B, G)."""
    return tf.gather(array, places, axis=2, batch_dims=2)


def _put(array: tf.Tensor, index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """(B, G, P) with (B, G) at position `index`."""
    return tf.where(tf.range(array.shape[-1]) == index, values[..., None], array)


def _draw(captioner: Captioner, plan: Plan, features: tf.Tensor, numbers: Numbers) -> Found:
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

    def step(keys_values, keys, index, token, done, doubtful, tokens, log_probabilities, total, cache):  # noqa: ANN001, ANN202
        logits, cache = captioner.step(token, index, keys_values, cache)
        log_shares = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        values = _values(plan, numbers, log_shares, tokens, index)
        chosen, unsure = choose(values, index, keys)
        given = index < numbers.prefix_length
        chosen = tf.where(given, numbers.prefix[index], chosen)
        own = _at(log_shares, chosen)
        value = tf.where(given, own, _at(values, chosen))
        tokens = _put(tokens, index, tf.where(done, plan.pad, chosen))
        log_probabilities = _put(log_probabilities, index, tf.where(done, 0.0, own))
        total += tf.where(done, 0.0, value)
        doubtful |= unsure & ~done & ~given
        return index + 1, chosen, done | (chosen == plan.end), doubtful, tokens, log_probabilities, total, cache

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
    _, done, doubtful, tokens, log_probabilities, total = captions
    return Found(tokens, log_probabilities, total, done, tf.reduce_any(doubtful, axis=-1))


def _lively(done: tf.Tensor) -> tf.Tensor:
    """Boolean (B, G), which captions have ended -> (B,), the images that have others."""
    return ~tf.reduce_all(done, axis=-1)


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


def _next_beams(plan: Plan, numbers: Numbers, values: tf.Tensor, tokens: tf.Tensor, index: tf.Tensor) -> tuple:
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


def _beam(captioner: Captioner, plan: Plan, features: tf.Tensor, numbers: Numbers) -> Found:
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
        tokens = _put(tokens, index, tf.fill(total.shape, plan.end))
        joined = [
            tf.concat([old, by_track(new)], axis=1) for old, new in zip(kept, (score, total, tokens, own), strict=True)
        ]
        _, places = tf.math.top_k(joined[0], n_best)
        return tuple(_take(part, places) for part in joined)

    def step(index, token, total, tokens, own, ancestors, kept, done, cache):  # noqa: ANN001, ANN202
        logits, cache = captioner.step(token, index, keys_values, cache, ancestors)
        log_shares = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
        values = _values(plan, numbers, log_shares, tokens, index)
        given = index < numbers.prefix_length
        ended = tf.where(given, NEVER, total + values[..., plan.end])
        kept = keep(kept, ended, tokens, _put(own, index, log_shares[..., plan.end]), index)

        going_on = total[..., None] + tf.where(is_end, NEVER, values)
        best, parent, chosen = _next_beams(plan, numbers, going_on, tokens, index)
        parent = tf.where(given, tf.range(group), parent)
        chosen = tf.where(given, numbers.prefix[index], chosen)
        value = _from_parents(log_shares, parent, chosen)
        total = tf.where(given, total + value, best)
        tokens = _put(_take(tokens, parent), index, chosen)
        own = _put(_take(own, parent), index, value)
        ancestors = tf.where(tf.range(length) <= index, _take(ancestors, parent), own_place)

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
    return Found(
        tokens=tf.concat([kept_tokens, tokens[:, ending]], axis=1),
        log_probabilities=tf.concat([kept_own, own[:, ending]], axis=1),
        total=tf.concat([kept_total, cut], axis=1),
        finished=tf.concat([tf.ones(kept_total.shape, tf.bool), tf.zeros(cut.shape, tf.bool)], axis=1),
        doubtful=tf.zeros((batch,), tf.bool),
    )


def _from_parents(array: tf.Tensor, parent: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """Of (B, G, V) the entries at rows (B, M) and tokens (B, M) -> (B, M)."""
    size = array.shape[-1]
    return tf.gather(tf.reshape(array, (array.shape[0], -1)), parent * size + token, batch_dims=1)
