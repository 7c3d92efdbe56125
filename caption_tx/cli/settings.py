"""Options of the command line -> settings."""

from __future__ import annotations

import argparse
import os
import tomllib
from dataclasses import fields
from typing import Any

from caption_tx.config import Config, DecodingOptions, from_dict, load_config, to_dict
from caption_tx.errors import ConfigError

DEFAULTS = Config()

_SETTING_OF = {
    "format": "corpus.format",
    "images": "corpus.images",
    "leave_out": "corpus.leave_out",
    "language": "text.language",
    "nfkc": "text.nfkc",
    "script": "text.script",
    "min_frequency": "text.min_frequency",
    "user_dictionary": "text.user_dictionary",
    "word_vectors": "text.word_vectors",
    "backbone": "backbone.name",
    "backbone_weights": "backbone.weights",
    "alpha": "backbone.alpha",
    "feature_layer": "backbone.feature_layer",
    "image_size": "backbone.image_size",
    "storage": "backbone.storage",
    "compression": "training.compression",
    "stage_epochs": "training.stage_epochs",
    "layers": "model.num_layers",
    "freeze_embeddings": "model.freeze_embeddings",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "training.learning_rate",
    "precision": "training.precision",
    "accumulation_steps": "training.accumulation_steps",
    "monitor": "training.monitor",
    "score_every": "training.score_every",
    "flips": "training.flips",
    "mix_stages": "training.mix_stages",
    "crops": "training.crops",
    "cache": "training.cache",
    "sample_image": "training.sample_images",
    "seed": "training.seed",
}
"""Which setting each option stands for."""


def _parse_setting(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set needs KEY=VALUE, got '{text}'.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()  # a bare word is text: no quotes needed on a shell


def resolve(arguments: argparse.Namespace) -> Config:
    """The settings of a command: defaults, then `--config`, then `--set`, then options of their own.

    Raises:
        ConfigError: one of them is unknown or bad; or no caption source is named.
    """
    config = DEFAULTS if arguments.config is None else load_config(arguments.config)
    values = dict(_parse_setting(text) for text in arguments.settings)
    given = vars(arguments)
    values |= {key: given[name] for name, key in _SETTING_OF.items() if given.get(name) is not None}
    if arguments.source:
        values["corpus.sources"] = arguments.source
    if given.get("uncached"):
        values["training.cached"] = False
    nested: dict[str, Any] = {}
    for key, value in values.items():
        room, _, name = key.partition(".")
        if not name or room not in to_dict(DEFAULTS):
            raise ConfigError(f"Unknown setting '{key}'; rooms: {', '.join(to_dict(DEFAULTS))}.")
        nested.setdefault(room, {})[name] = value
    config = from_dict(Config, nested, base=config)
    if not config.corpus.sources:
        raise ConfigError("No caption source; name a caption file or its folder.")
    return config


def resolve_corpus(arguments: argparse.Namespace) -> Config:
    """As `resolve`, of a command whose other options are no settings of training, though their names are."""
    names = ("config", "settings", "source", "format", "images", "language")
    return resolve(argparse.Namespace(**{name: getattr(arguments, name) for name in names}))


def decoding_options(arguments: argparse.Namespace) -> DecodingOptions:
    """The options of a search, as the parser's search options give them.

    Raises:
        ConfigError: one is out of range, or together they mean nothing.
    """
    return DecodingOptions(**{item.name: getattr(arguments, item.name) for item in fields(DecodingOptions)})


def need_images(config: Config) -> None:
    """Raises ConfigError where no folder of images is named, or none is there."""
    location = config.corpus.images
    if not location:
        raise ConfigError("No folder of images; name it with --images.")
    if "://" not in location and not os.path.exists(location):
        raise ConfigError(f"There is no folder of images '{location}'; name it with --images.")


def parse_share(text: str | None) -> tuple[int, int]:
    """`2/8` -> (1, 8): which share of how many, counted from 0."""
    if text is None:
        return 0, 1
    part, separator, parts = text.partition("/")
    if not (separator and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ConfigError(f"--shard must be I/N with I from 1 to N, got '{text}'.")
    return int(part) - 1, int(parts)
