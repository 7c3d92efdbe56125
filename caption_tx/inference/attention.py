"""Cross-attention of one caption: the raw scores, their pooling, and the file that keeps them.

Letters: L layers, N heads, T tokens, h and w rows and columns of the feature grid.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from einops import rearrange, reduce

from caption_tx.errors import CaptionTxError
from caption_tx.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from caption_tx.model.captioner import Captioner

AXES = ("layer", "head", "token", "row", "column")
"""Names of the axes of `AttentionMaps.scores`, in order."""

POOLINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda scores: reduce(scores, "layer head token row column -> token row column", "mean"),
    "max": lambda scores: reduce(scores, "layer head token row column -> token row column", "max"),
}
"""Ways to bring (layers, heads, T, h, w) down to (T, h, w), by name."""


def _select(scores: np.ndarray, index: int | None, axis: int) -> np.ndarray:
    """`scores` with one entry left along `axis`, or all of them for None; the axis stays."""
    if index is None:
        return scores
    name, count = AXES[axis], scores.shape[axis]
    if not -count <= index < count:
        raise CaptionTxError(
            f"There is no {name} {index}: the attention has {count} {name}(s), "
            f"so give 0 to {count - 1}, or -{count} to -1 counted from the end."
        )
    return np.take(scores, [index], axis=axis)


def pool(scores: np.ndarray, layer: int | None = None, head: int | None = None, method: str = "mean") -> np.ndarray:
    """One map per token from the scores of the chosen layers and heads.

    Args:
        scores: (L, N, T, h, w) attention, which sums to 1 over each grid.
        layer: index of one layer (negative from the end), or None for all.
        head: index of one head (negative from the end), or None for all.
        method: a name in `POOLINGS`. The mean still sums to 1 over the grid; the maximum does not.

    Returns:
        (T, h, w), of the dtype of `scores`.

    Raises:
        CaptionTxError: `scores` has another rank, the index is out of range or the method unknown.
    """
    scores = np.asarray(scores)
    if scores.ndim != len(AXES):
        raise CaptionTxError(f"Attention scores need the axes ({', '.join(AXES)}), got the shape {scores.shape}.")
    if method not in POOLINGS:
        raise CaptionTxError(f"Unknown pooling '{method}'; known: {', '.join(POOLINGS)}.")
    return POOLINGS[method](_select(_select(scores, layer, 0), head, 1))


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """Where the model looked for each token of one caption of one image.

    Attributes:
        scores: (L, N, T, h, w) post-softmax cross-attention; layers and heads are kept apart.
        words: T tokens; `scores[:, :, t]` was read when `words[t]` was predicted. The last may be "[END]".
        log_probabilities: (T,) natural logarithm of each token's probability.
        image: name of the image.
        caption: the caption as it is shown.
        picture: (H, W, 3) uint8 RGB, what `figure` draws on unless it is given another; not saved to NPZ.

    Raises:
        CaptionTxError: the shapes do not fit each other, or a score is not finite.
    """

    scores: np.ndarray
    words: tuple[str, ...]
    log_probabilities: np.ndarray
    image: str = ""
    caption: str = ""
    picture: np.ndarray | None = None

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores)
        log_probabilities = np.asarray(self.log_probabilities)
        words = tuple(str(word) for word in self.words)
        if scores.ndim != len(AXES) or 0 in scores.shape:
            raise CaptionTxError(
                f"Attention scores need five filled axes ({', '.join(AXES)}), got the shape {scores.shape}."
            )
        if scores.shape[2] != len(words):
            raise CaptionTxError(
                f"One row of attention per word is needed: the scores have the shape {scores.shape}, "
                f"so {scores.shape[2]} tokens, but the words have the shape ({len(words)},)."
            )
        if log_probabilities.shape != (len(words),):
            raise CaptionTxError(
                f"One log-probability per word is needed: the words have the shape ({len(words)},), "
                f"the log-probabilities {log_probabilities.shape}."
            )
        if not np.isfinite(scores).all():
            raise CaptionTxError(f"The attention scores of '{self.image}' hold values that are not finite.")
        for name, value in (("scores", scores), ("log_probabilities", log_probabilities), ("words", words)):
            object.__setattr__(self, name, value)

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of the feature grid."""
        return self.scores.shape[3], self.scores.shape[4]

    def pooled(self, layer: int | None = None, head: int | None = None, pool: str = "mean") -> np.ndarray:
        """(T, h, w) maps; see the function `pool` of this module for arguments and errors."""
        return _pool(self.scores, layer=layer, head=head, method=pool)

    def figure(
        self,
        image: np.ndarray | None = None,
        layer: int | None = None,
        head: int | None = None,
        pool: str = "mean",
        **options: Any,
    ) -> Figure:
        """The photograph and one overlay per token.

        Args:
            image: (H, W, 3) uint8 RGB to draw on, or None for `picture`.
            layer: see `pool`.
            head: see `pool`.
            pool: name of the pooling.
            options: passed on to `plotting.attention_figure` (columns, alpha, common_scale, cmap, ...).

        Raises:
            CaptionTxError: as `pool` and `plotting.attention_figure`.
        """
        from caption_tx.inference import plotting

        maps = self.pooled(layer, head, pool)
        per_cell = f"evenly spread: {1 / (maps.shape[1] * maps.shape[2]):.3f}"
        sums_to_one = pool == "mean" or (layer is not None and head is not None)
        unit = f"sum over cells = 1, {per_cell}" if sums_to_one else f"{pool} over layers and heads, {per_cell}"
        options = {"caption": self.caption, "unit": f"attention per cell ({unit})"} | options
        image = self._picture(image)
        return plotting.attention_figure(image, maps, self.words, log_probabilities=self.log_probabilities, **options)

    def _picture(self, image: np.ndarray | None) -> np.ndarray:
        image = self.picture if image is None else image
        if image is None:
            raise CaptionTxError("These attention maps came without their picture; pass it to draw on.")
        return image

    def heads_figure(self, image: np.ndarray | None, position: int, **options: Any) -> Figure:
        """Every layer and head apart, for the token at `position` (0 to T - 1, or negative from the end).

        Args:
            image: (H, W, 3) uint8 RGB, or None for `picture`.
            position: which token.
            options: passed on to `plotting.attention_heads_figure`.

        Raises:
            CaptionTxError: there is no such token, or as `plotting.attention_heads_figure`.
        """
        from caption_tx.inference import plotting

        scores = _select(self.scores, position, 2)[:, :, 0]
        return plotting.attention_heads_figure(self._picture(image), scores, self.words[position], **options)

    def save_npz(self, path: str | Path) -> None:
        """Writes scores, axes, words, log_probabilities, caption and image to a compressed NPZ.

        The file appears whole or not at all, and holds no pickle.

        Raises:
            CaptionTxError: the file cannot be written.
        """
        values = {
            "scores": self.scores,
            "axes": np.array(AXES),
            "words": np.array(self.words, dtype=str),
            "log_probabilities": self.log_probabilities,
            "caption": np.array(self.caption, dtype=str),
            "image": np.array(self.image, dtype=str),
        }
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **values)
        try:
            write_atomically(path, stream.getvalue())
        except OSError as error:
            raise CaptionTxError(f"Cannot write the attention maps to {path}: {error.strerror}.") from error


