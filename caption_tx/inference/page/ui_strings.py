"""The UI strings of the HTML page in each language, and the files of its template."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError


def read_template(name: str) -> str:
    """The text of a file in the folder `templates`."""
    return resources.files("caption_tx.inference.page").joinpath("templates", name).read_text(encoding="utf-8")


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
    return tomllib.loads(read_template("ui_strings.toml"))[language]


def plural(forms: dict[str, str], count: int) -> str:
    """The singular or plural form of a string, with the count filled in."""
    return forms["one" if count == 1 else "many"].format(count=count)
