"""The pooling that boxes choose."""

from caption_tx.evaluation.attention.box_report import ALL, BoxGrounding, MapScores, WordGroup
from caption_tx.evaluation.intervals import Interval
from caption_tx.training.map_choice import best_pool


def grounding(**scores):
    """Scores of the poolings, each with an interval of 0.1 to either side."""

    def interval(value):
        return Interval(value, value - 0.1, value + 0.1)

    maps = tuple(MapScores(name, interval(pointing), interval(mass)) for name, (pointing, mass) in scores.items())
    return BoxGrounding(9, False, (WordGroup(ALL, 50, 0.2, maps),), 0, (), {})


def test_another_pooling_must_be_clearly_better_than_the_default():
    others = {"mean": (0.5, 0.3), "max": (0.1, 0.1), "spread": (0.2, 0.2)}
    assert best_pool(grounding(sharp=(0.5, 0.3), rollout=(0.55, 0.35), **others)) == "sharp"
    assert best_pool(grounding(sharp=(0.5, 0.3), rollout=(0.65, 0.35), **others)) == "rollout"
    assert best_pool(grounding(sharp=(0.5, 0.3), rollout=(0.5, 0.45), **others)) == "rollout"
    assert best_pool(grounding(sharp=(0.5, 0.3), rollout=(0.47, 0.6), **others)) == "sharp", "its peaks are worse"
    assert best_pool(grounding(sharp=(0.9, 0.9), rollout=(0.5, 0.45), **others)) == "sharp"
    assert best_pool(grounding(sharp=(0.3, 0.1), **others)) == "mean"
