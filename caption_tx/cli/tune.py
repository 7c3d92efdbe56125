"""The command `tune`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from caption_tx.cli.options import add_backbone_weights, add_command, add_settings
from caption_tx.cli.output import echo
from caption_tx.cli.settings import tuning_config


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "tune",
        run,
        usage="RUN --workdir DIR",
        summary="fine-tune a finished run with a CIDEr reward",
        description="Fine-tunes a finished run with a CIDEr reward (self-critical training). This raises the scores of "
        "greedy search and of narrow beams. Repeat the command to resume it.",
        example="caption-tx tune runs/mine --workdir runs/mine-tuned",
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="workdir of the finished run, with its features")
    parser.add_argument(
        "--workdir", type=Path, required=True, metavar="DIR", help="folder of the tuned run: logs, bundle"
    )
    add_backbone_weights(parser)
    add_settings(parser.add_argument_group("tuning"), "tuning")


def run(arguments: argparse.Namespace) -> None:
    """Tunes, or resumes."""
    config = tuning_config(arguments)
    from caption_tx import tune

    weights = arguments.backbone_weights
    tune(arguments.run_folder, arguments.workdir, config=config, log=echo, backbone_weights=weights)
