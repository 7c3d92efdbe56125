"""The command `corpus`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from caption_tx.cli.options import READING_OPTIONS, add_command, add_config, add_settings, add_sources
from caption_tx.cli.settings import resolve_config
from caption_tx.errors import ConfigError
from caption_tx.startup import start_tensorflow


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "corpus",
        run,
        usage="SOURCE ..",
        summary="describe a caption corpus, and report its problems",
        description="Prints counts, splits and caption lengths of a corpus. With --check, reports problems in captions "
        "and images before training.",
        example="caption-tx corpus captions.csv --images photos/ --check",
    )
    add_sources(parser)
    add_settings(parser.add_argument_group("corpus"), "corpus", READING_OPTIONS)
    add_settings(parser.add_argument_group("text"), "text", ("language", "nfkc", "script", "user_dictionary"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--check", action="store_true", help="report problems in captions and, with --images, in every image"
    )
    output.add_argument(
        "--list", type=Path, metavar="FILE.csv", help="with --check: write one row per occurrence of each problem"
    )
    output.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="with --check: draw caption lengths and vocabulary (.png, .svg, .pdf)",
    )
    output.add_argument("--json", action="store_true", help="print one JSON document")
    add_config(parser.add_argument_group("settings"))


def run(arguments: argparse.Namespace) -> None:
    """Prints the statistics of a corpus, and its problems with `--check`."""
    _check_output("--list", arguments.list, (".csv",), arguments.check)
    _check_output("--plot", arguments.plot, (".png", ".svg", ".pdf"), arguments.check)
    from caption_tx import check_corpus
    from caption_tx.data.images.stores import is_remote

    config = resolve_config(arguments)
    if arguments.check and is_remote(config.corpus.images):
        start_tensorflow()
    report = check_corpus(config=config, check=arguments.check)
    print(report.to_json() if arguments.json else report.to_text())
    if arguments.list is not None:
        report.save_csv(arguments.list)
    if arguments.plot is not None:
        report.save_figure(arguments.plot)
    report.require_images()


def _check_output(option: str, path: Path | None, suffixes: tuple[str, ...], check: bool) -> None:
    """Raises ConfigError if an output file cannot be written, before any work is done."""
    if path is None:
        return
    if not check:
        raise ConfigError(f"{option} requires --check; add it.")
    if path.suffix.lower() not in suffixes:
        raise ConfigError(f"{option} must end in {', '.join(suffixes)}, got '{path}'.")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{option}: the folder '{path.absolute().parent}' does not exist; create it.")
