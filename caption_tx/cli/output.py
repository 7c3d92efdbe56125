"""Output of the commands."""

from __future__ import annotations

import sys

from caption_tx.config import DecodingOptions
from caption_tx.escaping import one_line


def echo(text: str) -> None:
    """Prints text and flushes, so that a log shows progress. Control characters but tabs and line ends are escaped."""
    lines = ("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))
    print("\n".join(lines), flush=True)


def warn(text: str) -> None:
    """Prints one line on standard error."""
    print(f"caption-tx: {one_line(text)}", file=sys.stderr, flush=True)


def report_search(stored: DecodingOptions, used: DecodingOptions) -> None:
    """Says on standard error how captions were searched if the bundle stores a search."""
    if stored != DecodingOptions():
        origin = "the bundle's own" if used == stored else f"instead of the bundle's own, {stored.describe()}"
        warn(f"search: {used.describe()} ({origin})")
