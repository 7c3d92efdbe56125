"""Find the files that ship with the package, in a checkout and in an installed wheel."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from caption_tx.errors import CaptionTxError
from caption_tx.hub import download_bundle, is_address

SHIPPED_BUNDLES = ("flickr8k-zh", "flickr8k-en", "flickr8k-zh-small", "flickr8k-en-small")
"""Names of the trained bundles among the assets. `experiments/ship_bundle.py` makes them."""

DEFAULT_BUNDLE = SHIPPED_BUNDLES[0]
"""The bundle to use when none is named and its backbone's weights can be had."""

SMALL_BUNDLES = {"flickr8k-zh": "flickr8k-zh-small", "flickr8k-en": "flickr8k-en-small"}
"""Name of a bundle -> the one in the same language that needs no download, since its backbone ships too."""


def asset(name: str) -> Traversable:
    """The file or folder `name` among the assets.

    Raises:
        CaptionTxError: it is missing, so the installation is incomplete.
    """
    checkout = Path(__file__).resolve().parent.parent / "assets"
    for folder in (files("caption_tx") / "_assets", checkout):
        if (path := folder.joinpath(name)).is_file() or path.is_dir():
            return path
    raise CaptionTxError(f"The asset '{name}' of the package is missing; install caption_tx again.")


def bundle_folder(bundle: str | Path) -> Path:
    """The folder of a bundle: a folder, the workdir of its run, a shipped one by its name, or an address.

    The name of a shipped bundle takes precedence over a folder. Write `./flickr8k-zh` or `Path("flickr8k-zh")` for
    the folder. An address is `hf://user/name` or, for a tag, branch or commit, `hf://user/name@v1`.

    Raises:
        BundleError: the address cannot be read.
    """
    if is_address(bundle):
        return download_bundle(bundle)
    if isinstance(bundle, str) and bundle in SHIPPED_BUNDLES:
        return Path(str(asset(bundle)))
    folder = Path(bundle)
    is_run = not (folder / "config.json").is_file() and (folder / "bundle" / "config.json").is_file()
    return folder / "bundle" if is_run else folder


def short_name(bundle: str) -> str:
    """The name of a bundle without the path of its folder: of a shipped bundle, or of the folder of a bundle or a run.

    Example:
        >>> short_name("runs/mine/bundle"), short_name("flickr8k-zh")
        ('mine', 'flickr8k-zh')
    """
    path = Path(bundle).absolute()
    return path.parent.name if path.name == "bundle" and path.parent.name else path.name


def name_origin(bundle: str) -> str:
    """How a bundle names the one that it was trained from: an address as it is, a folder without the path to it.

    Example:
        >>> name_origin("/home/me/runs/mine/bundle"), name_origin("hf://user/name@v1")
        ('mine', 'hf://user/name@v1')
    """
    return bundle if is_address(bundle) else short_name(bundle)
