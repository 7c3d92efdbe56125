"""`caption-tx tune`: its options, and what it does."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from caption_tx.cli.output import tell
from caption_tx.cli.startup import start_tensorflow
from caption_tx.config import TuningConfig

HELP = {
    "epochs": "passes over the training images",
    "learning_rate": "of Adam, the same in every step",
    "batch_size": "images a step",
    "samples": "captions drawn of each image and rated",
    "temperature": "that they are drawn at",
    "caption_share": "weight of the cross-entropy of people's captions beside the reward",
    "clip_norm": "most norm of a step's gradient",
    "least_distinct": "stop where the validation images get fewer distinct captions than this share of those before",
    "score_images": "images of the validation split that are captioned and scored after every epoch",
    "seed": "of the order of the images and the captions that are drawn",
}


def add_tune(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Goes on with the bundle of a finished run, and rewards captions for their CIDEr. The scores of greedy search "
        "and of narrow beams rise. The same command again goes on with a tuning that was killed."
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="workdir of the finished run, with its features")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of the tuning: logs, bundle")
    parser.add_argument("--backbone-weights", metavar="FILE", help="where those of the run cannot be had")
    for item in dataclasses.fields(TuningConfig):
        name = f"--{item.name.replace('_', '-')}"
        metavar = "N" if isinstance(item.default, int) else "X"
        text = f"{HELP[item.name]} (default: {item.default:g})"
        parser.add_argument(name, type=type(item.default), default=item.default, metavar=metavar, help=text)
    parser.set_defaults(run=tune)


def tune(arguments: argparse.Namespace) -> None:
    """Tunes, or goes on."""
    config = TuningConfig(**{item.name: getattr(arguments, item.name) for item in dataclasses.fields(TuningConfig)})
    start_tensorflow()
    from caption_tx.training.tuning.tune import tune

    tune(arguments.run_folder, arguments.workdir, config, tell, arguments.backbone_weights)
