"""Loads what captions images: a bundle with TensorFlow, or an exported file, which starts much faster."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.assets import DEFAULT_BUNDLE, bundle_folder
from caption_tx.cli.output import warn
from caption_tx.cli.settings import given_settings
from caption_tx.default_bundle import choose_bundle
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.startup import start_tensorflow

if TYPE_CHECKING:
    from caption_tx.inference.base_captioner import BaseCaptioner
    from caption_tx.lite.captioner import LiteCaptioner


MAX_BEAM_IMAGES = 300
"""Beam search of more images is faster in TensorFlow, which searches batches, although it starts 10 seconds later."""


def exported_file(bundle: str | None) -> Path | None:
    """The exported file that `--bundle` names, itself or by its folder; None if it names a bundle or is not given."""
    from caption_tx.lite.exported_file import FILE, SUFFIX

    if bundle is None:
        return None
    path = Path(bundle)
    if path.suffix == SUFFIX:
        return path
    return path / FILE if (path / FILE).is_file() else None


def check_packages(arguments: argparse.Namespace) -> None:
    """Name all packages at once that a command with an exported file needs and that are not installed.

    Raises:
        CaptionTxError: packages are missing.
    """
    from caption_tx.lite.packages import packages_for, require_packages

    if (path := exported_file(arguments.bundle)) is None:
        return
    language = ""
    with suppress(OSError, ValueError, AttributeError):  # loading the file reports it
        language = json.loads(path.with_name("export.json").read_bytes()).get("language")
    given = {*given_settings(arguments, "decoding"), *given_settings(arguments, "explanation")}
    splits_chinese = language == "zh" and bool(given & {"caption", "prefix", "suppress_words"})
    packages = packages_for(arguments.out, arguments.command == "explain", splits_chinese)
    require_packages(packages, f"`{arguments.command}` with an exported file")


def load_captioner(arguments: argparse.Namespace, search: Mapping[str, Any]) -> BaseCaptioner:
    """The captioner that `--bundle` names: an exported file, the cached export of a bundle, or the bundle.

    Without `--bundle`, `choose_bundle` names the bundle, unless there is a cached export of the default one. A cached
    export is used if it supports the search of the bundle with the given options, which override it, and is not slower.

    Raises:
        BundleError: a file is missing or damaged.
        ConfigError: the exported file does not support an option.
        CaptionTxError: TensorFlow is needed and not installed.
    """
    if (path := exported_file(arguments.bundle)) is not None:
        if arguments.backbone_weights is not None:
            raise ConfigError("An exported file contains its backbone; remove --backbone-weights.")
        return _load_exported(path, search)
    bundle = DEFAULT_BUNDLE if arguments.bundle is None else arguments.bundle
    pools = {getattr(arguments, name, None) for name in ("pool", "compare")}
    cached = _load_cached(bundle, search, arguments.images, pools)
    if cached is None and arguments.bundle is None and _has_tensorflow():
        bundle = choose_bundle(arguments.backbone_weights, warn)
        if bundle != DEFAULT_BUNDLE:
            cached = _load_cached(bundle, search, arguments.images, pools)
    if cached is not None:
        return cached
    try:
        start_tensorflow()
        from caption_tx.inference.captioner import load
    except ModuleNotFoundError as error:
        if _has_tensorflow():
            raise
        raise CaptionTxError(
            f"The bundle {bundle} needs TensorFlow, which is not installed. Without it, name an exported "
            "file (`--bundle FILE.tflite`), which `caption-tx export BUNDLE --to litert` writes."
        ) from error
    return load(bundle, arguments.backbone_weights)


def _has_tensorflow() -> bool:
    return importlib.util.find_spec("tensorflow") is not None


def _load_exported(path: Path, search: Mapping[str, Any]) -> LiteCaptioner:
    from caption_tx.lite.captioner import load

    captioner = load(path)
    captioner.check(captioner.search_options(**search))
    return captioner


def _load_cached(
    bundle: str, search: Mapping[str, Any], images: Sequence[str], pools: Collection[str | None] = ()
) -> LiteCaptioner | None:
    """The cached export of a bundle, or None if there is none that can be used.

    Args:
        pools: the poolings of maps that were requested.
    """
    from caption_tx.data.images.discovery import count_images
    from caption_tx.inference.attention.pooling import POSTERIOR
    from caption_tx.lite.exported_file import cached_export

    path = cached_export(bundle_folder(bundle))
    if path is None or not path.is_file():
        return None
    try:
        captioner = _load_exported(path, search)
        options = captioner.description.decoding.override(**search)  # what the bundle would do
        captioner.check(options)
        if POSTERIOR in pools and not captioner.has_cells:
            raise ConfigError("it has no signature cells, which the posterior needs; export the bundle again.")
        captioner.name = bundle
        is_large = options.beam_width > 1 and (count_images(images) or 0) > MAX_BEAM_IMAGES
        return None if is_large else captioner
    except CaptionTxError as error:
        warn(f"the cached export is not used: {error}")
        return None
