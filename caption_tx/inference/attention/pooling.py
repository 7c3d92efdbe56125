"""Attention of all layers and heads -> one map per token. No TensorFlow.

Letters: L layers, N heads, T tokens, h and w rows and columns of the feature grid, S = h*w cells.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from einops import einsum, rearrange, reduce

from caption_tx.config import POOL_NAMES
from caption_tx.errors import CaptionTxError

AXES = ("layer", "head", "token", "row", "column")
"""Names of the axes of attention scores, in order."""

SELF_AXES = ("layer", "head", "token", "position")
"""Names of the axes of self-attention scores. Token t was predicted at position t, which had read token t - 1,
and position 0 the start mark."""

ROLLOUT = "rollout"
UNIT = "attention per cell (sum over cells = 1)"
OWN_UNIT = "share of the word's own maximum"
"""What the numbers are, from 0 to 1, where every map is divided by its own maximum."""


def select(scores: np.ndarray, index: int | None, axis: int) -> np.ndarray:
    """`scores` with one entry left along `axis`, or all of them for None; the axis stays.

    Raises:
        CaptionTxError: there is no such entry.
    """
    if index is None:
        return scores
    name, count = AXES[axis], scores.shape[axis]
    if not -count <= index < count:
        raise CaptionTxError(
            f"There is no {name} {index}: the attention has {count} {name}(s), "
            f"so give 0 to {count - 1}, or -{count} to -1 counted from the end."
        )
    return np.take(scores, [index], axis=axis)


def entropy(maps: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats over the last two axes, (.., h, w) -> (..): 0 on one cell, ln(h*w) if even."""
    maps = np.asarray(maps, np.float64)
    return -np.sum(maps * np.log(np.where(maps > 0, maps, 1)), axis=(-2, -1))


def spread(scores: np.ndarray) -> np.ndarray:
    """How far the maps of one caption lie from each other, for each layer and head: (L, N, T, h, w) -> (L, N).

    The generalized Jensen-Shannon divergence of the T maps with equal weights (Lin 1991): entropy
    of their mean minus the mean of their entropies, in nats, from 0 to ln(min(T, h*w)). A head that looks
    everywhere, or always at the same place, has 0; one that looks at another place for every word has most.
    """
    return entropy(scores.mean(axis=2)) - entropy(scores).mean(axis=2)


def most_divergent_head(scores: np.ndarray, layer: int | None = None, head: int | None = None) -> tuple[int, int]:
    """(layer, head), from 0, of the largest `spread` over the whole caption among the layers and heads chosen.

    Of equals, as all are with one token, the first.

    Raises:
        CaptionTxError: there is no such layer or head.
    """
    spreads = spread(select(select(scores, layer, 0), head, 1))
    first, second = np.unravel_index(np.argmax(spreads), spreads.shape)
    layers, heads = scores.shape[:2]
    return int(first) if layer is None else layer % layers, int(second) if head is None else head % heads


def _widest(scores: np.ndarray) -> np.ndarray:
    layer, head = most_divergent_head(scores)
    return scores[layer, head]


POOLINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda scores: reduce(scores, "layer head token row column -> token row column", "mean"),
    "max": lambda scores: reduce(scores, "layer head token row column -> token row column", "max"),
    "spread": _widest,
}
"""Ways to bring (layers, heads, T, h, w) down to (T, h, w), by name; `rollout` needs the self-attention as well."""


