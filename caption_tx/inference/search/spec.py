"""The static shape, the inputs and the result of a search. No TensorFlow.

Shape letters here: B images, G hypotheses that are extended at once for each image, M captions returned for each
image, P positions, V vocabulary_size. The hypotheses of an image share its cross-attention keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class SearchSpec:
    """Everything that the compiled graph of a search depends on. All other options are run-time inputs.

    A search extends `width * tracks` hypotheses per image. Without beam search they are independent samples. With
    beam search, a track is one group of a diverse beam search or, with forced words, the beams that contain a given
    number of them: 0 in the first track, all of them in the last.

    Attributes:
        length: P, the most tokens in a caption.
        start_token_id, end_token_id, pad_token_id: the special tokens.
        width: hypotheses per track. tracks: 1, the number of beam groups, or the number of forced words plus one.
        beam: beam search; otherwise greedy search or sampling.
        forced_tokens: tokens that every caption must contain.
        n_best: finished captions kept per track.
        sampled, top_k, top_p, repetition_penalty, diverse: whether the option is in use.
        no_repeat_ngram: n-gram size, or 0.
    """

    length: int
    start_token_id: int
    end_token_id: int
    pad_token_id: int
    width: int = 1
    tracks: int = 1
    beam: bool = False
    forced_tokens: tuple[int, ...] = ()
    n_best: int = 1
    sampled: bool = False
    top_k: bool = False
    top_p: bool = False
    repetition_penalty: bool = False
    diverse: bool = False
    no_repeat_ngram: int = 0

    @property
    def num_hypotheses(self) -> int:
        """G."""
        return self.width * self.tracks

    @property
    def finished_tracks(self) -> int:
        """The number of tracks whose beams may end. With forced words only the last one, which contains them all."""
        return 1 if self.forced_tokens else self.tracks


class SearchInputs(NamedTuple):
    """The run-time inputs of a search besides the features. They are scalars unless a shape is given.

    In sampling, temperature, top_k and top_p may also be arrays (B, 1, 1).

    Attributes:
        num_images: images in the batch; the remaining rows are padding.
        suppressed: boolean (V,), tokens that are never generated.
        prefix: int (P,), whose first `prefix_length` tokens start every caption.
        first_track: the track that the search starts in, or -1 for all.
        random_numbers: uint32 (B, G, P, 2), the random bits of every hypothesis and position; P is 0 without sampling.
            For targets without unsigned integers: float32 (B, G, P, V), uniform in (0, 1).
    """

    num_images: tf.Tensor
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
    random_numbers: tf.Tensor


class SearchResult(NamedTuple):
    """The captions that a search found. Beam search returns the finished captions first, then the truncated ones.

    Attributes:
        token_ids: int (B, M, P).
        log_probs: float32 (B, M, P), the model's own log-probability of every token up to the end token.
        total: float32 (B, M), the sum of the log-probabilities including penalties; -inf marks an empty slot.
        finished: boolean (B, M).
        near_tie: boolean (B,), whether a step chose between tokens that were tied up to rounding.
    """

    token_ids: tf.Tensor
    log_probs: tf.Tensor
    total: tf.Tensor
    finished: tf.Tensor
    near_tie: tf.Tensor
