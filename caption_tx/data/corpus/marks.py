"""Columns or keys that mark captions as rejected, such as is_rejected or review_status."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from caption_tx.data.corpus.column_names import (
    CAPTION_WORDS,
    CHINESE_NUMBER,
    REJECTED_WHEN_FALSE,
    REJECTED_WHEN_TRUE,
    STATUS_WORDS,
    normalize_name,
    numbers_in,
    without_numbers,
)
from caption_tx.data.corpus.text_lists import parse_items
from caption_tx.data.corpus.value_kinds import typical_length

_FALSE = ("false", "0", "0.0", "no", "n", "f", "否", "不", "×")
_UNKNOWN = ("", "none", "nan", "null", "-", "/", "n/a", "无", "無")
_LONGEST_MARK = 6
_PREFERRED = frozenset(("chosen", "accepted", "preferred"))
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
    "已退回",
    "打回",
    "已打回",
    "被打回",
    "打回修改",
    "退回修改",
    "打回重做",
    "返工",
    "不采纳",
    "未采纳",
)
_STATUS = re.compile(
    r".{0,4}?(质检|審核|审核|审批|验收|抽检|复核|评审|初审|终审|复审)(状态|结果|结论|情况)?|.{1,4}(状态|狀態)"
    r"|(\w+_)?(review|audit|qc|qa|quality|approval|inspection|moderation)_(status|state|result|decision|verdict|conclusion)"
)
# fmt: on


def find_marks(
    names: Sequence[str], values: Callable[[int], Sequence[Any]], read: set[int | None], captions: Sequence[int]
) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str, int], ...]]:
    """The columns with marks that reject captions.

    Args:
        names: the header.
        values: sample values of a column by position.
        read: positions of columns that are read as something else.
        captions: positions of the captions.

    Returns:
        (position, name) of the marks of all captions of a row, and (position, name, position of the caption) of those
        of one caption, such as status_2 beside caption_2.
    """
    found = []
    for position, name in enumerate(map(normalize_name, names)):
        if position in read:
            continue
        plain = name if is_mark(name) else _without_caption_words(name)
        if (is_mark(plain) and _are_marks(plain, _items(values(position)), names)) or holds_marks(
            name, partial(values, position)
        ):
            found.append((position, plain))
    own = _own_marks(names, found, captions) if len(captions) > 1 else {}
    return (
        tuple((position, name) for position, name in found if position not in own),
        tuple((position, name, own[position]) for position, name in found if position in own),
    )


def _own_marks(names: Sequence[str], marks: Sequence[tuple[int, str]], captions: Sequence[int]) -> dict[int, int]:
    """Mark -> caption, for marks with the number of a caption, and for as many marks of one name as captions."""
    numbers = [numbers_in(names[at]) for at in captions]
    own = {}
    for position, _ in marks:
        alike = [at for at, number in zip(captions, numbers, strict=True) if number == numbers_in(names[position])]
        if numbers_in(names[position]) and len(alike) == 1:
            own[position] = alike[0]
    for name in {name for _, name in marks}:
        positions = [position for position, other in marks if other == name]
        if len(positions) == len(captions) and not own.keys() & set(positions):
            own |= dict(zip(positions, captions, strict=True))
    return own


def _without_caption_words(name: str) -> str:
    """A normalized name without numbers and words for a caption: "is_valid" for "captions_is_valid_2"."""
    words = (CHINESE_NUMBER.sub("", word) or word for word in without_numbers(name).split("_"))
    return "_".join(word for word in words if word.removesuffix("s") not in CAPTION_WORDS)


def _items(values: Sequence[Any]) -> list[Any]:
    """Values, and instead of lists their items."""
    return [item for value in values for item in (parse_items(value) or [value])]


def _are_marks(name: str, values: Sequence[Any], names: Sequence[str]) -> bool:
    """Whether values are marks: short, or reasons why some captions are rejected, as in MTurk's column Reject.

    A column rejected with texts beside a column chosen, or with a text in every row, has the worse of two captions.
    """
    if typical_length(values) <= _LONGEST_MARK:
        return True
    if name not in REJECTED_WHEN_TRUE or not _PREFERRED.isdisjoint(map(normalize_name, names)):
        return False
    return any(str(value).strip().lower() in (*_FALSE, *_UNKNOWN) for value in values)


def is_mark(name: str) -> bool:
    """Whether a column of this normalized name can mark captions as rejected."""
    return name in REJECTED_WHEN_TRUE or name in REJECTED_WHEN_FALSE or _is_status(name)


def holds_marks(name: str, values: Callable[[], Sequence[Any]]) -> bool:
    """Whether a column of a name such as meta has objects with marks, such as {"is_rejected": true}."""
    if not name.startswith(_HOLDERS) and not is_mark(name):  # other columns, perhaps of images, are not loaded
        return False
    objects = [value for value in _items(values()) if isinstance(value, dict)]
    return (is_mark(name) and bool(objects)) or any(
        is_mark(normalize_name(str(key))) for item in objects for key in item
    )


def _is_status(name: str) -> bool:
    """Whether a column says what became of a caption; Prodigy calls it answer, MTurk AssignmentStatus."""
    return name in STATUS_WORDS or name == "answer" or name.endswith("_status") or bool(_STATUS.fullmatch(name))


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
