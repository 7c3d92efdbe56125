"""Teacher-forced passes over existing captions, which read their attention and log-probabilities.

The captioner loads TensorFlow; this module does not. Letters: B images, L layers, N heads, T tokens, h/w feature
grid, S = h*w cells, C channels, V words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from caption_tx.data.images.prefetching import parallel_map
from caption_tx.errors import CaptionTxError
from caption_tx.inference.attention.pooling import POSTERIOR, MapSelection

if TYPE_CHECKING:
    from caption_tx.model.captioner import Captioner

_CAPTIONS_WITH_CELLS = 2
"""Captions in one pass when cells are read. Larger passes are not faster: their arrays leave the processor's cache."""


class TeacherForced(NamedTuple):
    """What one teacher-forced pass reads from the model for a caption of T tokens.

    Attributes:
        attention_scores: (L, N, T, h, w) cross-attention; row t was computed when token t was predicted.
        log_probabilities: (T,) natural logarithm of each token's probability, at most 0.
        self_attention_scores: (L, N, T, T), see `pooling.SELF_AXES`.
        cell_log_probabilities: (T, h, w), see `read_cells`; None if they were not read.
    """

    attention_scores: np.ndarray
    log_probabilities: np.ndarray
    self_attention_scores: np.ndarray
    cell_log_probabilities: np.ndarray | None = None

    def pooled(self, selection: MapSelection) -> np.ndarray:
        """(T, h, w), one map per token; errors as for `MapSelection.pooled`."""
        return selection.pooled(self.attention_scores, self.self_attention_scores, self.cell_log_probabilities)


def teacher_forced_pass(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    image_rows: Sequence[int] | None = None,
    batch_size: int = 64,
    with_cells: bool = False,
) -> list[TeacherForced]:
    """Feeds captions to the model, generated or typed, and reads attention and log-probabilities.

    Args:
        captioner: the model.
        features: float (B, h, w, C) of the images.
        token_lists: token ids of each caption, from the start token to its last token: T + 1 ids.
        image_rows: for each caption, the row of its image in `features`; by default caption i belongs to image i.
        batch_size: captions per pass.
        with_cells: also read what each cell alone says about each token, see `read_cells`.

    Returns:
        One result per caption, in order.

    Raises:
        CaptionTxError: a caption is empty, or longer than the model's maximum length.
    """
    from einops import rearrange
    from keras import ops

    h, w = np.shape(features)[1:3]
    results: list[Any] = [None] * len(token_lists)
    for inputs, indices, token_ids in _batches(captioner, features, token_lists, image_rows, batch_size):
        logits, cross, own = captioner(
            inputs, training=False, return_attention_scores=True, return_self_attention_scores=True
        )
        own = ops.convert_to_numpy(own)  # (B, L, N, T, T)
        cross = rearrange(ops.convert_to_numpy(cross), "b l n t (h w) -> b l n t h w", h=h, w=w)
        for row, (index, values) in enumerate(zip(indices, _token_log_probabilities(logits, token_ids), strict=True)):
            t = len(values)
            results[index] = TeacherForced(cross[row, :, :, :t], values, own[row, :, :, :t, :t])
    if with_cells:
        cells = read_cells(captioner, features, token_lists, image_rows)
        results = [item._replace(cell_log_probabilities=own) for item, own in zip(results, cells, strict=True)]
    return results


def needs_cells(selections: Iterable[MapSelection]) -> bool:
    """Whether any of these maps needs `TeacherForced.cell_log_probabilities`."""
    return any(selection.pool == POSTERIOR for selection in selections)


