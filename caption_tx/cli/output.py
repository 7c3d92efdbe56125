"""Output of the commands."""

from __future__ import annotations

import sys


def echo(text: str) -> None:
    """Prints a line and flushes, so that a log shows progress."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Prints one line on standard error."""
    from caption_tx.inference.predictions import one_line

    print(f"caption-tx: {one_line(text)}", file=sys.stderr, flush=True)
