"""Fonts: which one is found, and what is reported when a glyph is missing."""

import shutil

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
    with pytest.raises(FontError, match=r"'ท' \(U\+0E17\); Noto Sans Thai has Thai .*fonts-noto-core"):
        fonts.check_glyphs("ท", DEFAULT_FONT)
    with pytest.raises(FontError, match="狗"):
        fonts.choose_font(DEFAULT_FONT, "dog", "狗")


def test_fallback_fonts_draw_what_the_chinese_font_lacks():
    chosen = fonts.choose_font(None, "一只狗\U0001f600在跑")
    assert (chosen.path, chosen.missing) == (fonts.find_cjk_font(), ())
    assert chosen.fallbacks[0] == DEFAULT_FONT
    assert chosen.properties(12).get_family()[1] == "DejaVu Sans"
    assert chosen.drawable("狗\ufe0f\u200d\U0001f600 a") == "狗\U0001f600 a"
    assert fonts.choose_font(None, "dog") == fonts.TextFont(DEFAULT_FONT)


@pytest.mark.parametrize(
    ("text", "drawn", "advice"),
    [
        ("狗\u0e17\u0e35\u0e48", "狗□□□", r"Noto Sans Thai has Thai"),
        ("狗\U0001f9ff", "狗□", r"'\U0001f9ff' \(U\+1F9FF\), drawn as □: Symbola .* and Noto Emoji"),
        ("a\U0010fffd", "a□", r"U\+10FFFD"),
        ("狗\U00030eb0\U0001f9ff", "狗□□", r"pip install mplfonts.*Symbola|Symbola.*mplfonts"),
    ],
)
def test_a_character_that_no_font_has_is_a_box_with_a_warning(text, drawn, advice, monkeypatch):
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])  # fonts of this machine
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])
    with pytest.warns(UserWarning, match=advice):
        assert fonts.choose_font(None, text).drawable(text) == drawn


def test_a_font_that_was_installed_after_matplotlib_listed_the_fonts_is_found(monkeypatch, tmp_path):
    shutil.copy(DEFAULT_FONT, tmp_path / "New.ttf")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "New.ttf")])
    monkeypatch.setattr(font_manager, "findfont", lambda properties: fonts.find_cjk_font())
    chosen = fonts.choose_font(None, "狗\U0001f600")
    assert chosen.fallbacks == (str(tmp_path / "New.ttf"),)
    chosen.properties(12)
    assert [entry.fname for entry in font_manager.fontManager.ttflist][-1] == str(tmp_path / "New.ttf")


def test_without_fallbacks_the_best_font_draws_boxes():
    with pytest.warns(UserWarning, match="U\\+1F600"):
        chosen = fonts.choose_font(None, "狗\U0001f600", fallbacks=False)
    assert chosen == fonts.TextFont(fonts.find_cjk_font(), (), ("\U0001f600",))


def test_without_any_cjk_font(monkeypatch):
    monkeypatch.setattr(fonts, "_cjk_fonts", lambda: ())
    assert fonts.font_for("dog") == DEFAULT_FONT
    with pytest.raises(FontError, match="pip install mplfonts"):
        fonts.font_for("狗")
    assert fonts.choose_font(None, "dog\U0001f600").missing == ()


def test_neither_pyplot_nor_mplfonts_is_imported(run_python):
    process = run_python(
        "import sys; from caption_tx.inference.drawing import figures, fonts; fonts.font_for('狗');"
        "print([m for m in ('matplotlib.pyplot', 'mplfonts', 'tensorflow') if m in sys.modules])"
    )
    assert process.stdout.strip() == "[]", process.stderr
