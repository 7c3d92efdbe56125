"""Columns or keys that mark captions as rejected, such as is_rejected or review_status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import (
    REJECTED_WHEN_FALSE,
    REJECTED_WHEN_TRUE,
    STATUS_WORDS,
    normalize_name,
)

_FALSE = ("false", "0", "0.0", "no", "n", "f", "否", "不", "×")
_UNKNOWN = ("", "none", "nan", "null", "-")
# fmt: off
_HOLDERS = (
    "meta", "info", "review", "audit", "qc", "check", "attr", "annotat", "extra", "result", "quality", "flag", "label",
    "valid", "feedback", "审核", "质检", "备注", "属性",
)  # fmt: skip
_RESULTS = ("result", "value", "outcome", "label", "结果")
_REJECTING = (
    "reject",
    "rejecting",
    "refused",
    "declined",
    "denied",
    "discard",
    "delete",
    "removed",
    "remove",
    "fail",
    "failed",
    "ignore",
    "ignored",
    "skip",
    "skipped",
    "not approved",
    "not_approved",
    "unapproved",
    "disapproved",
    "not accepted",
    "废弃",
    "已废弃",
    "作废",
    "丢弃",
    "不通过",
    "未通过",
    "审核不通过",
    "审核未通过",
    "驳回",
    "已驳回",
    "拒绝",
    "已拒绝",
    "不合格",
    "无效",
    "删除",
    "已删除",
    "不可用",
    "廢棄",
    "不通過",
    "未通過",
    "拒絕",
    "無效",
    "刪除",
    "駁回",
    "退回",
)
# fmt: on


def is_mark(name: str) -> bool:
    """Whether a column of this normalized name can mark captions as rejected."""
    return name in REJECTED_WHEN_TRUE or name in REJECTED_WHEN_FALSE or _is_status(name)


def holds_marks(name: str, values: Callable[[], Sequence[Any]]) -> bool:
    """Whether a column of a name such as meta has objects with marks, such as {"is_rejected": true}."""
    if not name.startswith(_HOLDERS) and not is_mark(name):  # other columns, perhaps of images, are not loaded
        return False
    if is_mark(name):
        return any(isinstance(value, dict) for value in values())
    return any(
        isinstance(value, dict) and any(is_mark(normalize_name(str(key))) for key in value) for value in values()
    )


def _is_status(name: str) -> bool:
    """Whether a column says what became of a caption; Prodigy calls it answer, MTurk AssignmentStatus."""
    return name in STATUS_WORDS or name == "answer" or name.endswith("_status")


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
    text = str(value).strip().lower()
    word = name.removeprefix("is_").removeprefix("是否")
    if name in REJECTED_WHEN_TRUE and text not in (*_FALSE, *_UNKNOWN):
        return f"marked as {word}"
    if name in REJECTED_WHEN_FALSE and (text in _FALSE or text in _REJECTING):
        return f"marked as not {word}"
    if _is_status(name) and (text in REJECTED_WHEN_TRUE or f"is_{text}" in REJECTED_WHEN_TRUE or text in _REJECTING):
        return f"marked as {text}"
    return None


def is_unread(name: str, value: object) -> bool:
    """Whether a status is none that rejects, so that the caption is kept and the value reported."""
    text = "" if value is None or isinstance(value, dict) else str(value).strip().lower()
    return _is_status(name) and text not in _UNKNOWN and rejection(name, value) is None
