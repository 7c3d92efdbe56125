"""Image names in HTML: cells that hold nothing but `<img src="x.jpg">`, as Anki and web pages write them."""

from __future__ import annotations

import html
import re

_IMAGE = re.compile(r"""<img\b[^>]*?\bsrc\s*=\s*(?:"+([^"<>]+)"+|'+([^'<>]+)'+|([^\s"'<>]+))[^>]*>""", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>|&nbsp;", re.IGNORECASE)


def img_sources(cell: str) -> list[str]:
    """The names in a cell of nothing but images and other tags; none if it has text.

    Example:
        >>> img_sources('<div><img src="a.jpg"></div>'), img_sources('<img src="a.jpg"> a dog')
        (['a.jpg'], [])
    """
    text = cell.strip().strip('"').strip()
    if text[:1] != "<" or "src" not in text.lower():
        return []
    names = [html.unescape(next(filter(None, match.groups()))).strip() for match in _IMAGE.finditer(text)]
    return names if names and not _TAG.sub("", _IMAGE.sub("", text)).strip() else []
