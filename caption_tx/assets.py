"""Files that ship with the package, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from caption_tx.errors import CaptionTxError


def asset(name: str) -> Traversable:
    """The file `name` of the assets.

    Raises:
        CaptionTxError: it is not there, so the installation is incomplete.
    """
    checkout = Path(__file__).resolve().parent.parent / "assets"
    for folder in (files("caption_tx") / "_assets", checkout):
        if (found := folder.joinpath(name)).is_file():
            return found
    raise CaptionTxError(f"The package's asset '{name}' is missing; install caption_tx again.")
