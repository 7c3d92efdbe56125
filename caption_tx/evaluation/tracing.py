"""Many captions through the captioner at once, teacher-forced: log-probabilities, and attention if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from einops import rearrange
from keras import ops

from caption_tx.errors import CaptionTxError
from caption_tx.model.captioner import Captioner


def _batches(
    captioner: Captioner, features: Any, token_lists: Sequence[Sequence[int]], rows: Sequence[int], batch_size: int
) -> Iterator[tuple[dict[str, Any], list[np.ndarray]]]:
    """Inputs of the captioner, and the tokens (with the start mark) that each row of them predicts."""
    longest = captioner.max_length + 1
    for number, tokens in enumerate(token_lists):
        if not 2 <= len(tokens) <= longest:
            raise CaptionTxError(
                f"Caption {number} has {len(tokens)} tokens with its marks; 2 to {longest} are what the model reads."
            )
    features = np.asarray(features, np.float32)
    # Captions of one length together, so that little is padding.
    order = sorted(range(len(token_lists)), key=lambda number: (len(token_lists[number]), number))
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        tokens = [np.asarray(token_lists[number], np.int32) for number in chosen]
        lengths = np.array([len(each) - 1 for each in tokens])
        places = np.arange(lengths.max())
        inside = places < lengths[:, None]  # (B, T)
        token_ids = np.zeros(inside.shape, np.int32)
        token_ids[inside] = np.concatenate([each[:-1] for each in tokens])
        yield (
            {
                "features": ops.convert_to_tensor(features[[rows[number] for number in chosen]]),
                "token_ids": ops.convert_to_tensor(token_ids),
                "positions": ops.convert_to_tensor(np.where(inside, places, 0).astype(np.int32)),
                "segment_ids": ops.convert_to_tensor(inside.astype(np.int32)),
            },
            [np.array(chosen), *tokens],
        )


def _chosen(logits: Any, tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
    log_shares = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1))  # (B, T, V)
    return [log_shares[row, np.arange(len(each) - 1), each[1:]] for row, each in enumerate(tokens)]


def log_probabilities(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    rows: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[np.ndarray]:
    """The log-probability of every token of each caption, natural, (T,) each.

    Args:
        features: float (images, h, w, C).
        token_lists: each caption from its start mark to its last token, T + 1 of them.
        rows: for each caption the image that it is of; the first caption is of the first image by default.

    Raises:
        CaptionTxError: a caption is empty, or longer than the model has positions for.
    """
    rows = range(len(token_lists)) if rows is None else rows
    result: list[np.ndarray] = [np.empty(0)] * len(token_lists)
    for inputs, (chosen, *tokens) in _batches(captioner, features, token_lists, rows, batch_size):
        for number, values in zip(chosen, _chosen(captioner(inputs, training=False), tokens), strict=True):
            result[number] = values
    return result


def trace_many(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    rows: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What `inference.attention.trace` gives, of many captions: scores (L, N, T, h, w), log-probabilities (T,), and
    the self-attention (L, N, T, T).

    Arguments and errors are those of `log_probabilities`.
    """
    h, w = np.shape(features)[1:3]
    rows = range(len(token_lists)) if rows is None else rows
    result: list[Any] = [None] * len(token_lists)
    for inputs, (chosen, *tokens) in _batches(captioner, features, token_lists, rows, batch_size):
        logits, scores, own = captioner(
            inputs, training=False, return_attention_scores=True, return_self_attention_scores=True
        )
        own = ops.convert_to_numpy(own)  # (B, L, N, T, T)
        scores = rearrange(ops.convert_to_numpy(scores), "b l n t (h w) -> b l n t h w", h=h, w=w)
        for row, (number, values) in enumerate(zip(chosen, _chosen(logits, tokens), strict=True)):
            length = len(values)
            result[number] = scores[row, :, :, :length], values, own[row, :, :, :length, :length]
    return result
