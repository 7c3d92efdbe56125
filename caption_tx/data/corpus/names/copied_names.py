"""What programs add to the name of a copied or uploaded file: `Copy of a.jpg`, `a (1).jpg`, `a - Wang Li.jpg`."""

from __future__ import annotations

import re

COPY, SUBMITTER = "what copies add to a name", "the submitter that Google Forms adds to a name"
"""What is ignored."""

_COPY = "copy|copie|copia|cópia|kopie|копия|복사본|副本|复制|複製|複本|拷贝|拷貝|コピー"
_NUMBER = r"(?: ?\(?\d{1,3}\)?)?"
_ADDED = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(?:(?:copy(?: \(?\d{1,3}\)?)? of|kopie von|copie de|copia de) |(?:副本|复制|複製)[ _-]*|mmexport_?)",
        r" ?\(\d{1,3}\)$|\[\d{1,3}\]$",
        rf"[ _-]+(?:{_COPY}){_NUMBER}$|的?(?:副本|拷贝|拷貝|複本|複製){_NUMBER}$",
        r"[ _-](?:edited|已编辑|已修改|已編輯|已修圖)$",
        r" ?\([^()]*(?:conflicted copy|case conflict|conflict|冲突|衝突)[^()]*\)$",
        r"\.sync-conflict-\d{8}-\d{6}-\w+$",
    )
)
_TRACE = re.compile(rf" - |[(（\[［]|{_COPY}|複本|edited|已[编修編]|sync-conflict|mmexport", re.IGNORECASE)
_SUBMITTER = re.compile(r"(.+) - [^\W\d].*")
_QUOTES = ' "“”「」'
_DEPTH = 3


def may_be_changed(name: str) -> bool:
    """Whether a name may have something added, which is found faster than what it is."""
    return _TRACE.search(name) is not None


def original_stems(stem: str) -> dict[str, str]:
    """The names without suffix that a file may have had before it was copied or uploaded, and what is ignored.

    Args:
        stem: a name without suffix, in lower case.

    Example:
        >>> list(original_stems("copy of a (1)"))
        ['a (1)', 'copy of a', 'a']
        >>> original_stems("img_1 - wang li")
        {'img_1': 'the submitter that Google Forms adds to a name'}
    """
    found: dict[str, str] = {}
    latest = {stem: COPY}
    for _ in range(_DEPTH):
        shorter: dict[str, str] = {}
        for name, kind in latest.items():
            shorter |= {pattern.sub("", name).strip(_QUOTES): kind for pattern in _ADDED if pattern.search(name)}
            if match := _SUBMITTER.fullmatch(name):
                shorter.setdefault(match[1], SUBMITTER)
        latest = {name: kind for name, kind in shorter.items() if name and name != stem and name not in found}
        found |= latest
    return found
