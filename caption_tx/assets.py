"""Files that ship with the package, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from caption_tx.errors import CaptionTxError

SHIPPED_BUNDLES = ("flickr8k-zh", "flickr8k-en")
"""Names that stand for the folders of trained bundles among the assets (`experiments/ship_bundle.py` makes them)."""


def asset(name: str) -> Traversable:
    """The file or folder `name` of the assets.

    Raises:
        CaptionTxError: it is not there, so the installation is incomplete.
    """
    checkout = Path(__file__).resolve().parent.parent / "assets"
    for folder in (files("caption_tx") / "_assets", checkout):
        if (found := folder.joinpath(name)).is_file() or found.is_dir():
            return found
    raise CaptionTxError(f"The package's asset '{name}' is missing; install caption_tx again.")


def bundle_folder(bundle: str | Path) -> Path:
    """The folder of a bundle: a folder that is there, or of the name of one that ships."""
    if str(bundle) in SHIPPED_BUNDLES and not Path(bundle).exists():
        return Path(str(asset(str(bundle))))
    return Path(bundle)
