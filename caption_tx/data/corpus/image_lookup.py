"""Image names of captions -> files of the image folder, whatever the difference between them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from caption_tx.config import Source
from caption_tx.data.corpus.beside import beside_prefix, require_different_images
from caption_tx.data.corpus.id_tables import read_id_tables
from caption_tx.data.corpus.names.image_names import count_undecoded, join_prefix, resolve_image_names
from caption_tx.data.corpus.names.lost_zeros import restore_zeros
from caption_tx.data.corpus.names.name_choice import choose_names
from caption_tx.data.corpus.names.name_ranges import expand_names
from caption_tx.data.corpus.names.name_variants import TRIED, FoundNames, find_variants
from caption_tx.data.corpus.names.rewritten_names import is_surely_date
from caption_tx.data.corpus.rows import CaptionRows
from caption_tx.data.images.file_names import undecoded_note
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError

_SHARE_LINK = re.compile(
    r"https?://(?:(?:drive|docs)\.google\.com/.*(?:[?&]id=|/d/)[\w-]+[^.]*|1drv\.ms/.*|(?:pan|yun)\.baidu\.com/s/.*"
    r"|[\w-]+\.sharepoint\.com/:\w:/.*|[\w.-]+\.(?:feishu\.cn|larksuite\.com)/(?:file|drive)/.*)\Z"
)
_FLOAT_ID = re.compile(r"\d+\.0+")


def complete_image_names(sources: list[tuple[Source, CaptionRows]], images: str | Path | None) -> set[str]:
    """Replaces image names by their names in the image folder, so that they agree between sources.

    Returns:
        The names without a file in a local image folder.
    """
    for source, rows in sources:
        choose_names(rows, images)
        _restore_integers(rows)
        read_id_tables(rows)
        restore_zeros(rows, images)
        prefix = source.images or _embedded_prefix(rows, images) or beside_prefix(rows, images)
        names = {name: join_prefix(prefix, name) for name in dict.fromkeys(rows.images)}
        rows.images = [names[name] for name in rows.images]
        expand_names(rows, images)
    require_different_images([rows for _, rows in sources])
    names = list(dict.fromkeys(name for _, rows in sources for name in rows.images))
    completed, missing = resolve_image_names(names, images)
    found = _find_files([completed.get(name, name) for name in names], missing, images)
    for _, rows in sources:
        own = set(rows.images)
        if images is None:
            _note_dates(rows, [name for name in sorted(own) if "/" not in name and is_surely_date(name)])
        if count := sum(name in completed for name in own):
            rows.notes["image names completed"] += count
        _note_variants(rows, own & missing, found, images)
        if completed or found.files:
            images_of = {name: completed.get(name, name) for name in rows.images}
            rows.images = [found.files.get(images_of[name], images_of[name]) for name in rows.images]
        if rows.format != "folder":  # which counts its own
            rows.notes.update(
                {
                    undecoded_note(encoding): count
                    for encoding, count in count_undecoded(set(rows.images), images).items()
                }
            )
    return missing - found.files.keys()


def _restore_integers(rows: CaptionRows) -> None:
    """Removes the ".0" of ids that a program has turned into floats: 1.0, 2.0 and so on, throughout the file."""
    names = set(rows.images)
    if names and all(_FLOAT_ID.fullmatch(name) for name in names):
        rows.images = [name.partition(".")[0] for name in rows.images]
        rows.notes["image ids that end in .0 read as whole numbers"] += len(names)


def _embedded_prefix(rows: CaptionRows, images: str | Path | None) -> str:
    """The path of a file that contains its images, below the image folder; "" if it is elsewhere or is `images`."""
    if not (rows.embedded_images or rows.has_own_images) or images is None or not Path(images).is_dir():
        return ""
    if rows.has_own_images:
        names = set(rows.images)
        completed, missing = resolve_image_names(names, images)
        if completed or len(missing) < len(names):
            return ""
        rows.notes["images read from the file itself, since the image folder has none of their names"] += len(names)
    file, folder_path = Path(rows.source).resolve(), Path(images).resolve()
    return file.relative_to(folder_path).as_posix() if file.is_relative_to(folder_path) else ""


def _find_files(names: list[str], missing: set[str], images: str | Path | None) -> FoundNames:
    """The files of image names that do not exist as they are written."""
    if not missing:
        return FoundNames()
    try:
        files = list(open_images(str(images)).walk())
    except ImageError:  # reported when the images are read
        return FoundNames()
    present = [name for name in names if name not in missing]
    return find_variants(missing, files, present, Path(str(images)).resolve().name)


def _note_variants(rows: CaptionRows, missing: set[str], found: FoundNames, images: str | Path | None) -> None:
    """Reports the names of one source that were found after ignoring differences, and those that were not."""
    if not missing:
        return
    counts = Counter(found.ignored[name] for name in missing if name in found.files)
    for ignored, count in counts.most_common():
        rows.notes[f"image names found after ignoring {' and '.join(ignored)} (of {len(missing):,} missing)"] += count
    lost = sorted(missing - found.files.keys())
    dates = [name for name in lost if is_surely_date(name)]
    _note_dates(rows, dates)
    if links := [name for name in lost if _SHARE_LINK.match(name)]:
        rows.notes[
            f"links to shared files (such as '{links[0][:80]}'), which do not contain the names of the images: "
            "download the images and add a column with the names of their files"
        ] += len(links)
    if lost := sorted(set(lost).difference(dates, links)):
        kind = "is ambiguous" if lost[0] in found.ambiguous else f"also tried without regard to {TRIED}"
        rows.notes[f"image names without a file in {images} (such as '{lost[0][:80]}', {kind})"] += len(lost)


def _note_dates(rows: CaptionRows, names: list[str]) -> None:
    """Reports names that a spreadsheet may have made dates of."""
    if names:
        rows.notes[
            f"image names that look like dates (such as '{names[0][:80]}'): if a spreadsheet made dates of names such "
            "as '1-2', format the column as text and enter the names again"
        ] += len(names)
