"""Characters that look like ordinary ones, which programs that copy text out of PDFs write, and invisible ones."""

from __future__ import annotations

import re
import unicodedata

FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
"""Letters and digits as wide as a Chinese character."""
HALF_WIDTH_KANA = re.compile("[\uff66-\uff9f]")
"""Katakana as wide as a letter, such as ｶ, with their marks."""

# A radical of the supplement and the character that Unicode's EquivalentUnifiedIdeograph.txt names for it, in turn.
_SUPPLEMENT = (
    "⺁厂⺂乛⺃乚⺄乙⺅亻⺆冂⺇𠘨⺈刀⺉刂⺊卜⺋㔾⺌小⺍小⺎兀⺏尣⺐尢⺑𡯂⺒巳⺓幺⺔彑⺕彐⺖忄⺗心⺘扌⺙攵⺛旡⺜日⺝月⺞歺⺟母⺠民⺡氵⺢氺⺣灬⺤爫⺥爫⺦丬"
    "⺧牛⺨犭⺩王⺪𤴔⺫目⺬示⺭礻⺮𥫗⺯糹⺰纟⺱罓⺲罒⺳㓁⺴冗⺵𦉫⺶羊⺷𦍌⺸𦍋⺹耂⺺肀⺻聿⺼肉⺽𦥑⺾艹⺿艹⻀艹⻁虎⻂衤⻃覀⻄西⻅见⻆角⻇𧢲⻈讠⻉贝⻊𧾷⻋车"
    "⻌辶⻍辶⻎辶⻏邑⻐钅⻑長⻒镸⻓长⻔门⻕𨸏⻖阝⻗雨⻘青⻙韦⻚页⻛风⻜飞⻝食⻞𩙿⻟飠⻠饣⻡𩠐⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄⻪黾⻫斉⻬齐⻭歯⻮齿⻯竜⻰龙"
    "⻱龜⻲亀⻳龟"
)
# Radicals, compatibility ideographs, ligatures of Latin letters.
_LOOK_ALIKES = re.compile("[\u2e80-\u2ef3\u2f00-\u2fd5\uf900-\ufaff\ufb00-\ufb06\U0002f800-\U0002fa1f]")
_CHINESE = "\u2e80-\u2fd5\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Zero-width signs, marks of the direction and soft hyphens; after a Chinese character also variants and joiners.
_INVISIBLE = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    f"|(?<=[{_CHINESE}])[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]+"
)


def _ordinary(character: str) -> str:
    """The character that a look-alike stands for; itself if there is none."""
    return _SUPPLEMENT_OF.get(character) or unicodedata.normalize("NFKC", character)


_SUPPLEMENT_OF = dict(zip(_SUPPLEMENT[::2], _SUPPLEMENT[1::2], strict=True))


def fold_look_alikes(text: str) -> str:
    """Returns a text with ordinary characters for radicals, compatibility ideographs and Latin ligatures.

    Example:
        >>> fold_look_alikes("\u2f00\u2f08\u2ee2 o\ufb03ce")
        '一人马 office'
    """
    return text if text.isascii() else _LOOK_ALIKES.sub(lambda match: _ordinary(match[0]), text)


def remove_invisible(text: str) -> str:
    """Returns a text without invisible signs, which no word needs.

    Emoji and words of other scripts keep their joiners and variants.

    Example:
        >>> remove_invisible("一\u200b只\ufe00狗 in\xadside")
        '一只狗 inside'
    """
    return text if text.isascii() else _INVISIBLE.sub("", text)
