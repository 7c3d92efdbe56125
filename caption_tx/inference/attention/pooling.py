"""Pooling: attention of all layers and heads -> one map per token.

Letters: L layers, N heads, T tokens, h/w feature grid, S = h*w cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from caption_tx.config import DEFAULT_POOL, POOL_NAMES
from caption_tx.errors import CaptionTxError, ConfigError

AXES = ("layer", "head", "token", "row", "column")
"""Names of the axes of cross-attention scores, in order."""

CELL_AXES = ("token", "row", "column")
"""Names of the axes of the log-probabilities of cells, in order."""

SELF_AXES = ("layer", "head", "token", "position")
"""Names of the axes of self-attention scores. Token t is predicted at position t, whose input is token t - 1; the
input of position 0 is the start token."""

MEAN = "mean"
"""The pooling of a selected layer or head unless another is requested."""

SHARP, ROLLOUT, POSTERIOR = "sharp", "rollout", "posterior"


_TEMPERING = 0.5
"""Exponent of the probabilities from single cells in the posterior."""


def entropy(maps: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats over the last two axes: (.., h, w) -> (..).

    It is 0 if all attention is on one cell, and ln(h*w) if the attention is uniform.
    """
    maps = np.asarray(maps, np.float64)
    return -np.sum(maps * np.log(np.where(maps > 0, maps, 1)), axis=(-2, -1))


def jensen_shannon_divergence(scores: np.ndarray) -> np.ndarray:
    """How much the maps of one caption differ from each other, per layer and head: (L, N, T, h, w) -> (L, N).

    The generalized Jensen-Shannon divergence of the T maps with equal weights (Lin 1991): the entropy of their
    mean minus the mean of their entropies, in nats, from 0 to ln(min(T, h*w)). It is 0 for a head whose map is the
    same for every token, and largest for a head that attends to different cells for every token.
    """
    return entropy(scores.mean(axis=2)) - entropy(scores).mean(axis=2)


def most_divergent_head(scores: np.ndarray, layer: int | None = None, head: int | None = None) -> tuple[int, int]:
    """(layer, head), from 0, with the largest `jensen_shannon_divergence` in the caption.

    The first one wins a tie; with a single token all heads tie.

    Args:
        scores: (L, N, T, h, w).
        layer: consider only this layer; None for all.
        head: consider only this head; None for all.

    Raises:
        ConfigError: there is no such layer or head.
    """
    divergences = jensen_shannon_divergence(_select(_select(scores, layer, 0), head, 1))
    best_layer, best_head = np.unravel_index(np.argmax(divergences), divergences.shape)
    layers, heads = scores.shape[:2]
    return int(best_layer) if layer is None else layer % layers, int(best_head) if head is None else head % heads


def _most_divergent_maps(scores: np.ndarray) -> np.ndarray:
    layer, head = most_divergent_head(scores)
    return scores[layer, head]


def _mean_maps(scores: np.ndarray) -> np.ndarray:
    return scores.mean(axis=(0, 1))


def _sharpened_mean_maps(scores: np.ndarray) -> np.ndarray:
    """The mean maps, squared and scaled to sum to 1: attention read at half the softmax temperature.

    The order of the cells does not change.
    """
    maps = _mean_maps(scores)
    exact = maps.astype(np.float64)  # squares of small values vanish in float16
    highest = exact.max(axis=(1, 2), keepdims=True)
    squares = (exact / np.where(highest > 0, highest, 1)) ** 2
    total = squares.sum(axis=(1, 2), keepdims=True)
    return (squares / np.where(total > 0, total, 1)).astype(maps.dtype)


POOLINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    SHARP: _sharpened_mean_maps,
    MEAN: _mean_maps,
    "max": lambda scores: scores.max(axis=(0, 1)),
    "spread": _most_divergent_maps,
}
"""Functions that reduce (layers, heads, T, h, w) to (T, h, w), by name. `rollout` and `posterior` need more."""


