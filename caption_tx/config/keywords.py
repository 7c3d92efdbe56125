"""Settings as keywords of Python functions, by the names of `config.toml`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from caption_tx.config.fields import settings_of, suggestion
from caption_tx.errors import ConfigError

T = TypeVar("T")


def make_options(cls: type[T], keywords: Mapping[str, Any], also: Iterable[str] = (), **others: Any) -> T:
    """An instance of a class of settings from keywords.

    Args:
        cls: a dataclass, such as `DecodingOptions`.
        keywords: fields by name.
        also: other names that the caller accepts, for the error about an unknown one.
        others: fields that are no keywords.

    Raises:
        ConfigError: a keyword is unknown; the message names the closest one. Or a value is invalid.

    Example:
        >>> make_options(DecodingOptions, {"beam_width": 4}).beam_width
        4
    """
    known = [item.name for item in dataclasses.fields(cls) if item.name not in others]
    for name in keywords:
        if name not in known:
            raise ConfigError(f"Unknown option '{name}'. {suggestion(name, [*also, *known])}")
    return cls(**{name: plain_value(value) for name, value in keywords.items()}, **others)


def split_keywords(keywords: Mapping[str, Any], sections: Mapping[str, type]) -> dict[str, dict[str, Any]]:
    """Assigns keywords to sections of settings.

    Args:
        keywords: settings by name; or the name of a section with a dictionary of its settings, or with an instance.
        sections: classes of settings by the name of their section.

    Returns:
        For each section the settings that the keywords set.

    Raises:
        ConfigError: a setting is unknown, in which case the message names the closest one; in several sections; or
            given twice.

    Example:
        >>> split_keywords({"epochs": 3, "text": {"language": "en"}}, {"text": TextConfig, "training": TrainingConfig})
        {'text': {'language': 'en'}, 'training': {'epochs': 3}}
    """
    homes: dict[str, list[str]] = {}
    for section, cls in sections.items():
        for name in settings_of(cls):
            homes.setdefault(name, []).append(section)
    result: dict[str, dict[str, Any]] = {section: {} for section in sections}
    for name, value in keywords.items():
        if name in sections and not (name in homes and isinstance(value, str)):
            values = _section_values(name, value, sections[name])
        elif name in homes:
            if len(homes[name]) > 1:
                choices = " or ".join(f"{section}={{'{name}': ..}}" for section in homes[name])
                raise ConfigError(f"'{name}' is a setting of several sections; write {choices}.")
            [section] = homes[name]
            values, name = {name: value}, section
        else:
            raise ConfigError(f"Unknown setting '{name}'. {_suggest(name, homes, sections)}")
        if twice := values.keys() & result[name].keys():
            raise ConfigError(f"'{min(twice)}' is given twice; give it once.")
        result[name] |= {key: plain_value(item) for key, item in values.items()}
    return result


def _section_values(name: str, value: Any, cls: type) -> dict[str, Any]:
    """The settings in a dictionary, or all settings of an instance."""
    if isinstance(value, cls):
        return {key: getattr(value, key) for key in settings_of(cls)}
    first, setting = next(iter(settings_of(cls).items()))
    if setting.is_tuple and isinstance(value, str | os.PathLike | list | tuple):
        return {first: value if isinstance(value, list | tuple) else [value]}  # boxes="boxes.json"
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a dictionary of settings, such as {name}={{'{first}': ..}}, got {value!r}.")
    for key in value:
        if key not in settings_of(cls):
            raise ConfigError(f"Unknown setting '{name}.{key}'. {suggestion(str(key), settings_of(cls))}")
    return dict(value)


def _suggest(name: str, homes: Mapping[str, list[str]], sections: Mapping[str, type]) -> str:
    """The setting whose option has this name, else the closest setting."""
    flags = {
        item.flag.removeprefix("--").replace("-", "_"): item.name
        for cls in sections.values()
        for item in settings_of(cls).values()
        if item.flag
    }
    return f"Did you mean '{flags[name]}'?" if name in flags else suggestion(name, homes)


def plain_value(value: Any) -> Any:
    """A value as settings have it: paths as text, NumPy scalars as numbers of Python."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return value.item()
    if isinstance(value, list | tuple):
        return tuple(map(plain_value, value))
    return value
