"""The parser of all commands."""

from __future__ import annotations

import argparse
from typing import NoReturn

from caption_tx import __version__
from caption_tx.cli import caption, choose_search, corpus, demo, evaluate, explain, export, features, train, tune
from caption_tx.escaping import one_line

COMMANDS = (demo, corpus, features, train, tune, choose_search, caption, evaluate, explain, export)
"""Modules of the commands, in the order of `--help`."""


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line; `argparse` would print control characters of arguments as they are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)} (see `{self.prog} --help`)\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line. `run` of the parsed arguments is the function of the command."""
    parser = _Parser(
        prog="caption-tx",
        description="Train an image captioner on your own captions, and see where it looked for every word.",
        epilog="`caption-tx COMMAND --help` describes the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"caption-tx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_parser(commands)
    return parser
