"""Words that programs and people write where a value is missing, such as nan, NULL, 无 and (skipped)."""

from __future__ import annotations

import re

from caption_tx.data.corpus.values.dittos import is_ditto

# fmt: off
MISSING_WORDS = frozenset((
    "nan", "null", "none", "nil", "na", "n/a", "n.a.", "<na>", "<null>", "(null)", "[null]", "\\n", "undefined", "-nan",
    "#n/a", "#na", "#value!", "#ref!", "#name?", "#null!", "#div/0!", "#num!", "#error!", "missing", "empty",
    "no caption", "no description", "tbd", "todo", "[]", "{}", "''", '""', "-", "~", "--", "---", "/",
    "loading...", "loading…", "载入中...", "载入中…", "載入中...", "載入中…",
    "正在加载...", "正在加载…", "加载中...", "加载中…",
    "无", "無", "空", "暂无", "暫無", "缺失", "没有", "无描述", "暂无描述", "没有描述", "無描述", "无标注", "未标注",
    "skipped", "no response", "no answer", "not answered", "unanswered", "not applicable", "question skipped",
    "未填", "未填写", "未填寫", "未作答", "未回答", "无回答", "無回答", "没有回答", "未答", "此题跳过", "本题跳过",
))
"""In lower case; a caption of nothing else is left out."""

DOUBTFUL_WORDS = frozenset((
    "caption", "description", "example", "image", "no_caption", "not available", "picture", "placeholder", "sample",
    "test", "text", "unknown", "untitled", "xxx", "无标题", "無標題", "未知", "待定", "待标注", "测试", "图片", "描述",
    "skip", "blank", "left blank", "omitted", "declined", "photo", "跳过", "跳過", "略", "略过", "空白", "留空", "不填",
    "不详", "不詳", "照片", "圖片", "待填", "待补充", "待補充",
))
"""In lower case; captions, which are left out in brackets or if several rows have nothing else."""
# fmt: on

PLACEHOLDERS = MISSING_WORDS | DOUBTFUL_WORDS
"""What the check of captions reports."""

_LONGEST_WORD = max(map(len, PLACEHOLDERS)) + 2
_BRACKETED = re.compile(r"[(（\[［【<＜〈《{]\s*([^()（）\[\]]+?)\s*[)）\]］】>＞〉》}]")
_HASHES = re.compile("[#＃]{3,}")
_NOT_NAMES = frozenset(("nan", "null", "none", "<na>", "#n/a", "n/a", "undefined", "#ref!", "#value!", "\\n"))


def stands_for_no_caption(caption: str) -> bool:
    """Whether a caption is nothing but a word for a missing one, or such a word in brackets.

    Example:
        >>> [stands_for_no_caption(text) for text in ("NULL", "（跳过）", "跳过", "(a dog)")]
        [True, True, False, False]
    """
    if len(caption) > _LONGEST_WORD:
        return False
    if caption.lower() in MISSING_WORDS:
        return True
    match = _BRACKETED.fullmatch(caption)
    return match is not None and match[1].lower() in PLACEHOLDERS


def is_too_narrow(caption: str) -> bool:
    """Whether a caption is the `####` that a spreadsheet shows, and saves as text, where a column is too narrow."""
    return caption[0] in "#＃" and _HASHES.fullmatch(caption) is not None


def why_left_out(caption: str) -> tuple[str, str] | None:
    """Why a caption is none, and the note about such captions, which shows the first one for {}; None for others.

    Example:
        >>> why_left_out("无")[0], why_left_out("同上")[0], why_left_out("一只狗")
        ("no caption ('无')", "refers to another row ('同上')", None)
    """
    if stands_for_no_caption(caption):
        note = "captions such as nan, NULL or 无, which stand for a missing one, left out"
        return f"no caption ({caption!r})", note
    if is_too_narrow(caption):
        note = "captions of ####, saved from a column that was too narrow, left out; widen it and save again"
        return f"no caption ({caption[:20]!r})", note
    if is_ditto(caption):
        return f"refers to another row ({caption!r})", "captions that refer to another row, left out ({})"
    return None


def stands_for_no_name(name: str) -> bool:
    """Whether an image name is a word for a missing value."""
    return name.lower() in _NOT_NAMES
