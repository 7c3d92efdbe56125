"""Heatmaps as pixels: upsampling, colors and validation."""

import numpy as np
import pytest

from caption_tx.errors import CaptionTxError
from caption_tx.inference.drawing.overlay import (
    check_maps,
    color_bar,
    color_map,
    format_probability,
    heatmap_rgba,
    photo_and_gray,
    scale_maximum,
    upsample,
)
from caption_tx.inference.drawing.spline import spread
from caption_tx.inference.drawing.style import DEFAULT_STYLE, RELATIVE_UNIT, UNIT, HeatmapStyle

ROWS, COLUMNS = 3, 5


def test_upsampling_repeats_or_spreads_every_cell():
    values = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    flat, smooth = upsample(values, smooth=False), upsample(values)
    factor = flat.shape[0] // ROWS
    assert flat.shape == smooth.shape == (ROWS * factor, COLUMNS * factor)
    np.testing.assert_array_equal(flat[factor // 2 :: factor, factor // 2 :: factor], values)
    assert upsample(np.stack([values, values])).shape == (2, *smooth.shape)


def test_the_scale_ends_at_the_highest_point_of_the_drawn_heatmaps(one_cell):
    maps = np.stack([one_cell(1, 2), 0.5 * one_cell(1, 1)])
    assert scale_maximum(maps, HeatmapStyle(smooth=False)) == 1
    assert scale_maximum(maps, DEFAULT_STYLE) == pytest.approx(spread(maps, 100).max(), rel=0.01)
    assert heatmap_rgba(maps[0], scale_maximum(maps, DEFAULT_STYLE), DEFAULT_STYLE)[..., 3].max() == pytest.approx(0.72)
    assert scale_maximum(np.zeros((1, 3, 5)), DEFAULT_STYLE) == 1


def test_color_and_opacity_increase_to_the_maximum(one_cell):
    rgba = heatmap_rgba(0.5 * one_cell(1, 2), 2.0, HeatmapStyle(alpha=0.8, smooth=False))
    factor = rgba.shape[0] // ROWS
    np.testing.assert_allclose(rgba[factor + 1, 2 * factor + 1, 3], 0.8 * np.sqrt(0.25))
    np.testing.assert_allclose(rgba[factor + 1, 2 * factor + 1, :3], color_map(DEFAULT_STYLE)(0.25)[:3])
    assert rgba[0, 0, 3] == 0


def test_the_color_bar_is_blended_over_middle_gray():
    bar = color_bar(HeatmapStyle(alpha=0.1), 100)
    assert bar.shape == (100, 3)
    np.testing.assert_allclose(bar[0], 0.5)
    np.testing.assert_allclose(bar[-1], 0.1 * np.array(color_map(DEFAULT_STYLE)(1.0)[:3]) + 0.45, atol=1e-6)


def test_the_label_of_the_color_bar_depends_on_the_scale():
    assert DEFAULT_STYLE.bar_label == UNIT
    assert HeatmapStyle(common_scale=False).bar_label == RELATIVE_UNIT


def test_photographs_are_reduced_and_gray():
    photo, gray = photo_and_gray(np.full((1000, 3000, 3), (200, 50, 50), np.uint8))
    assert photo.shape == gray.shape == (213, 640, 3)
    assert (gray == gray[..., :1]).all()


@pytest.mark.parametrize(
    ("log_probability", "text"),
    [
        (-0.002, "p = 1.00, ln p = 0.00"),
        (0.3, "p = 1.00, ln p = 0.00"),
        (-7.0, "p = 0.0009, ln p = -7.00"),
        (-12.0, "p = 6e-06, ln p = -12.00"),
    ],
)
def test_format_probability(log_probability, text):
    assert format_probability(log_probability) == text


def test_errors():
    with pytest.raises(CaptionTxError, match=r"T, h, w.*\(3, 5\)"):
        check_maps(np.ones((3, 5)), 3, "T, h, w")
    with pytest.raises(CaptionTxError, match="not negative"):
        check_maps(np.full((1, 3, 5), np.nan), 3, "T, h, w")
    with pytest.raises(CaptionTxError, match="alpha must be"):
        color_map(HeatmapStyle(alpha=1.5))
    with pytest.raises(CaptionTxError, match="rainbows"):
        color_map(HeatmapStyle(cmap="rainbows"))
