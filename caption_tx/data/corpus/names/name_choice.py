"""Which of two names is that of the image: the key of a JSON object, or a name or URL inside it."""

from __future__ import annotations

from pathlib import Path

from caption_tx.data.corpus.names.folder_names import join_folders
from caption_tx.data.corpus.names.image_names import resolve_image_names
from caption_tx.data.corpus.names.name_variants import find_variants
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.corpus.values.value_kinds import is_file_name
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError

_MIN_LINES = 3


def choose_names(rows: CaptionRows, images: str | Path | None) -> None:
    """Reads the names that have files where a source names its images twice; says in `rows.notes` which are read."""
    join_folders(rows, images)
    for place, names in rows.other_names.items():
        read, others = ([pair[at] for pair in names.values()] for at in (0, 1))
        count_read, count_others = _count_files(read, images), _count_files(others, images)
        if count_others > count_read:
            rows.images = [
                names[line][1] if line in names and names[line][0] == image else image
                for image, line in zip(rows.images, rows.line_numbers, strict=True)
            ]
            read, others = others, read
            place = "the entries" if place == "the keys" else "the keys"
        if place == "the entries" and not any(map(is_file_name, others)):  # ids of entries are no images
            continue
        unread = "the entries" if place == "the keys" else "the keys"
        note = f"image names read from {place} (such as {read[0]!r}), not from {unread} ({others[0]!r})"
        rows.notes[note] = len(read)
    is_one = len(set(rows.images)) == 1 and len(set(rows.line_numbers)) >= _MIN_LINES
    if is_one and not is_file_name(rows.images[0]):
        rows.notes[
            f"captions, all of one image ({rows.images[0]!r}; image_column (--image-column) names another column)"
        ] = len(rows)


def _count_files(names: list[str], images: str | Path | None) -> int:
    """How many names have a file in a local image folder."""
    if images is None or not Path(images).is_dir():
        return 0
    _, lost = resolve_image_names(names, images)
    try:
        lost -= find_variants(lost, list(open_images(str(images)).walk())).files.keys() if lost else set()
    except ImageError:
        return 0
    return sum(name not in lost for name in names)
