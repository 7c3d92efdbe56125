"""Caption files -> one pandas table, one row per caption; and reports on such a table.

What differs between layouts is in `layouts`; everything here (splits, reports) is the same for all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from caption_tx.config import SPLITS, CorpusConfig
from caption_tx.data.layouts import FORMATS, Records, detect, known_formats, read_captions
from caption_tx.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from caption_tx.data.segmentation import Segmenter


_TEXT_SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".token"}


def _find_file(folder: Path) -> Path:
    """The one caption file in a folder."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _TEXT_SUFFIXES and file.is_file())
    except OSError as error:
        raise CorpusError(f"Cannot look into {folder}: {error.strerror}.") from error
    found = [file for file in files if detect(file)]
    if not found:
        raise CorpusError(f"No caption file was recognised in {folder}; name the file itself. Known: {known_formats()}")
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise CorpusError(f"{folder} holds several caption files ({names}); name the one to read.")
    return found[0]


def _read_source(source: str | Path, format: str | None) -> Records:
    path = Path(source)
    if not path.exists():
        raise CorpusError(f"There is no caption file or folder {path}; check the name.")
    if path.is_dir():
        path = _find_file(path)
    return read_captions(path, format)


def _position(image: str, seed: int) -> float:
    """A place in [0, 1) that depends on the image's name and the seed alone, so new images move no others."""
    digest = hashlib.blake2b(f"{seed}\0{image}".encode(), digest_size=8).digest()
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


def _image_splits(parts: list[Records], config: CorpusConfig) -> tuple[dict[str, str], list[str]]:
    """The split of every image over all sources, and the images that split lists leave out."""
    given: dict[str, str] = {}
    where: dict[str, str] = {}
    for part in parts:
        for image, _, split, _, line in part.rows:
            if split is None:
                continue
            if given.setdefault(image, split) != split:
                raise CorpusError(
                    f"{part.source}, line {line}: {image} is in {split} here and in {given[image]} at "
                    f"{where[image]}; an image belongs to one split."
                )
            where.setdefault(image, f"{part.source}, line {line}")
    unlisted = {row[0]: None for part in parts if part.listed for row in part.rows if row[0] not in given}
    free = {row[0] for part in parts for row in part.rows} - given.keys() - unlisted.keys()
    return given | _divide(free, config, set(given.values())), list(unlisted)


def read_corpus(
    sources: str | Path | Iterable[str | Path],
    format: str | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.05,
    split_seed: int = 0,
) -> pd.DataFrame:
    """All captions of one or more sources as a table, one row per caption, in the order of the files.

    Args:
        sources: caption files, or folders that hold one recognised caption file each.
        format: a name in `FORMATS`; None detects it for each source.
        val_fraction, test_fraction: shares in [0, 1) of the images that no source gives a split.
        split_seed: divides those images; an image's split depends on its name and the seed alone.

    Returns:
        Columns `image` (name in the images folder), `caption` (raw text), `split` ("train", "val" or
        "test"), `origin` ("human" or "machine"), `source` (file) and `line` (line of a text file, entry
        of a JSON list, from 1). `attrs["skipped"]` lists (source, line, reason) of what holds no
        caption; `attrs["left_out"]` lists the images that split lists beside the captions leave out.

    Raises:
        CorpusError: a source is missing, of an unknown layout, damaged, not UTF-8, or without captions,
            or an image stands in two splits. The message names file and line.
    """
    try:
        config = CorpusConfig(val_fraction=val_fraction, test_fraction=test_fraction, split_seed=split_seed)
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    if format is not None and format not in FORMATS:
        raise CorpusError(f"Unknown format {format!r}; known: {known_formats()}")
    sources = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if not sources:
        raise CorpusError("No caption source was given; name a caption file or its folder.")
    parts = [_read_source(source, format) for source in sources]
    split_of, left_out = _image_splits(parts, config)
    rows = [(part.source, *row) for part in parts for row in part.rows if row[0] in split_of]
    source, image, caption, _, origin, line = zip(*rows, strict=True)
    table = pd.DataFrame(
        {
            "image": image,
            "caption": caption,
            "split": [split_of[name] for name in image],
            "origin": origin,
            "source": source,
            "line": np.array(line, dtype=np.int64),
        }
    )
    table.attrs["skipped"] = [item for part in parts for item in part.skipped]
    table.attrs["left_out"] = left_out
    return table


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
        "captions_per_image": _spread(per_image.to_numpy()),
        "splits": {
            name: {"images": int(splits.loc[name, "nunique"]), "captions": int(splits.loc[name, "size"])}
            for name in SPLITS
            if name in splits.index
        },
        "origins": {str(name): int(count) for name, count in table["origin"].value_counts(sort=False).items()},
        "caption_length": {"unit": unit, **_spread(np.array(lengths))},
        "left_out_images": len(table.attrs.get("left_out", [])),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
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
    if description["left_out_images"]:
        lines.append(f"left out: {description['left_out_images']:,} images that no split list names")
    if description["skipped"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in description["skipped_reasons"].items())
        lines.append(f"skipped: {description['skipped']:,} ({reasons})")
    return "\n".join(lines)
