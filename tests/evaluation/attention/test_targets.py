"""Words of captions that refer to objects of a scene."""

import pytest

from caption_tx.config import TextConfig
from caption_tx.data.scenes.objects import SceneObject
from caption_tx.data.text.segmentation import Segmenter
from caption_tx.evaluation.attention.targets import WordTarget, find_targets


def make_object(color, shape, x):
    return SceneObject(shape, color, "small", (x, 100.0), 28.0, 0.0)


@pytest.mark.parametrize(
    ("language", "caption", "expected"),
    [
        ("en", "a red circle to the left of a blue star", [(1, "color", 0), (2, "shape", 0), (5, "relation", 0, 1),
                                                             (8, "color", 1), (9, "shape", 1)]),
        ("en", "on the left is a red circle", [(5, "color", 0), (6, "shape", 0)]),
        ("en", "there is a green circle and a blue star", [(7, "color", 1), (8, "shape", 1)]),
        ("zh", "一个红色的圆形在一个蓝色的星形的左边", [(1, "color", 0), (3, "shape", 0), (6, "color", 1),
                                              (8, "shape", 1), (10, "relation", 0, 1)]),
        ("zh", "左边是一个红色的圆形", [(3, "color", 0), (5, "shape", 0)]),
    ],
)  # fmt: skip
def test_words_are_matched_to_objects(language, caption, expected):
    objects = (make_object("red", "circle", 60.0), make_object("blue", "star", 160.0))
    words = Segmenter(TextConfig(language=language)).segment(caption)
    targets = find_targets(words, objects, language)
    assert targets == [WordTarget(position, kind, tuple(indices)) for position, kind, *indices in expected]
