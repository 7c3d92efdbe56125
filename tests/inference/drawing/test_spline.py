"""The heatmap against the definition of the cubic B-spline."""

import numpy as np
import pytest

from caption_tx.inference.drawing.spline import ROOT, spline_matrix, spread


def test_a_cell_becomes_the_fourfold_box_convolution():
    """The cubic B-spline is the density of the sum of four uniform variables (Schoenberg 1946)."""
    box = np.ones(100) / 100
    density = box
    for _ in range(3):
        density = np.convolve(density, box)
    matrix = spline_matrix(9, 900)
    assert len(density) == 397
    assert matrix[450 - 198 : 450 + 198, 4] / 100 == pytest.approx((density[1:] + density[:-1]) / 2, abs=1e-4)
    assert matrix[[100, 800], 4] == pytest.approx(0), "further than two cells away"


def test_a_heatmap_keeps_the_mean_of_its_cells_and_fades_out_at_the_edge():
    maps = np.random.default_rng(0).random((3, 7, 5))
    assert spread(maps, 7).mean(axis=(1, 2)) == pytest.approx(maps.mean(axis=(1, 2)))
    alike = spread(np.ones((7, 7)), 9)
    assert alike[31, 27:36] == pytest.approx(alike[31, 31])
    assert alike[0, 31] / alike[31, 31] == pytest.approx(0.5**ROOT, abs=0.05)
    assert (spread(np.zeros((2, 3, 3)), 2) == 0).all()


def test_the_order_of_points_is_that_of_the_squared_map_too():
    maps = np.random.default_rng(1).random((6, 7, 7)) ** 3
    for own, squared in zip(spread(maps, 7), spread(maps**2, 7), strict=True):
        assert np.hypot(*np.subtract(divmod(own.argmax(), 49), divmod(squared.argmax(), 49))) <= 7
    pair = np.zeros((5, 6))
    pair[2, 1:3], pair[2, 5] = 0.5, 0.6
    assert divmod(spread(pair, 10).argmax(), 60)[1] < 30, "two cells that share attention beat a slightly higher one"


def test_the_highest_point_is_between_cells_that_share_the_attention():
    shared = np.zeros((5, 6))
    shared[2, 2:4] = 0.5
    heat = spread(shared, 10)
    assert np.argwhere(heat >= heat.max() * (1 - 1e-9)).mean(axis=0) + 0.5 == pytest.approx([25, 30])


def test_a_single_cell_is_the_whole_image():
    assert (spread(np.full((2, 1, 1), 0.4), 3) == 0.4).all()
