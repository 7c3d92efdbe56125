"""Write local files atomically, without TensorFlow."""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import socket
import stat
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_LEFTOVER = re.compile(r".+\.([0-9a-f]{8})\.(\d+)\.(?:[a-z0-9_]{8}\.tmp|tmp|old)")
_NAME_LENGTH = 50
"""Characters of a name that its temporary name keeps, since file systems limit names to 255 bytes."""


def temporary_name(name: str, kind: str = "tmp") -> str:
    """A name for the temporary file or folder of `name` that says which process of which host made it."""
    return f"{name}.{_HOST}.{os.getpid()}.{kind}"


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def find_leftovers(folder: str | Path, pattern: str = "", locked: bool = False) -> list[Path]:
    """The temporary files and folders in a folder whose process was killed.

    Args:
        pattern: what their names begin with.
        locked: whether the caller has a lock on the folder, so that no other process, on any host, uses them.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            match = _LEFTOVER.fullmatch(entry.name) if entry.name.startswith(pattern) else None
            if match and (locked or (match[1] == _HOST and not is_alive(int(match[2])))):
                found.append(Path(entry.path))
    return found


def remove_leftovers(folder: str | Path, locked: bool = False) -> None:
    """Removes the temporary files that killed runs left in a folder; see `find_leftovers`."""
    for path in find_leftovers(folder, ".", locked):
        with suppress(OSError):
            path.unlink()


@functools.lru_cache(maxsize=1024)
def _remove_leftovers_once(folder: Path) -> None:
    """Cleans a folder when this process first writes a file there; listing a large folder takes a while."""
    with suppress(OSError):
        remove_leftovers(folder)


@contextmanager
def atomic_write(path: str | Path, permissions: int = 0o644) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` when the block ends.

    If the block raises, the temporary file is removed and `path` stays as it was. Those of killed processes are removed
    when a process first writes to a folder.

    Args:
        path: the file to write. Its folder must exist.
        permissions: of a new file. A file that is replaced keeps its permissions.

    Yields:
        A binary file, open for writing and reading, in the folder of `path`.

    Raises:
        OSError: the folder is missing or the file cannot be written. The error names the file and what is intact.

    Example:
        >>> with atomic_write("scores.json") as file:
        ...     file.write(b"{}")
    """
    path = Path(path)
    with suppress(FileNotFoundError):
        permissions = stat.S_IMODE(os.stat(path).st_mode)
    _remove_leftovers_once(path.parent.absolute())
    # The leading dot hides an abandoned temporary file from folder listings.
    prefix = f".{path.name[:_NAME_LENGTH]}.{_HOST}.{os.getpid()}."
    with explain_failed_write(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=".tmp")
        os.close(descriptor)
        try:
            with open(temporary, "w+b") as file:
                yield file
            os.chmod(temporary, permissions)  # mkstemp makes the file private
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


@contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder beside `path`, which is removed at the end."""
    path = Path(path)
    folder = path.with_name(temporary_name(path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that replaces `path` at the end of the block; if the block fails, `path` stays unchanged."""
    path = Path(path)
    with temporary_folder(path) as folder:
        yield folder
        old = path.with_name(temporary_name(path.name, "old"))
        if path.exists():
            os.rename(path, old)
        os.rename(folder, path)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def explain_failed_write(path: Path) -> Iterator[None]:
    """Adds the name of the file, and whether an earlier one is intact, to errors such as a full disk."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # HDF5 raises both
        number = getattr(error, "errno", None) or _errno_in(str(error))
        if number not in FULL:
            raise
        state = "what was there before is intact" if path.exists() else "it was not written"
        raise OSError(number, f"{os.strerror(number)}; {state}", str(path)) from error


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a file system without space: a full disk, an exceeded quota, a file over a limit."""


def _errno_in(text: str) -> int | None:
    """The number in a message of HDF5, which has no other place for it."""
    match = re.search(r"errno = (\d+)", text)
    return int(match[1]) if match else None


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes `data` (text as UTF-8) to `path` with `atomic_write`."""
    with atomic_write(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)
