"""Columns of remarks beside the captions, such as `translator_comments` beside `target` in exports of translations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, image_rank, is_about_captions, normalize_name
from caption_tx.data.corpus.values.value_kinds import (
    is_constant,
    is_filled,
    is_flag,
    is_sentence,
    is_text,
    share,
    typical_length,
)

_WELL_FILLED, _HALF, _FEW = 0.8, 0.5, 0.2  # shares of rows in which a column has a value
_LABEL_LENGTH, _WEAK_RANK = 4, 2
_REMARKS = ("comment", "note", "remark", "备注", "備註", "注释", "批注")
_TARGETS = ("target", "translation", "translated", "译文", "譯文", "译稿")
_AT_END = re.compile(rf"(.*?)(?:(?:^|_)(?:{'|'.join(_REMARKS[:3])})s?|{'|'.join(_REMARKS[3:])})")
_CODES = "zh|yue|en|ja|ko|fr|de|es|it|pt|ru|uk|pl|cs|nl|sv|tr|ar|fa|hi|th|vi|id|ms"
_LANGUAGE = re.compile(rf"[^\W\d_].*[(（](?:{_CODES})(?:[-_][A-Za-z]{{2,4}}){{0,2}}[)）]")

Groups = dict[tuple[str, int], list[int]]
"""Key and rank of a name for captions -> positions of its columns."""


def _filled_share(values: Sequence[Any]) -> float:
    """The share of cells that are not empty; 1 without cells."""
    return sum(map(is_filled, values)) / len(values) if values else 1.0


def without_remarks(names: Sequence[str], values: Callable[[int], list[Any]], groups: Groups, image: int) -> Groups:
    """The groups of columns that could be captions without those that are filled in a few rows, or hold remarks.

    A column such as `caption` is no remark even if few of its rows are filled.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        groups: columns whose names could be those of captions.
        image: position of the image names.

    Returns:
        The groups that are left; {} if all hold remarks and the captions have a name that is not known.
    """
    if all(rank == 0 and not _is_remark(key) for key, rank in groups):
        return groups

    def filled(group: list[int]) -> float:
        return max(_filled_share(values(at)) for at in group)

    def is_dense(at: int) -> bool:
        cells = values(at)
        is_varied = not is_flag(cells) and not is_constant(cells)
        return _filled_share(cells) >= _WELL_FILLED and is_varied and share(cells, is_text) > _HALF

    dense = {key for key, found in groups.items() if any(map(is_dense, found))}
    unnamed = [
        at
        for at, name in enumerate(names)
        if at != image and not caption_key(name) and image_rank(name) is None and not is_about_captions(name)
    ]
    has_text = bool(dense) or any(is_dense(at) and typical_length(values(at)) > _LABEL_LENGTH for at in unnamed)
    targets = {key for key in dense if _is_target(key[0]) and share(_all(values, groups[key]), is_sentence) > _HALF}

    def is_left(key: tuple[str, int], found: list[int]) -> bool:
        if has_text and key[1] == _WEAK_RANK and not filled(found):
            return False
        if _is_remark(key[0]):
            return not (targets - {key}) and not (has_text and filled(found) <= _HALF)
        return key[1] == 0 or key in dense or not dense or filled(found) > _FEW

    return {key: found for key, found in groups.items() if is_left(key, found)}


def remarks_about_columns(names: Sequence[str], values: Callable[[int], list[Any]], image: int) -> set[int]:
    """Positions of remarks about another column with sentences, such as `English(en) Comments` beside `English(en)`.

    All remarks of a table are, if columns are named after languages, as Unity's and other tables of translations have.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        image: position of the image names.
    """
    remarks = {at: match[1].strip("_") for at, name in enumerate(names) if (match := _AT_END.fullmatch(_plain(name)))}
    if not remarks:
        return set()
    others = {at: name for at, name in enumerate(names) if at != image and at not in remarks}
    if any(_LANGUAGE.fullmatch(name.strip()) and share(values(at), is_text) > _HALF for at, name in others.items()):
        return set(remarks)
    bases = {_plain(name): at for at, name in others.items()}
    return {
        at for at, base in remarks.items() if base and base in bases and share(values(bases[base]), is_sentence) > _HALF
    }


def _plain(name: str) -> str:
    return normalize_name(str(name))


def _all(values: Callable[[int], list[Any]], positions: Sequence[int]) -> list[Any]:
    return [value for at in positions for value in values(at)]


def _is_remark(key: str) -> bool:
    words = key.split("_")
    return any(word in words if word.isascii() else word in key for word in (*_REMARKS, *(f"{w}s" for w in _REMARKS)))


def _is_target(key: str) -> bool:
    words = key.split("_")
    return any(word in words if word.isascii() else word in key for word in _TARGETS)
