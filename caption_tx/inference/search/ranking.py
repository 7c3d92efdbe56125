"""Rank the captions that a search found for an image: by score or by expected utility."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from caption_tx.config import DecodingOptions
from caption_tx.inference.search.consensus import expected_utility
from caption_tx.inference.search.retrieval import Neighborhood
from caption_tx.inference.search.spec import SearchSpec


@dataclass(frozen=True)
class FoundCaption:
    """A caption found by a search, before detokenization.

    Attributes:
        finished: False if it was truncated at the length limit.
        group_rank: in a diverse beam search its rank within its group, otherwise 0.
        score: total log-probability with penalties / length**length_penalty.
        expected_utility: with minimum Bayes risk decoding, its expected similarity in [0, 1].
    """

    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]
    finished: bool
    group_rank: int
    score: float
    expected_utility: float | None = None

    @property
    def selection_key(self) -> tuple:
        """Sorts the best first: finished captions, then the best of every group, then the highest score."""
        return not self.finished, self.group_rank, -self.score


def rank_captions(
    spec: SearchSpec,
    options: DecodingOptions,
    end_token_id: int,
    result: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    neighborhood: Neighborhood | None = None,
) -> list[FoundCaption]:
    """Select the `n_best` captions of an image, best first, without duplicates.

    Args:
        result: token_ids (M, P), log_probs (M, P), totals (M,) and finished (M,) of a `SearchResult`.
        neighborhood: the nearest training images, if `options.retrieval` is set.
    """
    captions = sorted(
        _distinct_captions(spec, options, end_token_id, *result), key=lambda caption: caption.selection_key
    )
    if options.consensus is None:
        return sorted(captions[: options.n_best], key=lambda caption: (not caption.finished, -caption.score))
    # All hypotheses of the search take part, not only those that the caller asked for.
    captions = captions[: max(options.beam_width, options.samples)]
    token_ids, log_probs = [item.token_ids for item in captions], [sum(item.log_probs) for item in captions]
    utilities = expected_utility(token_ids, log_probs, options.consensus)
    if neighborhood is not None:
        weight = options.retrieval
        utilities = (utilities + weight * neighborhood.similarities(token_ids)) / (1 + weight)
    captions = [replace(item, expected_utility=float(value)) for item, value in zip(captions, utilities, strict=True)]
    return sorted(captions, key=lambda item: (not item.finished, -item.expected_utility))[: options.n_best]


def _distinct_captions(
    spec: SearchSpec,
    options: DecodingOptions,
    end_token_id: int,
    token_ids: np.ndarray,
    log_probs: np.ndarray,
    totals: np.ndarray,
    finished: np.ndarray,
) -> list[FoundCaption]:
    """Each caption once; of duplicates, the one that ranks best."""
    num_finished = spec.finished_tracks * spec.n_best if spec.beam else spec.n_best
    captions: dict[tuple[int, ...], FoundCaption] = {}
    for row in np.flatnonzero(np.isfinite(totals)).tolist():
        is_end = token_ids[row] == end_token_id
        length = int(np.argmax(is_end)) + 1 if finished[row] else spec.length
        rank = row % spec.n_best if row < num_finished else (row - num_finished) % spec.width
        caption = FoundCaption(
            token_ids=tuple(token_ids[row, :length].tolist()),
            log_probs=tuple(log_probs[row, :length].tolist()),
            finished=bool(finished[row]),
            group_rank=rank if spec.diverse else 0,
            score=float(totals[row]) / length**options.length_penalty,
        )
        other = captions.get(caption.token_ids)
        if other is None or caption.selection_key < other.selection_key:
            captions[caption.token_ids] = caption
    return list(captions.values())
