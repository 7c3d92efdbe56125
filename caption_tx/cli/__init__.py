"""The command line: one module per command that parses, calls one library function and prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from caption_tx.cli.parser import make_parser
from caption_tx.errors import CaptionTxError
from caption_tx.escaping import one_line


def _use_utf8() -> None:
    """Writes UTF-8 to files and pipes, and escapes characters that a terminal cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, or 1 after a CaptionTxError. Wrong usage exits with 2."""
    _use_utf8()
    arguments = make_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except CaptionTxError as error:
        print(f"caption-tx: {one_line(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader closed the pipe. Python would fail again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"caption-tx: {one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("caption-tx: interrupted.", file=sys.stderr)
        return 130
    return 0
