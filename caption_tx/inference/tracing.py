"""The pass over captions that exist which reads the attention. TensorFlow is loaded by what calls it.

Letters: B images, L layers, N heads, T tokens, h and w rows and columns of the feature grid, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from einops import rearrange

from caption_tx.errors import CaptionTxError

if TYPE_CHECKING:
    from caption_tx.model.captioner import Captioner


def trace(
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
    [results] = trace_all(captioner, np.asarray(features, np.float32)[None], [token_ids], start_token_id)
    return results if return_self_attention else results[:2]


def trace_all(
    captioner: Captioner, features: Any, captions: Sequence[Sequence[int]], start_token_id: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`trace` of one caption for each image in one pass, with the self-attention.

    Args:
        features: float (B, h, w, C). captions: B lists of token_ids.
    """
    from keras import ops

    lengths = [len(token_ids) for token_ids in captions]
    for length in lengths:
        if not 1 <= length <= captioner.max_length:
            raise CaptionTxError(
                f"A caption to explain needs 1 to {captioner.max_length} tokens with its end mark, "
                f"this one has {length}."
            )
    inputs = np.zeros((len(captions), max(lengths)), np.int32)
    for row, token_ids in zip(inputs, captions, strict=True):
        row[: len(token_ids)] = [start_token_id, *token_ids[:-1]]
    positions = np.broadcast_to(np.arange(max(lengths), dtype=np.int32), inputs.shape)
    inside = positions < np.array(lengths)[:, None]
    given = {"token_ids": inputs, "positions": positions, "segment_ids": inside.astype(np.int32)}
    results = captioner(
        {"features": ops.convert_to_tensor(features)} | {name: ops.convert_to_tensor(x) for name, x in given.items()},
        training=False,
        return_attention_scores=True,
        return_self_attention_scores=True,
    )
    log_shares = ops.convert_to_numpy(ops.log_softmax(results[0], axis=-1))  # (B, T, V)
    h, w = np.shape(features)[1:3]
    scores = rearrange(ops.convert_to_numpy(results[1]), "b l n t (h w) -> b l n t h w", h=h, w=w)
    own = ops.convert_to_numpy(results[2])  # (B, L, N, T, T)
    return [
        (
            scores[row, :, :, :length],
            log_shares[row, np.arange(length), list(token_ids)],
            own[row, :, :, :length, :length],
        )
        for row, (length, token_ids) in enumerate(zip(lengths, captions, strict=True))
    ]