def rollout(scores: np.ndarray, self_scores: np.ndarray) -> np.ndarray:
    """How much of each cell's content has reached each token, directly or through earlier tokens.

    Attention rollout (Abnar and Zuidema 2020): heads are averaged, and a branch and its residual connection
    have equal weight. A decoder block has two branches. With A the self-attention and C the cross-attention of
    a layer, the mixture R (T, S) starts at 0 and becomes in each layer

        R <- (R + A R) / 2,  then  R <- (R + C) / 2

    After l layers, a share of 2**-l of every row comes from the tokens alone; the rest is scaled to sum to 1.

    Args:
        scores: (L, N, T, h, w) cross-attention.
        self_scores: (L, N, T, T) self-attention.

    Returns:
        (L, T, h, w), entry l after layers 0 to l; every map sums to 1.

    Raises:
        CaptionTxError: the shapes do not match.
    """
    layers, heads, tokens, h, w = scores.shape
    if self_scores.shape != (layers, heads, tokens, tokens):
        raise CaptionTxError(
            f"Rollout needs self-attention of shape {(layers, heads, tokens, tokens)}, got {self_scores.shape}."
        )
    mixture, results = np.zeros((tokens, h * w)), []
    for layer in range(layers):
        own = self_scores[layer].mean(axis=0)  # (T, T)
        cross = scores[layer].mean(axis=0).reshape(tokens, h * w)  # (T, S)
        mixture = (mixture + own @ mixture) / 2
        mixture = (mixture + cross) / 2
        results.append(mixture / (1 - 0.5 ** (layer + 1)))
    return np.reshape(results, (layers, tokens, h, w)).astype(scores.dtype)


def likelihood_weights(cell_log_probabilities: np.ndarray) -> np.ndarray:
    """How much each cell alone speaks for a word: the root of the word's probability from it; the highest is 1.

    The root, since the model has not been trained on single cells, whose probabilities differ too much: `_TEMPERING`
    was chosen by boxes and by the deletion check (experiments/README.md).

    Args:
        cell_log_probabilities: (T, h, w) natural logarithms, see `teacher_forcing.read_cells`.

    Returns:
        float64 (T, h, w), in [0, 1].
    """
    logs = np.asarray(cell_log_probabilities, np.float64)
    return np.exp(_TEMPERING * (logs - logs.max(axis=(1, 2), keepdims=True)))


def posterior(maps: np.ndarray, cell_log_probabilities: np.ndarray) -> np.ndarray:
    """Maps weighted by how much each cell alone speaks for the word that was chosen, and scaled to sum to 1.

    Attention is computed before its word is chosen, so it also covers what else could have been said. If the model
    looked at one cell, drawn with the probability that the map gives it, Bayes' rule would give the probability of each
    cell once the word is known: the map times the word's probability from that cell, scaled (posterior attention,
    Shankar and Sarawagi 2019, "Posterior Attention Models for Sequence to Sequence Learning"). Here the probability is
    tempered, see `likelihood_weights`.

    Args:
        maps: (T, h, w), at least 0.
        cell_log_probabilities: (T, h, w), see `teacher_forcing.read_cells`.

    Returns:
        (T, h, w), in the dtype of `maps`.

    Raises:
        CaptionTxError: the shapes do not match.
    """
    if np.shape(cell_log_probabilities) != maps.shape:
        raise CaptionTxError(
            f"The posterior needs log-probabilities of shape {maps.shape}, got {np.shape(cell_log_probabilities)}."
        )
    weighted = maps * likelihood_weights(cell_log_probabilities)
    total = weighted.sum(axis=(1, 2), keepdims=True)
    return (weighted / np.where(total > 0, total, 1)).astype(maps.dtype)


