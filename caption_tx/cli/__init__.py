"""The command line: parses, calls one function, prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from caption_tx.cli.parser import make_parser
from caption_tx.errors import CaptionTxError


def _speak_utf8() -> None:
    """Lets every script be written: files and pipes get UTF-8, and a terminal that lacks a character its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
                stream.reconfigure(encoding="utf-8")
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 1 after a CaptionTxError, 2 on wrong usage."""
    _speak_utf8()
    arguments = make_parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except CaptionTxError as error:
        print(f"caption-tx: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has enough; Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"caption-tx: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("caption-tx: stopped.", file=sys.stderr)
        return 130
    return 0
