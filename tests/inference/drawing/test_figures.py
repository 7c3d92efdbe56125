"""Figures of attention: alignment with the picture, scripts, layout and files."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text
from PIL import Image

from caption_tx.errors import CaptionTxError, FontError
from caption_tx.inference.attention.maps import AttentionMaps
from caption_tx.inference.drawing import figures as plotting
from caption_tx.inference.drawing import fonts, overlay

H, W, ROWS, COLUMNS = 79, 113, 3, 5
DEFAULT_FONT = font_manager.findfont(font_manager.FontProperties())


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(90, 160, (H, W, 3), dtype=np.uint8)


def hot(row, column):
    single = np.zeros((ROWS, COLUMNS), np.float32)
    single[row, column] = 1
    return single


def rendered(figure):
    """(rows, columns, 3) pixels and the renderer's box of every picture, in figure order."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def pixels_of(figure, axes):
    """The pixels strictly inside one axes."""
    pixels = rendered(figure)
    box = axes.get_window_extent()
    height = pixels.shape[0]
    top, bottom = round(height - box.y1), round(height - box.y0)
    return pixels[top:bottom, round(box.x0) : round(box.x1)]


def colorful(pixels):
    return pixels.max(axis=-1) - pixels.min(axis=-1) > 25


@pytest.mark.parametrize("cell", [(0, 0), (1, 3), (2, 4)])
def test_a_flat_hot_cell_lights_exactly_its_region(image, cell):
    figure = plotting.attention_figure(image, hot(*cell)[None], ["dog"], smooth=False)
    lit = colorful(pixels_of(figure, figure.axes[1]))
    height, width = lit.shape
    wanted = np.zeros_like(lit)
    top, bottom = (round(height * (cell[0] + k) / ROWS) for k in (0, 1))
    left, right = (round(width * (cell[1] + k) / COLUMNS) for k in (0, 1))
    wanted[top:bottom, left:right] = True
    # Edges are anti-aliased, so a pixel on the border may fall on either side.
    assert lit[top + 2 : bottom - 2, left + 2 : right - 2].all()
    wanted[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
    assert not (lit & ~wanted).any()


def test_a_smooth_hot_cell_peaks_in_its_middle_and_stays_among_its_neighbors(image):
    figure = plotting.attention_figure(image, hot(1, 2)[None], ["dog"])
    lit = colorful(pixels_of(figure, figure.axes[1]))
    height, width = lit.shape
    y, x = np.nonzero(lit)
    assert abs(y.mean() / height - 0.5) < 0.02
    assert abs(x.mean() / width - 0.5) < 0.02
    assert x.min() >= width * 1.5 / COLUMNS - 2
    assert x.max() <= width * 3.5 / COLUMNS + 2


def test_upsample_keeps_values_at_cell_centers():
    values = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)
    for smooth in (True, False):
        large = overlay.upsample(values, 7, smooth)
        assert large.shape == (ROWS * 7, COLUMNS * 7)
        np.testing.assert_allclose(large[3::7, 3::7], values, atol=1e-5)


def test_common_and_own_scales(image):
    maps = np.stack([hot(1, 1), 0.02 * hot(1, 1)])

    def lit(**options):
        figure = plotting.attention_figure(image, maps, ["a", "b"], smooth=False, **options)
        return [colorful(pixels_of(figure, figure.axes[t])).sum() for t in (1, 2)]

    strong, weak = lit()
    assert strong > 100
    assert weak == 0
    strong, weak = lit(common_scale=False)
    assert min(strong, weak) > 100
    assert strong == pytest.approx(weak, rel=0.05)


def test_labels(image):
    figure = plotting.attention_figure(image, np.stack([hot(0, 0)] * 2), ["a", "b"], log_probabilities=np.log([0.5, 1]))
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert {"a", "b", "p = 0.50, ln p = -0.69", "p = 1.00, ln p = 0.00", plotting.UNIT} <= texts


@pytest.mark.parametrize("tokens", [5, 13, 25])
@pytest.mark.parametrize("shape", [(113, 79, 3), (79, 113, 3)])
def test_titles_do_not_overlap(shape, tokens):
    words = ["counterrevolutionaries", "a", "w" * 60, "skateboarding"] * 7
    figure = plotting.attention_figure(
        np.zeros(shape, np.uint8), np.ones((tokens, ROWS, COLUMNS)), words[:tokens], caption=" ".join(words[:tokens])
    )
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    for box in boxes[1:]:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_a_long_chinese_caption_is_wrapped(image):
    caption = "一只棕色的狗在绿色的草地上奔跑，" * 9
    figure = plotting.attention_figure(image, np.stack([hot(0, 0)] * 5), list("一只狗奔跑"), caption=caption)
    figure.canvas.draw()
    lines = [text for text in figure.texts if len(text.get_text()) > 1]
    assert "".join(line.get_text() for line in lines) == caption
    assert all(line.get_window_extent().x1 <= figure.bbox.width for line in lines)


def test_dollar_signs_are_plain_text(image):
    figure = plotting.attention_figure(image, np.stack([hot(0, 0)] * 2), ["$x^{", "5$"], caption="$x^{ 5$")
    figure.canvas.draw()


