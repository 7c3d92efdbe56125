"""Finding a font that has every character of a text, and embedding the needed glyphs in a page."""

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

# Best for simplified Chinese first. Fonts made for Japanese or Korean also contain the characters.
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
_CJK_FILE_PREFIXES = ("notosanscjk", "notosanssc", "sourcehansans", "pingfang", "msyh", "wqy", "stheiti", "simhei")
_INSTALL = "install one with 'pip install mplfonts', or on Debian and Ubuntu 'apt install fonts-noto-cjk'"


def _missing_characters(text: str, font_path: str) -> list[str]:
    font = font_manager.get_font(font_path)
    visible = (c for c in dict.fromkeys(text) if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    return [c for c in visible if not font.get_char_index(ord(c))]


def check_glyphs(text: str, font_path: str | Path) -> None:
    """Checks that a font has a glyph for every visible character of a text.

    Raises:
        FontError: names the characters that would be drawn as empty boxes, and what to install.
    """
    missing = _missing_characters(text, str(font_path) if isinstance(font_path, Path) else font_path)
    if missing:
        characters = ", ".join(f"'{c}' (U+{ord(c):04X})" for c in missing)
        raise FontError(f"The font {Path(font_path).name} has no glyph for {characters}; {_INSTALL}.")


@functools.lru_cache(maxsize=1)
def _cjk_fonts() -> tuple[str, ...]:
    """Paths of the installed CJK fonts, best first."""
    paths: list[str] = []
    families: dict[str, list[font_manager.FontEntry]] = {}
    for entry in font_manager.fontManager.ttflist:
        families.setdefault(entry.name, []).append(entry)
    for family in _CJK_FAMILIES:
        entries = sorted(
            families.get(family, []), key=lambda e: (e.style != "normal", _distance_from_regular(e.weight))
        )
        for entry in entries[:1]:
            # In a collection (.ttc) the face index selects the Chinese font rather than the Japanese one.
            index = getattr(entry, "index", 0)
            paths.append(font_manager.FontPath(entry.fname, index) if index else entry.fname)
    # Importing mplfonts would change matplotlib's settings, so only locate it.
    package = importlib.util.find_spec("mplfonts")
    for folder in (package.submodule_search_locations or []) if package else []:
        fonts = Path(folder, "fonts")
        paths += [str(fonts / name) for name in ("NotoSansCJKsc-Regular.otf", "SimHei.ttf")]
    # matplotlib caches its list of fonts, so a newly installed font is only found in the font folders.
    for path in sorted(font_manager.findSystemFonts()):
        if Path(path).name.lower().replace("-", "").replace(" ", "").startswith(_CJK_FILE_PREFIXES):
            paths.append(path)
    return tuple(path for path in dict.fromkeys(paths) if os.path.isfile(path))


def _distance_from_regular(weight: str | int) -> int:
    return abs((weight if isinstance(weight, int) else font_manager.weight_dict.get(weight, 400)) - 400)


def find_cjk_font(text: str = "狗") -> str:
    """Path of the best CJK font that has every character of a text.

    Searches the fonts of the system and of the package mplfonts.

    Raises:
        FontError: no CJK font is installed, or none has every character; says what to install.
    """
    fonts = _cjk_fonts()
    if not fonts:
        raise FontError(f"No font with Chinese characters was found; {_INSTALL}.")
    for path in fonts:
        if not _missing_characters(text, path):
            return path
    check_glyphs(text, fonts[0])
    raise AssertionError("unreachable: the first font lacks a glyph")


def font_for(*texts: str) -> str:
    """Path of one font for all texts: matplotlib's default if it has every character, else a CJK font.

    Raises:
        FontError: no installed font has every character.
    """
    default = font_manager.findfont(FontProperties())
    text = "".join(texts)
    return default if not _missing_characters(text, default) else find_cjk_font(text)


def checked_font(font_path: str | None, *texts: str) -> str:
    """`font_path` after a check of its glyphs, or the font that `font_for` finds if it is None.

    Raises:
        FontError: the font, or every installed one, lacks a character.
    """
    if font_path is None:
        return font_for(*texts)
    check_glyphs("".join(texts), font_path)
    return font_path


def subset_font(text: str, optional: str = "") -> bytes | None:
    """A small font file with the glyphs of a text, to embed in a page.

    The glyphs come from the font that `font_for` finds for `text`.

    Args:
        text: required characters.
        optional: characters to include if the font has them.

    Returns:
        An OpenType or TrueType font; None if the license bits of the font (OS/2 fsType) forbid embedding.

    Raises:
        FontError: no installed font has every character of `text`.
    """
    from fontTools import subset
    from fontTools.ttLib import TTFont

    path = font_for(text)
    face_index = getattr(path, "face_index", -1)
    options = subset.Options(layout_features=[], name_IDs=[], hinting=False, notdef_outline=True)
    with TTFont(str(getattr(path, "path", path)), fontNumber=face_index, lazy=True) as font:
        if font["OS/2"].fsType != 0:
            return None
        subsetter = subset.Subsetter(options)
        subsetter.populate(text=text + optional)
        subsetter.subset(font)
        stream = io.BytesIO()
        font.save(stream)
    return stream.getvalue()
