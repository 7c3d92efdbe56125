"""Training, validation and test splits: as the sources name them, else drawn by the seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from caption_tx.config import CorpusConfig
from caption_tx.data.corpus.column_names import SPLIT_NAMES
from caption_tx.data.corpus.names.image_names import canonical_name, stem
from caption_tx.data.corpus.rows import UNLISTED, CaptionRows
from caption_tx.errors import CorpusError

_RELEASE_NAME = re.compile(r"captions?_(train|val|validation|test)(?:20\d\d|\w*_annotations(?:_\d{8})?)\.json")
_WORDS = re.compile(r"[A-Za-z]+|[\u4e00-\u9fff]+")


def is_release_name(name: str) -> bool:
    """Whether a file has a name that COCO or AI Challenger gave it."""
    return _RELEASE_NAME.fullmatch(name) is not None


def split_of_file_name(name: str) -> str | None:
    """The split that the name of a file tells, or None if it tells none or several.

    Example:
        >>> split_of_file_name("train-00000-of-00002.parquet"), split_of_file_name("my_dev.csv")
        ('train', 'val')
    """
    stem = name.rpartition(".")[0] or name
    found = {SPLIT_NAMES[word.lower()] for word in _WORDS.findall(stem) if word.lower() in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None


def splits_of_folders(paths: Sequence[Path]) -> list[str | None]:
    """The splits that the folders of files tell, as in train/captions.csv and val/captions.csv.

    All files must be in such folders, and in different ones: a folder called "test" alone says nothing.
    """
    splits = [SPLIT_NAMES.get(path.absolute().parent.name.lower()) for path in paths]
    return splits if None not in splits and len(set(splits)) > 1 else [None] * len(paths)


@dataclass
class _NamedSplits:
    """Splits that sources name, with the line that names each first."""

    split_of: dict[str, str] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)

    def update(self, rows: CaptionRows, named: Iterable[tuple[str, str | None, int]]) -> None:
        """Adds (image, split, line number) of a source; an empty split is ignored.

        Raises:
            CorpusError: an image is in two splits.
        """
        for image, split, line in named:
            if not split:
                continue
            if self.split_of.setdefault(image, split) != split:
                raise CorpusError(
                    f"{rows.source}, {rows.unit} {line}: {image} is in {split} here but in {self.split_of[image]} at "
                    f"{self.locations[image]}; put each image in one split."
                )
            if image not in self.locations:
                self.locations[image] = f"{rows.source}, {rows.unit} {line}"


def assign_splits(sources: list[CaptionRows], config: CorpusConfig) -> tuple[dict[str, str], list[str]]:
    """The split of every image, and the images that no split list contains.

    Precedence: splits inside files, then the split in a file name, then the seed. Names of the same image
    (`canonical_name`) share one split.

    Raises:
        CorpusError: an image is in two splits.
    """
    canonical = {name: canonical_name(name) for rows in sources for name in rows.images}
    by_content = _NamedSplits()
    unlisted: set[str] = set()
    for rows in sources:
        images = map(canonical.__getitem__, rows.images)
        by_content.update(rows, zip(images, rows.splits, rows.line_numbers, strict=True))
        unlisted |= {canonical[name] for name, split in zip(rows.images, rows.splits, strict=True) if split == UNLISTED}
    unlisted -= by_content.split_of.keys()
    remaining = set(canonical.values()) - by_content.split_of.keys() - unlisted
    by_file_name = _NamedSplits()
    for rows in sources:
        if rows.file_name_split:
            pairs = zip(rows.images, rows.line_numbers, strict=True)
            named = ((canonical[image], rows.file_name_split, line) for image, line in pairs)
            by_file_name.update(rows, (row for row in named if row[0] in remaining))
    file_name_splits = by_file_name.split_of
    if _leaves_no_validation(by_content.split_of, file_name_splits, remaining, config):
        _note_file_names(sources, canonical, {image for image, split in file_name_splits.items() if split == "train"})
        file_name_splits = {image: split for image, split in file_name_splits.items() if split != "train"}
        if "test" in {*by_content.split_of.values(), *file_name_splits.values()}:
            config = replace(config, test_fraction=0)
    else:
        _note_file_names(sources, canonical, set())
    split_of = by_content.split_of | file_name_splits
    split_of |= _draw_splits(remaining - file_name_splits.keys(), config, set(split_of.values()))
    return (
        {name: split_of[image] for name, image in canonical.items() if image in split_of},
        [name for name, image in canonical.items() if image in unlisted],
    )


def _leaves_no_validation(
    by_content: dict[str, str], by_file_name: dict[str, str], remaining: set[str], config: CorpusConfig
) -> bool:
    """Whether "train" in a file name would leave no image for validation."""
    named = {*by_content.values(), *by_file_name.values()}
    return (
        config.val_fraction > 0
        and "val" not in named
        and "train" in by_file_name.values()
        and not remaining - by_file_name.keys()
    )


def _note_file_names(sources: list[CaptionRows], canonical: dict[str, str], ignored: set[str]) -> None:
    """Reports the splits that file names tell, except those of releases, and which images do not follow them."""
    for rows in sources:
        images = {canonical[name] for name in rows.images} & ignored
        if rows.file_name_split == "train" and images:
            rows.notes["images split by the seed, ignoring 'train' in the file name"] += len(images)
        elif rows.file_name_split and not rows.is_release and None in rows.splits:
            rows.notes[f"images in split '{rows.file_name_split}', as the file name says (:split= overrides it)"] = len(
                {image for image, split in zip(rows.images, rows.splits, strict=True) if split is None}
            )


def _hash_fraction(image: str, seed: int) -> float:
    """A number in [0, 1) that depends on the seed and the image name without its suffix only.

    New images therefore do not move other images, and a split does not change when suffixes are added.
    """
    digest = hashlib.blake2b(f"{seed}\0{stem(image)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _draw_splits(images: Iterable[str], config: CorpusConfig, present: set[str]) -> dict[str, str]:
    """Draws a split for each image. Small corpora still get a training image, then a validation image."""
    fractions = {image: _hash_fraction(image, config.split_seed) for image in images}
    order = sorted(fractions, key=lambda image: -fractions[image])  # training first, test last
    limit = config.test_fraction + config.val_fraction
    split_of = {
        image: "test" if fraction < config.test_fraction else "val" if fraction < limit else "train"
        for image, fraction in fractions.items()
    }
    if order and "train" not in present and "train" not in split_of.values():
        split_of[order[0]] = "train"
    if config.val_fraction > 0 and "val" not in present and "val" not in split_of.values():
        training = [image for image in order if split_of[image] == "train"]
        spare = training if "train" in present else training[1:]
        tests = [image for image in order if split_of[image] == "test"]
        if spare or tests:
            split_of[spare[-1] if spare else tests[0]] = "val"
    return split_of
