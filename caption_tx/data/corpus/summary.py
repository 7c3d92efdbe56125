"""Summary of a caption table: counts as a dict for JSON, and as text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from caption_tx.config import SPLITS
from caption_tx.data.corpus.table import machine_references

if TYPE_CHECKING:
    from caption_tx.data.text.segmentation import Segmenter


WARNINGS = ("language_warning", "single_word_warning", "missing_warning")
"""Keys of a summary with one line each about the whole corpus, or None."""


def summarize_values(values: np.ndarray) -> dict[str, Any]:
    """Minimum, median, mean, 95th percentile and maximum of integers, ready for JSON."""
    return {
        "min": int(values.min()),
        "median": float(np.median(values)),
        "mean": round(float(values.mean()), 2),
        "p95": float(np.percentile(values, 95)),
        "max": int(values.max()),
    }


def summarize_corpus(table: pd.DataFrame, segmenter: Segmenter | None = None) -> dict[str, Any]:
    """Counts images, captions, splits, origins and skipped lines of a table from `read_corpus`.

    Args:
        table: caption table with its `attrs`.
        segmenter: measures caption lengths in words; without it they are in characters.

    Returns:
        A dict that `json.dumps` accepts.
    """
    per_image = table.groupby("image", sort=False).size()
    if segmenter is None:
        unit, lengths = "characters", [len(caption) for caption in table["caption"]]
    else:
        unit, lengths = "words", [len(segmenter.segment(caption)) for caption in table["caption"]]
    dictionary = None if segmenter is None else segmenter.dictionary_report()
    splits = table.groupby("split")["image"].agg(["nunique", "size"])
    skipped = table.attrs.get("skipped", [])
    return {
        "images": len(per_image),
        "captions": len(table),
        "captions_per_image": summarize_values(per_image.to_numpy()),
        "splits": {
            name: {"images": int(splits.loc[name, "nunique"]), "captions": int(splits.loc[name, "size"])}
            for name in SPLITS
            if name in splits.index
        },
        "origins": {str(name): int(count) for name, count in table["origin"].value_counts(sort=False).items()},
        "caption_length": {"unit": unit, **summarize_values(np.array(lengths))},
        "user_dictionary": dictionary and dictionary.to_dict(),
        "machine_references": int(machine_references(table).sum()),
        "stages": [int(stage) for stage in sorted(table["stage"].unique())] if "stage" in table else [1],
        "files": list(table.attrs.get("files", [])),
        "left_out_images": len(table.attrs.get("left_out", [])),
        "missing_images": table.attrs.get("missing", {}).get("images", 0),
        "missing_warning": missing_warning(table),
        "image_notes": image_notes(table),
        "skipped": len(skipped),
        "skipped_reasons": dict(Counter(reason for _, _, reason in skipped)),
    }


def missing_warning(table: pd.DataFrame) -> str | None:
    """One line if most images of a table have no file in the image folder, else None.

    A few missing images are usual, and so is a part of a large data set: that is why it is no error.
    """
    missing, total = table.attrs.get("missing"), table["image"].nunique()
    if not missing or 2 * missing["images"] <= total:
        return None
    present = max(0, total - missing["images"])
    return (
        f"warning: {missing['images']:,} of {total:,} images have no file in {missing['folder']}, so that only "
        f"{present:,} can be used (and images whose features are cached). Check images (--images) and the names; if "
        "you have only part of the images on purpose, go on."
    )


def image_notes(table: pd.DataFrame) -> list[str]:
    """What is read of images differently from how a viewer shows them, as far as their heads tell it."""
    return list(table.attrs.get("image_notes", []))


def _note(text: str, count: int) -> str:
    """A note with its count, if it counts something."""
    return text if count == 1 and "from the column '" in text else f"{text}: {count:,}"


def format_notes(table: pd.DataFrame) -> list[str]:
    """What was read differently from how it is written: a line per note about a source of a table."""
    return [
        f"{file['source']}: {_note(text, count)}"
        for file in table.attrs.get("files", [])
        for text, count in file["notes"].items()
    ]


def format_summary(summary: dict[str, Any]) -> str:
    """The dict of `summarize_corpus` as text."""
    per_image, length = summary["captions_per_image"], summary["caption_length"]
    total = f"{summary['images']:,} images, {summary['captions']:,} captions"
    spread = f"{per_image['min']} to {per_image['max']} per image, {per_image['mean']} on average"
    if per_image["min"] == per_image["max"]:
        spread = f"{per_image['min']} per image"
    lines = [f"{total} ({spread})"]
    for name, counts in summary["splits"].items():
        lines.append(f"  {name:5}  {counts['images']:>9,} images  {counts['captions']:>9,} captions")
    lines.append("origin: " + ", ".join(f"{count:,} {name}" for name, count in summary["origins"].items()))
    lines.append(
        f"caption length in {length['unit']}: {length['min']} to {length['max']}, mean {length['mean']}, "
        f"median {length['median']:g}, 95th percentile {length['p95']:g}"
    )
    if summary["user_dictionary"]:
        lines.append(summary["user_dictionary"]["summary"])
    if summary["machine_references"]:
        lines.append(f"machine translations outside the training split: {summary['machine_references']:,} (not used)")
    if len(summary["stages"]) > 1:
        lines.append("stages: " + ", ".join(map(str, summary["stages"])))
    if summary["left_out_images"]:
        lines.append(f"left out: {summary['left_out_images']:,} images in no split list")
    if summary["skipped"]:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary["skipped_reasons"].items())
        lines.append(f"skipped: {summary['skipped']:,} ({reasons})")
    for file in summary["files"]:
        kind = "".join(f"{text}, " for text in (file["format"], file["encoding"]) if text and text != file["source"])
        lines.append(f"{file['source']}: {kind}{file['images']:,} images, {file['captions']:,} captions")
        lines += [f"  {_note(text, count)}" for text, count in file["notes"].items()]
    lines += summary["image_notes"]
    lines += [summary[name] for name in WARNINGS if summary.get(name)]
    return "\n".join(lines)
