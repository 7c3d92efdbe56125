"""The command `train`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from caption_tx.cli.options import RAY_HELP, add_command, add_config, add_settings, add_sources
from caption_tx.cli.output import echo
from caption_tx.cli.settings import resolve_config
from caption_tx.cli.workers import join_workers
from caption_tx.config import Config
from caption_tx.errors import ConfigError
from caption_tx.startup import start_tensorflow_without_gpus


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "train",
        run,
        usage="SOURCE .. --images DIR --workdir DIR",
        summary="train a captioner",
        description="Trains a captioner on image captions. Images are encoded once, and every epoch prints sample "
        "captions. The trained bundle is WORKDIR/bundle. Repeat the command to resume a killed run. With fewer than a "
        "few thousand images, start from a bundle: --init.",
        example="caption-tx train captions.csv --images photos/ --workdir runs/mine",
    )
    add_sources(parser)
    parser.add_argument(
        "--workdir", type=Path, required=True, metavar="DIR", help="folder of the run: config.toml, logs, bundle"
    )
    add_settings(parser.add_argument_group("corpus"), "corpus")
    add_settings(parser.add_argument_group("text"), "text")
    add_settings(parser.add_argument_group("backbone"), "backbone")
    features = parser.add_argument_group("features")
    add_settings(features, "training", ("cache", "cached", "flips", "crops"))
    add_settings(parser.add_argument_group("model"), "model")
    add_settings(parser.add_argument_group("initialization"), "training", ("init", "keep_words"))
    add_settings(parser.add_argument_group("retrieval"), "training", ("retrieval_images",))
    training = parser.add_argument_group("training")
    add_settings(
        training, "training", ("epochs", "stage_epochs", "schedule", "mix_stages", "batch_size", "accumulation_steps")
    )
    add_settings(training, "training", ("learning_rate", "precision", "seed"))
    add_settings(parser.add_argument_group("boxes"), "boxes")
    add_settings(parser.add_argument_group("validation"), "training", ("monitor", "score_every", "sample_images"))
    workers = parser.add_argument_group("several machines")
    workers.add_argument("--ray", metavar="ADDRESS", help=f"train on a {RAY_HELP}; requires --workers")
    workers.add_argument("--workers", type=int, metavar="N", help="number of worker processes that Ray starts")
    add_config(parser.add_argument_group("settings"))
    parser.add_argument("--verbose", action="store_true", help="also print the layers of the model")


def run(arguments: argparse.Namespace) -> None:
    """Trains, or resumes."""
    config = resolve_config(arguments)
    from caption_tx.data.images.sources import require_images

    require_images(config)
    if arguments.ray or arguments.workers is not None:
        _train_on_ray(arguments, config)
        return
    if os.environ.get("TF_CONFIG"):
        join_workers()
    from caption_tx import train

    train(config=config, workdir=arguments.workdir, log=echo, verbose=arguments.verbose)


def _train_on_ray(arguments: argparse.Namespace, config: Config) -> None:
    if not arguments.ray:
        raise ConfigError("--workers requires --ray; without Ray start each worker yourself, with TF_CONFIG.")
    if arguments.workers is None or arguments.workers < 1:
        raise ConfigError(f"--ray requires --workers N with N of at least 1, got {arguments.workers}.")
    if os.environ.get("TF_CONFIG"):
        raise ConfigError("--ray sets TF_CONFIG itself; unset the environment variable TF_CONFIG.")
    start_tensorflow_without_gpus()
    from caption_tx.training.ray.jobs import train_on_ray

    train_on_ray(config, arguments.workdir, arguments.ray, arguments.workers, echo)