def read_cells(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    image_rows: Sequence[int] | None = None,
) -> list[np.ndarray]:
    """What each cell alone says about each token: float32 (T, h, w) per caption.

    That is the natural log-probability of the token, after the tokens before it, if the image consisted of that cell;
    the cell keeps its position. It costs h*w passes of the caption with a memory of one cell. Arguments and errors are
    those of `teacher_forced_pass`.
    """
    from caption_tx.inference.attention.cells import cell_log_probabilities
    from caption_tx.threads import parallel_chunks

    h, w = np.shape(features)[1:3]
    results: list[np.ndarray] = [np.empty(0)] * len(token_lists)

    def read(batch: tuple[dict[str, Any], list[int], list[np.ndarray]]) -> np.ndarray:
        inputs, _, token_ids = batch
        labels = np.zeros(inputs["token_ids"].shape, np.int32)
        for row, ids in enumerate(token_ids):
            labels[row, : len(ids) - 1] = ids[1:]
        return np.asarray(cell_log_probabilities(captioner, inputs, labels))  # (B, S, T)

    batches = _batches(captioner, features, token_lists, image_rows, _CAPTIONS_WITH_CELLS)
    for (_, indices, token_ids), own in parallel_map(read, batches, parallel_chunks(), parallel_chunks() + 1):
        for index, ids, values in zip(indices, token_ids, own, strict=True):
            results[index] = values[:, : len(ids) - 1].T.reshape(-1, h, w)
    return results


def caption_log_probabilities(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    image_rows: Sequence[int] | None = None,
    batch_size: int = 64,
) -> list[np.ndarray]:
    """The natural log-probability of every token of each caption, (T,) per caption.

    Cheaper than `teacher_forced_pass`, which also reads the attention; arguments and errors are the same.
    """
    results: list[np.ndarray] = [np.empty(0)] * len(token_lists)
    for inputs, indices, token_ids in _batches(captioner, features, token_lists, image_rows, batch_size):
        logits = captioner(inputs, training=False)  # (B, T, V)
        for index, values in zip(indices, _token_log_probabilities(logits, token_ids), strict=True):
            results[index] = values
    return results


def _batches(
    captioner: Captioner,
    features: Any,
    token_lists: Sequence[Sequence[int]],
    image_rows: Sequence[int] | None,
    batch_size: int,
) -> Iterator[tuple[dict[str, Any], list[int], list[np.ndarray]]]:
    """Batches of captions: inputs of the captioner, indices of the captions, their token ids with the start token."""
    from keras import ops

    for index, token_ids in enumerate(token_lists):
        if not 2 <= len(token_ids) <= captioner.max_length + 1:
            raise CaptionTxError(
                f"Caption {index + 1} has {len(token_ids) - 1} tokens including the end token; "
                f"the model accepts 1 to {captioner.max_length}."
            )
    image_rows = range(len(token_lists)) if image_rows is None else image_rows
    features = np.asarray(features, np.float32)
    # Sorting by length puts captions of similar length into one batch, which needs little padding.
    order = sorted(range(len(token_lists)), key=lambda index: (len(token_lists[index]), index))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        batch = [np.asarray(token_lists[index], np.int32) for index in indices]
        lengths = np.array([len(token_ids) - 1 for token_ids in batch])
        positions = np.arange(lengths.max())
        is_token = positions < lengths[:, None]  # (B, T)
        input_ids = np.zeros(is_token.shape, np.int32)
        input_ids[is_token] = np.concatenate([token_ids[:-1] for token_ids in batch])
        inputs = {
            "features": features[[image_rows[index] for index in indices]],
            "token_ids": input_ids,
            "positions": np.where(is_token, positions, 0).astype(np.int32),
            "segment_ids": is_token.astype(np.int32),
        }
        yield {name: ops.convert_to_tensor(value) for name, value in inputs.items()}, indices, batch


def _token_log_probabilities(logits: Any, token_lists: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The log-probabilities (T,) of each caption's tokens after the start token, from logits (B, T, V)."""
    from keras import ops

    log_probs = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1))  # (B, T, V)
    return [log_probs[row, np.arange(len(ids) - 1), ids[1:]] for row, ids in enumerate(token_lists)]
