"""The command line: one module per command that parses, calls one library function and prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from caption_tx.cli.environment import check_locale, explain_environment
from caption_tx.cli.output import warn
from caption_tx.cli.parser import make_parser
from caption_tx.cli.streams import end_stderr, lost_output, open_missing_descriptors, protect_streams, require_output
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
    argv = sys.argv[1:] if argv is None else argv
    try:
        check_locale(argv)
        arguments = make_parser().parse_args(argv)
        require_output(all(getattr(arguments, name, None) is None for name in _FILES))
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        warn("interrupted.")
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error is lost_output():
            if not isinstance(error, BrokenPipeError):  # the reader of a closed pipe, such as `head`, has enough
                warn(f"Cannot write to standard output: {error.strerror}.")
        elif isinstance(error, (CaptionTxError, OSError)):
            warn(str(error))
        elif (explanation := explain_environment(error)) is not None:
            warn(explanation)
            end_stderr()
        else:
            raise
        return 1
    if (error := lost_output()) is not None:
        warn(f"Standard output was lost ({error.strerror}); the command completed without it.")
    return 0