@dataclass(frozen=True)
class MapSelection:
    """Which layers and heads are shown, and how their maps are pooled into one.

    Attributes:
        layer: index of one layer (negative from the end), or None for all. With "rollout", the last layer
            of the rollout.
        head: index of one head (negative from the end), or None for all.
        pool: a name in `POOL_NAMES`: "sharp", the mean squared and scaled to sum to 1, whose highest cells are those of
            the mean; "mean"; "max", whose maps sum to more than 1; "spread", the most divergent head of the selected
            ones, with narrow maps that did no better than random cells in the deletion test on photographs; "rollout",
            see `rollout`; "posterior", "sharp" weighted by how much each cell alone speaks for the word, see
            `posterior`. The maps of one head of one layer are not changed by any pooling.

    Example:

        maps = MapSelection(layer=-1).pooled(scores)  # (T, h, w), mean over the heads of the last layer
    """

    layer: int | None = None
    head: int | None = None
    pool: str = MEAN

    def pooled(
        self,
        scores: np.ndarray,
        self_scores: np.ndarray | None = None,
        cell_log_probabilities: np.ndarray | None = None,
    ) -> np.ndarray:
        """One map per token.

        Args:
            scores: (L, N, T, h, w) attention that sums to 1 over each grid.
            self_scores: (L, N, T, T) self-attention, required by "rollout".
            cell_log_probabilities: (T, h, w), see `teacher_forcing.read_cells`, required by "posterior".

        Returns:
            (T, h, w), in the dtype of `scores`.

        Raises:
            CaptionTxError: `scores` has another number of axes.
            ConfigError: a layer or head does not exist, the pooling is unknown, "rollout" is requested for one head
                or without self-attention, or "posterior" without log-probabilities of cells.
        """
        scores = np.asarray(scores)
        if scores.ndim != len(AXES):
            raise CaptionTxError(f"Attention scores need the axes ({', '.join(AXES)}), got the shape {scores.shape}.")
        if self.pool not in POOL_NAMES:
            raise ConfigError(f"Unknown pooling '{self.pool}'; choose from {', '.join(POOL_NAMES)}.")
        if self.pool != ROLLOUT:
            pool = MEAN if self._is_single else self.pool
            selected = _select(_select(scores, self.layer, 0), self.head, 1)
            if pool != POSTERIOR:
                return POOLINGS[pool](selected)
            if cell_log_probabilities is None:
                raise ConfigError(
                    "The posterior needs the log-probabilities of cells, and these maps have none; explain the image "
                    "again, or choose another pooling."
                )
            return posterior(_sharpened_mean_maps(selected), np.asarray(cell_log_probabilities))
        if self.head is not None:
            raise ConfigError("Rollout averages all heads of a layer; leave out the head.")
        if self_scores is None:
            raise ConfigError("Rollout needs self-attention scores, and these maps have none.")
        layer = -1 if self.layer is None else self.layer
        return _select(rollout(scores, np.asarray(self_scores)), layer, 0)[0]

    def unit(self, scores: np.ndarray) -> str:
        """What the values of `pooled` are, as the label of a color bar; errors as for `pooled`."""
        layers, heads = scores.shape[:2]
        total = "" if self.pool == "max" and not self._is_single else "sum over cells = 1, "
        if self._is_single or self.pool == "spread":
            source = "layer {}, head {}".format(*most_divergent_head(scores, self.layer, self.head))
        elif self.pool == ROLLOUT:
            source = "rollout across layers" if self.layer is None else f"rollout up to layer {self.layer % layers}"
        else:
            source = f"{_UNIT_NAMES.get(self.pool, self.pool)} over {self._selected(layers, heads)}"
        return f"attention per cell ({source}, {total}{_uniform(scores)})"

    @property
    def _is_single(self) -> bool:
        """Whether one head of one layer is selected, which leaves nothing to pool: its maps are shown as they are."""
        return self.layer is not None and self.head is not None

    def _selected(self, layers: int, heads: int) -> str:
        """The selected layers and heads, of which there are several, in words."""
        if self.layer is not None:
            return f"the heads of layer {self.layer % layers}"
        return "layers and heads" if self.head is None else f"head {self.head % heads} of all layers"


_UNIT_NAMES = {SHARP: "sharp: squared mean", POSTERIOR: "posterior of the word"}

ALL_HEADS = MapSelection(pool=DEFAULT_POOL)


def select_maps(layer: int | None, head: int | None, pool: str | None, default: str) -> MapSelection:
    """A selection whose pooling may be open: all layers and heads then have the default, and selected ones the mean.

    Example:
        >>> select_maps(None, 2, None, "rollout").pool
        'mean'
    """
    if pool is None:
        pool = default if layer is None and head is None else MEAN
    return MapSelection(layer, head, pool)


def unit_of_heads(scores: np.ndarray) -> str:
    """Label of the color bar that the maps of all layers and heads share."""
    return f"attention per cell (sum over cells = 1, {_uniform(scores)})"


def _uniform(scores: np.ndarray) -> str:
    return f"uniform: {1 / (scores.shape[3] * scores.shape[4]):.3f}"


def _select(scores: np.ndarray, index: int | None, axis: int) -> np.ndarray:
    """Keeps one entry along `axis`, or all for None; the axis stays.

    Raises:
        ConfigError: there is no such entry.
    """
    if index is None:
        return scores
    name, count = AXES[axis], scores.shape[axis]
    if not -count <= index < count:
        raise ConfigError(
            f"There is no {name} {index}: the model has {count} {name}(s); "
            f"use 0 to {count - 1}, or -{count} to -1 from the end."
        )
    return np.take(scores, [index], axis=axis)
