"""What a search is given and gives, and what every step of it does to the model's log-probabilities.

Letters: B images, G captions of each that are followed at once, P positions, V vocabulary_size. A search has
G samples, or G = tracks * width beams: a track is a group of diverse beams or, with forced words, the beams
that hold as many of them as the track's number. The captions of an image share its keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from caption_tx.inference.search.logits import NEVER, repeating, words_of


@dataclass(frozen=True)
class SearchSpec:
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


class SearchInputs(NamedTuple):
    """What a search is given beside the features; scalars where no shape stands.

    Attributes:
        count: images of the batch that are there; the others are padding. barred: boolean (V,), tokens that
            are never taken. prefix: int (P,), of which the first `prefix_length` are the captions' start.
        keys: uint32 (B, G, P, 2), the random bits of every caption and position.
        first_track: of the track that the search begins in, or -1 for all.
    """

    count: tf.Tensor
    suppressed: tf.Tensor
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


class SearchResult(NamedTuple):
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
    near_tie: tf.Tensor


def next_values(
    plan: SearchSpec, numbers: SearchInputs, log_probs: tf.Tensor, tokens: tf.Tensor, index: tf.Tensor
) -> tf.Tensor:
    """Log-probabilities (B, G, V) of the next tokens with the penalties, and -inf where a token is barred."""
    vocabulary_size = log_probs.shape[-1]
    is_end = tf.range(vocabulary_size) == plan.end
    values = log_probs
    if plan.repetition:
        there = words_of(tokens, tf.broadcast_to(tf.range(plan.length) < index, tokens.shape), vocabulary_size)
        values = tf.where(there, values * numbers.repetition_penalty, values)
    suppressed = numbers.suppressed | (is_end & (index < numbers.min_length))
    if plan.no_repeat_ngram:
        suppressed |= repeating(tokens, index, plan.no_repeat_ngram, vocabulary_size)
        # Where every word would repeat, the caption ends.
        suppressed &= ~(is_end & tf.reduce_all(suppressed, axis=-1, keepdims=True))
    return tf.where(suppressed, NEVER, values)


def take(array: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Of (B, G, ..) the entries at int (B, M) -> (B, M, ..)."""
    return tf.gather(array, places, axis=1, batch_dims=1)


def entry_at(array: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Of (B, G, V) one entry each at int (B, G) -> (B, G)."""
    return tf.gather(array, places, axis=2, batch_dims=2)


def put(array: tf.Tensor, index: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """(B, G, P) with (B, G) at position `index`."""
    return tf.where(tf.range(array.shape[-1]) == index, values[..., None], array)
