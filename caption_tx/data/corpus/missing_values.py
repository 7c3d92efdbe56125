"""Words that programs and people write where a value is missing, such as nan, NULL and 无."""

from __future__ import annotations

# fmt: off
MISSING_WORDS = frozenset((
    "nan", "null", "none", "nil", "na", "n/a", "n.a.", "<na>", "<null>", "(null)", "[null]", "\\n", "undefined", "-nan",
    "#n/a", "#na", "#value!", "#ref!", "#name?", "#null!", "#div/0!", "#num!", "#error!", "missing", "empty",
    "no caption", "no description", "tbd", "todo", "[]", "{}", "''", '""', "-", "~", "--", "---", "/",
    "loading...", "loading…", "载入中...", "载入中…", "載入中...", "載入中…",
    "正在加载...", "正在加载…", "加载中...", "加载中…",
    "无", "無", "空", "暂无", "暫無", "缺失", "没有", "无描述", "暂无描述", "没有描述", "無描述", "无标注", "未标注",
))
# fmt: on
"""In lower case."""

LONGEST_WORD = max(map(len, MISSING_WORDS))
"""Longer texts stand for themselves."""

_NOT_NAMES = frozenset(("nan", "null", "none", "<na>", "#n/a", "n/a", "undefined", "#ref!", "#value!", "\\n"))


def stands_for_no_name(name: str) -> bool:
    """Whether an image name is a word for a missing value."""
    return name.lower() in _NOT_NAMES
