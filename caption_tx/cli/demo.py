"""The command `demo`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from caption_tx.cli.options import add_command
from caption_tx.cli.output import echo
from caption_tx.config import LANGUAGES
from caption_tx.startup import start_tensorflow


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "demo",
        run,
        usage="",
        summary="run the whole pipeline on rendered scenes, offline, in minutes",
        description="Runs the whole pipeline on rendered scenes: corpus, features, training, captions, attention maps. "
        "Needs no download and takes about two minutes on two cores.",
        example="caption-tx demo --language en",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("caption-tx-demo"),
        metavar="DIR",
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--language", choices=LANGUAGES, default="zh", help="language of the captions (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Runs the demo."""
    start_tensorflow(parallel_chunks=True)
    from caption_tx.demo import run_demo

    run_demo(arguments.workdir, arguments.language, echo)
