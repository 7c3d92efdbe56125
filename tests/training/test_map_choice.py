"""The pooling that boxes and the deletion check choose."""

from caption_tx.evaluation.attention.box_report import ALL, BoxGrounding, MapScores, WordGroup
from caption_tx.evaluation.attention.deletion_report import Deletion, DeletionScore
from caption_tx.evaluation.intervals import Interval
from caption_tx.training.map_choice import attention_facts, choose_pool


def interval(value):
    """Of 0.1 to either side."""
    return Interval(value, value - 0.1, value + 0.1)


def grounding(**scores):
    maps = tuple(MapScores(name, interval(pointing), interval(mass)) for name, (pointing, mass) in scores.items())
    return BoxGrounding(9, False, (WordGroup(ALL, 50, 0.2, maps),), 0, (), {})


def deletion(**drops):
    scores = tuple(DeletionScore(name, *[interval(value)] * 5) for name, value in drops.items())
    return Deletion("cells", 5, 4, 32, 90, interval(0), interval(0), scores, {})


def test_another_pooling_must_be_clearly_better_than_the_default():
    others = {"mean": (0.5, 0.3), "max": (0.1, 0.1), "spread": (0.2, 0.2)}

    def chosen(**scores):
        return choose_pool(grounding(**scores, **others), None)

    assert chosen(sharp=(0.5, 0.3), rollout=(0.55, 0.35)) == "sharp"
    assert chosen(sharp=(0.5, 0.3), rollout=(0.65, 0.35)) == "rollout"
    assert chosen(sharp=(0.5, 0.3), rollout=(0.5, 0.45)) == "rollout"
    assert chosen(sharp=(0.5, 0.3), rollout=(0.47, 0.6)) == "sharp", "its peaks are worse"
    assert chosen(sharp=(0.9, 0.9), rollout=(0.5, 0.45)) == "sharp"
    assert chosen(sharp=(0.3, 0.1)) == "mean"


def test_what_matters_most_is_chosen_if_it_is_clear():
    assert choose_pool(None, deletion(sharp=0.2, mean=0.2, rollout=0.25, posterior=0.29)) == "sharp"
    assert choose_pool(None, deletion(sharp=0.2, mean=0.2, rollout=0.35, posterior=0.4)) == "posterior"
    assert choose_pool(None, None) == "sharp"


def test_what_matters_most_is_not_chosen_if_it_agrees_less_with_boxes():
    drops = deletion(sharp=0.2, mean=0.2, rollout=0.4, posterior=0.6)
    assert choose_pool(grounding(sharp=(0.5, 0.3), rollout=(0.5, 0.3), posterior=(0.495, 0.3)), drops) == "posterior"
    assert choose_pool(grounding(sharp=(0.5, 0.3), rollout=(0.5, 0.3), posterior=(0.45, 0.4)), drops) == "rollout"
    assert choose_pool(grounding(sharp=(0.5, 0.3), rollout=(0.65, 0.2), posterior=(0.45, 0.4)), drops) == "sharp"
    better = grounding(sharp=(0.5, 0.3), rollout=(0.7, 0.5), posterior=(0.5, 0.3))
    assert choose_pool(better, deletion(sharp=0.2, rollout=0.2, posterior=0.2)) == "rollout", "drops decide nothing"


def test_the_facts_say_what_was_measured():
    boxes, drops = grounding(sharp=(0.5, 0.3), posterior=(0.6, 0.4)), deletion(sharp=0.1, posterior=0.6)
    facts = attention_facts(boxes, drops)
    assert facts["words"] == {"all": {"words": 50, "pointing": 0.6, "mass": 0.4}}
    measured_on = "the boxes of 9 validation images and, by covering what words attended to, on 32 images"
    assert (facts["pool"], facts["measured_on"]) == ("posterior", measured_on)
    assert attention_facts(boxes, None)["measured_on"] == "the boxes of 9 validation images"
    covered = "32 validation images, by covering what words attended to"
    assert attention_facts(None, drops) == {"pool": "posterior", "measured_on": covered}
    assert attention_facts(None, None) == {}
