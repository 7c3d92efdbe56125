"""Geometry of boxes, compared with masks of many pixels."""

import numpy as np
import pytest

from caption_tx.data.boxes.coverage import box_coverage, boxes_in_window, contains, covered_area
from caption_tx.data.images.augmentation import Window, augment, augmentation_window


def raster(boxes, grid, fine=240):
    """The share of each cell by counting pixels."""
    centers = (np.arange(fine) + 0.5) / fine
    mask = np.zeros((fine, fine), bool)
    for x0, y0, x1, y1 in boxes:
        mask |= np.outer((centers > y0) & (centers < y1), (centers > x0) & (centers < x1))
    h, w = grid
    return mask.reshape(h, fine // h, w, fine // w).mean(axis=(1, 3))


def test_coverage_of_overlapping_boxes_is_that_of_their_union():
    random = np.random.default_rng(0)
    for count in (1, 2, 5):
        corners = np.sort(random.random((count, 2, 2)), axis=1)  # (boxes, 2 ends, x and y)
        boxes = [tuple(np.concatenate(ends)) for ends in corners]
        np.testing.assert_allclose(box_coverage(boxes, (3, 5)), raster(boxes, (3, 5)), atol=0.03)
        assert covered_area(boxes) == pytest.approx(box_coverage(boxes, (3, 5)).mean())
    assert covered_area([(0, 0, 0.5, 1), (0, 0, 0.5, 1)]) == pytest.approx(0.5)


def test_points_on_an_edge_are_inside():
    points = np.array([[0.5, 0.5], [0.2, 0.9], [0.9, 0.2]])
    assert contains([(0.0, 0.0, 0.5, 0.5), (0.8, 0.1, 1.0, 0.3)], points).tolist() == [True, False, True]


@pytest.mark.parametrize("index", range(6))
def test_boxes_follow_the_pixels_of_an_augmentation(index):
    content, box = "0123456789abcdef", (0.3, 0.45, 0.6, 0.8)
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[45:80, 30:60] = 255
    seen = augment(pixels, index, content)[..., 0] > 127
    moved = boxes_in_window([box], augmentation_window(index, content))
    np.testing.assert_allclose(box_coverage(moved, (10, 10)), seen.reshape(10, 10, 10, 10).mean((1, 3)), atol=0.16)
    assert covered_area(moved) == pytest.approx(seen.mean(), abs=0.02)


def test_boxes_mostly_outside_a_crop_are_dropped():
    window = Window(0.5, 0.0, 1.0, 1.0)
    assert boxes_in_window([(0.3, 0.0, 0.6, 1.0)], window) == []
    assert boxes_in_window([(0.4, 0.0, 0.6, 0.5)], window) == [(0.0, 0.0, pytest.approx(0.2), 0.5)]
    mirrored = boxes_in_window([(0.5, 0.0, 0.6, 0.5)], Window(0.5, 0.0, 1.0, 1.0, mirrored=True))
    np.testing.assert_allclose(mirrored, [(0.8, 0.0, 1.0, 0.5)])
