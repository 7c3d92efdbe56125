"""`caption-tx demo`."""

from __future__ import annotations

import argparse

from caption_tx.cli.output import tell
from caption_tx.cli.startup import start_tensorflow


def demo(arguments: argparse.Namespace) -> None:
    """The whole way on rendered scenes."""
    start_tensorflow(in_lanes=True)
    from caption_tx.demo import run_demo

    run_demo(arguments.workdir, arguments.language, tell)
