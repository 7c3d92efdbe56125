"""Rendered scenes: deterministic, clear to see, and captions that can be judged exactly."""

import csv
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import jieba
import numpy as np
import pytest
from PIL import Image

from caption_tx.data.scenes.captions import WORDS, describe, judge, named_objects, word_class
from caption_tx.data.scenes.objects import COLOR_JITTER, COLORS, IMAGE_SIZE, SHAPES, SceneObject
from caption_tx.data.scenes.rendering import plan_scene, read_scenes, render_scene, write_scenes
from caption_tx.errors import ConfigError, CorpusError

LANGUAGES = ("zh", "en")
MANY = 2000


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(3, index) for index in range(60)]


@pytest.fixture(scope="module")
def plans():
    return [plan_scene(0, index) for index in range(MANY)]


def red_circle_left_of_blue_triangle():
    return (
        SceneObject("circle", "red", "large", (60.0, 100.0), 40.0, 0.0),
        SceneObject("triangle", "blue", "small", (170.0, 110.0), 30.0, 0.0),
    )


def test_a_scene_depends_on_seed_and_index_only(scenes):
    again = render_scene(3, 41)
    np.testing.assert_array_equal(again.image, scenes[41].image)
    np.testing.assert_array_equal(again.masks, scenes[41].masks)
    assert again.captions_zh == scenes[41].captions_zh
    assert plan_scene(3, 41)[0] == again.objects
    assert not np.array_equal(render_scene(4, 41).image, again.image)
    assert not np.array_equal(render_scene(3, 42).image, again.image)


def test_arrays_have_the_promised_shapes(scenes):
    for scene in scenes:
        assert scene.image.shape == (IMAGE_SIZE, IMAGE_SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.masks.shape == (len(scene.objects), IMAGE_SIZE, IMAGE_SIZE) and scene.masks.dtype == bool
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            np.testing.assert_array_equal(item.mask(), mask)


def test_masks_show_the_named_color_and_stand_out(scenes):
    for scene in scenes:
        outside = scene.image[~scene.masks.any(axis=0)].astype(float)
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            inside = scene.image[mask].astype(float)
            assert len(inside) > 700
            assert np.abs(np.median(inside, axis=0) - COLORS[item.color]).max() <= COLOR_JITTER + 3
            # The second percentile leaves out the half-covered pixels at the rim.
            distance = np.linalg.norm(outside - np.median(inside, axis=0), axis=1)
            assert np.percentile(distance, 2) > 75


def test_objects_neither_overlap_nor_leave_the_picture(plans):
    for objects, _ in plans:
        for number, item in enumerate(objects):
            x, y = item.center
            assert item.radius <= min(x, y) and max(x, y) <= IMAGE_SIZE - item.radius
            for other in objects[number + 1 :]:
                assert np.hypot(x - other.center[0], y - other.center[1]) > item.radius + other.radius


def test_mask_lies_within_the_bounding_circle(scenes):
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] + 0.5
    for scene in scenes:
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            assert np.hypot(x - item.center[0], y - item.center[1])[mask].max() < item.radius + 1
            assert np.hypot(x[mask].mean() - item.center[0], y[mask].mean() - item.center[1]) < 0.05 * item.radius + 1


