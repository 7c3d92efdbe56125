"""Fonts: which one is found, and what is reported when a glyph is missing."""

import pytest
from matplotlib import font_manager

from caption_tx.errors import FontError
from caption_tx.inference.drawing import fonts

DEFAULT_FONT = font_manager.findfont(font_manager.FontProperties())


def test_font_for():
    assert fonts.font_for("a dog", "café") == DEFAULT_FONT
    assert fonts.font_for("狗") == fonts.find_cjk_font()
    fonts.check_glyphs("一只狗 在\n草地 龘", fonts.find_cjk_font())


def test_missing_glyphs_are_named():
    with pytest.raises(FontError, match=r"'狗' \(U\+72D7\), '龘' \(U\+9F98\); install.*mplfonts.*fonts-noto-cjk"):
        fonts.check_glyphs("a 狗龘狗", DEFAULT_FONT)
    with pytest.raises(FontError, match="狗"):
        fonts.checked_font(DEFAULT_FONT, "dog", "狗")
    with pytest.raises(FontError, match=r"U\+10FFFD"):
        fonts.checked_font(None, "\U0010fffd狗")


def test_without_any_cjk_font(monkeypatch):
    monkeypatch.setattr(fonts, "_cjk_fonts", lambda: ())
    assert fonts.font_for("dog") == DEFAULT_FONT
    with pytest.raises(FontError, match="pip install mplfonts"):
        fonts.font_for("狗")


def test_neither_pyplot_nor_mplfonts_is_imported(run_python):
    process = run_python(
        "import sys; from caption_tx.inference.drawing import figures, fonts; fonts.font_for('狗');"
        "print([m for m in ('matplotlib.pyplot', 'mplfonts', 'tensorflow') if m in sys.modules])"
    )
    assert process.stdout.strip() == "[]", process.stderr
