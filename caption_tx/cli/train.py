"""`caption-tx train`."""

from __future__ import annotations

import argparse
import os

from caption_tx.cli.output import tell
from caption_tx.cli.settings import need_images, resolve
from caption_tx.cli.startup import join_workers, start_tensorflow, start_tensorflow_without_gpus
from caption_tx.config import Config
from caption_tx.errors import ConfigError


def train(arguments: argparse.Namespace) -> None:
    """Trains, or goes on."""
    config = resolve(arguments)
    need_images(config)
    if arguments.ray or arguments.workers is not None:
        _train_on_ray(arguments, config)
        return
    if os.environ.get("TF_CONFIG"):
        join_workers()
    else:
        start_tensorflow(in_lanes=True)
    from caption_tx.training.fit import train

    train(config, arguments.workdir, tell)


def _train_on_ray(arguments: argparse.Namespace, config: Config) -> None:
    if not arguments.ray:
        raise ConfigError("--workers is for --ray, which starts them; without Ray start each yourself, with TF_CONFIG.")
    if arguments.workers is None or arguments.workers < 1:
        raise ConfigError(f"--ray needs --workers N, a number above 0, got {arguments.workers}.")
    if os.environ.get("TF_CONFIG"):
        raise ConfigError("TF_CONFIG is set, but with --ray it is Ray that names the workers; unset it.")
    start_tensorflow_without_gpus()
    from caption_tx.training.ray.jobs import train_on_ray

    train_on_ray(config, arguments.workdir, arguments.ray, arguments.workers, tell)
