"""Figures saved as PNG, SVG and PDF."""

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from caption_tx.errors import CaptionTxError
from caption_tx.figure_files import _has_cff, save_figure
from caption_tx.inference.drawing.fonts import font_for


def figure_with(text):
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, text, font=FontProperties(fname=font_for(text)))
    return figure


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("b.SVG", b"<?xml"), ("c.pdf", b"%PDF")])
def test_formats_follow_the_extension_and_are_reproducible(tmp_path, name, magic):
    path = tmp_path / name
    save_figure(figure_with("一只狗"), path)
    first = path.read_bytes()
    assert first.startswith(magic)
    if magic == b"<?xml":
        assert b"<svg" in first
        assert b"<text" not in first
    save_figure(figure_with("一只狗"), path)
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_pdf_embeds_fonts_under_the_right_type(tmp_path):
    path = tmp_path / "a.pdf"
    for word, font_type in (("dog", b"/CIDFontType2"), ("狗", b"/Type3")):
        save_figure(figure_with(word), path)
        outlines = word == "dog" or _has_cff(font_for(word))
        assert (font_type in path.read_bytes()) == outlines


def test_save_errors(tmp_path):
    with pytest.raises(CaptionTxError, match=r"a\.bmp.*\.png, \.svg, \.pdf"):
        save_figure(Figure(), tmp_path / "a.bmp")
    with pytest.raises(CaptionTxError, match="No such file"):
        save_figure(Figure(), tmp_path / "nowhere" / "a.png")
