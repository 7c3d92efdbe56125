"""The command `features`."""

from __future__ import annotations

import argparse
from typing import Any

from caption_tx.cli.options import RAY_HELP, READING_OPTIONS, add_command, add_config, add_settings, add_sources
from caption_tx.cli.output import echo
from caption_tx.cli.settings import parse_shard, resolve_config
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.startup import start_tensorflow, start_tensorflow_without_gpus


def add_parser(commands: Any) -> None:
    """The command's options."""
    parser = add_command(
        commands,
        "features",
        run,
        usage="SOURCE .. --images DIR --cache DIR",
        summary="encode every image once",
        description="Encodes every image of a corpus and stores the features in a cache, which `train --cache` reads. "
        "Repeat the command to resume it, or to add new images.",
        example="caption-tx features captions.csv --images photos/ --cache features/",
    )
    add_sources(parser)
    add_settings(parser.add_argument_group("corpus"), "corpus", READING_OPTIONS)
    add_settings(parser.add_argument_group("text"), "text", ("language", "nfkc", "script"))
    add_settings(parser.add_argument_group("backbone"), "backbone")
    cache = parser.add_argument_group("cache")
    cache.add_argument("--cache", metavar="DIR", required=True, help="folder of the feature cache")
    add_settings(cache, "training", ("flips", "crops", "compression"))
    cache.add_argument("--refresh", action="store_true", help="encode images again whose files have changed")
    workers = parser.add_argument_group("several machines")
    workers.add_argument(
        "--shard", metavar="I/N", help="encode only the I-th of N parts; other processes may encode the others"
    )
    workers.add_argument(
        "--merge",
        action="store_true",
        help="check and merge what the processes of --shard encoded; encodes nothing and uses the cache's backbone",
    )
    workers.add_argument("--ray", metavar="ADDRESS", help=f"encode all parts, check and merge them on a {RAY_HELP}")
    add_config(parser.add_argument_group("settings"))


def run(arguments: argparse.Namespace) -> None:
    """Encodes images, or merges what several processes encoded."""
    config = resolve_config(arguments)
    from caption_tx.data.images.sources import require_images

    require_images(config)
    parse_shard(arguments.shard)  # before anything is loaded
    if arguments.merge and arguments.shard:
        raise ConfigError("--merge follows the encoding of all parts; leave out --shard.")
    if arguments.ray:
        for name, reason in (
            ("shard", "encodes all parts"),
            ("merge", "merges the parts"),
            ("refresh", "cannot refresh a cache that several processes write"),
        ):
            if getattr(arguments, name):
                raise ConfigError(f"--ray {reason}; leave out --{name} or --ray.")
        start_tensorflow_without_gpus()
        from caption_tx.training.ray.jobs import encode_on_ray

        cache = encode_on_ray(config, arguments.ray, arguments.cache, echo)
    elif arguments.merge:
        start_tensorflow()
        from caption_tx.data.features.corpus_features import merge_corpus

        cache = merge_corpus(config, arguments.cache, echo)
    else:
        from caption_tx import features

        shard = parse_shard(arguments.shard)
        cache = features(config=config, cache=arguments.cache, log=echo, refresh=arguments.refresh, shard=shard)
    echo(f"{cache.folder} contains {len(cache.images):,} images; {len(cache.failed):,} could not be read.")
    if cache.failed and not cache.images:
        raise CaptionTxError("None of the images could be read; check --images.")
