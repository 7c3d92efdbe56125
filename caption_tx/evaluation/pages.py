"""What the HTML pages of an evaluation share: the templates, the policy and pictures inside the page.

A page embeds its images and loads nothing from the network, which its Content-Security-Policy enforces.
"""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from typing import Any

from PIL import Image

from caption_tx.inference.page.policy import content_security_policy

_JPEG_QUALITY = 75


def render_page(template: str, title: str, script: str = "", **values: Any) -> str:
    """The HTML of a page.

    Args:
        template: name of the template, which extends `base.html`.
        script: name of the file with its script; none by default.
        values: for the template.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    folder = files("caption_tx.evaluation") / "templates"
    style = folder.joinpath("gallery.css").read_text(encoding="utf-8")
    code = folder.joinpath(script).read_text(encoding="utf-8") if script else ""
    environment = Environment(
        loader=PackageLoader("caption_tx.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        policy=content_security_policy(style, code),
        style=Markup(style),  # not escaped: they are files of this package, and the policy contains their digests
        script=Markup(code),
        title=title,
        **values,
    )


def picture_url(image: Image.Image) -> str:
    """An image as a `data:` URL, in JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
