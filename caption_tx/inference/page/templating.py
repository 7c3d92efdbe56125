"""Fills in the templates of the pages; everything in them is escaped."""

from __future__ import annotations

import functools
from typing import Any

import jinja2

from caption_tx.inference.page.ui_strings import plural

PAGE_PACKAGE = "caption_tx.inference.page"


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """The templates in the folders `templates` of packages; those of the first ones take precedence."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plural"] = plural
    return environment


def render_template(name: str, **context: Any) -> str:
    """Fill in a template of this package. Values are escaped unless they are `Markup`.

    Example:
        >>> render_template("single_card.html.j2", card=card, index="0", t=ui_strings("en"))[:14]
        '<article class'
    """
    return environment(PAGE_PACKAGE).get_template(name).render(**context)
