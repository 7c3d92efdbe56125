"""Parsed arguments to settings."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import tomllib
from typing import Any

from caption_tx.config import (
    Config,
    DecodingOptions,
    EvaluationOptions,
    ExplanationOptions,
    ExportOptions,
    ServingOptions,
    TuningConfig,
    from_dict,
    load_config,
)
from caption_tx.config.fields import check_value, settings_of, suggestion
from caption_tx.config.serving import TOKEN_ENV_VAR
from caption_tx.errors import ConfigError


def given_settings(arguments: argparse.Namespace, section: str) -> dict[str, Any]:
    """The settings of a section that the command line sets, by name."""
    prefix = f"{section}."
    return {
        key.removeprefix(prefix): value
        for key, value in vars(arguments).items()
        if key.startswith(prefix) and value not in (None, [])
    }


def resolve_config(arguments: argparse.Namespace) -> Config:
    """The settings of a command: the defaults, overridden by `--config`, then by `--set`, then by options.

    Raises:
        ConfigError: a setting is unknown or invalid, or there is no caption source.
    """
    config = Config() if arguments.config is None else load_config(arguments.config)
    sections = [item.name for item in dataclasses.fields(Config)]
    values: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for text in arguments.assignments:
        section, name, value = _parse_assignment(text)
        values[section][name] = value
    for section in sections:
        values[section] |= given_settings(arguments, section)
    config = from_dict(Config, values, base=config)
    if not config.corpus.sources:
        raise ConfigError("No caption source; name a caption file or its folder.")
    return config


def _parse_assignment(text: str) -> tuple[str, str, Any]:
    """`model.num_layers=4` -> ("model", "num_layers", 4)."""
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set requires KEY=VALUE, got '{text}'.")
    known = {
        f"{section.name}.{name}": (section.name, name)
        for section in dataclasses.fields(Config)
        for name in settings_of(section.default_factory)
    }
    key = key.strip()
    if key not in known:
        raise ConfigError(f"Unknown setting '{key}'. {_suggest_key(key, list(known))}")
    try:
        return *known[key], tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return *known[key], value.strip()  # Strings need no quotes, which a shell would remove.


def _suggest_key(key: str, known: list[str]) -> str:
    """Suggests the closest setting, also for a key without its section."""
    names = {name.partition(".")[2]: name for name in known}
    if matches := difflib.get_close_matches(key.rpartition(".")[2], names, n=1):
        key = names[matches[0]]
    return suggestion(key, known)


def search_overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The search options of a command line, which override those that the bundle stores.

    Raises:
        ConfigError: a value is out of range, or options are incompatible whatever the bundle stores.
    """
    given, known = given_settings(arguments, "decoding"), settings_of(DecodingOptions)
    for name, value in given.items():
        check_value(known[name], value, name)
    if DecodingOptions.selects(given):
        DecodingOptions(**given)
    return given


def evaluation_options(arguments: argparse.Namespace) -> EvaluationOptions:
    """The options of `caption-tx evaluate`.

    Raises:
        ConfigError: a value is out of range.
    """
    return EvaluationOptions(**given_settings(arguments, "evaluation"))


def explanation_options(arguments: argparse.Namespace) -> ExplanationOptions:
    """The options of `caption-tx explain`.

    Raises:
        ConfigError: a value is out of range, or options are incompatible.
    """
    given, search = given_settings(arguments, "explanation"), search_overrides(arguments)
    if search and "caption" in given:
        raise ConfigError("rank and search options do not apply to a given caption; remove them.")
    return ExplanationOptions(**given, out=arguments.out)


def export_options(arguments: argparse.Namespace) -> ExportOptions:
    """The options of `caption-tx export`.

    Raises:
        ConfigError: a value is out of range, or options are incompatible.
    """
    return ExportOptions(**given_settings(arguments, "export"))


def serving_options(arguments: argparse.Namespace) -> ServingOptions:
    """The options of `caption-tx serve`; the environment may contain the token.

    Raises:
        ConfigError: a value is out of range, or options are incompatible.
    """
    given = given_settings(arguments, "serving")
    if "token" not in given and "no_token" not in given and (token := os.environ.get(TOKEN_ENV_VAR)):
        given["token"] = token
    return ServingOptions(**given)


def tuning_config(arguments: argparse.Namespace) -> TuningConfig:
    """The settings of `caption-tx tune`.

    Raises:
        ConfigError: a value is out of range.
    """
    return TuningConfig(**given_settings(arguments, "tuning"))


def parse_shard(text: str | None) -> tuple[int, int]:
    """Parses `--shard I/N` to (rank, world size); None is (0, 1).

    Raises:
        ConfigError: the text is not I/N with I from 1 to N.

    Example:
        >>> parse_shard("2/8")
        (1, 8)
    """
    if text is None:
        return 0, 1
    part, separator, parts = text.partition("/")
    if not (separator and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ConfigError(f"--shard must be I/N with I from 1 to N, got '{text}'.")
    return int(part) - 1, int(parts)
