"""Field metadata: the default, help text, flag, choices and bounds of every setting, declared once.

`setting` declares a dataclass field. The command line, config.toml, the command reference and the validation of
values are all generated from what it records.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from caption_tx.errors import ConfigError

_KEY = "setting"


@dataclass(frozen=True)
class Bounds:
    """The numbers that a setting accepts; with `or_zero`, 0 is accepted too."""

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    or_zero: bool = False

    def contain(self, value: float) -> bool:
        """Whether `value` is within the bounds; NaN never is."""
        inside = (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )
        return not math.isnan(value) and (inside or (self.or_zero and value == 0))

    def __str__(self) -> str:
        """For messages: "at least 0 and below 1"."""
        parts = [
            f"{words} {bound:.10g}" if bound < 2**31 else f"{words} 2**31"
            for words, bound in (("at least", self.minimum), ("above", self.above), ("at most", self.maximum))
            if bound is not None
        ]
        if self.below is not None:
            below = "2**31" if self.below == 2**31 else f"{self.below:g}"
            parts.append("finite" if math.isinf(self.below) else f"below {below}")
        return ("0, or " if self.or_zero else "") + " and ".join(parts)


POSITIVE = Bounds(minimum=1)
NOT_NEGATIVE = Bounds(minimum=0)
ABOVE_ZERO = Bounds(above=0)
RATE = Bounds(minimum=0, below=1)
SEED = Bounds(minimum=0, below=2**31)
TEMPERATURE = Bounds(minimum=1e-4, maximum=1e4, or_zero=True)
"""Temperatures by which float32 logits can be divided without overflow; 0 means greedy search."""


@dataclass(frozen=True)
class Setting:
    """What is known about one setting.

    Attributes:
        name: the field's name.
        type: the type of its value, or of each item of a tuple, without None.
        is_tuple: whether it is a list in config.toml.
        default: its default value.
        help: one phrase, without its default.
        flag: the option of the command line, or None if only config.toml and `--set` change it.
        choices: the only values (or items) that are accepted; empty for any.
        metavar: the placeholder of its value in help texts.
        bounds: the range of a number, or of each number of a tuple.
        unset: what happens if it is None, for help texts.
    """

    name: str
    type: type
    is_tuple: bool
    default: Any
    help: str
    flag: str | None
    choices: tuple[str, ...]
    metavar: str
    bounds: Bounds | None
    unset: str | None

    @property
    def default_text(self) -> str | None:
        """The default for help texts, or None if there is nothing to say."""
        if self.unset is not None:
            return self.unset
        if self.default in (None, "", ()) or self.type is bool:
            return None
        if self.is_tuple:
            return ",".join(map(str, self.default))
        return f"{self.default:g}" if self.type is float else str(self.default)


def setting(
    default: Any,
    help: str,  # the same name as in argparse
    *,
    flag: str | None = None,
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    bounds: Bounds | None = None,
    unset: str | None = None,
) -> Any:
    """A dataclass field with the metadata of a `Setting`."""
    facts = {"help": help, "flag": flag, "choices": choices, "metavar": metavar, "bounds": bounds, "unset": unset}
    return dataclasses.field(default=default, metadata={_KEY: facts})


@functools.cache
def settings_of(cls: type) -> dict[str, Setting]:
    """The settings of a dataclass by name, in order. Fields that are dataclasses themselves are left out."""
    hints = typing.get_type_hints(cls)
    settings = {}
    for item in dataclasses.fields(cls):
        if _KEY not in item.metadata:
            continue
        facts, (kind, is_tuple) = dict(item.metadata[_KEY]), _value_type(hints[item.name])
        facts["metavar"] = facts["metavar"] or {int: "N", float: "X", bool: ""}.get(kind, "TEXT")
        settings[item.name] = Setting(name=item.name, type=kind, is_tuple=is_tuple, default=item.default, **facts)
    return settings


def _value_type(annotation: Any) -> tuple[type, bool]:
    """The type of a value, or of a tuple's items, without None; and whether it is a tuple."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        [annotation] = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True
    return annotation, False


def check(condition: bool, name: str, value: object, expected: str) -> None:
    """Raises a ConfigError that names the setting, its valid values and its value."""
    if not condition:
        raise ConfigError(f"{name} must be {expected}, got {value!r}.")


def validate(config: Any, prefix: str = "", suffix: str = "") -> None:
    """Checks type, choices and bounds of every setting of a frozen dataclass; lists become tuples.

    Args:
        config: an instance whose fields were declared with `setting`.
        prefix: put before the setting's name in errors, such as "text.".
        suffix: put after it, such as " of captions.csv".

    Raises:
        ConfigError: a value has the wrong type or is out of range.
    """
    for item in settings_of(type(config)).values():
        value = check_value(item, getattr(config, item.name), f"{prefix}{item.name}{suffix}")
        object.__setattr__(config, item.name, value)


def check_value(item: Setting, value: Any, name: str) -> Any:
    """The valid value of one setting, with a list as a tuple.

    Args:
        name: how errors call the setting.

    Raises:
        ConfigError: the value has the wrong type or is out of range.
    """
    if value is None and item.default is None:
        return None
    if not item.is_tuple:
        return _checked(value, item, name)
    check(isinstance(value, (list, tuple)), name, value, "a list")
    return tuple(_checked(part, item, name) for part in value)


def _checked(value: Any, item: Setting, name: str) -> Any:
    if item.type is float and isinstance(value, int) and not isinstance(value, bool):
        check(abs(value) < 2**1023, name, value, "a number")  # beyond the range of a float
        value = float(value)
    fits = isinstance(value, item.type) and (item.type is bool or not isinstance(value, bool))
    check(fits, name, value, f"of type {item.type.__name__}")
    check(not item.choices or value in item.choices, name, value, f"one of {', '.join(item.choices)}")
    check(item.bounds is None or item.bounds.contain(value), name, value, str(item.bounds))
    return value


def suggestion(name: str, known: Iterable[str]) -> str:
    """A sentence for the error about an unknown name: the closest known one, or all of them."""
    known = list(known)
    if matches := difflib.get_close_matches(name, known, n=1):
        return f"Did you mean '{matches[0]}'?"
    parts = [item for item in known if len(name) > 2 and name.lower() in re.split("[-_.]", item.lower())]
    if 0 < len(parts) < 4:
        return f"Did you mean {' or '.join(map(repr, parts))}?"
    return f"Known: {', '.join(known)}."
