"""Lists of keys and columns for messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_ID = re.compile(r"(?=[\w-]*\d)[\w-]{12,}|\d+", re.ASCII)
_MAX_ALIKE, _NUM_SHOWN = 3, 2


def list_names(names: Iterable[object], longest: int = 200) -> str:
    """Names with commas between them: of several that differ only in a number or an id, the first two.

    Args:
        names: keys or columns.
        longest: number of characters after which whole names are left out.

    Example:
        >>> list_names([f"pages.{page}" for page in range(100, 200)] + ["info"])
        'pages.100, pages.101, .., info'
    """
    texts = list(map(str, names))
    shapes = [_ID.sub("0", text) for text in texts]
    counts, seen = Counter(shapes), Counter[str]()
    shown: list[str] = []
    for text, shape in zip(texts, shapes, strict=True):
        seen[shape] += 1
        if counts[shape] <= _MAX_ALIKE or seen[shape] <= _NUM_SHOWN:
            shown.append(text)
        elif seen[shape] == _NUM_SHOWN + 1 and shown[-1] != "..":
            shown.append("..")
    while len(shown) > 1 and len(", ".join(shown)) > longest:
        shown = [*(shown[:-2] if shown[-1] == ".." else shown[:-1]), ".."]
        shown = shown[:-1] if shown[-2:] == ["..", ".."] else shown
    return ", ".join(shown)[: max(longest, 2)]