def rollout(scores: np.ndarray, self_scores: np.ndarray) -> np.ndarray:
    """What each token has taken from each cell after every layer, directly or through earlier tokens.

    Attention rollout (Abnar and Zuidema 2020): heads are averaged, and a branch and the residual connection
    around it count half each. There are two branches in a decoder's block, so with A the self-attention and
    C the cross-attention of a layer, R (T, S) what the tokens hold of the image, from R = 0:

        R <- (R + A R) / 2,  then  R <- (R + C) / 2

    After l layers 2**-l of every row has come from the tokens alone; the rest is scaled to sum to 1.

    Args:
        scores: (L, N, T, h, w) cross-attention. self_scores: (L, N, T, T).

    Returns:
        (L, T, h, w), entry l after layers 0 to l; every map sums to 1.

    Raises:
        CaptionTxError: the shapes do not fit each other.
    """
    layers, heads, tokens, h, w = scores.shape
    if self_scores.shape != (layers, heads, tokens, tokens):
        raise CaptionTxError(
            f"Rollout needs self-attention of the shape {(layers, heads, tokens, tokens)}, got {self_scores.shape}."
        )
    held, results = np.zeros((tokens, h * w)), []
    for layer in range(layers):
        own, cross = self_scores[layer].mean(axis=0), rearrange(scores[layer].mean(axis=0), "t h w -> t (h w)")
        held = (held + einsum(own, held, "t u, u s -> t s")) / 2
        held = (held + cross) / 2
        results.append(held / (1 - 0.5 ** (layer + 1)))
    return rearrange(results, "l t (h w) -> l t h w", h=h, w=w).astype(scores.dtype)


def pool(
    scores: np.ndarray,
    layer: int | None = None,
    head: int | None = None,
    method: str = "mean",
    self_scores: np.ndarray | None = None,
) -> np.ndarray:
    """One map per token from the scores of the chosen layers and heads.

    Args:
        scores: (L, N, T, h, w) attention, which sums to 1 over each grid.
        layer: index of one layer (negative from the end), or None for all. With "rollout" the last of the
            layers that are followed.
        head: index of one head (negative from the end), or None for all.
        method: a name in `POOL_NAMES`. "mean"; "max", whose maps sum to more than 1; "spread", the head
            with the largest `spread` among the chosen, whose maps are sharp but did no better than random cells
            in the deletion test on photographs; "rollout" across the layers, see `rollout`.
        self_scores: (L, N, T, T) self-attention, which "rollout" needs.

    Returns:
        (T, h, w), of the dtype of `scores`.

    Raises:
        CaptionTxError: `scores` has another rank, the index is out of range, the method unknown, or
            "rollout" is asked of one head or without the self-attention.
    """
    scores = np.asarray(scores)
    if scores.ndim != len(AXES):
        raise CaptionTxError(f"Attention scores need the axes ({', '.join(AXES)}), got the shape {scores.shape}.")
    if method not in POOL_NAMES:
        raise CaptionTxError(f"Unknown pooling '{method}'; known: {', '.join(POOL_NAMES)}.")
    if method != ROLLOUT:
        return POOLINGS[method](select(select(scores, layer, 0), head, 1))
    if head is not None:
        raise CaptionTxError("Rollout follows the mean of all heads from layer to layer; leave out the head.")
    if self_scores is None:
        raise CaptionTxError("Rollout needs the scores of the self-attention, and these maps came without them.")
    return select(rollout(scores, np.asarray(self_scores)), -1 if layer is None else layer, 0)[0]


def unit(scores: np.ndarray, layer: int | None = None, head: int | None = None, method: str = "mean") -> str:
    """What the numbers of `pool` are, for the label of a color bar; arguments and errors as there."""
    layers, heads = scores.shape[:2]
    single = layer is not None and head is not None
    total = "" if method == "max" and not single else "sum over cells = 1, "
    if single or method == "spread":
        source = "layer {}, head {}".format(*most_divergent_head(scores, layer, head))
    elif method == ROLLOUT:
        source = "rollout across layers" if layer is None else f"rollout up to layer {layer % layers}"
    elif layer is not None:
        source = f"{method} over the heads of layer {layer % layers}"
    elif head is not None:
        source = f"{method} over head {head % heads} of all layers"
    else:
        source = f"{method} over layers and heads"
    return f"attention per cell ({source}, {total}{_even(scores)})"


def unit_of_heads(scores: np.ndarray) -> str:
    """What the scores of every layer and head are, for the label of a color bar that they share."""
    return f"attention per cell (sum over cells = 1, {_even(scores)})"


def _even(scores: np.ndarray) -> str:
    return f"evenly spread: {1 / (scores.shape[3] * scores.shape[4]):.3f}"
