"""Locks on folders, so that two processes do not write the same files."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from caption_tx.errors import CaptionTxError

LOCK = ".lock"
"""The lock file of a folder. It stays there; it contains the holder's process and host while it is locked."""

SECONDS_TO_WAIT = 0.5
"""Covers a process that is just ending."""


@contextmanager
def lock_folder(folder: str | Path, work: str, name: str = LOCK) -> Iterator[None]:
    """Holds a lock on a folder, which is created if it is missing. The system frees the lock of a killed process.

    A file system without locks is used without one.

    Args:
        folder: local.
        work: what the other process does to the folder, for the message: "uses", "extends".
        name: of the lock file.

    Raises:
        CaptionTxError: another process, which the message names, holds the lock.

    Example:
        >>> with lock_folder("run", "uses"):
        ...     train()
    """
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=SECONDS_TO_WAIT)
    except Timeout:
        raise CaptionTxError(
            f"{_holder(path)} {work} {folder}; wait until it ends, stop it, or choose another folder."
        ) from None
    except (OSError, NotImplementedError):  # a file system without locks, or a folder that cannot be written
        pass
    try:
        with suppress(OSError):  # a full disk: the lock holds without the description
            if lock.is_locked:
                path.write_text(f"Process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8") or "Another process"
    return "Another process"


@contextmanager
def lock_to_extend(folder: str | Path) -> Iterator[None]:
    """Holds a lock for adding files to a folder, which other processes may extend at the same time.

    Raises:
        CaptionTxError: another process holds `lock_to_change`.
    """
    own = f".extending-{os.getpid()}-{secrets.token_hex(4)}.lock"
    with lock_folder(folder, "extends", own):
        try:
            with lock_folder(folder, "changes"):
                pass
            yield
        finally:
            with suppress(OSError):  # Windows cannot remove it while it is open
                os.unlink(Path(folder) / own)


@contextmanager
def lock_to_change(folder: str | Path) -> Iterator[None]:
    """Holds a lock for changing the files of a folder, which no other process may change or extend meanwhile.

    Raises:
        CaptionTxError: another process holds this lock or `lock_to_extend`.
    """
    with lock_folder(folder, "changes"):
        for path in sorted(Path(folder).glob(".extending-*.lock")):
            with lock_folder(folder, "extends", path.name), suppress(OSError):
                os.unlink(path)  # of a killed process
        yield
