"""Columns that correct another one, such as `修改后描述` beside `初标描述`, which is often filled in some rows only.

Several columns may correct one, as in several rounds: the last that is filled counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, normalize_name, numbers_in
from caption_tx.data.corpus.values.missing_values import MISSING_WORDS
from caption_tx.data.corpus.values.value_kinds import is_flag, is_text, share, typical_length

_CHANGED = "修改|修正|校对|校正|更正|订正|修订|校對|訂正|修訂"
_CORRECTED = re.compile(
    rf"(?:{_CHANGED}|审核|质检|复核|複核|优化|润色)(?:之?[后後]|版|稿)的?|(?:最终|最終)版?的?|终稿|定稿|終稿"
    r"|^(?:[应應][当當该該]?改?[为為是成]|改[为為成]|更正|订正|訂正|正[确確]的?描述)$"
    r"|(?:^|_)(?:corrected|correction|revised|revision|final|fixed|edited|proofread|amended)(?=_|$)"
)
_CHANGED_TEXT = re.compile(rf"(?:{_CHANGED})的?(?=.)")
_ORIGINAL = re.compile(
    r"(?:初标|初標|原始|初始|初稿|修改前|校对前|修正前|初版|原文|原)的?"
    r"|(?:^|_)(?:original|orig|raw|initial|draft|uncorrected)(?=_|$)"
)
_NOT_TEXT = re.compile(
    "是否|[人员者員]|时间|時間|日期|状态|狀態|结果|結果|意见|意見|备注|原因|次数|_by$|_at$|date|time|status"
)
_FINAL = re.compile("最终|最終|终稿|終稿|定稿|终审|終審|(?:^|_)final(?=_|$)")
_ROUND = re.compile(
    r"(?:^|_)by_\w+$|(?:^|_)(?:reviewer|annotator|editor|proofreader|expert|person|worker|round|pass|stage|step|version|v|no)"
    r"(?=_|$)|(?:^|_)(?:\d+(?:st|nd|rd|th)?|[a-e]|first|second|third|one|two|three)(?=_|$)"
    r"|第?[一二三四五初复复終终](?:审|審|校|轮|輪|次)|[一二三四五甲乙丙]$"
)
"""Words for the round or the person that corrected."""

CORRECTED = "captions that were corrected, read instead of the original ones"
SEVERAL = (
    "captions with several different corrections, of which the last is read (caption_column (--caption-column) names "
    "another column)"
)

_UNCHANGED = frozenset((
    "无需修改", "不需修改", "不修改", "不用改", "不用修改", "无修改", "未修改", "无误", "正确", "同左",
    "同原文", "同前", "通过", "ok", "√", "✓", "same", "unchanged", "no change", "no changes", "correct",
))  # fmt: skip


def find_corrections(names: Sequence[str], caption: int) -> list[int]:
    """The positions of the columns that correct the captions of another one, by their names, the last round first.

    Example:
        >>> find_corrections(["image", "初标描述", "是否修改", "修改后描述"], 1)
        [3]
        >>> find_corrections(["image", "original", "corrected_1", "corrected_2"], 1)
        [3, 2]
    """
    if _stem_of_correction(names[caption]) is not None:
        return []
    stem, numbers = _stem(_ORIGINAL.sub("", normalize_name(names[caption]))), numbers_in(names[caption])
    found = []
    for position, name in enumerate(names):
        key = _stem_of_correction(name) if position != caption else None
        has_numbers = set(numbers_in(name)) == set(numbers)
        is_round = key is not None and _stem(_ROUND.sub("", key)) in ("", stem)
        if (key in ("", stem) and has_numbers) or (is_round and (has_numbers or not numbers)):
            found.append(position)
    return sorted(found, key=lambda position: _order(names[position], position), reverse=True)


def _order(name: str, position: int) -> tuple[bool, int, int]:
    """What orders corrections: the final one is the last, others have numbers or are in the order of the columns."""
    key = normalize_name(name)
    number = re.search(r"\d+", key)
    return _FINAL.search(key) is not None, int(number[0]) if number else 0, position


def select_corrections(
    names: Sequence[str], values: Callable[[int], list[Any]], captions: Sequence[int], used: set[int | None]
) -> tuple[tuple[int, ...], ...]:
    """Groups of the positions of corrections, the last first, and of the caption that they correct.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        captions: positions of the captions.
        used: positions that mean something else.
    """
    groups = []
    for caption in captions:
        found = [at for at in find_corrections(names, caption) if at not in used and at not in captions]
        if found := [at for at in found if _are_corrections(values(at), values(caption))]:
            groups.append((*found, caption))
    corrections = [at for group in groups for at in group[:-1]]
    return tuple(groups) if len(set(corrections)) == len(corrections) else ()


def correction_notes(names: Sequence[str], groups: Sequence[Sequence[int]], unit: str) -> dict[str, int]:
    """Notes about which columns are read in place of others; `unit` is "column" or "key"."""
    notes = {}
    for last, *others in groups:
        rest = ", then ".join(repr(names[at]) for at in others)
        notes[f"captions read from the {unit} {names[last]!r}, from {rest} where it is empty"] = 1
    return notes


def _are_corrections(values: Sequence[Any], originals: Sequence[Any]) -> bool:
    """Whether the values of a column are captions, at least half as long as the original ones, or empty."""
    corrected = [value for value in values if choose_correction(value, None)[1]]
    are_texts = share(corrected, is_text) > 0.5 and not is_flag(corrected)
    is_long = 2 * typical_length(corrected) >= typical_length(originals)
    return not corrected or (are_texts and is_long)


def read_corrections(values: dict[int, Any], groups: Sequence[Sequence[int]], notes: Counter[str]) -> dict[int, Any]:
    """The captions of a row, by the positions of the original ones: of each group the first that is filled.

    Args:
        values: all captions and corrections of the row.
        groups: as `select_corrections` returns them.
        notes: count captions that were corrected.
    """
    for group in groups:
        filled = [at for at in group[:-1] if choose_correction(values[at], None)[1]]
        chosen = filled[0] if filled else group[-1]
        if filled:
            notes[CORRECTED] += 1
        if len({str(values[at]).strip() for at in filled}) > 1:
            notes[SEVERAL] += 1
        values[group[-1]] = values[chosen]
    return {at: value for at, value in values.items() if not any(at in group[:-1] for group in groups)}


def is_corrected(groups: Sequence[Sequence[int]], cells: Sequence[Any]) -> bool:
    """Whether a row has a correction; `groups` as `select_corrections` returns them."""
    return any(choose_correction(cells[at], None)[1] for group in groups for at in group[:-1])


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
