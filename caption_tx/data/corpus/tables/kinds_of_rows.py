"""Tables whose rows have a key and a value, such as `1.jpg,description,..` above `1.jpg,location,..`.

Only the rows whose key names a caption are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, image_rank, normalize_name
from caption_tx.data.corpus.values.value_kinds import is_constant, is_flag, is_sentence, is_text, share, typical_length
from caption_tx.errors import CorpusError

_KEYS = ("key", "field", "field_name", "attribute", "attribute_name", "attr", "property", "predicate", "metadata",
         "属性", "属性名", "字段", "字段名", "键", "项目", "屬性", "欄位")  # fmt: skip
_TYPES = ("type", "kind", "category", "text_type", "类型", "种类", "类别")
_VALUES = ("value", "val", "values", "attribute_value", "值", "属性值", "字段值", "取值", "屬性值")
_MAX_KINDS, _LONGEST_KEY, _WEAK_RANK = 20, 30, 2
_MIN_FILLED = 0.5  # share of the images that have a kind, on average
_SENTENCE = 4  # Chinese characters

Values = Callable[[int], list[Any]]


@dataclass(frozen=True)
class Kinds:
    """The column that says what the rows of a table hold, and which of them are read.

    Attributes:
        position: of that column.
        unit: "column" or "key", and its name, for messages.
        value: position of the column with the captions.
        read: the kinds that are captions, without case.
    """

    position: int
    unit: str
    value: int
    read: frozenset[str]

    def is_other(self, cell: Any) -> bool:
        """Whether a row of this kind is not read; rows without a kind are."""
        kind = plain_kind(cell)
        return bool(kind) and kind not in self.read


def plain_kind(cell: Any) -> str:
    """A key of a row as it is compared."""
    return "" if cell is None else str(cell).strip().casefold()


def find_kinds(
    names: Sequence[str], values: Values, wanted: Sequence[str], image: int, context: tuple[str, str]
) -> Kinds | None:
    """The column that says what the rows hold, if its values say which of them are captions.

    Args:
        names: the header.
        values: sample values of a column, by its position.
        wanted: captions that the user names: columns, or kinds of rows.
        image: position of the image names.
        context: the place and the plural of the unit, for messages.

    Raises:
        CorpusError: no kind or several kinds could be the captions.
    """
    if len(names) < 3 or {plain_kind(name) for name in names} & set(map(plain_kind, wanted)):
        return None
    for position, name in enumerate(names):
        plain = normalize_name(str(name))
        is_key, is_type = plain in _KEYS, plain in _TYPES
        value = (
            None
            if position == image or not (is_key or is_type)
            else _value_of(names, values, (image, position), is_key)
        )
        if value is None:
            continue
        texts = _texts_by_kind(values(image), values(position), values(value))
        if texts is None:
            continue
        read = _choose(texts, list(wanted), is_key, (*context, str(name)))
        if read:
            return Kinds(position, f"{context[1][:-1]} {name!r}", value, frozenset(map(plain_kind, read)))
    return None


def _value_of(names: Sequence[str], values: Values, known: tuple[int, int], is_key: bool) -> int | None:
    """The column of the values that belongs to a column of keys."""
    others = [at for at in range(len(names)) if at not in known]
    named = [at for at in others if normalize_name(str(names[at])) in _VALUES]
    captions = [at for at in others if (caption_key(str(names[at])) or ("", _WEAK_RANK))[1] < _WEAK_RANK]
    found = named or captions
    if not found and is_key:
        found = [at for at in others if image_rank(str(names[at])) is None and share(values(at), is_text) > 0.5]
    return found[0] if len(found) == 1 else None


def _texts_by_kind(images: list[Any], keys: list[Any], texts: list[Any]) -> dict[str, list[Any]] | None:
    """The values of each kind, if every image has each kind at most once and there are few kinds."""
    rows = [row for row in zip(images, keys, texts, strict=False) if plain_kind(row[1])]
    if any(not isinstance(key, str) or len(key) > _LONGEST_KEY or not is_text(key) for _, key, _ in rows):
        return None
    by_kind: dict[str, list[Any]] = {}
    pairs, named, above = set(), set(), ""
    for image, key, text in rows:
        above = str(image).strip() if plain_kind(image) else above
        pairs.add((above, plain_kind(key)))
        named.add(above)
        by_kind.setdefault(key.strip(), []).append(text)
    is_few = 2 <= len(by_kind) <= min(_MAX_KINDS, len(rows) // 2) and len(named) > 1
    if not is_few or len(pairs) < len(rows) or len(rows) < _MIN_FILLED * len(by_kind) * len(named):
        return None
    return None if is_flag(keys) else by_kind


def _choose(
    texts: dict[str, list[Any]], wanted: Sequence[str], is_key: bool, context: tuple[str, str, str]
) -> list[str]:
    """The kinds that are captions, none if the rows of all kinds are.

    Raises:
        CorpusError: no kind or several kinds could be the captions.
    """
    if wanted:
        asked = {plain_kind(name) for name in wanted}
        found = [kind for kind in texts if plain_kind(kind) in asked]
        return found if len({plain_kind(kind) for kind in found}) == len(asked) else []
    groups: dict[tuple[str, int], list[str]] = {}
    for kind in texts:
        if key := caption_key(kind):
            groups.setdefault(key, []).append(kind)
    certain = {key: found for key, found in groups.items() if key[1] < _WEAK_RANK}
    groups = certain or groups
    named = [kind for found in groups.values() for kind in found]
    others = [kind for kind in texts if kind not in named]
    if not is_key:
        are_known = certain and others and not any(_are_sentences(texts[kind]) for kind in others)
        return named if are_known and len(groups) == 1 else []
    if len(groups) == 1:
        return named if others else []
    if not named and all(map(_are_sentences, texts.values())):
        return []
    place, plural, column = context
    reason = f"several of these ({', '.join(named)}) could be captions" if named else "none of these has a known name"
    first = (named or list(texts))[0]
    raise CorpusError(
        f"{place}: the {plural[:-1]} {column!r} says what each row holds ({', '.join(texts)}), but {reason}; choose "
        f"with caption_column (--caption-column) {first}, or keep only the rows of captions."
    )


def _are_sentences(texts: Sequence[Any]) -> bool:
    """Whether the values of a kind could be captions: sentences that differ."""
    is_varied = not is_constant(texts) and len(set(map(str, texts))) > 1
    return is_varied and share(texts, is_sentence) > 0.5 and typical_length(texts) >= _SENTENCE
