"""Passes over captions that exist, which read their log-probabilities and the attention.

TensorFlow is loaded by what calls them. Letters: B images, L layers, N heads, T tokens, h and w rows and columns of
the feature grid, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from einops import rearrange

from caption_tx.errors import CaptionTxError

if TYPE_CHECKING:
    from caption_tx.model.captioner import Captioner


def teacher_forced_scores(
    captioner: Captioner,
    features: np.ndarray,
    token_ids: Sequence[int],
    start_token_id: int,
    return_self_attention: bool = False,
) -> tuple[np.ndarray, ...]:
    """One teacher-forced pass over a caption that exists, generated or typed.

    Args:
        features: float (h, w, C) of the image.
        token_ids: the caption's T tokens, without the start mark; with the end mark if it has one.
        return_self_attention: also give the scores of the self-attention.

    Returns:
        Cross-attention scores (L, N, T, h, w), row t being where the model looked when it predicted
        token t; the log-probability (T,) of each token, natural, <= 0; and where asked for the scores
        of the self-attention (L, N, T, T), see `pooling.SELF_AXES`.

    Raises:
        CaptionTxError: the caption is empty, or longer than the model has positions for.
    """
    [results] = teacher_forced_scores_in_batches(
        captioner, np.asarray(features, np.float32)[None], [[start_token_id, *token_ids]]
    )
    return results if return_self_attention else results[:2]


def teacher_forced_scores_in_batches(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    rows: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`trace` of many captions: scores (L, N, T, h, w), log-probabilities (T,) and self-attention (L, N, T, T) of each.

    Args:
        features: float (B, h, w, C).
        token_lists: each caption from its start mark to its last token, T + 1 of them.
        rows: for each caption the image that it is of; the first caption is of the first image by default.
        batch_size: captions in a pass.

    Raises:
        CaptionTxError: a caption is empty, or longer than the model has positions for.
    """
    from keras import ops

    h, w = np.shape(features)[1:3]
    result: list[Any] = [None] * len(token_lists)
    for inputs, numbers, tokens in _batches(captioner, features, token_lists, rows, batch_size):
        logits, scores, own = captioner(
            inputs, training=False, return_attention_scores=True, return_self_attention_scores=True
        )
        own = ops.convert_to_numpy(own)  # (B, L, N, T, T)
        scores = rearrange(ops.convert_to_numpy(scores), "b l n t (h w) -> b l n t h w", h=h, w=w)
        for row, (number, values) in enumerate(zip(numbers, _chosen(logits, tokens), strict=True)):
            length = len(values)
            result[number] = scores[row, :, :, :length], values, own[row, :, :, :length, :length]
    return result


def log_probabilities(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    rows: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[np.ndarray]:
    """The log-probability of every token of each caption, natural, (T,) each.

    Arguments and errors are those of `teacher_forced_scores_in_batches`.
    """
    result: list[np.ndarray] = [np.empty(0)] * len(token_lists)
    for inputs, numbers, tokens in _batches(captioner, features, token_lists, rows, batch_size):
        for number, values in zip(numbers, _chosen(captioner(inputs, training=False), tokens), strict=True):
            result[number] = values
    return result


def _batches(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    rows: Sequence[int] | None,
    batch_size: int,
) -> Iterator[tuple[dict[str, Any], list[int], list[np.ndarray]]]:
    """Inputs of the captioner, the captions' numbers, and their tokens with the start mark."""
    from keras import ops

    for number, tokens in enumerate(token_lists):
        if not 2 <= len(tokens) <= captioner.max_length + 1:
            raise CaptionTxError(
                f"Caption {number + 1} has {len(tokens) - 1} tokens with its end mark; the model reads 1 to "
                f"{captioner.max_length}."
            )
    rows = range(len(token_lists)) if rows is None else rows
    features = np.asarray(features, np.float32)
    # Captions of one length together, so that little is padding.
    order = sorted(range(len(token_lists)), key=lambda number: (len(token_lists[number]), number))
    for begin in range(0, len(order), batch_size):
        numbers = order[begin : begin + batch_size]
        tokens = [np.asarray(token_lists[number], np.int32) for number in numbers]
        lengths = np.array([len(each) - 1 for each in tokens])
        places = np.arange(lengths.max())
        inside = places < lengths[:, None]  # (B, T)
        token_ids = np.zeros(inside.shape, np.int32)
        token_ids[inside] = np.concatenate([each[:-1] for each in tokens])
        given = {
            "features": features[[rows[number] for number in numbers]],
            "token_ids": token_ids,
            "positions": np.where(inside, places, 0).astype(np.int32),
            "segment_ids": inside.astype(np.int32),
        }
        yield {name: ops.convert_to_tensor(value) for name, value in given.items()}, numbers, tokens


def _chosen(logits: Any, tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The log-probabilities (T,) of each caption's tokens behind the start mark."""
    from keras import ops

    log_probs = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1))  # (B, T, V)
    return [log_probs[row, np.arange(len(each) - 1), each[1:]] for row, each in enumerate(tokens)]
