"""What the environment makes impossible, in one line: too little memory, a locale without UTF-8, a missing package."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from caption_tx.cli.output import warn
from caption_tx.errors import ConfigError

_NO_MEMORY = ("failed to map segment", "annot allocate memory")
"""Texts of the dynamic linker's errors when a library does not fit into memory."""

_SET_UTF8 = "set PYTHONUTF8=1"


def _is_utf8() -> bool:
    return sys.getfilesystemencoding().replace("-", "").lower() == "utf8"


def check_locale(argv: Sequence[str]) -> None:
    """Warns if file names are limited to ASCII.

    Raises:
        ConfigError: an argument cannot be decoded.
    """
    if _is_utf8():
        return
    encoding = sys.getfilesystemencoding()
    if undecoded := [text for text in argv if any("\ud800" <= letter <= "\udfff" for letter in text)]:
        text = undecoded[0].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise ConfigError(f"The locale's encoding is {encoding}, which has no '{text}'; {_SET_UTF8}.")
    if encoding.lower() == "ascii":
        warn(f"the locale's encoding is {encoding}, so names of files in other letters are not found; {_SET_UTF8}.")


def explain_environment(error: BaseException) -> str | None:
    """Says what to change if the environment is the cause of an unexpected error; None otherwise."""
    if isinstance(error, UnicodeEncodeError) and not _is_utf8():
        return f"The locale's encoding is {sys.getfilesystemencoding()}, which has no {error.object!r}; {_SET_UTF8}."
    cause: BaseException | None = error
    while cause is not None:
        linker = isinstance(cause, ImportError) and any(text in str(cause) for text in _NO_MEMORY)
        if linker or isinstance(cause, MemoryError):
            return "There is too little memory; close other programs or raise the limit of memory (`ulimit -v`)."
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("caption_tx"):
        package = error.name.partition(".")[0]
        return f"This needs the package {package}, which is not installed; install it with `pip install {package}`."
    return None
