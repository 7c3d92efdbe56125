"""Checks of all images of a corpus: missing, unreadable, duplicate, blank, small and narrow images."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from caption_tx.data.checks.findings import MAX_ASPECT_RATIO, MAX_RANGE, MIN_SIDE, Findings
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.interpretation import KINDS as INTERPRETATIONS
from caption_tx.errors import ImageError, MissingImageError
from caption_tx.escaping import printable

_SMALL_SIDE = 32

Progress = Callable[[Iterable, int, str], Iterable]
"""Wraps (iterable, length, name of the items) in a progress bar, for example `tqdm`."""


def check_images(
    table: pd.DataFrame, images: ImageSource, findings: Findings, progress: Progress | None = None
) -> dict[str, Any]:
    """Decodes every image of the table once and reports problems.

    Images without captions are counted but not decoded.

    Args:
        table: as `read_corpus` returns it.
        images: where the images are.
        findings: receives the results.
        progress: shows the progress, see `Progress`.

    Returns:
        Counts, image sizes (in pixels, after EXIF rotation) and the notes of the image source, ready for JSON.

    Raises:
        ImageError: the images cannot be listed.
    """
    files = images.names()
    rows = table.drop_duplicates("image").reset_index(drop=True).drop(columns="caption")  # one per image
    decoded = _decode_all(images, rows["image"].tolist(), progress)
    failed = (decoded["error"] != "").to_numpy()
    missing = failed & ~decoded["exists"].to_numpy()
    unreadable = failed & ~missing
    num_captions = table["image"].value_counts()
    errors = zip(rows["image"][missing], decoded["error"][missing], strict=True)
    details = [f"{num_captions[name]} captions; {error}" for name, error in errors]
    findings.add("missing_image", rows[missing], len(rows), details)
    findings.add("unreadable_image", rows[unreadable], len(rows), decoded["error"][unreadable].tolist())
    _find_duplicates(rows[~failed], decoded["hash"][~failed], findings)
    blank = ~failed & (decoded["color"] != "").to_numpy()
    findings.add("blank_image", rows[blank], int((~failed).sum()), decoded["color"][blank].tolist())
    _find_unusual_sizes(rows[~failed], decoded[~failed], findings)
    for kind in INTERPRETATIONS:
        details = rows["image"].map(images.interpreted.get(kind, {}))
        findings.add(kind, rows[details.notna()], len(rows), details.dropna().tolist())
    _find_skipped(images, files, findings)
    captioned = set(rows["image"]) | set(table.attrs.get("left_out", []))
    uncaptioned = [printable(name) for name in files if name not in captioned]
    findings.add("uncaptioned_image", pd.DataFrame({"image": uncaptioned}), len(files))
    return {
        "location": printable(images.location),
        "files": len(files),
        "captioned": len(rows),
        "read": int((~failed).sum()),
        "missing": int(missing.sum()),
        "unreadable": int(unreadable.sum()),
        "uncaptioned": len(uncaptioned),
        "notes": [printable(note) for note in images.notes()],
        **_size_statistics(rows["image"][~failed], decoded[~failed]),
    }


def _decode_all(images: ImageSource, names: Sequence[str], progress: Progress | None) -> pd.DataFrame:
    """Decodes images in threads; returns the columns hash, width, height, color, error ("" if none) and exists."""

    def decode(name: str) -> tuple[str, int, int, str, str, bool]:
        try:
            content_hash, image = images.read_pil_image(name)
            return content_hash, *image.size, only_color(image), "", True
        except ImageError as error:
            reason = printable(str(error).removeprefix(images.label(name)).strip())
            return "", 0, 0, "", reason, not isinstance(error, MissingImageError)

    # Pillow releases the interpreter lock while it decodes.
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        results: Iterable = pool.map(decode, names)
        rows = list(results if progress is None else progress(results, len(names), "images"))
    finally:
        pool.shutdown(cancel_futures=True)  # otherwise an interrupt would wait for all images
    return pd.DataFrame(rows, columns=["hash", "width", "height", "color", "error", "exists"])


def only_color(image: Image.Image) -> str:
    """The color of an RGB image that shows nothing else, apart from specks and noise; "" for other images.

    Example:
        >>> only_color(Image.new("RGB", (90, 90), "white")), only_color(Image.new("RGB", (90, 90), (200, 30, 30)))
        ('white', '#c81e1e')
    """
    small = image.resize((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    ranges = small.getextrema()
    if any(high - low > MAX_RANGE for low, high in ranges):
        return ""
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    middle = "".join(f"{(low + high) // 2:02x}" for low, high in ranges)
    return "black" if high <= MAX_RANGE else "white" if low >= 255 - MAX_RANGE else f"#{middle}"


def _find_skipped(images: ImageSource, files: Sequence[str], findings: Findings) -> None:
    """Finds folders that cannot be listed, and rows of image tables that are malformed or duplicates."""
    unreadable = pd.DataFrame({"image": [printable(name) for name in images.unlisted]})
    num_folders = len({posixpath.dirname(name) for name in files}) + len(unreadable)
    findings.add("unreadable_folder", unreadable, num_folders, list(images.unlisted.values()))
    tables = images.tables()
    if not tables:
        return
    num_rows = sum(table.rows for table in tables)
    malformed = [(printable(table.location), line) for table in tables for line in table.malformed]
    findings.add("malformed_row", pd.DataFrame(malformed, columns=["source", "line"]), num_rows)
    duplicates = [
        (printable(table.location), line, printable(name)) for table in tables for line, name in table.repeated
    ]
    findings.add("duplicate_id", pd.DataFrame(duplicates, columns=["source", "line", "image"]), num_rows)


def _size_statistics(names: pd.Series, decoded: pd.DataFrame) -> dict[str, Any]:
    """Returns the smallest and the largest image by area, and the median width and height."""
    if not len(decoded):
        return {}
    area = (decoded["width"] * decoded["height"]).to_numpy()
    extremes = {
        key: {
            "image": str(names.iloc[index]),
            "width": int(decoded["width"].iloc[index]),
            "height": int(decoded["height"].iloc[index]),
        }
        for key, index in (("smallest", int(area.argmin())), ("largest", int(area.argmax())))
    }
    median = {"width": float(decoded["width"].median()), "height": float(decoded["height"].median())}
    return {**extremes, "median": median}


def _find_duplicates(rows: pd.DataFrame, hashes: pd.Series, findings: Findings) -> None:
    """Finds images with the same bytes under several names; each is reported once, with its other names."""
    groups = [indices for indices in rows.groupby(hashes, sort=False).indices.values() if len(indices) > 1]
    groups.sort(key=lambda indices: indices[0])
    names, splits = rows["image"].to_numpy(), rows["split"].astype(str).to_numpy()
    for kind, across_splits in (("image_in_two_splits", True), ("duplicate_image", False)):
        selected = [indices for indices in groups if (len(set(splits[indices])) > 1) == across_splits]
        others = ["also " + ", ".join(f"{names[i]} ({splits[i]})" for i in indices[1:]) for indices in selected]
        findings.add(kind, rows.iloc[[indices[0] for indices in selected]], hashes.nunique(), others)


def _find_unusual_sizes(rows: pd.DataFrame, decoded: pd.DataFrame, findings: Findings) -> None:
    sides = decoded[["width", "height"]].to_numpy()
    details = np.array([f"{width} x {height} pixels" for width, height in sides.tolist()], dtype=object)
    short, long = sides.min(axis=1), sides.max(axis=1)
    for kind, mask in (("small_image", short < MIN_SIDE), ("narrow_image", long > MAX_ASPECT_RATIO * short)):
        findings.add(kind, rows[mask], len(rows), details[mask])
