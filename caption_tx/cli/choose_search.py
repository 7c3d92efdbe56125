"""The command `choose-search`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from caption_tx.cli.options import add_backbone_weights, add_command, add_settings
from caption_tx.cli.output import echo
from caption_tx.cli.settings import search_overrides
from caption_tx.config import MIN_IMAGES, SEARCH_IMAGES, DecodingOptions
from caption_tx.startup import start_tensorflow


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "choose-search",
        run,
        usage="RUN",
        summary="choose the default search of a bundle on the validation split",
        description="Scores several searches on the validation split of a finished run, and stores the one with the "
        "highest CIDEr in the bundle, whose captions are then searched with it unless search options are given.",
        example="caption-tx choose-search runs/mine",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="workdir of the finished run")
    parser.add_argument(
        "--bundle", type=Path, metavar="DIR", help="bundle to change, for example a tuned one (default: that of RUN)"
    )
    parser.add_argument(
        "--max-images",
        type=int,
        default=SEARCH_IMAGES,
        metavar="N",
        help="validation images to caption (default: %(default)s)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help=f"store the best search even if it was measured on fewer than {MIN_IMAGES} images, which cannot tell "
        "searches apart",
    )
    add_backbone_weights(parser)
    add_settings(parser.add_argument_group("one more search to measure"), "decoding")


def run(arguments: argparse.Namespace) -> None:
    """Measures searches and stores the best."""
    given = search_overrides(arguments)
    candidates = [DecodingOptions(**given)] if given else []
    start_tensorflow()
    from caption_tx.training.search_choice import choose_search

    choose_search(
        arguments.run_folder,
        arguments.bundle,
        candidates,
        arguments.max_images,
        echo,
        arguments.backbone_weights,
        arguments.force,
    )
