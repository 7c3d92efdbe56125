"""Caption files and folders -> one pandas table with a row per caption."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.config import CorpusConfig, Source, from_dict
from caption_tx.data.corpus.captions.repeated_captions import note_repeated
from caption_tx.data.corpus.image_lookup import complete_image_names
from caption_tx.data.corpus.memory import Captions, list_captions
from caption_tx.data.corpus.names.image_files import ImageFiles
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.sources import read_sources
from caption_tx.data.corpus.splits import assign_splits
from caption_tx.data.corpus.tables.columns import ReadOptions
from caption_tx.data.images.interpretation import SEVERAL, interpretation_notes
from caption_tx.data.images.pages import find_several
from caption_tx.errors import ConfigError, CorpusError


class _SharedList(list):
    """A list for `DataFrame.attrs` that is not copied: pandas deep-copies attrs with every selected column."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedList:
        return self


def read_corpus(
    sources: Captions | Iterable[Captions],
    format: str | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.05,
    split_seed: int = 0,
    images: str | Path | None = None,
    **reading: Any,
) -> pd.DataFrame:
    """Reads the captions of one or more sources into a table with a row per caption, in file order.

    The split of an image is taken from the source (`split=`), from the split lists next to a file, or from the file
    itself. A split in the name of a release (`captions_val2014.json`) has lower precedence: "train" is ignored if it
    would leave no image for validation. All other images are split by the seed.

    Args:
        sources: caption files and folders as paths, `Source` objects or strings for `parse_source`
            ("captions.csv:split=train"). Options of a source override its contents. A DataFrame with the columns image,
            caption and optionally split, or a mapping of image names to captions, is read like a file.
        format: format of sources without one, a name in `config.CAPTION_FORMATS`; None detects it per source.
        val_fraction: fraction of the remaining images for validation, in [0, 1).
        test_fraction: fraction of the remaining images for testing, in [0, 1).
        split_seed: seed of the split. An image's split depends on the seed and on its name without suffix only.
        images: image folder, used to complete image names without a suffix. Ignored if not a local folder.
        reading: settings of `config.CorpusConfig` by name: `caption_column`, `image_column`, `text_suffix`,
            `keep_rejected`; and `language`, the part to keep of captions in Chinese and English.

    Returns:
        A table with the columns `image` (name in the image folder), `caption` (raw text), `split` ("train", "val" or
        "test"), `origin` ("human" or "machine"), `weight` (float32), `stage` (int16), `source` (file, categorical) and
        `line` (line of a text file, entry of a JSON list or row of a table, from 1).
        `attrs["skipped"]` lists (source, line, reason) of lines without a usable caption; `attrs["left_out"]` lists
        images that no split list contains; `attrs["files"]` has a dict per source: source, format, encoding,
        captions, images, notes {text: count}, which say what was read differently from how it is written;
        `attrs["missing"]` has the number of `images` without a file in the local image `folder`, or is empty;
        `attrs["image_notes"]` has lines about images that hold several pictures.

    Raises:
        CorpusError: a source is missing, given twice, damaged, in an unknown format or encoding, or without captions;
            more than a tenth of its lines are invalid; several columns could be the caption; an image is in two
            splits; or a setting is invalid. The message names file and line.
        ConfigError: the options of a source are invalid.

    Example:
        >>> table = caption_tx.read_corpus("captions.csv:weight=0.5", images="photos")
        >>> list(table.columns[:3]), table["split"].unique().tolist()
        (['image', 'caption', 'split'], ['train', 'val', 'test'])
        >>> caption_tx.read_corpus({"cat.jpg": ["一只猫", "猫在睡觉"]})["caption"].tolist()
        ['一只猫', '猫在睡觉']
    """
    language = reading.pop("language", None)
    try:
        settings = {"val_fraction": val_fraction, "test_fraction": test_fraction, "split_seed": split_seed}
        config = from_dict(CorpusConfig, settings | reading)
    except ConfigError as error:
        raise CorpusError(str(error)) from error
    rows_of = read_sources(list_captions(sources), format, _read_options(config, images, language))
    return _to_table(rows_of, config, images, complete_image_names(rows_of, images))


def _image_notes(table: pd.DataFrame, images: str | Path | None, missing: set[str]) -> list[str]:
    """A line about images of a local folder that hold several pictures, whose heads are read."""
    if images is None or not os.path.isdir(images):
        return []
    names = [name for name in table["image"].unique() if name not in missing]
    return interpretation_notes({SEVERAL: find_several(str(images), names)}, len(names))


