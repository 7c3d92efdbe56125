"""Columns of a table, or keys of a JSON entry: which are the image, the captions and the split.

Names decide first, then contents. Several columns that could be the caption are an error that asks for
`--caption-column`, unless they are numbered or repeated columns of one name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from caption_tx.data.corpus.column_names import (
    ANSWER_WORDS,
    QUESTION_WORDS,
    SPLIT_WORDS,
    TOKEN_ENDINGS,
    caption_key,
    find_named,
    image_rank,
    is_about_captions,
    normalize_name,
    numbers_in,
    without_numbers,
)
from caption_tx.data.corpus.names.image_files import ImageFiles, prefer_files
from caption_tx.data.corpus.tables.caption_language import prefer_language
from caption_tx.data.corpus.tables.corrections import correction_notes, find_corrections, select_corrections
from caption_tx.data.corpus.tables.image_columns import require_one_image, require_one_table, select_image
from caption_tx.data.corpus.tables.kinds_of_rows import Kinds, find_kinds
from caption_tx.data.corpus.tables.marks import find_marks, require_no_winner
from caption_tx.data.corpus.tables.remark_columns import remarks_about_columns, without_remarks
from caption_tx.data.corpus.tables.split_and_folder import select_folder, select_split
from caption_tx.data.corpus.tables.word_columns import Words, find_words
from caption_tx.data.corpus.values.name_lists import list_names
from caption_tx.data.corpus.values.origins import find_origin
from caption_tx.data.corpus.values.value_kinds import (
    are_swapped,
    fills_down,
    is_constant,
    is_filled,
    is_flag,
    is_text,
    share,
    typical_length,
)
from caption_tx.errors import CorpusError

_MAX_SHOWN, _MAX_LETTERS = 12, 500
_LABEL_LENGTH, _WEAK_RANK = 4, 2

NAMES_FILES = "since they name files"
"""Part of the note about a column of image names that was chosen by the files of the image folder."""

Values = Callable[[int], list[Any]]
"""Sample values of a column, by its position."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user said about reading a source; the defaults mean: find out.

    Args:
        caption_columns: columns, or keys of JSON entries, that hold captions.
        image_column: column or key that holds the image name.
        text_suffix: suffix of the text files beside images.
        keep_rejected: whether to keep captions that are marked as rejected.
        files: files of the image folder, which a column of image names should name.
        language: of the model, "zh" or "en", which chooses a part of captions in both; None keeps both.
    """

    caption_columns: tuple[str, ...] = ()
    image_column: str | None = None
    text_suffix: str | None = None
    keep_rejected: bool = False
    files: ImageFiles | None = field(default=None, compare=False)
    language: str | None = None

    def require_no_columns(self, path: object) -> None:
        """Rejects options that name columns, for a layout without columns.

        Raises:
            CorpusError: a column is named.
        """
        if self.caption_columns or self.image_column:
            raise CorpusError(
                f"{path} has no columns, but caption_column (--caption-column) or image_column (--image-column) is "
                "set; name them for one source as 'FILE:caption_column=NAME', or leave the option out."
            )


DEFAULT_OPTIONS = ReadOptions()


@dataclass(frozen=True)
class Columns:
    """Positions of the columns that are read.

    Attributes:
        image: position of the image name.
        captions: positions of the captions, in order.
        split: position of the split, or None.
        rejected: position of each mark that rejects a caption, and its name.
        notes: what is worth reporting about the choice, with counts.
        fills_down: whether an empty image cell means the image above, as in merged cells.
        own_marks: marks of one of several captions: position, name, and position of the caption.
        corrections: groups of captions of which the first that is filled is read: corrections, and the original one.
        folder: position of the folders that the image names are in, and the name of that column; or None.
        kinds: the column that says which rows hold captions; None if all do.
        words: the columns that hold words, which are joined to captions; None if the captions are not words.
        origin: position of the column that says who wrote the captions, and its name; or None.
    """

    image: int
    captions: tuple[int, ...]
    split: int | None = None
    rejected: tuple[tuple[int, str], ...] = ()
    notes: dict[str, int] = field(default_factory=dict)
    fills_down: bool = False
    own_marks: tuple[tuple[int, str, int], ...] = ()
    folder: tuple[int, str] | None = None
    corrections: tuple[tuple[int, ...], ...] = ()
    kinds: Kinds | None = None
    words: Words | None = None
    origin: tuple[int, str] | None = None

    @property
    def read(self) -> list[int]:
        """The positions of all columns that are read, the image first."""
        marks = [position for position, *_ in (*self.rejected, *self.own_marks)]
        others = [] if self.split is None else [self.split]
        kinds = [] if self.kinds is None else [self.kinds.position]
        words = [] if self.words is None else self.words.read
        pairs = [pair[0] for pair in (self.folder, self.origin) if pair is not None]
        return [self.image, *self.captions, *others, *marks, *pairs, *kinds, *words]

    def renumbered(self) -> Columns:
        """The same columns in a table that has only these, in the order of `read`."""
        place = {position: index for index, position in enumerate(self.read)}
        return replace(
            self,
            image=0,
            captions=tuple(place[position] for position in self.captions),
            split=None if self.split is None else place[self.split],
            rejected=tuple((place[position], name) for position, name in self.rejected),
            own_marks=tuple((place[position], name, place[caption]) for position, name, caption in self.own_marks),
            folder=None if self.folder is None else (place[self.folder[0]], self.folder[1]),
            origin=None if self.origin is None else (place[self.origin[0]], self.origin[1]),
            corrections=tuple(tuple(place[position] for position in group) for group in self.corrections),
            kinds=self.kinds and replace(self.kinds, position=place[self.kinds.position]),
            words=self.words and self.words.moved(place),
        )


@dataclass(frozen=True)
class _Captions:
    """The positions of the captions, the rank of their name, the kinds of rows, and notes about the choice."""

    positions: tuple[int, ...]
    rank: int = 0
    kinds: Kinds | None = None
    notes: dict[str, int] = field(default_factory=dict)


def select_columns(
    names: Sequence[str], values: Values, options: ReadOptions, place: str, unit: str = "column"
) -> Columns | None:
    """Chooses the columns to read.

    Args:
        names: the header, in which names may repeat.
        values: sample values of a column by position; called only where names do not decide.
        options: columns that the user names.
        place: file and line, for messages.
        unit: "column" or "key", for messages.

    Returns:
        The columns, or None if no image or no caption column is found.

    Raises:
        CorpusError: a column that the user names does not exist, or several could be the caption.
    """
    plural = f"{unit}s"
    by_name = select_image(names, values, options.image_column, (place, plural))
    image = by_name if options.image_column else prefer_files(options.files, names, values, by_name)
    if image is None:
        return None
    require_one_table(names, values, (options.image_column, options.caption_columns), (place, plural))
    words = find_words(names, values, options.caption_columns, image, unit)
    chosen = _Captions(words.captions) if words else _select_captions(names, values, options, image, (place, plural))
    captions, rank = chosen.positions, chosen.rank
    if not captions:
        return None
    if not options.image_column:
        require_one_image(names, values, (image, captions), (place, plural))
    if not options.caption_columns and words is None:
        require_no_winner(names, captions, (place, plural))
    taken = {image, *captions, *(words.read if words else ())}
    split = select_split(names, values, taken)
    rejected, own = find_marks(names, values, {split, *taken}, captions)
    notes = dict(chosen.notes)
    is_open = not options.image_column and not options.caption_columns
    if len(captions) == 1 and is_open and are_swapped(values(image), values(captions[0])):
        image, captions = captions[0], (image,)
        swapped = f"{names[captions[0]]!r} holds the captions and {names[image]!r} the image names"
        notes[f"{plural} read as their contents say: {swapped}"] = 1
    if split is not None and normalize_name(str(names[split])) not in SPLIT_WORDS:
        notes[f"splits read from the {unit} {names[split]!r}"] = 1
    used = {split, *taken, *(position for position, *_ in (*rejected, *own))}
    corrections = () if options.caption_columns or words else select_corrections(names, values, captions, used)
    captions = (*(at for group in corrections for at in group[:-1]), *captions)
    notes |= correction_notes(names, corrections, unit)
    if len(captions) > 1 and not corrections and not words:
        notes[f"caption {plural} read ({_join(names, captions)})"] = len(captions)
    elif rank and not options.caption_columns and not corrections:
        notes[f"captions read from the {unit} {names[captions[0]]!r}"] = 1
    notes |= _image_notes(names, unit, options, (image, by_name), captions)
    columns = Columns(image, captions, split, rejected, notes, fills_down(values(image)), own)
    columns = replace(columns, kinds=chosen.kinds, words=words)
    folder = select_folder(names, values, image, set(columns.read))
    columns = replace(columns, folder=folder, corrections=corrections)
    columns = replace(columns, origin=find_origin(names, values, set(columns.read)))
    notes |= _unread_notes(names, values, columns.read, plural)
    return columns


def _unread_notes(names: Sequence[str], values: Values, read: Sequence[int], plural: str) -> dict[str, int]:
    unread = [position for position in range(len(names)) if position not in read]
    unread = [position for position in unread if str(names[position]).strip() or any(map(is_filled, values(position)))]
    return {f"{plural} not read ({_join(names, unread)})": len(unread)} if unread else {}


def _join(names: Sequence[str], positions: Sequence[int]) -> str:
    return list_names((names[position].strip() or "without a name" for position in positions), _MAX_LETTERS)


def _image_notes(
    names: Sequence[str], unit: str, options: ReadOptions, images: tuple[int, int | None], captions: Sequence[int]
) -> dict[str, int]:
    """A note about a column of image names without a name for them, or chosen instead of the one that has it."""
    image, by_name = images
    if image_rank(names[image]) is None and options.image_column is None and not caption_key(names[image]):
        why = f", {NAMES_FILES}" if by_name != image else ""
        return {f"image names read from the {unit} {names[image]!r}{why}": 1}
    if by_name not in (image, *captions):
        return {f"image names read from the {unit} {names[image]!r}, {NAMES_FILES}": 1}
    return {}


def _select_captions(
    names: Sequence[str], values: Values, options: ReadOptions, image: int, context: tuple[str, str]
) -> _Captions:
    """The columns of the captions, and the kinds of rows if only some hold captions."""
    place, plural = context
    if kinds := find_kinds(names, values, options.caption_columns, image, context):
        return _Captions((kinds.value,), kinds=kinds)
    if options.caption_columns:
        found = (find_named(names, name, place, plural, "caption_column") for name in options.caption_columns)
        return _Captions(tuple(position for positions in found for position in positions))
    groups: dict[tuple[str, int], list[int]] = {}
    remarks = remarks_about_columns(names, values, image)
    for position, name in enumerate(names):
        if position not in {image, *remarks} and (key := caption_key(name)):
            groups.setdefault(key, []).append(position)
    groups = _without_corrections(names, groups)
    groups = without_remarks(names, values, groups, image)
    if len(groups) > 1:
        with_text = {
            key: positions
            for key, positions in groups.items()
            if any(share(values(at), is_text) > 0.5 and not is_flag(values(at)) for at in positions)
        }
        varied = {key: found for key, found in with_text.items() if not all(is_constant(values(at)) for at in found)}
        groups = varied or with_text or dict([min(groups.items(), key=lambda item: item[0][1])])
    if any(name in ANSWER_WORDS for name, _ in groups):
        groups = {key: positions for key, positions in groups.items() if key[0] not in QUESTION_WORDS}
    if others := {key: found for key, found in groups.items() if not key[0].endswith(TOKEN_ENDINGS)}:
        groups = others  # caption_tokens repeats the words of caption
    if any(rank < 2 for _, rank in groups):
        groups = {key: positions for key, positions in groups.items() if key[1] < 2}
    notes: dict[str, int] = {}
    if not groups:
        groups = _unnamed_groups(names, values, image, remarks)
    elif min(rank for _, rank in groups) >= _WEAK_RANK:
        others = _unnamed_groups(names, values, image, remarks) if options.language else {}
        groups, notes = prefer_language(groups, others, values, options.language, (names, plural[:-1]))
    if len(groups) > 1:
        examples = []
        for positions in groups.values():
            first = next((str(value) for value in values(positions[0]) if value), "")
            examples.append(f"{names[positions[0]]} ({first[:20]!r})")
        first_name = names[next(iter(groups.values()))[0]]
        every = ",".join([names[positions[0]] for positions in groups.values()][:_MAX_SHOWN])
        examples[_MAX_SHOWN:] = [".."] * (len(examples) > _MAX_SHOWN)
        raise CorpusError(
            f"{place}: {len(groups)} {plural} could be the caption: {', '.join(examples)}; choose with "
            f"caption_column (--caption-column) {first_name} or read several with {every}; "
            "image_column (--image-column) names the image."
        )
    [((_, rank), positions)] = groups.items() or [(("", 0), [])]
    return _Captions(tuple(positions), 0 if notes else rank, notes=notes)


def _unnamed_groups(
    names: Sequence[str], values: Values, image: int, remarks: Container[int]
) -> dict[tuple[str, int], list[int]]:
    """Columns with text whose names say nothing about it; s1 and s2 are one group."""
    others = [position for position in range(len(names)) if position != image and not _is_known(names[position])]
    others = [position for position in others if position not in remarks]
    texts = [position for position in others if share(values(position), is_text) > 0.5]
    texts = [at for at in texts if not is_flag(values(at)) and not is_constant(values(at))]
    texts = [position for position in texts if not _is_label(position, texts, values)]
    groups: dict[tuple[str, int], list[int]] = {}
    for position in _with_series(names, values, texts, others):
        groups.setdefault((without_numbers(names[position]), 3), []).append(position)
    return _without_corrections(names, groups)


def _without_corrections(
    names: Sequence[str], groups: dict[tuple[str, int], list[int]]
) -> dict[tuple[str, int], list[int]]:
    """Groups of columns without those that only correct others, with which they are read."""
    corrections = {at for found in groups.values() for caption in found for at in find_corrections(names, caption)}
    return {key: found for key, found in groups.items() if not corrections.issuperset(found)}


def _with_series(names: Sequence[str], values: Values, texts: list[int], others: list[int]) -> list[int]:
    """Columns with text, and those of the same name with other numbers, if at least two of them were found."""
    bases = Counter(without_numbers(names[at]) for at in texts if numbers_in(names[at]))
    series = {base for base, count in bases.items() if count > 1}
    return [
        at
        for at in others
        if at in texts or (without_numbers(names[at]) in series and share(values(at), is_text) > 0.5)
    ]


def _is_label(position: int, texts: Sequence[int], values: Values) -> bool:
    """Whether a column has short labels, such as names of annotators, beside one with texts twice as long."""
    length = typical_length(values(position))
    longest = max(typical_length(values(other)) for other in texts)
    return length <= _LABEL_LENGTH and 2 * length <= longest


def _is_known(name: str) -> bool:
    """Whether a name says that a column is not a caption, such as keys of JSON-LD, which begin with @."""
    return image_rank(name) is not None or is_about_captions(name) or name.startswith("@")
