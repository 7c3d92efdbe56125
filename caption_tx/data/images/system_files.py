"""Files and folders that are not the user's: thumbnails, trash and metadata of operating systems and file servers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from caption_tx.data.images.suffixes import is_readable

_NAMES = frozenset(
    (
        "__macosx", "network trash folder", "temporary items", "icon\r",  # macOS
        "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "system volume information",  # Windows
        "lost+found",  # Linux
        "@eadir", "#recycle", "#snapshot", "@tmp", "@recycle", "@recently-snapshot",  # Synology and QNAP
    )
)  # fmt: skip
_MAX_COUNTED = 100_000


def is_system_name(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or written by an operating system or a file server.

    Example:
        >>> [is_system_name(name) for name in ("@eaDir", "._a.jpg", "Thumbs.db", ".thumbnails", "eaDir", "a.jpg")]
        [True, True, True, True, False, False]
    """
    return name.startswith((".", "@__")) or name.casefold() in _NAMES


def list_left_out(root: str, paths: Iterable[str]) -> list[str]:
    """The images among files and in folders that were left out, as paths below a local root.

    At most 100,000 files are looked at.
    """
    return [path for path, _ in zip(_files(root, paths), range(_MAX_COUNTED), strict=False) if is_readable(path)]


def left_out_note(names: list[str]) -> str:
    """The note about images that were left out.

    Example:
        >>> left_out_note(["@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg"])
        "images left out that are hidden or in a folder of the system (such as '@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg')"
    """
    return f"images left out that are hidden or in a folder of the system (such as {min(names)!r})"


def _files(root: str, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if not os.path.isdir(os.path.join(root, path)):
            yield path
            continue
        for folder, _, files in os.walk(os.path.join(root, path)):
            below = os.path.relpath(folder, root or ".").replace(os.sep, "/")
            yield from (f"{below}/{name}" for name in files)
