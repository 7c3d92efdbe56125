"""Files that ship with the package, found in a checkout and in an installed wheel alike."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from caption_tx.errors import CaptionTxError

SHIPPED_BUNDLES = ("flickr8k-zh", "flickr8k-en")
"""Names of the trained bundles among the assets (`experiments/ship_bundle.py` makes them)."""


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
    """The folder of a bundle: of one that ships where `bundle` is its name, else `bundle` itself.

    A text that is just such a name never is a folder here; `./flickr8k-zh` and `Path("flickr8k-zh")` are.
    """
    if isinstance(bundle, str) and bundle in SHIPPED_BUNDLES:
        return Path(str(asset(bundle)))
    return Path(bundle)
