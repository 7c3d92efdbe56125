"""Columns that correct another one, such as `修改后描述` beside `初标描述`, which is often filled in some rows only."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, normalize_name, numbers_in
from caption_tx.data.corpus.missing_values import MISSING_WORDS
from caption_tx.data.corpus.value_kinds import is_flag, is_text, share, typical_length

_CHANGED = "修改|修正|校对|校正|更正|订正|修订|校對|訂正|修訂"
_CORRECTED = re.compile(
    rf"(?:{_CHANGED}|审核|质检|复核|複核|优化|润色)(?:之?[后後]|版|稿)的?|(?:最终|最終)版?的?|终稿|定稿|終稿"
    r"|(?:^|_)(?:corrected|correction|revised|revision|final|fixed|edited|proofread|amended)(?=_|$)"
)
_CHANGED_TEXT = re.compile(rf"(?:{_CHANGED})的?(?=.)")
_ORIGINAL = re.compile(
    r"(?:初标|初標|原始|初始|初稿|修改前|校对前|修正前|初版|原文|原)的?"
    r"|(?:^|_)(?:original|orig|raw|initial|draft|uncorrected)(?=_|$)"
)
_NOT_TEXT = re.compile(
    "是否|[人员者員]|时间|時間|日期|状态|狀態|结果|結果|意见|意見|备注|原因|次数|_by|_at|date|time|status"
)
_UNCHANGED = frozenset((
    "无需修改", "不需修改", "不修改", "不用改", "不用修改", "无修改", "未修改", "无误", "正确", "同左",
    "同原文", "同前", "通过", "ok", "√", "✓", "same", "unchanged", "no change", "no changes", "correct",
))  # fmt: skip


def find_correction(names: Sequence[str], caption: int) -> int | None:
    """The position of the only column that corrects the captions of another one, by their names; or None.

    Example:
        >>> find_correction(["image", "初标描述", "是否修改", "修改后描述"], 1), find_correction(["caption", "text"], 0)
        (3, None)
    """
    if _stem_of_correction(names[caption]) is not None:
        return None
    stem = _stem(_ORIGINAL.sub("", normalize_name(names[caption])))
    found = [
        position
        for position, name in enumerate(names)
        if position != caption and _stem_of_correction(name) in ("", stem)
        if not (set(numbers_in(name)) ^ set(numbers_in(names[caption])))
    ]
    return found[0] if len(found) == 1 else None


def select_correction(
    names: Sequence[str], values: Callable[[int], list[Any]], captions: Sequence[int], used: set[int | None]
) -> int | None:
    """The position of a column that corrects the only caption column, by its name and contents; or None.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        captions: positions of the captions.
        used: positions that mean something else.
    """
    position = find_correction(names, captions[0]) if len(captions) == 1 else None
    if position is None or position in used:
        return None
    corrected = [value for value in values(position) if choose_correction(value, None)[1]]
    are_texts = share(corrected, is_text) > 0.5 and not is_flag(corrected)
    is_long = 2 * typical_length(corrected) >= typical_length(values(captions[0]))
    return position if not corrected or (are_texts and is_long) else None


def choose_correction(corrected: Any, original: Any) -> tuple[Any, bool]:
    """The corrected caption, or the original one where nothing was corrected; and whether it is the corrected one."""
    text = "" if corrected is None or corrected != corrected else str(corrected).strip()
    is_same = not text or text.lower() in MISSING_WORDS or text.lower().rstrip("。.！!") in _UNCHANGED
    return (original, False) if is_same else (corrected, True)


def _stem_of_correction(name: str) -> str | None:
    """The name of a column of corrected captions without the words for the correction; None for other columns."""
    key = normalize_name(name)
    if _NOT_TEXT.search(key) or _ORIGINAL.search(key):
        return None
    if _CORRECTED.search(key):
        return _stem(_CORRECTED.sub("", key))
    return _stem(_CHANGED_TEXT.sub("", key)) if _CHANGED_TEXT.search(key) else None


def _stem(key: str) -> str:
    key = key.strip("_")
    found = caption_key(key) if key else None
    return found[0] if found else key
