"""Captions of rendered scenes, and the exact check of captions."""

from dataclasses import replace

import jieba
import pytest

from caption_tx.data.scenes.captions import WORDS, check_caption, named_objects, scene_captions, word_class
from caption_tx.data.scenes.objects import COLORS, SHAPES, SceneObject
from caption_tx.data.scenes.rendering import plan_scene

LANGUAGES = ("zh", "en")


@pytest.fixture(scope="module")
def plans():
    return [plan_scene(0, index) for index in range(400)]


def red_circle_left_of_blue_triangle():
    return (
        SceneObject("circle", "red", "large", (60.0, 100.0), 40.0, 0.0),
        SceneObject("triangle", "blue", "small", (170.0, 110.0), 30.0, 0.0),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_differ_name_every_object_and_pass_the_check(plans, language):
    num_stated = 0
    for objects, direction in plans:
        captions = scene_captions(objects, direction, language)
        assert len(set(captions)) == len(captions) == 4
        for caption in captions:
            for item in objects:
                assert WORDS[language]["color"][item.color] in caption
                assert WORDS[language]["shape"][item.shape] in caption
            check = check_caption(caption, objects, language)
            assert check.exact and check.named == check.expected
            assert check.relation is not False
            num_stated += check.relation is True
    assert num_stated >= 2 * 400


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_changed_color_shape_or_number_of_objects_is_inexact(plans, language):
    for objects, direction in plans[:150]:
        taken = {(item.color, item.shape) for item in objects}
        for changes in ({"color": list(COLORS)}, {"shape": list(SHAPES)}):
            ((name, values),) = changes.items()
            for value in values:
                other = replace(objects[-1], **{name: value})
                if (other.color, other.shape) in taken:
                    continue
                for caption in scene_captions((*objects[:-1], other), direction, language):
                    check = check_caption(caption, objects, language)
                    assert not check.exact
                    assert check.relation in (None, False)
        if len(objects) > 1:
            for caption in scene_captions(objects[:-1], direction, language):
                assert not check_caption(caption, objects, language).exact
            for caption in scene_captions(objects, direction, language):
                assert not check_caption(caption, objects[:-1], language).exact


@pytest.mark.parametrize(
    ("caption", "language", "exact", "relation"),
    [
        ("一个红色的圆形在一个蓝色的三角形的左边", "zh", True, True),
        ("一个红色的圆形在蓝色的三角形左边", "zh", True, True),
        ("左边一个红色的圆形在一个蓝色的三角形", "zh", True, False),  # an unknown form of sentence counts as incorrect
        ("一个 红色 的 圆形 在 一个 蓝色 的 三角形 的 左边", "zh", True, True),
        ("左边是一个红色的圆形右边是一个蓝色的三角形", "zh", True, True),
        ("一个蓝色的三角形在一个红色的圆形的右边", "zh", True, True),
        ("一个红色的圆形在一个蓝色的三角形的右边", "zh", True, False),
        ("一个红色的圆形在一个蓝色的三角形的上面", "zh", True, True),
        ("一个红色的圆形在一个蓝色的三角形的下面", "zh", True, False),
        ("图中有一个红色的圆形和一个蓝色的三角形", "zh", True, None),
        ("这里有一个大的红色的圆形和一个小的蓝色的三角形", "zh", True, None),
        ("图中有一个大的红色圆形和一个蓝色三角形", "zh", True, None),
        ("图中有一个红色的大圆形和一个蓝色的小三角形", "zh", True, None),
        ("图中有一个蓝色的圆形和一个红色的三角形", "zh", False, None),
        ("图中有一个红色的圆形和一个红色的圆形", "zh", False, None),
        ("图中有一个红色的红色的圆形和一个蓝色的三角形", "zh", False, None),
        ("图中有一个红色的圆形和一个蓝色的三角形和一个星形", "zh", False, None),
        ("左边是一个红色的圆形右边", "zh", False, False),
        ("", "zh", False, None),
        ("A red circle to the left of a blue triangle.", "en", True, True),
        ("a blue triangle to the right of a red circle", "en", True, True),
        ("a red circle below a blue triangle", "en", True, False),
        ("on the left is a red circle on the right is a blue triangle", "en", True, True),
        ("there is a large red circle and a small blue triangle", "en", True, None),
        ("there is a red circle and a blue triangle and a star", "en", False, None),
        ("there is a red circle", "en", False, None),
        ("a blue circle to the left of a red triangle", "en", False, False),
    ],
)
def test_check_caption_by_example(caption, language, exact, relation):
    check = check_caption(caption, red_circle_left_of_blue_triangle(), language)
    assert (check.exact, check.relation) == (exact, relation)


def test_jieba_keeps_every_color_and_shape_whole(plans):
    known = {word for kind in ("color", "shape") for word in WORDS["zh"][kind].values()}
    for objects, direction in plans[:300]:
        for caption in scene_captions(objects, direction, "zh"):
            words = jieba.lcut(caption)
            named = [word for word in words if word in known]
            expected = [WORDS["zh"][kind][getattr(item, kind)] for item in objects for kind in ("color", "shape")]
            assert named == expected
            owners = named_objects(words, objects, "zh")
            assert [owner for owner in owners if owner is not None] == [
                i for i in range(len(objects)) for _ in ("color", "shape")
            ]


def test_named_objects_and_word_classes():
    words = ["on", "the", "left", "is", "a", "red", "circle", "on", "the", "right", "is", "a", "red", "triangle"]
    owners = named_objects(words, red_circle_left_of_blue_triangle(), "en")
    assert [(words[position], owner) for position, owner in enumerate(owners) if owner is not None] == [
        ("red", 0),
        ("circle", 0),
    ]
    assert [word_class(word, "en") for word in ("red", "star", "large", "left", "is")] == [
        "color",
        "shape",
        "size",
        "relation",
        None,
    ]
    assert [word_class(word, "zh") for word in ("红色", "星形", "大", "左边", "的")] == [
        "color",
        "shape",
        "size",
        "relation",
        None,
    ]
