"""Write local files atomically, without TensorFlow."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | Path, permissions: int = 0o644) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` when the block ends.

    If the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        path: the file to write. Its folder must exist.
        permissions: of a new file. A file that is replaced keeps its permissions.

    Yields:
        A binary file, open for writing and reading, in the folder of `path`.

    Raises:
        OSError: the folder is missing or the file cannot be written.

    Example:
        >>> with atomic_write("scores.json") as file:
        ...     file.write(b"{}")
    """
    path = Path(path)
    with suppress(FileNotFoundError):
        permissions = stat.S_IMODE(os.stat(path).st_mode)
    # The leading dot hides an abandoned temporary file from folder listings.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes `data` (text as UTF-8) to `path` with `atomic_write`."""
    with atomic_write(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)
