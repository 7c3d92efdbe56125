"""User dictionaries of Japanese analyzers (MeCab, Sudachi, Kuromoji) and input methods, and their encodings."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from caption_tx.data.text.dictionary_pinyin import HAN

PART_OF_SPEECH = re.compile(
    r"(?:[\w・]{0,6}(?:[名動动代副助数量介形冠嘆叹連连]|形容|接続|連体|感動|接頭|接尾|助動|形状)[詞词]|カスタム\w+"
    r"|固有(?:人名|地名|組織)|接[頭尾]辞|人名|地名|組織名?|企業名?|記号|(?:サ変|一般|特殊)\w{2,4})"
)
"""Names of parts of speech in Chinese and Japanese, as dictionaries write them out."""

_KANA = "\u3041-\u309f\u30a1-\u30ff"
_IS_KANA = re.compile(rf"[{_KANA}\s]+")
_HIRAGANA = re.compile("[\u3041-\u309f\u30fc\\s]+")
_KANA_PARTS = re.compile(f"([{_KANA}]+)")
_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_ID = re.compile(r"-?\d*", re.ASCII)
_MECAB_FEATURE = re.compile(rf"{PART_OF_SPEECH.pattern}|[\w・]*記号|空白|未知語|\*|[A-Z]{{2,5}}(?:\+[A-Z]{{2,5}})*")
_ENCODINGS = ("euc_jp", "cp932")
_NAMES = ("名詞", "動詞", "形容詞", "副詞", "カスタム", "接尾")
_MIN_ALIKE = 0.8


def read_mecab(line: str) -> list[str] | None:
    """The surface form of a line of MeCab or Sudachi: `surface,left,right,cost,part of speech,..`.

    Example:
        >>> read_mecab("東京タワー,1288,1288,4569,名詞,固有名詞,一般,*")
        ['東京タワー']
    """
    cells = _cells(line)
    if len(cells) < 5 or not cells[0] or not all(map(_ID.fullmatch, cells[1:4])):
        return None
    return [cells[0]] if any(map(_MECAB_FEATURE.fullmatch, cells[4:6])) else None


def read_kuromoji(line: str) -> list[str] | None:
    """The surface form of a line of Kuromoji: `surface,segments,readings,part of speech`.

    Example:
        >>> read_kuromoji("東京タワー,東京 タワー,トウキョウ タワー,カスタム名詞")
        ['東京タワー']
    """
    cells = _cells(line)
    if len(cells) != 4 or not cells[0] or not PART_OF_SPEECH.fullmatch(cells[3]):
        return None
    return [cells[0]] if "".join(cells[1].split()) == "".join(cells[0].split()) else None


def _cells(line: str) -> list[str]:
    if "," not in line and "\t" not in line:
        return []
    return [cell.strip() for cell in next(csv.reader([line], delimiter="," if "," in line else "\t"), [])]


def are_readings(cells: Sequence[str], words: Sequence[str], *, come_later: bool) -> bool:
    """Whether cells have the pronunciation of the words beside them, in kana.

    Args:
        cells: in kana; of two columns in kana, the readings are the one in hiragana, or else the second.
        words: of the same rows.
        come_later: whether the column of the cells is to the right of the words.

    Example:
        >>> are_readings(["まっちゃらて"], ["抹茶ラテ"], come_later=False)
        True
    """
    if not all(map(_IS_KANA.fullmatch, cells)):
        return False
    if all(map(_IS_KANA.fullmatch, words)):
        are_hiragana = [all(map(_HIRAGANA.fullmatch, column)) for column in (cells, words)]
        if are_hiragana != [True, False] and (are_hiragana == [False, True] or not come_later):
            return False
    return sum(map(_sounds_like, cells, words)) >= _MIN_ALIKE * len(cells)


def _sounds_like(reading: str, word: str) -> bool:
    """Whether the kana of a word are in its reading, with any kana for the characters between them."""
    parts = _KANA_PARTS.split("".join(word.split()).translate(_TO_KATAKANA))
    pattern = "".join(re.escape(part) if at % 2 else ".+" * bool(part) for at, part in enumerate(parts))
    return re.fullmatch(pattern, "".join(reading.split()).translate(_TO_KATAKANA)) is not None


def find_japanese_encoding(data: bytes) -> str | None:
    """The Japanese encoding of a dictionary that is not UTF-8, if half its lines have a part of speech in it.

    The same bytes are Chinese characters in GB18030, whose words nobody writes.
    """
    lines = [line for line in data.splitlines() if line.strip()]
    for name in _ENCODINGS:
        marks = [mark + text.encode(name) for text in _NAMES for mark in (b",", b"\t")]
        if lines and 2 * sum(any(mark in line for mark in marks) for line in lines) > len(lines):
            return name
    return None


def has_han_or_kana(text: str) -> bool:
    """Whether a text has a Chinese character or kana."""
    return re.search(f"[{HAN}{_KANA}]", text) is not None
