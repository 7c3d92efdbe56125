"""Standard output and standard error that cannot end a command: they may be closed, full or lost halfway."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


class _Descriptor(io.FileIO):
    """A descriptor that discards what it cannot write, unless `required` is set."""

    error: OSError | None = None
    required = False

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except BlockingIOError:
                raise
            except OSError as error:
                self.error = error
                if self.required:
                    raise
        return memoryview(data).nbytes


_protected: dict[str, _Descriptor] = {}


def open_missing_descriptors() -> None:
    """Opens /dev/null in place of closed standard streams, so that no file that is opened later gets their numbers.

    `sys.stdin` stays None, since a command that reads it must report that it is closed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)  # the lowest free number
        if number > 0 and getattr(sys, name) is None:
            buffer = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace"))


def protect_streams() -> None:
    """Discards output that cannot be written. Streams that a program has replaced stay as they are."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue
        with suppress(OSError):
            stream.flush()
        descriptor = _Descriptor(stream.fileno(), "w", closefd=False)
        buffer = io.BufferedWriter(descriptor)
        setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=stream.isatty()))
        _protected[name] = descriptor


def require_output(required: bool) -> None:
    """Sets whether a failed write to standard output raises its OSError, since the result is nowhere else."""
    if "stdout" in _protected:
        _protected["stdout"].required = required


def lost_output() -> OSError | None:
    """The error that ended standard output, or None."""
    return _protected["stdout"].error if "stdout" in _protected else None


def end_stderr() -> None:
    """Discards what follows on the process's standard error: without memory, the interpreter's own messages at exit."""
    if "stderr" in _protected:
        sys.stderr.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, _protected["stderr"].fileno())
        os.close(null)
