"""A font that can draw every character of a caption, or an error that says what to install."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import unicodedata
from pathlib import Path

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from caption_tx.errors import FontError

# Families by how well they draw simplified Chinese; a Japanese or Korean cut still has the characters.
_CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    "SimHei",
    "Droid Sans Fallback",
    "Noto Sans CJK TC",
    "Noto Sans CJK JP",
    "Source Han Sans",
    "Arial Unicode MS",
)
_CJK_FILES = ("notosanscjk", "notosanssc", "sourcehansans", "pingfang", "msyh", "wqy", "stheiti", "simhei")
_INSTALL = "install one with 'pip install mplfonts', or on Debian and Ubuntu 'apt install fonts-noto-cjk'"


def _missing_glyphs(text: str, font_path: str) -> list[str]:
    font = font_manager.get_font(font_path)
    drawn = (c for c in dict.fromkeys(text) if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    return [c for c in drawn if not font.get_char_index(ord(c))]


def check_glyphs(text: str, font_path: str | Path) -> None:
    """Makes sure that the font has a glyph for every visible character of the text.

    Raises:
        FontError: names the characters that would be drawn as empty boxes, and what to install.
    """
    missing = _missing_glyphs(text, str(font_path) if isinstance(font_path, Path) else font_path)
    if missing:
        named = ", ".join(f"'{c}' (U+{ord(c):04X})" for c in missing)
        raise FontError(f"The font {Path(font_path).name} has no glyph for {named}; {_INSTALL}.")


@functools.lru_cache(maxsize=1)
def _cjk_fonts() -> tuple[str, ...]:
    """Paths of the CJK fonts at hand, best first."""
    found: list[str] = []
    listed: dict[str, list[font_manager.FontEntry]] = {}
    for entry in font_manager.fontManager.ttflist:
        listed.setdefault(entry.name, []).append(entry)
    for family in _CJK_FAMILIES:
        entries = sorted(listed.get(family, []), key=lambda e: (e.style != "normal", _distance_from_regular(e.weight)))
        for entry in entries[:1]:
            # In a collection (.ttc) the face number tells the Chinese cut from the Japanese one.
            index = getattr(entry, "index", 0)
            found.append(font_manager.FontPath(entry.fname, index) if index else entry.fname)
    # Finding the package without importing it: its import changes matplotlib's settings.
    package = importlib.util.find_spec("mplfonts")
    for folder in (package.submodule_search_locations or []) if package else []:
        fonts = Path(folder, "fonts")
        found += [str(fonts / name) for name in ("NotoSansCJKsc-Regular.otf", "SimHei.ttf")]
    # matplotlib keeps its list of fonts between runs, so a font installed since is only in the folders.
    for path in sorted(font_manager.findSystemFonts()):
        if Path(path).name.lower().replace("-", "").replace(" ", "").startswith(_CJK_FILES):
            found.append(path)
    return tuple(path for path in dict.fromkeys(found) if os.path.isfile(path))


def _distance_from_regular(weight: str | int) -> int:
    return abs((weight if isinstance(weight, int) else font_manager.weight_dict.get(weight, 400)) - 400)


def find_cjk_font(text: str = "狗") -> str:
    """Path of the best font, among the system's and those of the package mplfonts, that can draw the text.

    Raises:
        FontError: no CJK font is installed, or none has every character; says what to install.
    """
    fonts = _cjk_fonts()
    if not fonts:
        raise FontError(f"No font with Chinese characters was found; {_INSTALL}.")
    for path in fonts:
        if not _missing_glyphs(text, path):
            return path
    check_glyphs(text, fonts[0])
    raise AssertionError("unreachable: the first font lacks a glyph")


def font_for(*texts: str) -> str:
    """Path of one font for all the texts: matplotlib's default where it has every glyph, else a CJK font.

    Raises:
        FontError: no font at hand has every character.
    """
    default = font_manager.findfont(FontProperties())
    text = "".join(texts)
    return default if not _missing_glyphs(text, default) else find_cjk_font(text)


def subset_font(text: str, more: str = "") -> bytes | None:
    """The glyphs of a text as a small font file, to be carried along by a page, from the font that `font_for` finds.

    Args:
        more: glyphs that are taken along where the font has them.

    Returns:
        An OpenType or TrueType font, or None where the license bits of the font (OS/2 fsType) forbid it.

    Raises:
        FontError: no font at hand has every character.
    """
    from fontTools import subset
    from fontTools.ttLib import TTFont

    path = font_for(text)
    number = getattr(path, "face_index", -1)
    options = subset.Options(layout_features=[], name_IDs=[], hinting=False, notdef_outline=True)
    with TTFont(str(getattr(path, "path", path)), fontNumber=number, lazy=True) as font:
        if font["OS/2"].fsType != 0:
            return None
        subsetter = subset.Subsetter(options)
        subsetter.populate(text=text + more)
        subsetter.subset(font)
        stream = io.BytesIO()
        font.save(stream)
    return stream.getvalue()
