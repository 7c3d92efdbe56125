"""What a setting must be, and what is said where it is not."""

from __future__ import annotations

import types
import typing
from typing import Any

from caption_tx.errors import ConfigError


def check(condition: bool, name: str, value: object, wanted: str) -> None:
    """Raises a ConfigError that names the setting, what it must be, and what it is."""
    if not condition:
        raise ConfigError(f"{name} must be {wanted}, got {value!r}.")


def check_temperature(value: float, name: str) -> None:
    """Refuses temperatures that float32 cannot divide by with room to spare."""
    check(value == 0 or 1e-4 <= value <= 1e4, name, value, "0 or in 1e-4 to 1e4")


def convert(value: object, wanted: Any, name: str) -> Any:
    """`value` as the annotated type, or a ConfigError that names the setting."""
    origin = typing.get_origin(wanted)
    if origin in (types.UnionType, typing.Union):
        inner = [kind for kind in typing.get_args(wanted) if kind is not type(None)]
        return None if value is None else convert(value, inner[0], name)
    if origin is tuple:
        check(isinstance(value, (list, tuple)), name, value, "a list")
        kind = typing.get_args(wanted)[0]
        return tuple(convert(item, kind, name) for item in typing.cast(list, value))
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    check(fits, name, value, f"of type {wanted.__name__}")
    return value