def trace(
    captioner: Captioner, features: np.ndarray, token_ids: Sequence[int], start_token_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """One teacher-forced pass over a caption that exists, generated or typed.

    Args:
        features: float (h, w, C) of the image.
        token_ids: the caption's T tokens, without the start mark; with the end mark if it has one.

    Returns:
        Cross-attention scores (L, N, T, h, w), row t being where the model looked when it predicted
        token t; and the log-probability (T,) of each token, natural, <= 0.

    Raises:
        CaptionTxError: the caption is empty, or longer than the model has positions for.
    """
    from keras import ops

    length = len(token_ids)
    if not 1 <= length <= captioner.max_length:
        raise CaptionTxError(
            f"A caption to explain needs 1 to {captioner.max_length} tokens with its end mark, this one has {length}."
        )
    h, w, _ = np.shape(features)
    inputs = {
        "features": ops.convert_to_tensor(np.asarray(features, np.float32)[None]),
        "token_ids": ops.convert_to_tensor(np.array([[start_token_id, *token_ids[:-1]]], np.int32)),
        "positions": ops.arange(length, dtype="int32")[None],
        "segment_ids": ops.ones((1, length), "int32"),
    }
    logits, scores = captioner(inputs, training=False, return_attention_scores=True)
    log_shares = ops.convert_to_numpy(ops.log_softmax(logits[0], axis=-1))  # (T, V)
    scores = rearrange(ops.convert_to_numpy(scores[0]), "l n t (h w) -> l n t h w", h=h, w=w)
    return scores, log_shares[np.arange(length), list(token_ids)]


# `AttentionMaps.pooled` and `figure` take an argument of the same name.
_pool = pool


def load_npz(path: str | Path) -> AttentionMaps:
    """The maps that `AttentionMaps.save_npz` wrote.

    Raises:
        CaptionTxError: the file is missing, is no NPZ, lacks a part, or has its axes in another order.
    """
    wanted = ("scores", "axes", "words", "log_probabilities", "caption", "image")
    try:
        # An own stream, because numpy leaves its one open when the archive is damaged.
        with open(path, "rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CaptionTxError(f"{path} holds no attention maps but one bare array.")
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                raise CaptionTxError(f"{path} holds no attention maps: {', '.join(missing)} missing.")
            parts = {name: archive[name] for name in wanted}
    except OSError as error:
        raise CaptionTxError(f"Cannot read the attention maps in {path}: {error.strerror or error}.") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CaptionTxError(f"{path} is not an NPZ file of attention maps: {error}.") from error
    axes = tuple(str(name) for name in parts["axes"])
    if axes != AXES:
        raise CaptionTxError(f"{path} has the axes {axes}, expected {AXES}.")
    return AttentionMaps(
        scores=parts["scores"],
        words=tuple(str(word) for word in parts["words"]),
        log_probabilities=parts["log_probabilities"],
        image=str(parts["image"]),
        caption=str(parts["caption"]),
    )
