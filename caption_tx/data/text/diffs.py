"""Diffs: files that say how another file changes."""

from __future__ import annotations

import re
from pathlib import Path

from caption_tx.errors import CorpusError

_START = re.compile(
    r"(?:diff |--- |\+\+\+ |\*\*\* |@@|Index: |Only in |From [0-9a-f]{7,64} |commit [0-9a-f]{7,64}\b"
    r"|\d+(?:,\d+)?[acd]\d)"
)
_HUNKS = (
    re.compile(r"^@@+ (?:-\d+(?:,\d+)? )+\+\d+(?:,\d+)? @@+.*\n(?=[ +\-\\\n])", re.MULTILINE),
    re.compile(r"^\*{15}.*\n\*\*\* \d+(?:,\d+)? \*{4}$", re.MULTILINE),
    re.compile(r"^\d+(?:,\d+)?[acd]\d+(?:,\d+)?\n(?=[<>] )", re.MULTILINE),
)
_FILES = (
    re.compile(r'^\+\+\+ "?(?:b/)?([^\t\n"]+)', re.MULTILINE),
    re.compile(r"^diff .*?(?:b/)?(\S+)$", re.MULTILINE),
    re.compile(r"^--- ([^\t\n]+)\t", re.MULTILINE),
)


def require_no_diff(text: str, path: Path) -> None:
    """Rejects a text that is a unified, context or normal diff: it begins like one and has a range of lines.

    Raises:
        CorpusError: the text is a diff; the message names the file that it changes.
    """
    if not _START.match(text.lstrip()):
        return
    text = text.replace("\r\n", "\n")
    if any(hunk.search(text) for hunk in _HUNKS):
        changed = next((match[1].strip()[:60] for pattern in _FILES if (match := pattern.search(text))), "")
        what = f"the file that it changes ({changed})" if changed else "the file that it changes"
        raise CorpusError(
            f"{path} is a diff, not the file itself; give {what}, after `git apply` or `patch` if needed."
        )
