"""Reading every image that captions name, once: what is missing, damaged, twice there or of an odd size."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from caption_tx.data.checks.findings import NARROW, SMALL_SIDE, Findings
from caption_tx.data.images.image_source import ImageSource
from caption_tx.errors import ImageError, MissingImageError

Progress = Callable[[Iterable, int, str], Iterable]
"""Wraps an iterable, given its length and what it holds, e.g. by `tqdm`."""


def _look(images: ImageSource, names: Sequence[str], progress: Progress | None) -> pd.DataFrame:
    """Reads each image: `hash`, `width`, `height`, and why not in `error`; `there` tells a damaged from a lost one.

    In threads, since Pillow lets others run while it decodes.
    """

    def look(name: str) -> tuple[str, int, int, str, bool]:
        try:
            content, picture = images.read_pil_image(name)
            return content, *picture.size, "", True
        except ImageError as error:
            reason = printable(str(error).removeprefix(images.label(name)).strip())
            return "", 0, 0, reason, not isinstance(error, MissingImageError)

    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        results: Iterable = pool.map(look, names)
        found = list(results if progress is None else progress(results, len(names), "images"))
    finally:
        pool.shutdown(cancel_futures=True)  # else an interrupt would wait for all of them
    return pd.DataFrame(found, columns=["hash", "width", "height", "error", "there"])


def printable(name: str) -> str:
    """A text with the bytes of a file name that are not UTF-8 spelled out, so that any stream takes it."""
    return name.encode("utf-8", "backslashreplace").decode()


def check_images(
    table: pd.DataFrame, images: ImageSource, findings: Findings, progress: Progress | None = None
) -> dict[str, Any]:
    """Reads every image of the table, adds what is wrong to `findings`, and returns plain counts.

    Files without captions are counted, not read. Sizes are those of the picture upright, in pixels.

    Raises:
        ImageError: the images cannot be listed.
    """
    files = images.names()
    first = table.drop_duplicates("image").reset_index(drop=True).drop(columns="caption")
    seen = _look(images, first["image"].tolist(), progress)
    failed = (seen["error"] != "").to_numpy()
    missing = failed & ~seen["there"].to_numpy()
    unreadable = failed & ~missing
    captions = table["image"].value_counts()
    reasons = zip(first["image"][missing], seen["error"][missing], strict=True)
    lost = [f"{captions[name]} captions; {reason}" for name, reason in reasons]
    findings.add("missing_image", first[missing], len(first), lost)
    findings.add("unreadable_image", first[unreadable], len(first), seen["error"][unreadable].tolist())
    _find_copies(first[~failed], seen["hash"][~failed], findings)
    _find_odd_sizes(first[~failed], seen[~failed], findings)
    _find_unlisted(images, files, findings)
    captioned = set(first["image"]) | set(table.attrs.get("left_out", []))
    spare = [printable(name) for name in files if name not in captioned]
    findings.add("uncaptioned_image", pd.DataFrame({"image": spare}), len(files))
    return {
        "location": printable(images.location),
        "files": len(files),
        "named_by_captions": len(first),
        "read": int((~failed).sum()),
        "missing": int(missing.sum()),
        "unreadable": int(unreadable.sum()),
        "uncaptioned": len(spare),
        **_sizes(first["image"][~failed], seen[~failed]),
    }


def _find_unlisted(images: ImageSource, files: Sequence[str], findings: Findings) -> None:
    """Folders, and rows of tables, that were passed over."""
    closed = pd.DataFrame({"image": [printable(name) for name in images.unlisted]})
    listed = len({posixpath.dirname(name) for name in files})
    findings.add("unlisted_folder", closed, listed + len(closed), list(images.unlisted.values()))
    tables = images.tables()
    if not tables:
        return
    rows = sum(table.rows for table in tables)
    malformed = [(printable(table.location), line) for table in tables for line in table.malformed]
    findings.add("malformed_row", pd.DataFrame(malformed, columns=["source", "line"]), rows)
    repeated = [(printable(table.location), *again) for table in tables for again in table.repeated]
    repeated = [(source, line, printable(name)) for source, line, name in repeated]
    findings.add("repeated_id", pd.DataFrame(repeated, columns=["source", "line", "image"]), rows)


def _sizes(names: pd.Series, seen: pd.DataFrame) -> dict[str, Any]:
    """The smallest and the largest image by area, and the median width and height."""
    if not len(seen):
        return {}
    area = (seen["width"] * seen["height"]).to_numpy()
    ends = {"smallest": int(area.argmin()), "largest": int(area.argmax())}
    sizes = {
        name: {
            "image": str(names.iloc[place]),
            "width": int(seen["width"].iloc[place]),
            "height": int(seen["height"].iloc[place]),
        }
        for name, place in ends.items()
    }
    median = {"width": float(seen["width"].median()), "height": float(seen["height"].median())}
    return {**sizes, "median": median}


def _find_copies(first: pd.DataFrame, hashes: pd.Series, findings: Findings) -> None:
    """Pictures with the same bytes under several names; one place for each, the others in its detail."""
    groups = [places for places in first.groupby(hashes, sort=False).indices.values() if len(places) > 1]
    groups.sort(key=lambda places: places[0])
    images, splits = first["image"].to_numpy(), first["split"].astype(str).to_numpy()
    for kind, across in (("image_in_two_splits", True), ("same_image", False)):
        chosen = [places for places in groups if (len(set(splits[places])) > 1) == across]
        others = ["also " + ", ".join(f"{images[n]} ({splits[n]})" for n in places[1:]) for places in chosen]
        findings.add(kind, first.iloc[[places[0] for places in chosen]], hashes.nunique(), others)


def _find_odd_sizes(first: pd.DataFrame, seen: pd.DataFrame, findings: Findings) -> None:
    sides = seen[["width", "height"]].to_numpy()
    sizes = np.array([f"{width} x {height} pixels" for width, height in sides.tolist()], dtype=object)
    short, long = sides.min(axis=1), sides.max(axis=1)
    for kind, odd in (("small_image", short < SMALL_SIDE), ("narrow_image", long > NARROW * short)):
        findings.add(kind, first[odd], len(first), sizes[odd])
