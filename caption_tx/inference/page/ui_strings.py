"""What a page of attention maps and the warnings about them say, in each language. No TensorFlow."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from caption_tx.config import LANGUAGES
from caption_tx.errors import ConfigError


def part(name: str) -> str:
    """The text of a file beside the page's template."""
    return resources.files("caption_tx.inference.page").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def texts(language: str) -> dict[str, Any]:
    """The texts of `templates/texts.toml` in a language of `LANGUAGES`; to be read only.

    Those of the page, by their keys; under "script" what its script writes, under "health" the warnings. A
    text that depends on how many there are has the forms "one" and "many"; {names} are to be filled in.

    Raises:
        ConfigError: there are none in that language.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"Pages are written in {' or '.join(LANGUAGES)}, got the language {language!r}.")
    return tomllib.loads(part("texts.toml"))[language]


def counted(forms: dict[str, str], count: int) -> str:
    """The form of a text for so many, with the number in it."""
    return forms["one" if count == 1 else "many"].format(count=count)
