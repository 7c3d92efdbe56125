"""Rendered scenes: deterministic, unambiguous, and without a bias toward the center."""

from collections import Counter

import numpy as np
import pytest

from caption_tx.data.scenes.objects import COLOR_JITTER, COLORS, IMAGE_SIZE, SHAPES
from caption_tx.data.scenes.rendering import plan_scene, render_scene
from caption_tx.errors import ConfigError


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(3, index) for index in range(60)]


@pytest.fixture(scope="module")
def plans():
    return [plan_scene(0, index) for index in range(2000)]


def test_a_scene_depends_on_seed_and_index_only(scenes):
    again = render_scene(3, 41)
    np.testing.assert_array_equal(again.image, scenes[41].image)
    np.testing.assert_array_equal(again.masks, scenes[41].masks)
    assert again.captions_zh == scenes[41].captions_zh
    assert plan_scene(3, 41)[0] == again.objects
    assert not np.array_equal(render_scene(4, 41).image, again.image)
    assert not np.array_equal(render_scene(3, 42).image, again.image)


def test_arrays_have_the_documented_shapes(scenes):
    for scene in scenes:
        assert scene.image.shape == (IMAGE_SIZE, IMAGE_SIZE, 3) and scene.image.dtype == np.uint8
        assert scene.masks.shape == (len(scene.objects), IMAGE_SIZE, IMAGE_SIZE) and scene.masks.dtype == bool
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            np.testing.assert_array_equal(item.mask(), mask)


def test_objects_have_their_color_and_contrast_with_the_background(scenes):
    for scene in scenes:
        outside = scene.image[~scene.masks.any(axis=0)].astype(float)
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            inside = scene.image[mask].astype(float)
            assert len(inside) > 700
            assert np.abs(np.median(inside, axis=0) - COLORS[item.color]).max() <= COLOR_JITTER + 3
            # The second percentile ignores the half-covered pixels at the edge.
            distance = np.linalg.norm(outside - np.median(inside, axis=0), axis=1)
            assert np.percentile(distance, 2) > 75


def test_objects_neither_overlap_nor_leave_the_image(plans):
    for objects, _ in plans:
        for index, item in enumerate(objects):
            x, y = item.center
            assert item.radius <= min(x, y) and max(x, y) <= IMAGE_SIZE - item.radius
            for other in objects[index + 1 :]:
                assert np.hypot(x - other.center[0], y - other.center[1]) > item.radius + other.radius


def test_mask_lies_within_the_bounding_circle(scenes):
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE] + 0.5
    for scene in scenes:
        for item, mask in zip(scene.objects, scene.masks, strict=True):
            assert np.hypot(x - item.center[0], y - item.center[1])[mask].max() < item.radius + 1
            assert np.hypot(x[mask].mean() - item.center[0], y[mask].mean() - item.center[1]) < 0.05 * item.radius + 1


def test_the_image_center_is_rarely_on_an_object():
    objects = [item for index in range(300) for item in plan_scene(5, index)[0]]
    hits = Counter()
    for item in objects:
        hits[item.shape] += bool(item.mask()[IMAGE_SIZE // 2, IMAGE_SIZE // 2])
    totals = Counter(item.shape for item in objects)
    assert sum(hits.values()) / len(objects) < 0.35
    assert all(hits[shape] / totals[shape] < 0.35 for shape in SHAPES)


def test_all_pairs_occur_and_none_twice_in_a_scene(plans):
    objects = [item for items, _ in plans for item in items]
    pairs = Counter((item.color, item.shape) for item in objects)
    assert len(pairs) == len(COLORS) * len(SHAPES) and min(pairs.values()) > 40
    assert {len(items) for items, _ in plans} == {1, 2, 3}
    assert {direction for _, direction in plans} == {"left", "right", "above", "below"}
    assert all(len({(item.color, item.shape) for item in items}) == len(items) for items, _ in plans)


def test_a_negative_seed_is_rejected():
    with pytest.raises(ConfigError, match="-1"):
        render_scene(-1, 0)
