"""The parser of all commands."""

from __future__ import annotations

import argparse

from caption_tx import __version__
from caption_tx.cli import caption, corpus, demo, evaluate, explain, features, train, tune

COMMANDS = (demo, corpus, features, train, tune, caption, evaluate, explain)
"""Modules of the commands, in the order of `--help`."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line. `run` of the parsed arguments is the function of the command."""
    parser = argparse.ArgumentParser(
        prog="caption-tx",
        description="Train an image captioner on your own captions, and see where it looked for every word.",
        epilog="`caption-tx COMMAND --help` describes the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"caption-tx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return parser
