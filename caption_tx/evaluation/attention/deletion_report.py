"""The result of a deletion measurement, as a table and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from caption_tx.evaluation.intervals import Interval


@dataclass(frozen=True)
class DeletionScore:
    """How much less likely words become, in nats, if the most attended cells of one selection of maps are covered.

    Attributes:
        selection: name of the selection of layers, heads and pooling.
        drop: mean drop of the word's log-probability.
        over_random, over_center, over_others: how much larger the drop is than with random cells covered, with the
            cells around the center covered, and with the cells of the caption's other words covered.
        win_rate: share of words that drop more than with random cells covered, in [0, 1].
    """

    selection: str
    drop: Interval
    over_random: Interval
    over_center: Interval
    over_others: Interval | None
    win_rate: Interval


@dataclass(frozen=True, repr=False)
class Deletion:
    """The result of `measure_deletion`.

    Attributes:
        cover: what was covered, "pixels" or "cells".
        cells: number of cells covered.
        random_covers: random covers per image.
        random, center: mean drop with random cells, and with the cells around the center, covered, in nats.
        failed: image -> why it could not be read.
    """

    cover: str
    cells: int
    random_covers: int
    images: int
    words: int
    random: Interval
    center: Interval
    scores: tuple[DeletionScore, ...]
    failed: Mapping[str, str]

    def __repr__(self) -> str:
        return self.table()

    def table(self) -> str:
        """All scores as a table for the terminal, with intervals in brackets."""
        header = ("drop", "more than random", "than the center", "than other words")
        lines = [
            f"{self.cells} cells covered ({self.cover}), {self.words:,} words of {self.images:,} images; "
            "drop of the word's log-probability in nats",
            f"  {'maps':<18}" + "".join(f"{title:<24}" for title in header) + "win rate",
            f"  {'random cells':<18}{_cell(self.random)}",
            f"  {'center':<18}{_cell(self.center)}",
        ]
        lines += [
            f"  {score.selection:<18}{_cell(score.drop):<24}{_cell(score.over_random):<24}"
            f"{_cell(score.over_center):<24}{_cell(score.over_others):<24}{score.win_rate.value:.2f}"
            for score in self.scores
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def _cell(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.value:6.3f} [{interval.low:.3f}, {interval.high:.3f}]"
