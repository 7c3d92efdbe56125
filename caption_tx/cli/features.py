"""`caption-tx features`."""

from __future__ import annotations

import argparse

from caption_tx.cli.output import tell
from caption_tx.cli.settings import need_images, parse_share, resolve
from caption_tx.cli.startup import start_tensorflow, start_tensorflow_without_gpus
from caption_tx.errors import CaptionTxError, ConfigError


def features(arguments: argparse.Namespace) -> None:
    """Encodes the images of a corpus, or joins what several processes encoded."""
    config = resolve(arguments)
    need_images(config)
    share = parse_share(arguments.shard)
    if arguments.join and arguments.shard:
        raise ConfigError("--join comes after all shares are encoded; leave out --shard.")
    if arguments.ray:
        _refuse_beside_ray(arguments, "--ray encodes all shares and joins them itself", "shard", "join")
        _refuse_beside_ray(arguments, "--renew needs a cache that no other process is at work on", "renew")
        start_tensorflow_without_gpus()
    else:
        start_tensorflow(in_lanes=not arguments.join)
    from caption_tx.data.features.corpus_features import encode_corpus, merge_corpus
    from caption_tx.training.ray.jobs import encode_on_ray

    if arguments.ray:
        cache = encode_on_ray(config, arguments.ray, arguments.cache, tell)
    elif arguments.join:
        cache = merge_corpus(config, arguments.cache, tell)
    else:
        cache = encode_corpus(config, arguments.cache, tell, share, arguments.renew)
    tell(f"{len(cache.images):,} images are in {cache.folder}, {len(cache.failed):,} could not be read.")
    if cache.failed and not cache.images:
        raise CaptionTxError("None of the images could be read; check --images.")


def _refuse_beside_ray(arguments: argparse.Namespace, reason: str, *options: str) -> None:
    for option in options:
        if getattr(arguments, option):
            raise ConfigError(f"{reason}; leave out --{option} or --ray.")
