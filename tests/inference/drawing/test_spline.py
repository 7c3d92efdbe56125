"""The heatmap against the definition of the cubic B-spline."""

import numpy as np
import pytest

from caption_tx.inference.drawing.spline import spline_matrix, spread


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


def test_attention_keeps_its_sum_inside_and_fades_out_at_the_edge():
    inside = np.zeros((7, 5))
    inside[3, 2] = 1.0
    assert spread(inside, 7).mean() * 35 == pytest.approx(1, abs=1e-3)
    alike = spread(np.ones((7, 7)), 9)
    assert alike[31, 31] == pytest.approx(1)
    assert alike[0, 31] == pytest.approx(0.5, abs=0.05)


def test_the_highest_point_is_between_cells_that_share_the_attention():
    shared = np.zeros((5, 6))
    shared[2, 2:4] = 0.5
    heat = spread(shared, 10)
    assert np.argwhere(heat >= heat.max() * (1 - 1e-9)).mean(axis=0) + 0.5 == pytest.approx([25, 30])


def test_a_single_cell_is_the_whole_image():
    assert (spread(np.full((2, 1, 1), 0.4), 3) == 0.4).all()
