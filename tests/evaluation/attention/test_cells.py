"""Geometry of attention maps against worked examples."""

import numpy as np
import pytest

from caption_tx.evaluation.attention.cells import (
    cell_centers,
    cell_coverage,
    distances,
    heatmap_points,
    highest_cells,
    mass_inside,
    peaks,
)
from caption_tx.inference.drawing.overlay import upsample

CELLS = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 1, 0, 0]], bool)
"""A mask that follows the borders of a 3x5 grid."""


@pytest.fixture
def mask():
    return np.kron(CELLS, np.ones((14, 11), bool))


def score(maps, mask, tolerance=0):
    """(pointing, mass) of each map."""
    size, grid = mask.shape, maps.shape[1:]
    hits = (distances(mask, heatmap_points(grid, size)) <= max(tolerance, 0.99)).astype(float)
    return peaks(maps) @ hits, mass_inside(maps, cell_coverage(mask, grid))


def test_map_equal_to_the_mask_has_full_scores(mask):
    maps = (CELLS / CELLS.sum())[None]
    pointing, mass = score(maps, mask)
    assert pointing == [1]
    assert mass == pytest.approx([1])
    assert mass / mask.mean() == pytest.approx([15 / 3])
    # Maps pooled by their maximum do not sum to 1, but their mass is still a share.
    assert score(3 * maps, mask)[1] == pytest.approx([1])


def test_uniform_map_scores_like_chance(mask):
    pointing, mass = score(np.full((1, 3, 5), 1 / 15), mask)
    assert pointing == pytest.approx([3 / 15])
    assert mass / mask.mean() == pytest.approx([1.0])


def test_map_beside_the_mask_hits_only_within_the_tolerance(mask):
    beside = np.zeros((1, 3, 5))
    beside[0, 1, 3] = 0.6  # its center is 5.5 pixels right of the mask
    beside[0, 0, 0] = 0.4
    assert score(beside, mask) == (pytest.approx([0]), pytest.approx([0]))
    assert score(beside, mask, tolerance=5)[0] == [0]
    assert score(beside, mask, tolerance=7)[0] == [1]


def test_coverage_of_cells_that_do_not_divide_the_image():
    mask = np.zeros((10, 7), bool)
    mask[:5, :3] = True
    assert cell_coverage(mask, (4, 2)) == pytest.approx(np.array([[6 / 7, 0]] * 2 + [[0, 0]] * 2), abs=1e-6)


def test_distances_are_euclidean():
    mask = np.zeros((20, 20), bool)
    mask[3, 4] = True
    points = np.array([[3.5, 4.5], [6.5, 8.5], [4.0, 5.0], [3.5, 16.5]])
    assert distances(mask, points) == pytest.approx([0, 5, 0.5**0.5, 12])


def test_peak_is_the_highest_point_of_the_drawn_heatmap():
    for seed in range(20):
        attention = np.random.default_rng(seed).dirichlet(np.ones(35)).reshape(5, 7).astype(np.float32)
        [point] = np.flatnonzero(peaks(attention[None])[0])
        heatmap = upsample(attention)  # 48 pixels per cell
        row, column = heatmap_points((5, 7), heatmap.shape)[point].astype(int)
        assert heatmap[row, column] >= 0.99 * heatmap.max()


def test_the_center_of_the_only_cell_with_attention_is_the_peak():
    attention = np.zeros((1, 3, 5))
    attention[0, 0, 4] = 1.0
    [point] = np.flatnonzero(peaks(attention)[0])
    assert heatmap_points((3, 5), (30, 50))[point] == pytest.approx([5, 45])


def test_points_that_tie_share_the_peak():
    far = np.zeros((1, 7, 7))
    far[0, [1, 5], [1, 5]] = 0.5
    assert sorted(peaks(far)[0])[-3:] == [0, 0.5, 0.5]
    centers = cell_centers((2, 3), (1, 1))
    flat = peaks(np.full((1, 2, 3), 0.2))[0]
    assert flat.max() == pytest.approx(1 / 6)
    assert heatmap_points((2, 3), (1, 1))[flat > 0] == pytest.approx(centers), "no point of an even map is the highest"


def test_highest_cells_prefer_the_first_of_equal_ones():
    cells = highest_cells(np.array([[0.1, 0.3], [0.3, 0.3]]), 2)
    np.testing.assert_array_equal(cells, [[False, True], [True, False]])
