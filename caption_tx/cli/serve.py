"""The command `serve`."""

from __future__ import annotations

import argparse
from typing import Any

from caption_tx.cli.options import BUNDLE_HELP, DEFAULT_HELP, add_backbone_weights, add_command, add_settings
from caption_tx.cli.output import echo
from caption_tx.cli.settings import serving_options
from caption_tx.errors import ConfigError
from caption_tx.startup import silenced_stderr


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "serve",
        run,
        usage="[RUN]",
        summary="a web page and an HTTP API for captions",
        description="Serves a web page on which people drop photographs, read their captions and see where the model "
        "looked, and an HTTP API for programs; and shows a training run. Needs the extra: pip install "
        "'caption_tx[serve]'.",
        example="caption-tx serve --bundle flickr8k-zh --bundle runs/mine",
    )
    parser.add_argument(
        "run_folder",
        nargs="?",
        metavar="RUN",
        help="workdir of a training run to show, also while it trains: its epochs, sample captions, curves and maps",
    )
    parser.add_argument(
        "--bundle",
        action="append",
        dest="bundles",
        metavar="DIR",
        help=f"{BUNDLE_HELP}; may be repeated, the first is the default "
        f"(default: that of RUN; without RUN, {DEFAULT_HELP})",
    )
    add_backbone_weights(parser)
    add_settings(parser, "serving")


def run(arguments: argparse.Namespace) -> None:
    """Serve until the process is told to end."""
    options = serving_options(arguments)
    try:
        with silenced_stderr():
            from caption_tx.serve.server import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed; run: pip install 'caption_tx[serve]'") from error

    serve(arguments.bundles, options, echo, arguments.backbone_weights, arguments.run_folder)
