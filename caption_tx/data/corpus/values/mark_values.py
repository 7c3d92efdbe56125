"""Columns that mark captions as rejected, and the values that reject: 是否合格 with 否, status with "rejected".

Traditional characters are read like simplified ones, and a reason after the mark is ignored: `不合格：原因`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from caption_tx.data.corpus.column_names import (
    REJECTED_WHEN_FALSE,
    REJECTED_WHEN_TRUE,
    STATUS_WORDS,
    normalize_name,
)

FALSE_WORDS = ("false", "0", "0.0", "no", "n", "f", "否", "不", "不是", "×", "✗", "✘", "❌")
UNKNOWN_WORDS = ("", "none", "nan", "null", "-", "/", "n/a", "无", "無")
_CORRECTNESS = re.compile("对吗|对错|对不对|对否|正确|正確|correct|校对|校對")
_WRONG_WORDS = ("错", "错的", "错误", "不对", "wrong", "incorrect", "x")
_RESULTS = ("result", "value", "outcome", "label", "结果")
_TO_SIMPLIFIED = str.maketrans(
    "審檢質結論駁無廢棄刪絕採納狀態驗評複復確誤錯過標註圖內處據補寫條與達錄對屬參備記號",
    "审检质结论驳无废弃删绝采纳状态验评复复确误错过标注图内处据补写条与达录对属参备记号",
)
_REASON = re.compile(r"[:：;；,，(（【\[]|\s[-–—]+\s|——|\n")
# fmt: off
_WORK = (
    "终审|初审|复审|审核|审批|质检|抽检|抽查|验收|审查|检查|检验|复核|评审|互检|自检|校对|人工|机审|人审|标注|描述|文本|图文|图片|内容"
)
_GOOD = "通过|合格|有效|达标|采纳|采用|可用|入库|录用|过审|保留|正确|符合|符合要求|符合标准|相符|匹配|一致"
_BAD = (
    "驳回|打回|退回|退件|退稿|退单|退修|返工|返修|返回|重做|重标|重写|作废|报废|废弃|弃用|丢弃|舍弃|删除|剔除|移除|淘汰|屏蔽"
    "|拒绝|拒收|无效|错误|有误"
)
_REJECTING = re.compile(
    rf"(?:{_WORK}|状态|结果|结论|意见|需要?|待|予以|建议|要求|应|已|被|为|是|与|和|跟|同|图像?|原图|照片|画面|实际|严重|完全){{0,6}}"
    rf"(?:{_BAD}|弃|废|拒|失败|(?:不|未能?|没有?)予?(?:{_GOOD}|准确|相关|对应|过|符|行|对)|不能用|不可采用|不及格|无关|对不上"
    r"|文不对题|(?<!无)(?<!不)(?:需要?|待|必?须|应|请)(?:进一步)?(?:修改|修正|改写?|重新(?:标注|描述|撰写)))"
    rf"(?:修改|重新标注|处理|补充|的|了|件|数据|{_WORK}|{_BAD})*"
)
_REJECTING_ENGLISH = re.compile(
    r"(?:(?:is|was|been|has been|to be|auto|qc|qa|review|quality|check)[ _-])*"
    r"(?:reject(?:ed|ing|s|ion)?|refused|declined|denied|discard(?:ed)?|deleted?|removed?|fail(?:ed|ure|s)?|ignored?"
    r"|skip(?:ped)?|spam|invalid|bad|wrong|incorrect|precanned|void(?:ed)?|ng|no[ _-]?good|unacceptable|unusable"
    r"|unapproved|disapproved|trash(?:ed)?|garbage|junk|redo|re-?work|needs?[ _-](?:re-?work|redo)"
    r"|(?:needs?|must be|requires?)[ _-](?:a[ _-])?"
    r"(?:re-?writ(?:e|ing|ten)|re-?(?:label|annotat|caption)\w*|revis(?:ion|ing|ed)|corrections?|fix(?:ing|es)?)"
    r"|re-?write|changes[ _-]requested|request[ _-]changes|irrelevant|unrelated|inaccurate|hallucinat(?:ed|ion)"
    r"|(?:(?:image|photo|picture|caption|text)[ _-]){0,2}"
    r"(?:mis-?match(?:ed|ing)?|unmatched|do(?:es)?(?: not|n['’]t) match|not[ _-]matching)"
    r"(?: (?:the )?(?:image|photo|picture|caption|text))?"
    r"|not?[ _-](?:approved|accepted|passed|pass|valid|ok|okay|usable|acceptable|good|correct|keep|match(?:ed)?"
    r"|relevant|accurate|related))"
    r"(?: (?:by|at|on) .+)?"
)
_ANSWERS = ("reject", "rejected", "ignore", "ignored", "skip", "skipped")
_WHEN_FALSE = re.compile(
    rf".{{0,6}}是否.{{0,4}}(?:{_GOOD})(?:{_WORK})?|(?:{_WORK})?(?:{_GOOD})(?:与否|否)?"
    rf"|(?:{_WORK})?(?:对吗|对错|对不对|正确吗|对否)[?？]?"
    r"|(?:(?:is|was|has|is_it|qc|qa|review|audit|quality|check)_)*(?:valid|good|ok|usable|correct|approved|accepted|passed"
    r"|pass|acceptable|keep|match|matched|matching|positive)(?:_(?:qc|qa|review|audit|check))?[?？]?"
)
_WHEN_TRUE = re.compile(
    rf".{{0,6}}是否.{{0,4}}(?:{_BAD}|不(?:{_GOOD}))(?:{_WORK})?|(?:作废|废弃|删除|驳回|退回|打回)(?:与否|否|标记|标志)"
    r"|(?:(?:is|was|has|qc|qa|review|audit)_)+(?:rejected|reject|deleted|discarded|removed|spam|invalid|failed|fail)"
)
_REVIEW = re.compile(
    rf".{{0,4}}?(?:{_WORK})(?:状态|结果|结论|情况|意见|判定|反馈|结果说明)|.{{0,4}}?(?:终审|初审|复审|审核|审批|质检|抽检|验收|复核|评审|校对|校验)"
    r"|(?:\w+_)?(?:review|reviewer|audit|qc|qa|quality|approval|inspection|moderation|moderator|validation|verification)"
    r"_(?:status|state|result|decision|verdict|conclusion|outcome)|review|qc|qa|audit|verdict|decision|moderation"
)
_STATUS = re.compile(".{1,4}状态")
_NEGATED = re.compile(
    rf"(?:未被?|不|没有?|非|无需|not |non-?|un)(?:{_BAD}|rejected|deleted|discarded|removed|spam)|正常|{_GOOD}"
    r"|valid|ok|keep|kept|accepted|approved|passed"
)
_FUZZY = ("fuzzy", "is_fuzzy", "needs_review", "needs_editing", "needs_work", "unreviewed", "待审", "待校对", "未校对")
_REMARKS = ("备注", "备考", "附注", "remark", "remarks", "note", "notes")
# fmt: on


def _plain(text: str) -> str:
    """A name or a mark in lower case and without full-width forms."""
    return unicodedata.normalize("NFKC", text).strip().lower()


def is_mark(name: str) -> bool:
    """Whether a column of this normalized name can mark captions as rejected."""
    return _kind(name) is not None


def is_remark(name: str) -> bool:
    """Whether a column of this normalized name has remarks, of which some may be marks."""
    return _plain(name).translate(_TO_SIMPLIFIED) in _REMARKS


def is_reason(name: str) -> bool:
    """Whether texts in a column of this normalized name are reasons that reject."""
    return _kind(name) == "when true"


@lru_cache(maxsize=1024)
def _kind(name: str) -> str | None:
    """What rejects in a column of this normalized name: "when true", "when false", a "status", a "review".

    "fuzzy" are marks of translations that nobody has checked, which reject nothing.
    """
    name = _plain(name).translate(_TO_SIMPLIFIED)
    if name in _FUZZY:
        return "fuzzy"
    if name in REJECTED_WHEN_TRUE or _WHEN_TRUE.fullmatch(name):
        return "when true"
    if name in REJECTED_WHEN_FALSE or _WHEN_FALSE.fullmatch(name):
        return "when false"
    if _REVIEW.fullmatch(name):
        return "review"
    is_status = name in STATUS_WORDS or name == "answer" or name.endswith("_status") or _STATUS.fullmatch(name)
    return "status" if is_status else None


def without_reason(value: object) -> str:
    """The mark in a value, without a reason after it.

    Example:
        >>> without_reason("不合格：描述太短"), without_reason("Rejected - too short"), without_reason(True)
        ('不合格', 'rejected', 'true')
    """
    return _REASON.split(_plain(str(value)), maxsplit=1)[0].strip(" .。!！")


def rejection(name: str, value: object) -> str | None:
    """The reason if a mark rejects a caption, such as is_rejected = true or status = "rejected"; else None.

    Example:
        >>> rejection("is_rejected", "True"), rejection("is_valid", 1), rejection("status", "REJECT")
        ('marked as rejected', None, 'marked as reject')
    """
    if isinstance(value, dict):  # {"result": "rejected", "by": "li"}
        inner = {normalize_name(str(key)): item for key, item in value.items() if not isinstance(item, (dict, list))}
        reasons = [rejection(key, item) for key, item in inner.items()]
        if is_mark(name):
            reasons += [rejection(name, inner[key]) for key in _RESULTS if key in inner]
        return next(filter(None, reasons), None)
    return _rejection(name, str(value))


@lru_cache(maxsize=4096)
def _rejection(name: str, text: str) -> str | None:
    kind, shown, word = _kind(name), without_reason(text), name.removeprefix("is_").removeprefix("是否")
    mark = shown.translate(_TO_SIMPLIFIED)
    rejects = bool(_REJECTING.fullmatch(mark) or _REJECTING_ENGLISH.fullmatch(mark))
    if kind == "when true" and _plain(text) not in (*FALSE_WORDS, *UNKNOWN_WORDS):
        return None if _NEGATED.fullmatch(mark) else f"marked as {word}"
    if kind == "when false" and (rejects or mark in (*FALSE_WORDS, *_WRONG_WORDS)):
        return f"marked as not {word}"
    if name == "answer":
        return f"marked as {shown}" if mark in _ANSWERS else None
    says_no = kind == "review" and mark in (*FALSE_WORDS, *_WRONG_WORDS) and not mark[:1].isdigit()
    is_remark_only = is_remark(name) and shown == _plain(text)
    return f"marked as {shown}" if says_no or (rejects and (kind or is_remark_only)) else None


def says_wrong(name: str, value: object) -> bool:
    """Whether a mark says that a caption is wrong, which a correction beside it answers.

    Example:
        >>> says_wrong("对吗", "错"), says_wrong("correct", "no"), says_wrong("is_deleted", "yes")
        (True, True, False)
    """
    is_about = _CORRECTNESS.search(_plain(name)) is not None
    wrong = (*_WRONG_WORDS, *FALSE_WORDS) if is_about else _WRONG_WORDS
    return is_mark(name) and without_reason(value) in wrong


def is_unread(name: str, value: object) -> bool:
    """Whether a status or a remark is none that rejects, so that the caption is kept and the value reported."""
    text = "" if value is None or isinstance(value, dict) else str(value).strip().lower()
    if is_fuzzy(name, value):
        return False
    reports = _kind(name) in ("status", "review") or is_remark(name)
    return reports and text not in UNKNOWN_WORDS and rejection(name, value) is None


def is_fuzzy(name: str, value: object) -> bool:
    """Whether a mark says that a caption is a translation that nobody has checked, as Weblate and gettext have it.

    Example:
        >>> is_fuzzy("fuzzy", "True"), is_fuzzy("fuzzy", ""), is_fuzzy("state", "needs-editing")
        (True, False, True)
    """
    text = "" if value is None else _plain(str(value))
    if _kind(name) == "fuzzy":
        return text not in (*FALSE_WORDS, *UNKNOWN_WORDS)
    return _kind(name) == "status" and text.replace("-", "_") in (*_FUZZY, "needs_translation")
