"""The UI strings of the HTML page in each language, and the files of its template."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError


def read_template(name: str, package: str = "caption_tx.inference.page") -> str:
    """The text of a file in the folder `templates` of a package."""
    return resources.files(package).joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def ui_strings(language: str) -> dict[str, Any]:
    """The strings of `templates/ui_strings.toml` in one language; do not modify the result.

    Strings of the page are at the top level, and those of its script under "script". A string that depends on a
    count has the forms "one" and "many", see `plural`. Names in braces are placeholders.

    Args:
        language: "zh" or "en".

    Raises:
        ConfigError: there are no strings in that language.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"The language of a page must be {' or '.join(LANGUAGES)}, got {language!r}.")
    return read_strings("ui_strings.toml")[language]


def read_strings(name: str, package: str = "caption_tx.inference.page") -> dict[str, Any]:
    """The strings in a TOML file of a folder `templates`, by language."""
    return tomllib.loads(read_template(name, package))


def plural(forms: dict[str, str], count: int) -> str:
    """The singular or plural form of a string, with the count filled in."""
    return forms["one" if count == 1 else "many"].format(count=count)


def leaves(table: Any) -> list[str]:
    """All strings in a nested table."""
    if isinstance(table, str):
        return [table]
    return [text for item in (table.values() if isinstance(table, dict) else table) for text in leaves(item)]