def test_chinese_is_drawn(image):
    def title(word):
        figure = plotting.attention_figure(image, hot(0, 0)[None], [word])
        pixels = rendered(figure)
        (box,) = (text.get_window_extent() for text in figure.texts if text.get_text() == word)
        height = pixels.shape[0]
        return pixels[round(height - box.y1) - 4 : round(height - box.y0) + 4, round(box.x0) - 4 : round(box.x1) + 4]

    dragon, dog = title("龘"), title("狗")
    assert (dragon < 100).mean() > 0.05
    assert (dog < 100).mean() > 0.05
    assert dragon.shape != dog.shape or (abs(dragon - dog) > 60).mean() > 0.02


def test_font_for():
    assert fonts.font_for("a dog", "café") == DEFAULT_FONT
    assert fonts.font_for("狗") == fonts.find_cjk_font()
    fonts.check_glyphs("一只狗 在\n草地 龘", fonts.find_cjk_font())


def test_missing_glyph_is_named(image):
    with pytest.raises(FontError, match=r"'狗' \(U\+72D7\), '龘' \(U\+9F98\); install.*mplfonts.*fonts-noto-cjk"):
        fonts.check_glyphs("a 狗龘狗", DEFAULT_FONT)
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        plotting.attention_figure(image, hot(0, 0)[None], ["\U0010fffd狗"])
    with pytest.raises(FontError, match="狗"):
        plotting.attention_figure(image, hot(0, 0)[None], ["狗"], font_path=DEFAULT_FONT)


def test_without_any_cjk_font(monkeypatch):
    monkeypatch.setattr(fonts, "_cjk_fonts", lambda: ())
    assert fonts.font_for("dog") == DEFAULT_FONT
    with pytest.raises(FontError, match="pip install mplfonts"):
        fonts.font_for("狗")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titles": ["a", "b"]}, r"\(1, 3, 5\).*\(2,\)"),
        ({"maps": np.ones((3, 5))}, r"T, h, w.*\(3, 5\)"),
        ({"maps": -np.ones((1, 3, 5))}, "not negative"),
        ({"image": np.ones((7, 7, 3))}, r"\(7, 7, 3\) float64"),
        ({"image": np.ones((7, 7), np.uint8)}, r"\(7, 7\) uint8"),
        ({"log_probabilities": np.zeros(2)}, r"\(1, 3, 5\).*\(2,\)"),
        ({"alpha": 0}, "alpha"),
        ({"cmap": "rainbows"}, "rainbows"),
        ({"columns": 0}, "column"),
    ],
)
def test_figure_errors(image, change, message):
    arguments = {"image": image, "maps": hot(0, 0)[None], "titles": ["a"]} | change
    with pytest.raises(CaptionTxError, match=message):
        plotting.attention_figure(**arguments)


def test_degenerate_inputs_are_drawn():
    plotting.attention_figure(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 1)), [""])
    plotting.attention_figure(np.zeros((7, 997, 3), np.uint8), np.zeros((2, 31, 2)), ["a", "b"], columns=1)


def test_figures_of_attention_maps(image):
    scores = np.broadcast_to(np.stack([hot(1, 1), hot(2, 4)]), (2, 3, 2, ROWS, COLUMNS))
    maps = AttentionMaps(scores, ("狗", "[END]"), np.log([0.5, 0.25]), "dog.jpg", "狗")
    labels = {text.get_text() for text in maps.figure(image).findobj(Text)}
    assert "attention per cell (mean over layers and heads, sum over cells = 1, evenly spread: 0.067)" in labels
    assert any("max over layers and heads" in text.get_text() for text in maps.figure(image, pool="max").findobj(Text))
    own = maps.figure(image, pool="spread", common_scale=False)
    own.canvas.draw()
    texts = {text.get_text() for text in own.findobj(Text)}
    assert {"狗", "(end)", "share of the word's own maximum", "0.0", "1.0"} <= texts
    assert not any("[END]" in text or "attention per cell" in text for text in texts)
    assert any("(layer 1, head 2, sum" in text.get_text() for text in maps.figure(image, 1, 2).findobj(Text))
    heads = maps.heads_figure(image, 0)
    assert len(heads.axes) == 2 * 3 + 1
    assert {"狗", "layer 1", "head 2"} <= {text.get_text() for text in heads.texts}
    bar = "attention per cell (sum over cells = 1, evenly spread: 0.067)"
    assert bar in {text.get_text() for text in heads.findobj(Text)}
    with pytest.raises(CaptionTxError, match="no word 2"):
        maps.heads_figure(image, 2)


def test_a_unit_in_any_script_is_checked_and_drawn(image):
    figure = plotting.attention_figure(image, hot(0, 0)[None], ["dog"], unit="每格注意力")
    (label,) = (text for text in figure.findobj(Text) if text.get_text() == "每格注意力")
    assert label.get_fontproperties().get_file() == fonts.find_cjk_font()
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        plotting.attention_figure(image, hot(0, 0)[None], ["dog"], unit="\U0010fffd")


def test_png_opens(image):
    stream = io.BytesIO()
    plotting.attention_figure(image, hot(0, 0)[None], ["dog"]).savefig(stream, format="png")
    assert Image.open(stream).size[0] > 300


def test_neither_pyplot_nor_mplfonts_is_imported():
    code = (
        "import sys; from caption_tx.inference.drawing import figures, fonts; fonts.font_for('狗');"
        "print([m for m in ('matplotlib.pyplot', 'mplfonts', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.002, "p = 1.00, ln p = 0.00"), (0.3, "p = 1.00, ln p = 0.00"), (-7.0, "p = 9e-04, ln p = -7.00")],
)
def test_a_probability_is_written_for_people(value, text):
    assert overlay.probability_text(value) == text
