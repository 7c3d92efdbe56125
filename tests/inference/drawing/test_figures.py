"""Figures of attention: alignment with the image, scripts, layout and errors."""

import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from caption_tx.errors import CaptionTxError, FontError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.drawing.figures import attention_figure
from caption_tx.inference.drawing.fonts import find_cjk_font
from caption_tx.inference.drawing.style import UNIT, HeatmapStyle

ROWS, COLUMNS = 3, 5
FLAT = HeatmapStyle(smooth=False)


def rendered(figure):
    """(rows, columns, 3) pixels of a figure."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def pixels_of(figure, axes):
    """The pixels strictly inside one axes."""
    pixels = rendered(figure)
    box = axes.get_window_extent()
    height = pixels.shape[0]
    top, bottom = round(height - box.y1), round(height - box.y0)
    return pixels[top:bottom, round(box.x0) : round(box.x1)]


@pytest.mark.parametrize("cell", [(0, 0), (1, 3), (2, 4)])
def test_without_smoothing_a_cell_fills_exactly_its_region(image, one_cell, is_colorful, cell):
    figure = attention_figure(image, one_cell(*cell)[None], ["dog"], style=FLAT)
    lit = is_colorful(pixels_of(figure, figure.axes[1]))
    height, width = lit.shape
    allowed = np.zeros_like(lit)
    top, bottom = (round(height * (cell[0] + k) / ROWS) for k in (0, 1))
    left, right = (round(width * (cell[1] + k) / COLUMNS) for k in (0, 1))
    # Edges are anti-aliased, so pixels on the border may be on either side.
    assert lit[top + 2 : bottom - 2, left + 2 : right - 2].all()
    allowed[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
    assert not (lit & ~allowed).any()


def test_with_smoothing_a_cell_is_centered_and_reaches_beyond_its_edges(image, one_cell, is_colorful):
    figure = attention_figure(image, one_cell(1, 2)[None], ["dog"])
    lit = is_colorful(pixels_of(figure, figure.axes[1]))
    height, width = lit.shape
    y, x = np.nonzero(lit)
    assert abs(y.mean() / height - 0.5) < 0.02
    assert abs(x.mean() / width - 0.5) < 0.02
    assert width * 2 / COLUMNS > x.min() >= width * 0.5 / COLUMNS - 2
    assert width * 3 / COLUMNS < x.max() <= width * 4.5 / COLUMNS + 2


def test_common_and_separate_scales(image, one_cell, is_colorful):
    maps = np.stack([one_cell(1, 1), 0.02 * one_cell(1, 1)])

    def lit(common_scale):
        style = HeatmapStyle(smooth=False, common_scale=common_scale)
        figure = attention_figure(image, maps, ["a", "b"], style=style)
        return [is_colorful(pixels_of(figure, figure.axes[t])).sum() for t in (1, 2)]

    strong, weak = lit(common_scale=True)
    assert strong > 100
    assert weak == 0
    strong, weak = lit(common_scale=False)
    assert min(strong, weak) > 100
    assert strong == pytest.approx(weak, rel=0.05)


def test_labels(image, one_cell):
    figure = attention_figure(image, np.stack([one_cell(0, 0)] * 2), ["a", "b"], np.log([0.5, 1]))
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert {"a", "b", "p = 0.50, ln p = -0.69", "p = 1.00, ln p = 0.00", UNIT} <= texts


@pytest.mark.parametrize("tokens", [5, 25])
@pytest.mark.parametrize("shape", [(113, 79, 3), (79, 113, 3)])
def test_titles_do_not_overlap(shape, tokens):
    words = ["counterrevolutionaries", "a", "w" * 60, "skateboarding"] * 7
    figure = attention_figure(
        np.zeros(shape, np.uint8), np.ones((tokens, ROWS, COLUMNS)), words[:tokens], caption=" ".join(words[:tokens])
    )
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    for box in boxes[1:]:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_a_long_chinese_caption_is_wrapped(image, one_cell):
    caption = "一只棕色的狗在绿色的草地上奔跑，" * 9
    figure = attention_figure(image, np.stack([one_cell(0, 0)] * 5), list("一只狗奔跑"), caption=caption)
    figure.canvas.draw()
    lines = [text for text in figure.texts if len(text.get_text()) > 1]
    assert "".join(line.get_text() for line in lines) == caption
    assert all(line.get_window_extent().x1 <= figure.bbox.width for line in lines)


def test_dollar_signs_are_plain_text(image, one_cell):
    figure = attention_figure(image, np.stack([one_cell(0, 0)] * 2), ["$x^{", "5$"], caption="$x^{ 5$")
    figure.canvas.draw()


def test_chinese_is_drawn(image, one_cell):
    def title(word):
        figure = attention_figure(image, one_cell(0, 0)[None], [word])
        pixels = rendered(figure)
        (box,) = (text.get_window_extent() for text in figure.texts if text.get_text() == word)
        height = pixels.shape[0]
        return pixels[round(height - box.y1) - 4 : round(height - box.y0) + 4, round(box.x0) - 4 : round(box.x1) + 4]

    dragon, dog = title("龘"), title("狗")
    assert (dragon < 100).mean() > 0.05
    assert (dog < 100).mean() > 0.05
    assert dragon.shape != dog.shape or (abs(dragon - dog) > 60).mean() > 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titles": ["a", "b"]}, r"\(1, 3, 5\).*\(2,\)"),
        ({"maps": np.ones((3, 5))}, r"T, h, w.*\(3, 5\)"),
        ({"maps": -np.ones((1, 3, 5))}, "not negative"),
        ({"image": np.ones((7, 7, 3))}, r"\(7, 7, 3\) float64"),
        ({"image": np.ones((7, 7), np.uint8)}, r"\(7, 7\) uint8"),
        ({"log_probabilities": np.zeros(2)}, r"\(1, 3, 5\).*\(2,\)"),
        ({"style": HeatmapStyle(alpha=0)}, "alpha"),
        ({"style": HeatmapStyle(cmap="rainbows")}, "rainbows"),
        ({"columns": 0}, "column"),
    ],
)
def test_figure_errors(image, one_cell, change, message):
    arguments = {"image": image, "maps": one_cell(0, 0)[None], "titles": ["a"]} | change
    with pytest.raises(CaptionTxError, match=message):
        attention_figure(**arguments)


def test_tiny_and_extreme_shapes_are_drawn():
    attention_figure(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 1)), [""])
    attention_figure(np.zeros((7, 997, 3), np.uint8), np.zeros((2, 31, 2)), ["a", "b"], columns=1)


def test_figures_of_attention_maps(image, one_cell):
    scores = np.broadcast_to(np.stack([one_cell(1, 1), one_cell(2, 4)]), (2, 3, 2, ROWS, COLUMNS))
    maps = AttentionMaps(scores, ("狗", "[END]"), np.log([0.5, 0.25]), "dog.jpg", "狗")
    labels = {text.get_text() for text in maps.figure(image).findobj(Text)}
    source = "sharp: squared mean over layers and heads"
    assert f"attention per cell ({source}, sum over cells = 1, uniform: 0.067)" in labels
    assert any("max over layers and heads" in text.get_text() for text in maps.figure(image, pool="max").findobj(Text))
    separate = maps.figure(image, pool="spread", common_scale=False)
    separate.canvas.draw()
    texts = {text.get_text() for text in separate.findobj(Text)}
    assert {"狗", "(end)", "share of the word's own maximum", "0.0", "1.0"} <= texts
    assert not any("[END]" in text or "attention per cell" in text for text in texts)
    assert any("(layer 1, head 2, sum" in text.get_text() for text in maps.figure(image, 1, 2).findobj(Text))
    heads = maps.heads_figure(image, 0)
    assert len(heads.axes) == 2 * 3 + 1
    assert {"狗", "layer 1", "head 2"} <= {text.get_text() for text in heads.texts}
    bar = "attention per cell (sum over cells = 1, uniform: 0.067)"
    assert bar in {text.get_text() for text in heads.findobj(Text)}
    with pytest.raises(CaptionTxError, match="no word 2"):
        maps.heads_figure(image, 2)
    with pytest.raises(CaptionTxError, match="one color scale"):
        maps.heads_figure(image, 0, common_scale=False)


def test_the_unit_may_be_chinese(image, one_cell):
    figure = attention_figure(image, one_cell(0, 0)[None], ["dog"], style=HeatmapStyle(unit="每格注意力"))
    (label,) = (text for text in figure.findobj(Text) if text.get_text() == "每格注意力")
    assert label.get_fontproperties().get_file() == find_cjk_font()
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        style = HeatmapStyle(unit="\U0010fffd", font_path=find_cjk_font())
        attention_figure(image, one_cell(0, 0)[None], ["dog"], style=style)


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_characters_without_a_glyph_are_boxes(image, one_cell, file_format):
    caption = "一只狗\U0001f600在跑 \U0010fffd"
    with pytest.warns(UserWarning, match=r"U\+10FFFD.*drawn as □"):
        figure = attention_figure(image, one_cell(0, 0)[None], ["\U0010fffd狗"], caption=caption)
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert {"一只狗\U0001f600在跑 □", "□狗"} <= texts
    figure.savefig(io.BytesIO(), format=file_format)


def test_a_png_can_be_opened(image, one_cell):
    stream = io.BytesIO()
    attention_figure(image, one_cell(0, 0)[None], ["dog"]).savefig(stream, format="png")
    assert Image.open(stream).size[0] > 300
