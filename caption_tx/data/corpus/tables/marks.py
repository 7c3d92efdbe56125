"""Columns or keys that mark captions as rejected, such as is_rejected or review_status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from caption_tx.data.corpus.column_names import (
    CAPTION_WORDS,
    CHINESE_NUMBER,
    caption_key,
    normalize_name,
    numbers_in,
    without_numbers,
)
from caption_tx.data.corpus.values.mark_values import (
    FALSE_WORDS,
    UNKNOWN_WORDS,
    is_mark,
    is_reason,
    is_remark,
    without_reason,
)
from caption_tx.data.corpus.values.text_lists import parse_items
from caption_tx.data.corpus.values.value_kinds import share, typical_length
from caption_tx.errors import CorpusError

_LONGEST_MARK = 6
_WORSE = ("rejected", "rejected_response", "rejected_responses")
_VERDICT = "label"  # of KTO's data and of pairs of images and texts that match or do not
_WINNERS = (
    "winner", "winners", "better", "best", "preferred", "preference", "choice", "selected", "vote", "胜者", "更好",
    "优选", "选择", "偏好",
)  # fmt: skip
_PREFERRED = frozenset(("chosen", "accepted", "preferred"))
# fmt: off
_HOLDERS = (
    "meta", "info", "review", "audit", "qc", "check", "attr", "annotat", "extra", "result", "quality", "flag", "label",
    "valid", "feedback", "审核", "质检", "备注", "属性",
)  # fmt: skip
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
        if name in _WORSE and not _PREFERRED.isdisjoint(map(normalize_name, names)):
            continue
        plain = name if is_mark(name) else _without_caption_words(name)
        is_flag = is_mark(plain) and _are_marks(plain, _items(values(position)), names)
        if is_flag or is_remark(name) or holds_marks(name, partial(values, position)):
            found.append((position, plain or name))
        elif name == _VERDICT and share(_items(values(position)), _is_true_or_false) == 1:
            found.append((position, "is_match"))
    unread = {numbers_in(name) for at, name in enumerate(names) if at not in captions and caption_key(name)}
    unread -= {(), *(numbers_in(names[at]) for at in captions)}
    found = [mark for mark in found if numbers_in(names[mark[0]]) not in unread]  # those of captions that are not read
    own = _own_marks(names, found, captions) if len(captions) > 1 else {}
    return (
        tuple((position, name) for position, name in found if position not in own),
        tuple((position, name, own[position]) for position, name in found if position in own),
    )


def require_no_winner(names: Sequence[str], captions: Sequence[int], context: tuple[str, str]) -> None:
    """Rejects a table of competing captions with a column such as winner, which says which of them is better.

    Args:
        names: the header.
        captions: positions of the captions.
        context: the place and the plural of the unit, for messages.

    Raises:
        CorpusError: there is such a column.
    """
    place, plural = context
    winner = next((name for name in names if normalize_name(name) in _WINNERS), None)
    if winner is not None and len(captions) > 1:
        shown = [names[at] for at in captions]
        raise CorpusError(
            f"{place}: {winner!r} seems to say which of the {plural} {', '.join(shown)} has the better caption; write "
            f"the better one in a column of its own, or read them all with caption_column (--caption-column) "
            f"{','.join(shown)}."
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
    if typical_length(list(map(without_reason, values))) <= _LONGEST_MARK:
        return True
    if not is_reason(name) or not _PREFERRED.isdisjoint(map(normalize_name, names)):
        return False
    return any(str(value).strip().lower() in (*FALSE_WORDS, *UNKNOWN_WORDS) for value in values)


def _is_true_or_false(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "false")


def holds_marks(name: str, values: Callable[[], Sequence[Any]]) -> bool:
    """Whether a column of a name such as meta has objects with marks, such as {"is_rejected": true}."""
    if not name.startswith(_HOLDERS) and not is_mark(name):  # other columns, perhaps of images, are not loaded
        return False
    objects = [value for value in _items(values()) if isinstance(value, dict)]
    return (is_mark(name) and bool(objects)) or any(
        is_mark(normalize_name(str(key))) for item in objects for key in item
    )


def holds_mark(name: str, value: Any) -> bool:
    """Whether a value of a normalized name is a mark, or an object with marks, such as Datumaro's attributes.

    Example:
        >>> holds_mark("status", "ok"), holds_mark("attributes", {"rejected": True}), holds_mark("color", {"ok": 1})
        (True, True, False)
    """
    return is_mark(name) or holds_marks(name, lambda: [value])
