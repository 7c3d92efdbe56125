"""The key of the captions in all entries of a file, some of which have only other texts, such as an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from caption_tx.data.corpus.column_names import caption_key, find_named, normalize_name, without_numbers
from caption_tx.data.corpus.tables.columns import Columns, ReadOptions
from caption_tx.data.corpus.values.conversations import CONVERSATION_KEYS
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.value_kinds import is_image_name, is_sentence, is_text, share
from caption_tx.errors import CorpusError

_WEAK, _NO_NAME = 2, 3
_MIN_SHARE, _MIN_SHARE_OF_WEAK = 0.1, 0.2
_MAX_DEPTH, _MAX_ITEMS = 4, 20

Select = Callable[[dict[str, Any], ReadOptions], Columns | None]
"""Chooses the keys of an entry."""


@dataclass
class CaptionKeys:
    """Which keys hold captions in a sample of the entries of a file.

    Attributes:
        counts: how many entries have a caption in a key, by the key without its number and its rank.
        keys: all keys of entries with a caption.
    """

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)

    @property
    def main(self) -> tuple[str, int] | None:
        """The best name among those that are not rare, and its rank; None if no entry has a caption.

        Beside a key without a name for captions, one with such a name is never rare: most entries may have failed.
        """
        most, rank = max(((count, rank) for (_, rank), count in self.counts.items()), default=(0, 0))
        common = [
            key
            for key, count in self.counts.items()
            if count >= _MIN_SHARE * most or (rank == _NO_NAME and key[1] < _WEAK)
        ]
        return min(common, key=lambda key: (key[1], -self.counts[key]), default=None)

    def holds_caption(self, name: str) -> bool:
        """Whether a key of an entry holds its caption, or another text: its name is worse, or says so.

        Example:
            >>> keys = CaptionKeys(Counter({("caption", 0): 8}))
            >>> keys.holds_caption("caption_2"), keys.holds_caption("text"), keys.holds_caption("error")
            (True, True, False)
        """
        found, main = _group(name), self.main
        if main is None or found == main:
            return True
        is_common = self.counts[found] >= _MIN_SHARE_OF_WEAK * self.counts[main]
        if found[1] >= _WEAK:
            return is_common and (found[1] == main[1] or name in CONVERSATION_KEYS)
        return found[1] <= main[1] and not normalize_name(name).startswith(f"{main[0]}_")


def count_captions(sample: Iterable[dict[str, Any]], select: Select, options: ReadOptions) -> CaptionKeys:
    """Counts in which keys entries have captions; entries with several keys that could hold them do not count.

    If most have several, nothing is counted: the user must say which.

    Args:
        sample: expanded entries.
        select: chooses the keys of an entry.
        options: columns that the user names.
    """
    found, named, unclear = CaptionKeys(), [], 0
    for entry in sample:
        try:
            columns = select(entry, options)
        except CorpusError:
            unclear += 1
            continue
        names = [] if columns is None else [list(entry)[position] for position in columns.captions]
        if any(is_text(entry[name]) for name in names):
            found.counts[_group(names[0])] += 1
            named.append((entry, names[0]))
    if unclear > len(named):
        return CaptionKeys()
    for entry, name in named:
        found.keys.update(entry if found.holds_caption(name) else ())
    return found


def prefer_main(entry: dict[str, Any], keys: CaptionKeys, options: ReadOptions) -> ReadOptions | None:
    """The options that name the main key of the file in an entry that has it; None if it does not."""
    names = tuple(name for name in entry if _group(name) == keys.main)
    return replace(options, caption_columns=names) if names else None


def present_columns(
    entry: dict[str, Any], sample: Iterable[dict[str, Any]], options: ReadOptions
) -> tuple[str, ...] | None:
    """The captions that the user names and an entry has; None if another entry must be asked for those it lacks.

    Returns:
        The names, none if only other entries have them; None if no entry has one of them.
    """
    present = tuple(name for name in options.caption_columns if _has(entry, name))
    missing = [name for name in options.caption_columns if name not in present]
    is_known = all(any(_has(other, name) for other in sample) for name in missing)
    return present if is_known else None


def advise_texts(sample: Sequence[dict[str, Any]]) -> str:
    """Advice to read the captions from the keys with names for them that hold texts, the best first; "" without any.

    Args:
        sample: expanded entries.
    """
    ranks = {key: named[1] for entry in sample for key in entry if (named := caption_key(key))}
    values = {key: [entry.get(key) for entry in sample] for key in ranks}
    found = [key for key in ranks if share(values[key], lambda value: isinstance(value, str) and is_text(value)) > 0.5]
    names = sorted(found, key=ranks.__getitem__)
    if not names:
        return ""
    more = f" (or {list_names(names[1:], 80)})" if names[1:] else ""
    return f"read the texts of another key with caption_column (--caption-column) {names[0]}{more}, or "


def texts_first(entry: dict[str, Any]) -> list[str]:
    """The keys of an entry for messages: names for captions or images and those with sentences come first.

    Example:
        >>> texts_first({"id": 7, "size": [3, 4], "full_text": "a dog runs", "note": "a cat sleeps"})
        ['full_text', 'note', 'id', 'size']
    """

    def rank(key: str) -> int:
        value = entry[key]
        if caption_key(str(key)) is not None and is_text(value):
            return 0
        return 1 if (isinstance(value, str) and is_sentence(value)) or _names_image(value) else 2

    return [str(key) for key in sorted(entry, key=rank)]


def _names_image(value: Any, depth: int = 0) -> bool:
    """Whether a value names an image, also below lists and objects."""
    if isinstance(value, (dict, list)):
        items = list(value.values() if isinstance(value, dict) else value)[:_MAX_ITEMS]
        return depth < _MAX_DEPTH and any(_names_image(item, depth + 1) for item in items)
    return is_image_name(value)


def _has(entry: dict[str, Any], name: str) -> bool:
    try:
        return bool(find_named(list(entry), name, "", "keys", "caption_column"))
    except CorpusError:
        return False


def _group(name: str) -> tuple[str, int]:
    return caption_key(name) or (without_numbers(name), _NO_NAME)
