"""Finding fonts that have the characters of a text, and embedding the needed glyphs in a page."""

from __future__ import annotations

import functools
import importlib.util
import io
import os
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
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


BOX = "\u25a1"
"""Drawn in place of a character that no installed font has."""

_FIRST_EAST_ASIAN, _FIRST_EMOJI = "\u2e80", "\U0001f000"
_DINGBATS = ("\u2600", "\u27bf")


def _is_invisible(character: str) -> bool:
    """Whether a character has no glyph of its own: joiners, control characters, variation selectors."""
    return unicodedata.category(character) in ("Cf", "Cc") or "VARIATION SELECTOR" in unicodedata.name(character, "")


def _missing_characters(text: str, font_path: str) -> list[str]:
    font = font_manager.get_font(font_path)
    visible = (c for c in dict.fromkeys(text) if not c.isspace() and not _is_invisible(c))
    return [c for c in visible if not font.get_char_index(ord(c))]


def _advice(characters: Iterable[str]) -> str:
    """Says which fonts have characters, and how to install them."""
    advice: dict[str, None] = {}
    for character in characters:
        name = unicodedata.name(character, "")
        if not name:
            continue
        if (character >= _FIRST_EMOJI and character < "\U00020000") or _DINGBATS[0] <= character <= _DINGBATS[1]:
            fonts = "Symbola (on Debian and Ubuntu 'apt install fonts-symbola') and Noto Emoji have emoji"
        elif character >= _FIRST_EAST_ASIAN:
            fonts = _INSTALL
        elif unicodedata.category(character)[0] in "LMN":
            script = name.split()[0].title()
            fonts = f"Noto Sans {script} has {script} (on Debian and Ubuntu 'apt install fonts-noto-core')"
        else:
            fonts = "Noto Sans Symbols 2 has symbols (on Debian and Ubuntu 'apt install fonts-noto-core')"
        advice[fonts] = None
    return "; ".join(advice) or "choose other characters"


def _list_characters(characters: Iterable[str]) -> str:
    return ", ".join(f"'{character}' (U+{ord(character):04X})" for character in characters)


def check_glyphs(text: str, font_path: str | Path) -> None:
    """Checks that a font has a glyph for every visible character of a text.

    Raises:
        FontError: names the characters that would be drawn as empty boxes, and fonts that have them.
    """
    missing = _missing_characters(text, str(font_path) if isinstance(font_path, Path) else font_path)
    if missing:
        raise FontError(
            f"The font {Path(font_path).name} has no glyph for {_list_characters(missing)}; {_advice(missing)}."
        )


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
    """Path of the font that has the most characters of all texts: a CJK font if any is East Asian.

    matplotlib's default font is preferred for other texts.

    Raises:
        FontError: a text is East Asian, and no CJK font is installed.
    """
    default = font_manager.findfont(FontProperties())
    text = "".join(texts)
    missing = _missing_characters(text, default)
    if not missing:
        return default
    is_east_asian = any(_FIRST_EAST_ASIAN <= character < _FIRST_EMOJI for character in missing)
    if is_east_asian and not _cjk_fonts():
        find_cjk_font(text)
    candidates = _cjk_fonts() if is_east_asian else (default, *_cjk_fonts())
    return min(candidates, key=lambda path: len(_missing_characters(text, path)))


@dataclass(frozen=True)
class TextFont:
    """The fonts that draw a text, in the order in which they are asked for a glyph.

    Attributes:
        path: the font of most characters.
        fallbacks: fonts for the characters that it lacks.
        missing: the characters that no font has.
    """

    path: str
    fallbacks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def properties(self, size: float) -> FontProperties:
        """The fonts for matplotlib, in a size in points."""
        if not self.fallbacks:
            return FontProperties(fname=self.path, size=size)
        return FontProperties(family=[_family(path) for path in (self.path, *self.fallbacks)], size=size)

    def drawable(self, text: str) -> str:
        """A text with a box for each missing character, and without characters that have no glyph."""
        if text.isascii():
            return text
        kept = (c for c in text if c.isspace() or not _is_invisible(c))
        return "".join(BOX if character in self.missing else character for character in kept)


def _family(path: str) -> str:
    """The name of the font in a file, by which matplotlib finds it."""
    if path not in {entry.fname for entry in font_manager.fontManager.ttflist}:
        font_manager.fontManager.addfont(path)
    return FontProperties(fname=path).get_name()


def choose_font(font_path: str | None, *texts: str, fallbacks: bool = True) -> TextFont:
    """The fonts for all texts; warns of characters that are drawn as boxes.

    Args:
        font_path: the only font; by default the font that `font_for` finds, with other installed fonts as fallbacks.
        texts: all texts to draw.
        fallbacks: whether the drawing supports fallback fonts.

    Raises:
        FontError: `font_path` lacks a character, or a text is East Asian and no CJK font is installed.
    """
    text = "".join(texts)
    if font_path is not None:
        check_glyphs(text, font_path)
        return TextFont(font_path)
    path = font_for(text)
    missing = _missing_characters(text, path)
    found: list[str] = []
    if missing and fallbacks:
        found, missing = _find_fallbacks(missing)
    if missing:
        warnings.warn(
            f"No glyph for {_list_characters(missing)}, drawn as {BOX}: {_advice(missing)}.", UserWarning, stacklevel=3
        )
    return TextFont(path, tuple(found), tuple(missing))


def _find_fallbacks(characters: list[str]) -> tuple[list[str], list[str]]:
    """Installed fonts that have some of the characters, and the characters that none has."""
    default = font_manager.findfont(FontProperties())
    regular = (entry.fname for entry in font_manager.fontManager.ttflist if _distance_from_regular(entry.weight) == 0)
    found = []
    # matplotlib caches its list of fonts, so a newly installed font is only found in the font folders.
    for path in dict.fromkeys((default, *_cjk_fonts(), *sorted(regular), *sorted(font_manager.findSystemFonts()))):
        if not characters:
            break
        # matplotlib cannot draw color bitmaps, and its LastResort fonts have boxes for all characters.
        if "LastResort" in path or not _is_scalable(path):
            continue
        lacking = _missing_characters("".join(characters), path)
        if len(lacking) < len(characters):
            found.append(path)
            characters = lacking
    return found, characters


def _is_scalable(path: str) -> bool:
    try:
        return font_manager.get_font(path).scalable
    except (OSError, RuntimeError):
        return False


def subset_font(text: str, optional: str = "") -> bytes | None:
    """A small font file with the glyphs of a text, to embed in a page.

    The glyphs come from the font that `font_for` finds for `text`. The reader's own fonts draw the characters that
    it lacks.

    Args:
        text: characters that choose the font.
        optional: characters to include if the font has them.

    Returns:
        An OpenType or TrueType font; None if the license bits of the font (OS/2 fsType) forbid embedding.

    Raises:
        FontError: the text is East Asian, and no CJK font is installed.
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