def test_guessing_the_center_seldom_hits():
    objects = [item for index in range(300) for item in plan_scene(5, index)[0]]
    hits = Counter()
    for item in objects:
        hits[item.shape] += bool(item.mask()[IMAGE_SIZE // 2, IMAGE_SIZE // 2])
    totals = Counter(item.shape for item in objects)
    assert sum(hits.values()) / len(objects) < 0.35
    assert all(hits[shape] / totals[shape] < 0.35 for shape in SHAPES)


def test_everything_occurs_and_no_pair_twice(plans):
    objects = [item for items, _ in plans for item in items]
    pairs = Counter((item.color, item.shape) for item in objects)
    assert len(pairs) == len(COLORS) * len(SHAPES) and min(pairs.values()) > 40
    assert {len(items) for items, _ in plans} == {1, 2, 3}
    assert {direction for _, direction in plans} == {"left", "right", "above", "below"}
    assert all(len({(item.color, item.shape) for item in items}) == len(items) for items, _ in plans)


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_differ_name_every_object_and_are_judged_right(plans, language):
    stated = 0
    for objects, direction in plans[:400]:
        captions = describe(objects, direction, language)
        assert len(set(captions)) == len(captions) == 4
        for caption in captions:
            for item in objects:
                assert WORDS[language]["color"][item.color] in caption
                assert WORDS[language]["shape"][item.shape] in caption
            verdict = judge(caption, objects, language)
            assert verdict.exact and verdict.found == verdict.expected
            assert verdict.relation is not False
            stated += verdict.relation is True
    assert stated >= 2 * 400


@pytest.mark.parametrize("language", LANGUAGES)
def test_judge_rejects_a_changed_color_shape_or_number(plans, language):
    for objects, direction in plans[:150]:
        taken = {(item.color, item.shape) for item in objects}
        for changes in ({"color": list(COLORS)}, {"shape": list(SHAPES)}):
            ((name, values),) = changes.items()
            for value in values:
                other = replace(objects[-1], **{name: value})
                if (other.color, other.shape) in taken:
                    continue
                for caption in describe((*objects[:-1], other), direction, language):
                    verdict = judge(caption, objects, language)
                    assert not verdict.exact
                    assert verdict.relation in (None, False)
        if len(objects) > 1:
            for caption in describe(objects[:-1], direction, language):
                assert not judge(caption, objects, language).exact
            for caption in describe(objects, direction, language):
                assert not judge(caption, objects[:-1], language).exact


@pytest.mark.parametrize(
    ("caption", "language", "exact", "relation"),
    [
        ("一个红色的圆形在一个蓝色的三角形的左边", "zh", True, True),
        ("一个红色的圆形在蓝色的三角形左边", "zh", True, True),
        ("左边一个红色的圆形在一个蓝色的三角形", "zh", True, False),  # a form that no scene uses is not trusted
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
def test_judge_by_example(caption, language, exact, relation):
    verdict = judge(caption, red_circle_left_of_blue_triangle(), language)
    assert (verdict.exact, verdict.relation) == (exact, relation)


def test_jieba_keeps_every_color_and_shape_whole(plans):
    known = {word for kind in ("color", "shape") for word in WORDS["zh"][kind].values()}
    for objects, direction in plans[:300]:
        for caption in describe(objects, direction, "zh"):
            words = jieba.lcut(caption)
            named = [word for word in words if word in known]
            expected = [WORDS["zh"][kind][getattr(item, kind)] for item in objects for kind in ("color", "shape")]
            assert named == expected
            owners = named_objects(words, objects, "zh")
            assert [owner for owner in owners if owner is not None] == [n for n in range(len(objects)) for _ in "cs"]


def test_named_objects_and_word_classes():
    words = ["on", "the", "left", "is", "a", "red", "circle", "on", "the", "right", "is", "a", "red", "triangle"]
    owners = named_objects(words, red_circle_left_of_blue_triangle(), "en")
    assert [(words[place], owner) for place, owner in enumerate(owners) if owner is not None] == [
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_written_scenes_are_read_back(tmp_path, language):
    files = write_scenes(tmp_path, {"train": 5, "val": 2, "test": 3}, language, seed=7)
    with files.captions.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert Counter(row["split"] for row in rows) == {"train": 20, "val": 8, "test": 12}
    truth = read_scenes(files.scenes)
    assert sorted(path.name for path in files.images.iterdir()) == sorted(truth)
    for row in rows:
        assert judge(row["caption"], truth[row["image"]], language).exact
    entry = json.loads(files.scenes.read_text(encoding="utf-8"))["images"]["val-000001.png"]
    scene = render_scene(7, entry["index"])
    assert scene.objects == truth["val-000001.png"]
    with Image.open(files.images / "val-000001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), scene.image)


def test_writing_again_keeps_good_images_and_replaces_others(tmp_path):
    counts = {"train": 4, "val": 1}
    files = write_scenes(tmp_path, counts)
    whole = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.images.iterdir()}
    captions = files.captions.read_text(encoding="utf-8")
    (files.images / "train-000002.png").unlink()
    (files.images / "train-000003.png").write_bytes(b"cut off")
    write_scenes(tmp_path, counts)
    for path in files.images.iterdir():
        data, modified = whole[path.name]
        assert path.read_bytes() == data
        assert (path.stat().st_mtime_ns == modified) == (path.name not in ("train-000002.png", "train-000003.png"))
    assert files.captions.read_text(encoding="utf-8") == captions
    assert not list(tmp_path.rglob(".*"))

    write_scenes(tmp_path, {"train": 6, "val": 1})
    assert (files.images / "val-000000.png").read_bytes() == whole["val-000000.png"][0]
    write_scenes(tmp_path, counts, seed=1)
    assert (files.images / "train-000000.png").read_bytes() != whole["train-000000.png"][0]


def test_wrong_use_is_named(tmp_path):
    with pytest.raises(ConfigError, match="-1"):
        render_scene(-1, 0)
    with pytest.raises(ConfigError, match="'fr'"):
        write_scenes(tmp_path, {"train": 1}, language="fr")
    with pytest.raises(ConfigError, match="'dev'"):
        write_scenes(tmp_path, {"dev": 1})
    with pytest.raises(CorpusError, match="write_scenes"):
        read_scenes(tmp_path / "missing.json")
    (tmp_path / "other.json").write_text('{"renderer": "other", "images": {}}', encoding="utf-8")
    with pytest.raises(CorpusError, match="'other'"):
        read_scenes(tmp_path / "other.json")


def test_scenes_need_no_tensorflow():
    code = (
        "import sys, caption_tx.data.scenes.rendering; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
