"""The parser of all commands."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from caption_tx import __version__
from caption_tx.cli import caption, choose_search, corpus, demo, evaluate, explain, export, features, serve, train, tune
from caption_tx.escaping import one_line

COMMANDS = (demo, corpus, features, train, tune, choose_search, caption, evaluate, explain, export, serve)
"""Modules of the commands, in the order of `--help`."""


def _closest(name: str, known: Iterable[str]) -> str:
    """The closest known name as a question, if one is close."""
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line; `argparse` would print control characters of arguments as they are."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Rejects an unknown option before `argparse` complains about a required one that it was meant to be."""
        arguments = sys.argv[1:] if args is None else list(args)
        for argument in arguments:
            if argument == "--" or (self._subparsers is not None and not argument.startswith("-")):
                break  # what follows are values, or belongs to a command
            name = argument.partition("=")[0]
            known = self._option_string_actions
            if name.startswith("--") and " " not in name and not any(option.startswith(name) for option in known):
                self.error(f"unknown option {name}{_closest(name, known)}")
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Names the choice that is closest to a wrong one, such as a misspelled command."""
        choices = list(map(str, action.choices or ()))
        if action.choices is not None and value not in action.choices:
            text = f"invalid choice: {value!r}{_closest(str(value), choices)} (choose from {', '.join(choices)})"
            raise argparse.ArgumentError(action, text)

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
