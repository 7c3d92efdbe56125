"""Read and list files on the local disk or on a remote store, behind the same functions.

TensorFlow is loaded for remote paths ("gs://...") only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from caption_tx.data.images.decoding import check_length, content_hash
from caption_tx.data.images.decoding import read_bytes as read_local
from caption_tx.data.images.file_names import find_file
from caption_tx.errors import ImageError, MissingImageError

ARCHIVE_SUFFIXES = (".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".7z", ".rar")


def is_remote(path: str) -> bool:
    """Whether the path is on a remote store, which TensorFlow reads."""
    return "://" in path


def check_address(path: str) -> None:
    """Rejects web addresses, which no store serves.

    Raises:
        ImageError: the path is a web address.
    """
    if path.lower().startswith(("http://", "https://", "ftp://")):
        raise ImageError(f"{path} is a web address; download it first and pass the file or its folder.")


def explain_file(path: str, tables: tuple[str, ...] = ()) -> str | None:
    """What to do about a local file that is neither a folder of images nor a table of them; None for other paths.

    Args:
        path: of the folder.
        tables: suffixes of the files that contain images.

    Example:
        >>> explain_file("photos.zip")
        'photos.zip is an archive; unpack it (`unzip photos.zip -d photos`) and pass the folder.'
    """
    if is_remote(path) or path.endswith(tables) or not os.path.isfile(path):
        return None
    name = os.path.basename(path).lower()
    if found := next((suffix for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), None):
        target = path[: -len(found)]
        command = {".zip": f"unzip {path} -d {target}", ".7z": f"7z x {path}", ".rar": f"unrar x {path}"}.get(
            found, f"mkdir {target} && tar -xf {path} -C {target}"
        )
        return f"{path} is an archive; unpack it (`{command}`) and pass the folder."
    return f"{path} is a file, not a folder of images; pass the folder of the images."


def is_folder(path: str) -> bool:
    """Whether the path is an existing folder."""
    return bool(_gfile().isdir(path)) if is_remote(path) else os.path.isdir(path)


def open_file(path: str) -> Any:
    """Opens a file for `read_range`; a local one without a buffer.

    Raises:
        MissingImageError: there is no such file.
        ImageError: it cannot be opened.
    """
    check_address(path)
    if is_remote(path):
        return _gfile().GFile(path, "rb")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageError(f"{path} is not a file.")
        return open(path, "rb", buffering=0)
    except (OSError, ValueError) as error:
        raise _read_error(path, error) from None


def read_range(file: Any, path: str, offset: int, length: int) -> bytes:
    """Reads `length` bytes from `offset`, or fewer at the end of the file.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        file.seek(offset)
        data = file.read(length)
        while 0 < len(data) < length and (more := file.read(length - len(data))):
            data += more
        return data
    except Exception as error:  # TensorFlow raises its own errors
        raise _read_error(path, error) from None


def read_file(path: str) -> bytes:
    """Reads a whole file.

    Raises:
        MissingImageError: there is no such file.
        ImageError: it cannot be read or is too large.
    """
    check_address(path)
    if not is_remote(path):
        try:
            return read_local(find_file(path))
        except ImageError as error:
            if isinstance(error.__cause__, OSError):
                raise _read_error(path, error.__cause__) from None
            raise
    try:
        with _gfile().GFile(path, "rb") as file:
            check_length(file.size(), path)
            return file.read()
    except ImageError:
        raise
    except Exception as error:
        if is_folder(path):
            raise ImageError(f"{path} cannot be read: it is a folder.") from error
        raise _read_error(path, error) from None


def file_stamp(path: str) -> str | None:
    """A text that changes when the file does and is cheap to compute, or None if there is no such file."""
    try:
        if not is_remote(path):
            status = os.stat(find_file(path))
            return f"{status.st_size}-{status.st_mtime_ns}"
        status = _gfile().stat(path)
        if status.mtime_nsec:
            return f"{status.length}-{status.mtime_nsec}"
        return f"{status.length}-{content_hash(read_file(path))}"  # the store keeps no modification times
    except Exception:
        return None


def list_files(folder: str, skip: Callable[[str], bool], unlisted: dict[str, str], skipped: list[str]) -> Iterator[str]:
    """Yields the files in a folder and all folders below it, as paths relative to it.

    The files of a folder come before those of its subfolders, each sorted. Each real folder is listed once, so that
    circular links end.

    Args:
        skip: whether to leave out the file or folder of this name.
        unlisted: filled with the subfolders that cannot be listed, and the reason.
        skipped: filled with what was left out: files and, of a local folder, folders.

    Raises:
        ImageError: the folder itself cannot be listed.
    """
    if is_remote(folder):
        return _list_remote(folder, skip, skipped)
    return _list_local(folder, skip, unlisted, skipped)


def _list_local(
    folder: str, skip: Callable[[str], bool], unlisted: dict[str, str], skipped: list[str]
) -> Iterator[str]:
    visited: set[tuple[int, int]] = set()
    # Linked folders come last, so that a file is found under its own name rather than a link's.
    folders, links = [""], []
    while folders or links:
        relative = folders.pop() if folders else links.pop()
        path = os.path.join(folder, relative) if relative else folder or "."
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            if not os.access(path, os.X_OK):  # its names can be listed, but its files cannot be opened
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            if not relative:
                raise ImageError(f"{path} cannot be listed: {_reason(error)}.") from error
            unlisted[relative] = _reason(error)
            continue
        subfolders, linked = [], []
        for name in names:
            below, full = f"{relative}/{name}" if relative else name, os.path.join(path, name)
            if skip(name):
                skipped.append(below)
            elif os.path.isdir(full):
                (linked if os.path.islink(full) else subfolders).append(below)
            elif os.path.isfile(full):
                yield below
        folders += reversed(subfolders)
        links += reversed(linked)


def _list_remote(folder: str, skip: Callable[[str], bool], skipped: list[str]) -> Iterator[str]:
    try:
        if not _gfile().isdir(folder):
            raise ImageError(f"{folder} cannot be listed: there is no such folder.")
        for path, _, files in _gfile().walk(folder):
            relative = path[len(folder.rstrip("/")) :].strip("/")
            is_skipped = any(map(skip, relative.split("/")))
            for name in files:
                below = f"{relative}/{name}" if relative else name
                if is_skipped or skip(name):
                    skipped.append(below)
                else:
                    yield below
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(f"{folder} cannot be listed: {_reason(error)}.") from error


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _read_error(path: str, error: Exception) -> ImageError:
    """The error for a file that cannot be read: a `MissingImageError` if there is no such file."""
    missing = isinstance(error, (FileNotFoundError, NotADirectoryError)) or (
        getattr(error, "errno", None) == errno.ENAMETOOLONG or type(error).__name__ == "NotFoundError"  # TensorFlow's
    )
    return (MissingImageError if missing else ImageError)(f"{path} cannot be read: {_reason(error)}.")
