"""Caption files and folders -> one pandas table, one row per caption; and reports on such a table.

What differs between layouts is in `layouts`; everything here (splits, weights, reports) is the same for all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from caption_tx.config import SPLITS, CorpusConfig, Source, parse_source
from caption_tx.data.corpus.formats import FORMATS, known_formats, locate, read_captions
from caption_tx.data.corpus.image_names import file_names, identity, join_prefix, stem
from caption_tx.data.corpus.records import NOT_LISTED, Records
from caption_tx.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from caption_tx.data.text.segmentation import Segmenter


class _Attribute(list):
    """A list for `DataFrame.attrs`, which pandas copies deeply with every column that is taken out."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Attribute:
        return self


# --- Sources


def _read_sources(sources: Iterable[str | Path | Source], format: str | None) -> list[tuple[Source, Records]]:
    """Every source and what it brings.

    Raises:
        CorpusError: a source cannot be read, or is given twice.
    """
    found: dict[Path, tuple[Source, Path, str]] = {}
    for item in sources:
        source = Source(str(item)) if isinstance(item, Path) else parse_source(item) if isinstance(item, str) else item
        if "://" in source.path:
            raise CorpusError(f"{source.path} is on a remote store; caption files must be local: copy it here first.")
        name = source.format or format
        if name is not None and name not in FORMATS:
            raise CorpusError(f"Unknown format {name!r}; known: {known_formats()}")
        try:
            path, name = locate(Path(source.path), name, source.encoding)
            place = path.resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links
            raise CorpusError(f"Cannot read the caption source {source.path!r}: {error}.") from error
        if place in found:
            raise CorpusError(f"{path} is given twice; name it once.")
        found[place] = (source, path, name)
    if not found:
        raise CorpusError("No caption source was given; name a caption file or its folder.")
    return [(source, read_captions(source, path, name)) for source, path, name in found.values()]


def _name_images(parts: list[tuple[Source, Records]], images: str | Path | None) -> None:
    """Gives every image the name that it has in the images' folder, the same in all sources."""
    for source, records in parts:
        names = {name: join_prefix(source.images, name) for name in dict.fromkeys(records.images)}
        records.images = [names[name] for name in records.images]
    meant = file_names(dict.fromkeys(name for _, records in parts for name in records.images), images)
    for _, records in parts if meant else ():
        changed = sum(name in meant for name in set(records.images))
        if changed:
            records.images = [meant.get(name, name) for name in records.images]
            records.notes["image names completed"] += changed


# --- Splits


