"""Captions that only refer to another row, such as 同上, 〃 and "same as 0003.jpg"."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 80
_SIGNS = "\"″“”〃〞‟々〻'′‘’↑⬆⇧^"
_MARKS = re.compile(f"[-–—.…]*[{_SIGNS}][-–—.…\ufe0f{_SIGNS}]*")
_MARK_STARTS = frozenset(f"-–—.…{_SIGNS}")
_AROUND = " \t\r\n.,;:!。，、；：！…()[]【】<>《》「」『』{}\"'“”‘’"

_STARTS = "同相等如参參请請見见与與和跟上前描内內说說完雷类類重々"
"""What references in Chinese start with: most captions need no other test."""

# Chinese: 同上图, 与上一张相同, 见 0003.jpg
_NAME = r"(?:[^\s]{1,60}\.[a-z]{2,5}\d?|[a-z_\-./\\]*\d[a-z\d_\-./\\]*|第[一二三四五六七八九十百\d]+)"
_COUNTED = (
    "图片|圖片|图像|圖像|照片|图|圖|行|条|條|张|張|句|幅|个|個|例|项|項|格|列|号|號|编号|編號|单元格|描述|标注|標註"
)
_THINGS = f"(?:{_COUNTED}|文|述|面|方|边|邊|者){{0,2}}"
_PLACE = f"(?:[上前左右下](?:[上面方边邊一1两兩几幾])?{_THINGS}的?{_THINGS}|之前|前述|上述)"
_TARGET = f"(?:{_PLACE}|(?:{_COUNTED})?{_NAME}(?:{_COUNTED}){{0,2}})"
_SEE = "相?同|同于|同於|如同|等同于?|参见|參見|参考|參考|参照|參照|请?见|請見|見"
_SAME = "(?:完全)?(?:相同|一样|一樣|一致|同样|同樣|雷同|类似|類似|相似|重复|重複)"
_CONTENT = "描述|内容|內容|说明|說明"
_CHINESE = re.compile(
    f"(?:{_CONTENT})?(?:(?:{_SEE}){_TARGET}(?:的?(?:{_CONTENT}))?|如{_PLACE}|(?:与|與|和|跟|同){_TARGET}"
    f"(?:的?(?:{_CONTENT}))?{_SAME}|[上前]同|(?:同上){{2,}}|同一[张張幅](?:图|圖|照)?片?|{_SAME})(?:所述|所示)?"
)

# English: same as above, see 0003.jpg
_ROW = "(?:one|image|picture|photo|img|pic|caption|description|row|line|entry|cell|text|sentence|comment)"
_BEFORE = "above|before|previous|prior|preceding|last|below|earlier|next|first"
_OTHER = f"(?:(?:the )?(?:{_BEFORE})(?: {_ROW})?|(?:the )?{_ROW} above|(?:{_ROW} )?(?:no\\.? ?|# ?)?{_NAME})"
_ENGLISH = re.compile(
    f"dittos?|idem|ibid|(?:the )?same(?: {_ROW})?(?:,? (?:as|with|like|to|of) (?:(?:for|in|on) )?{_OTHER})?"
    f"|(?:see|as|as in|as per|refer to|identical to|(?:copy|duplicate) of) {_OTHER}|(?:same|ditto) above"
    f"|(?:the )?(?:above|previous)(?: {_ROW})?"
)
_ENGLISH_STARTS = (
    "ditto", "idem", "ibid", "the", "same", "see", "as", "refer", "identical", "copy", "duplicate", "above", "previous",
)  # fmt: skip
"""The first words of references in English: most captions need no other test."""
_BEFORE_ASCII = "".join(filter(str.isascii, _AROUND)) + "\x0b\x0c\x1c\x1d\x1e\x1f"


def is_ditto(caption: str) -> bool:
    """Whether a caption consists of nothing but a reference to the caption of another row.

    Example:
        >>> is_ditto("同上"), is_ditto("same as 0003.jpg"), is_ditto("同上一辆车的人在说话"), is_ditto("the same dog")
        (True, True, False, False)
    """
    first = caption[:1]
    if len(caption) > _LONGEST or ("\u4e00" <= first <= "\u9fff" and first not in _STARTS):
        return False
    if caption.lstrip()[:1] in _MARK_STARTS and _MARKS.fullmatch("".join(caption.split())):
        return True
    if caption.isascii() and not caption.lstrip(_BEFORE_ASCII).lower().startswith(_ENGLISH_STARTS):
        return False
    text = unicodedata.normalize("NFKC", caption).strip(_AROUND).casefold()
    if text.isascii():
        return _ENGLISH.fullmatch(" ".join(text.split())) is not None
    return _CHINESE.fullmatch("".join(text.split())) is not None