def _read_options(config: CorpusConfig, images: str | Path | None, language: str | None) -> ReadOptions:
    if language not in (None, "zh", "en"):
        raise CorpusError(f"language must be zh or en, got {language!r}.")
    named = (config.caption_column, config.image_column, config.text_suffix, config.keep_rejected)
    return ReadOptions(*named, ImageFiles(images), language)


def _to_table(
    rows_of: list[tuple[Source, CaptionRows]], config: CorpusConfig, images: str | Path | None, missing: set[str]
) -> pd.DataFrame:
    """The table of all sources, with a split for each image; `missing` has no file in the folder `images`."""
    all_rows = [rows for _, rows in rows_of]
    split_of, left_out = assign_splits(all_rows, config)
    frames = [_to_frame(source, rows, split_of) for source, rows in rows_of]
    table = pd.concat(frames, ignore_index=True)
    codes = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    note_repeated(table, codes, all_rows)
    source_names = pd.Categorical.from_codes(codes, [rows.source for rows in all_rows])
    table.insert(table.columns.get_loc("line"), "source", source_names)
    table.attrs["skipped"] = _SharedList(item for rows in all_rows for item in rows.skipped)
    table.attrs["left_out"] = _SharedList(left_out)
    table.attrs["files"] = _SharedList(map(_describe_source, all_rows, frames))
    table.attrs["missing"] = {"images": len(missing), "folder": str(images)} if missing else {}
    table.attrs["image_notes"] = _SharedList(_image_notes(table, images, missing))
    return table


def read_table(
    config: CorpusConfig, language: str, captions: Captions | Iterable[Captions] | None = None
) -> pd.DataFrame:
    """Reads the captions that the settings name, or others, for a model of a language; see `read_corpus`."""
    names = ("val_fraction", "test_fraction", "split_seed", "caption_column", "image_column", "text_suffix")
    settings = {name: getattr(config, name) for name in (*names, "keep_rejected")}
    sources = config.sources if captions is None else captions
    return read_corpus(sources, format=config.format, images=config.images or None, language=language, **settings)


def _to_frame(source: Source, rows: CaptionRows, split_of: dict[str, str]) -> pd.DataFrame:
    """The rows of one source as a table, without images that have no split."""
    splits = [split_of.get(image) for image in rows.images]
    frame = pd.DataFrame(
        {
            "image": pd.array(rows.images, dtype="str"),
            "caption": pd.array(rows.captions, dtype="str"),
            "split": pd.array(splits, dtype="str"),
            "origin": pd.array(np.where(np.array(rows.machine, bool), "machine", "human"), dtype="str"),
            "weight": np.full(len(splits), source.weight, np.float32),
            "stage": np.full(len(splits), source.stage, np.int16),
            "line": np.array(rows.line_numbers, np.int64),
        }
    )
    return frame if None not in splits else frame[frame["split"].notna()]


def _describe_source(rows: CaptionRows, frame: pd.DataFrame) -> dict[str, Any]:
    """An entry of `attrs["files"]`."""
    return {
        "source": rows.source,
        "format": rows.format,
        "encoding": rows.encoding,
        "captions": len(frame),
        "images": int(frame["image"].nunique()),
        "notes": dict(rows.notes),
    }


def machine_references(table: pd.DataFrame) -> pd.Series:
    """Marks machine translations outside the training split, which are never used as references."""
    return (table["origin"] == "machine") & (table["split"] != "train")


def evenly_spaced(names: Iterable[str], limit: int) -> list[str]:
    """At most `limit` names, evenly spaced over all of them and thus the same in every run.

    Example:
        >>> evenly_spaced("abcde", 3)
        ['a', 'c', 'e']
    """
    names = list(names)
    return [names[index] for index in np.linspace(0, len(names) - 1, min(limit, len(names))).round().astype(int)]


def captions_by_image(table: pd.DataFrame, split: str, origin: str | None = None) -> dict[str, list[str]]:
    """The captions of each image of a split, in table order; `origin` keeps human or machine captions only."""
    selected = table["split"] == split
    if origin is not None:
        selected &= table["origin"] == origin
    captions: dict[str, list[str]] = {}
    for image, caption in zip(table.loc[selected, "image"], table.loc[selected, "caption"], strict=True):
        captions.setdefault(image, []).append(caption)
    return captions
