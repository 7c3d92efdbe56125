"""Image names and the folders that another column of the table has for them: joined where the name is not enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caption_tx.data.corpus.names.image_names import join_prefix, resolve_image_names
from caption_tx.data.corpus.names.name_variants import find_variants
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError


def record_folder(rows: CaptionRows, column: tuple[int, str], line: int, value: Any) -> None:
    """Records the folder in a row; an empty cell means the one above, as in merged cells."""
    text = "" if value is None else str(value).strip()
    if not text and rows.folder_above:
        rows.notes[f"rows without a value in the column {column[1]!r}, read as in the row above"] += 1
    rows.folder_column, rows.folder_above = column[1], text or rows.folder_above
    rows.folders[line] = rows.folder_above


def join_folders(rows: CaptionRows, images: str | Path | None) -> None:
    """Joins folders and names if names repeat in several folders, or if only the joined names have files.

    `rows.notes` says which names are read.
    """
    if not rows.folders:
        return
    joined = [
        _join(rows.folders.get(line, ""), name) for name, line in zip(rows.images, rows.line_numbers, strict=True)
    ]
    places: dict[str, set[str]] = {}
    for name, path in zip(rows.images, joined, strict=True):
        places.setdefault(name, set()).add(path)
    repeated = [name for name, paths in places.items() if len(paths) > 1]
    column, named = rows.folder_column, rows.options.image_column
    if named and repeated:
        note = f"image names in several folders of the column {column!r}, not told apart"
        rows.notes[f"{note} (such as {repeated[0]!r}; leave out image_column (--image-column) to join them)"] = len(
            repeated
        )
    elif not named and (repeated or _has_files(joined, rows.images, images)):
        shown = f"such as {next((path for path in joined if '/' in path), joined[0])!r}"
        rows.notes[f"image names joined with the column {column!r} ({shown})"] = len(set(joined))
        rows.images = joined
        return
    why = "" if named else ", since the image names are enough"
    rows.notes[f"columns not read ({column}){why}"] = 1


def _join(folder: str, name: str) -> str:
    folder = folder.replace("\\", "/").rstrip("/")
    plain = name.replace("\\", "/")
    if not folder or "://" in name or plain.startswith((f"{folder}/", f"{folder.rpartition('/')[2]}/")):
        return name
    return join_prefix(folder, plain)


def _has_files(joined: list[str], names: list[str], images: str | Path | None) -> bool:
    """Whether more of the joined names have files than of the names alone, as written or else in another form."""
    if images is None or not Path(images).is_dir():
        return False
    lost = [resolve_image_names(list(dict.fromkeys(found)), images)[1] for found in (joined, names)]
    sizes = [len(set(found)) for found in (joined, names)]
    exact = [size - len(missing) for size, missing in zip(sizes, lost, strict=True)]
    if exact[0] != exact[1]:
        return exact[0] > exact[1]
    try:
        files = list(open_images(str(images)).walk()) if any(lost) else []
    except ImageError:  # reported when the images are read
        return False
    return len(find_variants(lost[0], files).files) > len(find_variants(lost[1], files).files)
