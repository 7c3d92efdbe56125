"""The bundle that is used when none is named. Loads no TensorFlow unless it downloads weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable

from caption_tx.assets import DEFAULT_BUNDLE, SMALL_BUNDLES, asset
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features.downloads import (
    WEIGHTS_ENV_VAR,
    cached_files,
    first_line,
    mobilenet_address,
    require_answer,
    weights_variable,
)
from caption_tx.errors import DownloadError
from caption_tx.escaping import one_line
from caption_tx.startup import start_tensorflow

CHECK_SECONDS = 5
"""How long the server of the weights may take to answer before the small bundle is used."""


def choose_bundle(backbone_weights: str | None = None, log: Callable[[str], None] | None = None) -> str:
    """The name of the bundle to use when none is named.

    It is `DEFAULT_BUNDLE` if the weights of its backbone are named, cached, or can be downloaded, which is done here.
    Otherwise it is the small bundle in the same language, which needs no download.

    Args:
        backbone_weights: file with the backbone's weights that the caller will use, which may be missing.
        log: gets one line if the small bundle is used; None warns with `warnings`.

    Example:
        >>> choose_bundle("mobilenet_1_0_224_tf_no_top.h5")
        'flickr8k-zh'
    """
    if backbone_weights is not None or weights_variable() is not None:
        return DEFAULT_BUNDLE
    config = json.loads(asset(DEFAULT_BUNDLE).joinpath("config.json").read_text(encoding="utf-8"))
    backbone = from_dict(BackboneConfig, config["backbone"], "backbone.")
    try:
        _obtain_weights(backbone)
    except DownloadError as error:
        small = SMALL_BUNDLES[DEFAULT_BUNDLE]
        message = (
            f"The ImageNet weights that {DEFAULT_BUNDLE} needs cannot be downloaded ({one_line(error.reason)}), so "
            f"{small} is used, which needs no download and scores lower; name it to skip this check. For "
            f"{DEFAULT_BUNDLE}, get {mobilenet_address(backbone)} another way, and name the file with "
            f"backbone_weights (--backbone-weights) or {WEIGHTS_ENV_VAR}."
        )
        if log is None:
            warnings.warn(message, stacklevel=3)
        else:
            log(message)
        return small
    return DEFAULT_BUNDLE


def _obtain_weights(backbone: BackboneConfig) -> None:
    """Downloads the weights if they are not in the cache of Keras.

    Raises:
        DownloadError: they cannot be downloaded.
    """
    if cached_files(backbone):
        return
    try:
        require_answer(CHECK_SECONDS)
    except Exception as error:
        reason = first_line(error)
        raise DownloadError(f"Keras cannot download the ImageNet weights ({reason}).", reason) from None
    start_tensorflow()
    from caption_tx.data.features.weights import download

    download(backbone)
