"""The packages that commands need to run an exported file, and the pip line that installs those that are missing.

An installation without TensorFlow has only some of the packages that caption_tx depends on.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from pathlib import PurePath

from caption_tx.errors import CaptionTxError

LIBRARY = ("ai-edge-litert", "numpy", "pillow")
CAPTIONS = (*LIBRARY, "filelock", "tqdm")
EXPLANATIONS = ("matplotlib", "mplfonts")
PAGES = ("jinja2", *EXPLANATIONS)
CHINESE = ("jieba",)
"""To split typed captions and prefixes into words."""

PARQUET = ("pyarrow",)

_MODULES = {"ai-edge-litert": "ai_edge_litert", "pillow": "PIL"}
_REPLACEABLE = {"mplfonts"}
"""A Chinese font of the system serves as well."""


def packages_for(out: PurePath | None, explains: bool, splits_chinese: bool) -> tuple[str, ...]:
    """The packages of a command with an exported file.

    Args:
        out: its output file.
        explains: whether it draws maps.
        splits_chinese: whether it splits Chinese text into words.

    Example:
        >>> packages_for(PurePath("captions.parquet"), False, False)[-1]
        'pyarrow'
    """
    suffix = "" if out is None else out.suffix.lower()
    drawing = (PAGES if suffix == ".html" else EXPLANATIONS) if explains else ()
    return (*CAPTIONS, *drawing, *(CHINESE if splits_chinese else ()), *(PARQUET if suffix == ".parquet" else ()))


def require_packages(packages: Sequence[str], purpose: str) -> None:
    """Reject missing packages, all at once.

    Args:
        purpose: what needs them, the subject of the message.

    Raises:
        CaptionTxError: names those that are missing, and how to install them.
    """
    missing = [name for name in packages if not _is_installed(name)]
    required = [name for name in missing if name not in _REPLACEABLE]
    if not required:
        return
    plural = len(required) > 1
    raise CaptionTxError(
        f"{purpose} needs the package{'s' if plural else ''} {', '.join(required)}, which {'are' if plural else 'is'} "
        f"not installed; install {'them' if plural else 'it'} with `{pip_line(missing)}`."
    )


def pip_line(packages: Sequence[str]) -> str:
    """The command that installs packages in the versions that caption_tx supports.

    Example:
        >>> pip_line(["tqdm"])
        "pip install 'tqdm>=4.67,<5'"
    """
    return " ".join(["pip install", *(f"'{_requirement(name)}'" for name in packages)])


def _requirement(package: str) -> str:
    """A package with the versions that caption_tx supports, if its metadata is available."""
    try:
        requirements = importlib.metadata.requires("caption_tx") or []
    except importlib.metadata.PackageNotFoundError:  # the source tree, not installed
        requirements = []
    for requirement in requirements:
        name, versions = re.fullmatch(r"([\w.-]+)[^;<>=!~]*([^;]*).*", requirement).groups()
        if name.lower().replace("_", "-") == package:
            return package + ",".join(sorted(versions.strip().replace(" ", "").split(","), reverse=True))
    return package


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(_MODULES.get(package, package)) is not None
