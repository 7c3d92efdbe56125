"""Settings to and from dictionaries and commented TOML."""

from __future__ import annotations

import dataclasses
import functools
import textwrap
import tomllib
import typing
from pathlib import Path
from typing import Any, TypeVar

from caption_tx.config.fields import Setting, check, settings_of, suggestion
from caption_tx.config.run import Config
from caption_tx.errors import ConfigError

T = TypeVar("T")

_type_hints = functools.cache(typing.get_type_hints)

WIDTH = 100
"""Columns of the comments in config.toml."""


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain lists, numbers and strings. Settings that are None are left out."""
    result: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            value = to_dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        if value is not None:
            result[item.name] = value
    return result


def from_dict(cls: type[T], values: dict[str, Any], prefix: str = "", base: T | None = None) -> T:
    """A config of class `cls` from a dictionary.

    Args:
        cls: a config class.
        values: settings by name; nested for `Config`.
        prefix: put before the names of unknown settings in errors, such as "text.".
        base: the config that `values` override; None for the defaults.

    Raises:
        ConfigError: a setting is unknown, has the wrong type or is out of range.

    Example:
        >>> from_dict(Config, {"model": {"num_layers": 4}}).model.num_layers
        4
    """
    hints = _type_hints(cls)
    base = cls() if base is None else base
    changes = {}
    for name, value in values.items():
        if name not in hints:
            raise ConfigError(f"Unknown setting '{prefix}{name}'. {suggestion(name, hints)}")
        if dataclasses.is_dataclass(hints[name]):
            check(isinstance(value, dict), f"{prefix}{name}", value, "a table of settings")
            value = from_dict(hints[name], value, f"{prefix}{name}.", getattr(base, name))
        changes[name] = value
    return dataclasses.replace(base, **changes)


def load_config(path: str | Path, base: Config | None = None) -> Config:
    """Loads settings from a TOML file. Settings that the file lacks are those of `base`, or the defaults.

    Raises:
        ConfigError: the file is missing or not valid TOML, or a setting is unknown or invalid.

    Example:
        >>> caption_tx.load_config("runs/mine/config.toml").training.epochs
        2
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the settings in {path}: {error.strerror}; check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    try:
        return from_dict(Config, values, base=base)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def dump_config(config: Config) -> str:
    """The settings as commented TOML that `load_config` reads back to an equal Config."""
    sections = []
    for item in dataclasses.fields(config):
        section = getattr(config, item.name)
        lines = [_comment((type(section).__doc__ or item.name).splitlines()[0]), f"[{item.name}]"]
        for known in settings_of(type(section)).values():
            lines += [_comment(_describe(known)), _assignment(known, getattr(section, known.name))]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _assignment(item: Setting, value: Any) -> str:
    """`name = value`, commented out if the value is None."""
    if value is None:
        placeholder = f'"{item.metavar}"' if item.type is str else item.metavar or "true"
        return f"# {item.name} = {placeholder}"
    import tomli_w  # here, because only `config.toml` needs it

    return tomli_w.dumps({item.name: list(value) if item.is_tuple else value}).rstrip("\n")


def _describe(item: Setting) -> str:
    """Help text, choices and default as sentences."""
    sentences = [item.help[0].upper() + item.help[1:] + "."]
    if item.choices:
        sentences.append(f"{'Items' if item.is_tuple else 'One of'}: {', '.join(item.choices)}.")
    if item.default_text is not None:
        sentences.append(f"Default: {item.default_text}.")
    return " ".join(sentences)


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
