"""The result of a grounding measurement, as a summary line, a table and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from caption_tx.config import POOL_NAMES
from caption_tx.errors import CaptionTxError
from caption_tx.evaluation.intervals import Interval


@dataclass(frozen=True)
class ClassBaseline:
    """Scores of one class of words that do not depend on any map.

    Attributes:
        words: number of words measured.
        area_share: share of the image that the masks cover.
        center, random: pointing game of the image center, and of a random cell.
        center_exact, random_exact: the same without tolerance.
    """

    name: str
    words: int
    area_share: float
    center: Interval
    random: Interval
    center_exact: Interval
    random_exact: Interval


@dataclass(frozen=True)
class MapScore:
    """How well the maps of one selection match the masks of one class of words.

    Attributes:
        selection: name of the selection of layers, heads and pooling.
        pointing, pointing_exact: pointing game with and without tolerance, in [0, 1].
        mass: share of the attention inside the mask.
        mass_ratio: `mass` divided by the mask's share of the image.
        shuffled_pointing, shuffled_mass_ratio: the same if the captioner sees another scene.
    """

    selection: str
    word_class: str
    pointing: Interval
    pointing_exact: Interval
    mass: Interval
    mass_ratio: Interval
    shuffled_pointing: Interval
    shuffled_mass_ratio: Interval


@dataclass(frozen=True, repr=False)
class Grounding:
    """The result of `measure_grounding`; `scores` are ordered by selection and then by class of words."""

    scenes: int
    captions: int
    tolerance: int
    classes: tuple[ClassBaseline, ...]
    scores: tuple[MapScore, ...]

    def __repr__(self) -> str:
        return self.table()

    def best(self, word_class: str = "shape", among: Iterable[str] = POOL_NAMES) -> MapScore:
        """The score with the highest pointing game of a class of words, among the named selections.

        Raises:
            CaptionTxError: none of them was measured for this class.
        """
        among = tuple(among)
        scores = [score for score in self.scores if score.word_class == word_class and score.selection in among]
        if not scores:
            raise CaptionTxError(f"No maps of {', '.join(among)} were measured for {word_class} words.")
        return max(scores, key=lambda score: score.pointing.value)

    def summary(self, word_class: str = "shape") -> str:
        """One line about the best pooling."""
        score = self.best(word_class)
        [baseline] = [baseline for baseline in self.classes if baseline.name == word_class]
        return (
            f"grounding: pointing game {score.pointing.value:.2f} for {word_class} words "
            f"(center {baseline.center.value:.2f}, random {baseline.random.value:.2f}, "
            f"maps of another scene {score.shuffled_pointing.value:.2f}), "
            f"mass in the mask {score.mass_ratio.value:.1f} times its area share; pooled by {score.selection}"
        )

    def table(self) -> str:
        """All scores as a table for the terminal, with intervals in brackets."""
        lines = []
        for baseline in self.classes:
            lines += [
                f"{baseline.name} words: {baseline.words:,} in {self.captions:,} captions of {self.scenes:,} scenes; "
                f"masks cover {baseline.area_share:.1%} of the image",
                f"  {'maps':<18}{'pointing':<20}{'without tolerance':<20}{'mass/area':<20}"
                f"{'another scene: pointing':<25}{'mass/area':<20}",
                f"  {'center':<18}{_cell(baseline.center):<20}{_cell(baseline.center_exact)}",
                f"  {'random cell':<18}{_cell(baseline.random):<20}{_cell(baseline.random_exact):<20}{1:5.2f}",
            ]
            lines += [
                f"  {score.selection:<18}{_cell(score.pointing):<20}{_cell(score.pointing_exact):<20}"
                f"{_cell(score.mass_ratio):<20}{_cell(score.shuffled_pointing):<25}{_cell(score.shuffled_mass_ratio)}"
                for score in self.scores
                if score.word_class == baseline.name
            ]
        return "\n".join(line.rstrip() for line in lines)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def _cell(interval: Interval) -> str:
    return f"{interval.value:5.2f} [{interval.low:.2f}, {interval.high:.2f}]"
