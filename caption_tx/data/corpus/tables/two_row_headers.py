"""Headers of two rows, such as 标注员A above 描述 and 质检, as merged cells are saved, and of three by pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from caption_tx.data.corpus.column_names import (
    NOT_CAPTION_WORDS,
    caption_key,
    could_be_split,
    image_rank,
    normalize_name,
)
from caption_tx.data.corpus.values.mark_values import is_mark, is_remark

_LONGEST = 20
_MAX_SHOWN = 8


def join_header(rows: Sequence[Sequence[str]]) -> tuple[list[str], dict[str, int], int] | None:
    """The names of the columns below a header of several rows, with a note and the number of rows; None for others.

    Args:
        rows: the first row of the header and those below it.
    """
    if (three := combine_pivot(rows[:4])) is not None:
        return *three, 3
    two = combine_header(rows[0], rows[1]) if len(rows) > 1 else None
    return None if two is None else (*two, 2)


def combine_pivot(rows: Sequence[Sequence[str]]) -> tuple[list[str], dict[str, int]] | None:
    """The names of the columns of a pivot by pandas, with a note, or None if the rows are no such header.

    The first two rows name the columns, the third one only the index, and the fourth one is data.

    Example:
        >>> combine_pivot([["", "caption", "caption"], ["rank", "0", "1"], ["image", "", ""], ["1.jpg", "a", "b"]])[0]
        ['image', 'caption_0', 'caption_1']
    """
    if len(rows) < 4:
        return None
    width = max(map(len, rows))
    top, below, index, data = ([cell.strip() for cell in row] + [""] * (width - len(row)) for row in rows)
    start = next((at for at, cell in enumerate(index) if not cell), width)
    if not 0 < start < width or any(index[start:]) or not top[start] or not any(below[start:]):
        return None
    if (
        not any(image_rank(cell) is not None for cell in index[:start])
        or not all(data[:start])
        or any(top[: start - 1])
    ):
        return None
    groups: list[str] = []
    for cell in top[start:]:
        groups.append(cell or groups[-1])
    if not any(map(caption_key, (*groups, *below[start:]))):
        return None
    combined = combine_header([*[""] * start, *groups], [*[""] * start, *below[start:]])
    counts, words = Counter(groups), below[start:]
    names = [
        f"{group}_{word}" if counts[group] > 1 and word else group for group, word in zip(groups, words, strict=True)
    ]
    if combined is not None and not any(map(caption_key, groups)):
        names = combined[0][start:]
    shown = [f"{group} {word} as {name}" for group, word, name in zip(groups, words, names, strict=True)]
    text = ", ".join(shown[:_MAX_SHOWN]) + (", .." if len(shown) > _MAX_SHOWN else "")
    return [*index[:start], *names], {f"columns of a header of three rows, read as one ({text})": len(shown)}


def combine_header(top: Sequence[str], below: Sequence[str]) -> tuple[list[str], dict[str, int]] | None:
    """The names of the columns below a header of two rows, with a note, or None if the second row is no header.

    A name that several groups have gets the number of its group, so that captions and their marks belong together.

    Example:
        >>> combine_header(["图片", "甲", "", "乙", ""], ["", "描述", "质检", "描述", "质检"])[0]
        ['图片', '描述1', '质检1', '描述2', '质检2']
    """
    width = max(len(top), len(below))
    top, below = ([cell.strip() for cell in cells] + [""] * (width - len(cells)) for cells in (top, below))
    words = [cell for cell in below if cell]
    # Merged cells leave empty cells beside or below them; programs such as pandas repeat the name of the group.
    is_grouped = any(not above and word for above, word in zip(top, below, strict=True)) or (
        len(set(filter(None, top))) < sum(map(bool, top)) and len(words) < width
    )
    if len(words) < 2 or not is_grouped or not all(map(_is_header_word, words)) or not any(map(caption_key, words)):
        return None
    groups: list[str] = []
    for cell in top:
        groups.append(cell or (groups[-1] if groups else ""))
    numbers: dict[str, int] = {}
    for group, word in zip(groups, below, strict=True):
        if word:
            numbers.setdefault(group, len(numbers) + 1)
    counts = Counter(words)
    names, shown = [], []
    for above, group, word in zip(top, groups, below, strict=True):
        name = f"{word}{numbers[group]}" if counts[word] > 1 else word
        names.append(name or above)
        if word and group:
            shown.append(f"{group} {word} as {name}")
    text = ", ".join(shown[:_MAX_SHOWN]) + (", .." if len(shown) > _MAX_SHOWN else "")
    return names, {f"columns of a header of two rows, read as one ({text})": len(shown)}


def _is_header_word(cell: str) -> bool:
    """Whether a cell is a name that columns have."""
    name = normalize_name(cell)
    if len(cell) > _LONGEST or not name:
        return False
    return (
        caption_key(cell) is not None
        or image_rank(cell) is not None
        or is_mark(name)
        or is_remark(name)
        or could_be_split(cell)
        or any(word == part for word in NOT_CAPTION_WORDS for part in name.split("_"))
    )
