"""The command line: one module per command that parses, calls one library function and prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from caption_tx.cli.output import warn
from caption_tx.cli.parser import make_parser
from caption_tx.cli.streams import lost_output, open_missing_descriptors, protect_streams, require_output
from caption_tx.errors import CaptionTxError


def _use_utf8() -> None:
    """Writes UTF-8 to files and pipes, and escapes characters that a terminal cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")


_FILES = ("workdir", "out", "list", "plot", "cache")
"""Options that name files with the result; what such a command prints may be lost."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, or 1 after a CaptionTxError. Wrong usage exits with 2.

    A command that writes files completes without standard output or standard error. One that only prints ends with 1 if
    its output cannot be written.
    """
    open_missing_descriptors()
    _use_utf8()
    protect_streams()
    arguments = make_parser().parse_args(argv)
    prints_only = all(getattr(arguments, name, None) is None for name in _FILES)
    require_output(prints_only)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except CaptionTxError as error:
        warn(str(error))
        return 1
    except OSError as error:
        if error is not lost_output():
            warn(str(error))
        elif not isinstance(error, BrokenPipeError):  # the reader of a closed pipe, such as `head`, has enough
            warn(f"Cannot write to standard output: {error.strerror}.")
        return 1
    except KeyboardInterrupt:
        warn("interrupted.")
        return 130
    if (error := lost_output()) is not None:
        warn(f"Standard output was lost ({error.strerror}); the command completed without it.")
    return 0