def _position(image: str, seed: int) -> float:
    """A place in [0, 1) that depends on the image's name without suffix and the seed alone.

    So new images move no others, and a split is the same before and after the suffix is known.
    """
    digest = hashlib.blake2b(f"{seed}\0{stem(image)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _divide(images: Iterable[str], config: CorpusConfig, present: set[str]) -> dict[str, str]:
    """A split for each image. Small corpora still get an image for training, then one for validation."""
    position = {image: _position(image, config.split_seed) for image in images}
    order = sorted(position, key=lambda image: -position[image])  # training first, test last
    limit = config.test_fraction + config.val_fraction
    split_of = {
        image: "test" if place < config.test_fraction else "val" if place < limit else "train"
        for image, place in position.items()
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


def _agree(
    given: dict[str, str], where: dict[str, str], records: Records, rows: Iterable[tuple[str, str | None, int]]
) -> None:
    """Adds the rows' splits to `given`, and their places to `where`; CorpusError if an image is in two."""
    for image, split, line in rows:
        if not split:
            continue
        if given.setdefault(image, split) != split:
            raise CorpusError(
                f"{records.source}, {records.place} {line}: {image} is in {split} here and in {given[image]} at "
                f"{where[image]}; an image belongs to one split."
            )
        if image not in where:
            where[image] = f"{records.source}, {records.place} {line}"


def _image_splits(parts: list[Records], config: CorpusConfig) -> tuple[dict[str, str], list[str]]:
    """The split of every image over all sources, and the images that split lists leave out.

    Several names of one image (`identity`) have one split.
    """
    one = {name: identity(name) for part in parts for name in part.images}
    given: dict[str, str] = {}
    named: dict[str, str] = {}
    where: dict[str, str] = {}
    unlisted: set[str] = set()
    for part in parts:
        ids = map(one.__getitem__, part.images)
        _agree(given, where, part, zip(ids, part.splits, part.lines, strict=True))
        unlisted |= {one[name] for name, split in zip(part.images, part.splits, strict=True) if split == NOT_LISTED}
    unlisted -= given.keys()
    images = {image for image in one.values() if image not in given and image not in unlisted}
    for part in parts:
        if part.file_split:
            free = ((one[image], part.file_split, line) for image, line in zip(part.images, part.lines, strict=True))
            _agree(named, where, part, (row for row in free if row[0] in images))
    known = {*given.values(), *named.values()}
    if config.val_fraction > 0 and "val" not in known and "train" in named.values() and not images - named.keys():
        # A file for training alone: its name is no reason to train without validation.
        for part in parts:
            if count := part.file_split == "train" and len({one[name] for name in part.images} & named.keys()):
                part.notes["images divided by the seed, although the file's name says train"] += count
        named = {image: split for image, split in named.items() if split != "train"}
        if "test" in known:
            config = CorpusConfig(val_fraction=config.val_fraction, test_fraction=0, split_seed=config.split_seed)
    given |= named
    given |= _divide(images - named.keys(), config, set(given.values()))
    split_of = {name: given[image] for name, image in one.items() if image in given}
    return split_of, [name for name, image in one.items() if image in unlisted]


# --- The table


def read_corpus(
    sources: str | Path | Source | Iterable[str | Path | Source],
    format: str | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.05,
    split_seed: int = 0,
    images: str | Path | None = None,
) -> pd.DataFrame:
    """All captions of one or more sources as a table, one row per caption, in the order of the files.

    A split is taken from the source (`split=`), the split lists beside a file or the file's content. The name
    of a release (`captions_val2014.json`) counts less: "train" of it is ignored where no image of the corpus
    would be left for validation. All other images are divided by the seed.

    Args:
        sources: caption files and folders: texts that `parse_source` reads, paths, or `Source`s. What a
            `Source` names holds, whatever the file says.
        format: a name in `FORMATS` for sources that name none; None detects it for each.
        val_fraction, test_fraction: shares in [0, 1) of the images that no source gives a split.
        split_seed: divides those images; an image's split depends on its name (without suffix) and the seed.
        images: the folder of the images; names without a suffix then get that of their file. No folder on
            this machine is asked nothing.

    Returns:
        Columns `image` (name in the images' folder), `caption` (raw text), `split` ("train", "val" or
        "test"), `origin` ("human" or "machine"), `weight` (float32), `stage` (int16), `source` (file,
        categorical) and `line` (line of a text file, entry of a JSON list, row of a table, from 1).
        `attrs["skipped"]` lists (source, line, reason) of what holds no usable caption; `attrs["left_out"]`
        the images that split lists leave out; `attrs["files"]` a dict for each source: source, format,
        encoding, captions, images, notes {text: count}.

    Raises:
        CorpusError: a source is missing, given twice, of an unknown layout or encoding, damaged, or without
            captions; more than a tenth of it is bad; or an image stands in two splits. The message names
            file and line.
        ConfigError: a source's options cannot be read.
    """
    try:
        config = CorpusConfig(val_fraction=val_fraction, test_fraction=test_fraction, split_seed=split_seed)
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    read = _read_sources([sources] if isinstance(sources, (str, Path, Source)) else sources, format)
    _name_images(read, images)
    parts = [records for _, records in read]
    split_of, left_out = _image_splits(parts, config)
    frames = [_frame(source, records, split_of) for source, records in read]
    table = pd.concat(frames, ignore_index=True)
    codes = np.repeat(np.arange(len(parts)), [len(frame) for frame in frames])
    names = pd.Categorical.from_codes(codes, [part.source for part in parts])
    table.insert(table.columns.get_loc("line"), "source", names)
    table.attrs["skipped"] = _Attribute(item for part in parts for item in part.skipped)
    table.attrs["left_out"] = _Attribute(left_out)
    table.attrs["files"] = _Attribute(
        {
            "source": part.source,
            "format": part.format,
            "encoding": part.encoding,
            "captions": len(frame),
            "images": int(frame["image"].nunique()),
            "notes": dict(part.notes),
        }
        for part, frame in zip(parts, frames, strict=True)
    )
    return table


def _frame(source: Source, records: Records, split_of: dict[str, str]) -> pd.DataFrame:
    """The rows of one source whose images are in a split."""
    splits = [split_of.get(image) for image in records.images]
    frame = pd.DataFrame(
        {
            "image": pd.array(records.images, dtype="str"),
            "caption": pd.array(records.captions, dtype="str"),
            "split": pd.array(splits, dtype="str"),
            "origin": pd.array(np.where(np.array(records.machine, bool), "machine", "human"), dtype="str"),
            "weight": np.full(len(splits), source.weight, np.float32),
            "stage": np.full(len(splits), source.stage, np.int16),
            "line": np.array(records.lines, np.int64),
        }
    )
    return frame if None not in splits else frame[frame["split"].notna()]


def machine_references(table: pd.DataFrame) -> pd.Series:
    """Which rows are machine translations outside the training split: they never serve as references."""
    return (table["origin"] == "machine") & (table["split"] != "train")


def captions_by_image(table: pd.DataFrame, split: str, origin: str | None = None) -> dict[str, list[str]]:
    """The captions of each image of a split, both in the table's order; `origin` keeps one kind only."""
    chosen = table["split"] == split
    if origin is not None:
        chosen &= table["origin"] == origin
    captions: dict[str, list[str]] = {}
    for image, caption in zip(table.loc[chosen, "image"], table.loc[chosen, "caption"], strict=True):
        captions.setdefault(image, []).append(caption)
    return captions


def describe(table: pd.DataFrame, segmenter: Segmenter | None = None) -> dict[str, Any]:
    """Plain counts of a corpus, ready for JSON.

    Caption lengths are in words with a `segmenter` and in characters without.
    """
    per_image = table.groupby("image", sort=False).size()
    if segmenter is None:
        unit, lengths = "characters", [len(caption) for caption in table["caption"]]
    else:
        unit, lengths = "words", [len(segmenter.segment(caption)) for caption in table["caption"]]
    splits = table.groupby("split")["image"].agg(["nunique", "size"])
    skipped = table.attrs.get("skipped", [])
    return {
        "images": len(per_image),
        "captions": len(table),
        "captions_per_image": spread(per_image.to_numpy()),
        "splits": {
            name: {"images": int(splits.loc[name, "nunique"]), "captions": int(splits.loc[name, "size"])}
            for name in SPLITS
            if name in splits.index
        },
        "origins": {str(name): int(count) for name, count in table["origin"].value_counts(sort=False).items()},
        "caption_length": {"unit": unit, **spread(np.array(lengths))},
        "machine_references": int(machine_references(table).sum()),
        "stages": [int(stage) for stage in sorted(table["stage"].unique())] if "stage" in table else [1],
        "files": list(table.attrs.get("files", [])),
        "left_out_images": len(table.attrs.get("left_out", [])),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def spread(values: np.ndarray) -> dict[str, Any]:
    """Ends, middle and mean of whole numbers, ready for JSON."""
    return {
        "min": int(values.min()),
        "median": float(np.median(values)),
        "mean": round(float(values.mean()), 2),
        "p95": float(np.percentile(values, 95)),
        "max": int(values.max()),
    }


def format_description(description: dict[str, Any]) -> str:
    """`describe`'s counts as lines for a person."""
    per_image, length = description["captions_per_image"], description["caption_length"]
    total = f"{description['images']:,} images, {description['captions']:,} captions"
    lines = [f"{total} ({per_image['min']} to {per_image['max']} an image, {per_image['mean']} on average)"]
    for name, counts in description["splits"].items():
        lines.append(f"  {name:5}  {counts['images']:>9,} images  {counts['captions']:>9,} captions")
    lines.append("origin: " + ", ".join(f"{count:,} {name}" for name, count in description["origins"].items()))
    lines.append(
        f"caption length in {length['unit']}: {length['min']} to {length['max']}, mean {length['mean']}, "
        f"median {length['median']:g}, 95% at most {length['p95']:g}"
    )
    if description["machine_references"]:
        lines.append(f"machine translations outside training: {description['machine_references']:,}, not used")
    if len(description["stages"]) > 1:
        lines.append("stages: " + ", ".join(map(str, description["stages"])))
    if description["left_out_images"]:
        lines.append(f"left out: {description['left_out_images']:,} images that no split list names")
    if description["skipped"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in description["skipped_reasons"].items())
        lines.append(f"skipped: {description['skipped']:,} ({reasons})")
    for file in description["files"]:
        about = ", ".join(filter(None, (file["format"], file["encoding"])))
        lines.append(f"{file['source']}: {about}, {file['images']:,} images, {file['captions']:,} captions")
        lines += [f"  {text}: {count:,}" for text, count in file["notes"].items()]
    return "\n".join(lines)
