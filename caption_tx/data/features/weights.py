"""Weights of a backbone: downloaded by Keras, from a file, or from the files that ship with the package."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.resources import as_file

import h5py
import keras
import numpy as np

from caption_tx.assets import SMALL_BUNDLES, asset
from caption_tx.config import BackboneConfig
from caption_tx.data.features.downloads import (
    WEIGHTS_ENV_VAR,
    cached_files,
    first_line,
    require_answer,
    weights_variable,
)
from caption_tx.data.features.eight_bit import is_eight_bit_file, load_eight_bit
from caption_tx.data.features.networks import (
    NETWORKS_WITH_ALPHA,
    CutNetwork,
    copy_weights,
    cut_network,
    make_network,
)
from caption_tx.errors import ConfigError, DownloadError
from caption_tx.escaping import one_line

SHIPPED_WEIGHTS = {
    "scenes": ("scene_mobilenet_0_25.weights.h5", 0.25),
    "photos": ("photo_mobilenet.weights.h5", 1.0),
}
"""Name of weights that ship -> their file among the assets, and the alpha of their MobileNet."""

ANSWER_SECONDS = 15
"""A server that takes longer to answer is unreachable."""

STALL_SECONDS = 30
"""A download that receives nothing for so long has failed."""

_KERAS_FAILURE = re.compile(r"URL fetch failure on \S+: (None -- )?")


def load_weights(cut: CutNetwork, weights: str) -> str:
    """Loads weights into a network.

    Args:
        weights: "imagenet", a name in `SHIPPED_WEIGHTS`, or a file.

    Returns:
        What was loaded: `weights`, or the file that the environment variable names in place of "imagenet".

    Raises:
        DownloadError: the weights have to be downloaded and cannot be.
        ConfigError: the file is missing, or the weights do not fit the network.
    """
    config = cut.config
    if weights == "imagenet":
        weights = weights_variable() or weights
    if weights == "imagenet":
        copy_weights(_download(cut), cut.full)
    elif weights in SHIPPED_WEIGHTS:
        name, alpha = SHIPPED_WEIGHTS[weights]
        if (config.name, config.alpha) != ("MobileNet", alpha):
            raise ConfigError(
                f"The weights '{weights}' are those of a MobileNet with alpha {alpha:g}, not of {_describe(config)}; "
                f"use backbone.name MobileNet and backbone.alpha {alpha:g} (--backbone, --alpha), or other weights."
            )
        with as_file(asset(name)) as path:
            _load_file(cut, str(path))
    else:
        _load_file(cut, weights)
    for layer in cut.features.layers:
        for variable in layer.weights:
            if variable.name.endswith("kernel") and not np.any(variable.numpy()):
                raise ConfigError(
                    f"The weights {weights} are all zeros for layer '{layer.name}', which feature_layer "
                    f"'{config.feature_layer}' needs; use other weights or an earlier layer."
                )
    return weights


def _describe(config: BackboneConfig) -> str:
    return f"{config.name} with alpha {config.alpha:g}" if config.name in NETWORKS_WITH_ALPHA else config.name


def download(config: BackboneConfig) -> None:
    """Lets Keras download the ImageNet weights of a network into its cache, if they are not there.

    Raises:
        DownloadError: they cannot be downloaded.
        ConfigError: the file in the cache is damaged.
    """
    _download(cut_network(config))


def _download(cut: CutNetwork) -> keras.Model:
    """The full network with ImageNet weights, from the cache of Keras or downloaded into it."""
    config, with_top = cut.config, len(cut.full.output_shape) == 2
    cached = cached_files(config, with_top)
    try:
        if not cached:
            require_answer(ANSWER_SECONDS)
        # Keras prints the progress; captions go to stdout.
        with contextlib.redirect_stdout(sys.stderr), _socket_timeout():
            return make_network(config, with_top=with_top, weights="imagenet")
    except Exception as error:
        reason = first_line(error)
        # Keras raises a plain Exception for errors of urllib, and HDF5 an OSError for damaged files.
        is_network = _KERAS_FAILURE.match(reason) or (isinstance(error, OSError) and "Unable to" not in reason)
        if cached and not is_network:
            raise ConfigError(
                f"The ImageNet weights in {one_line(str(cached[0].parent))} cannot be read ({reason}). An earlier "
                f"download may have been cut off: delete {', '.join(path.name for path in cached)} there, and Keras "
                "downloads the file again."
            ) from None
        reason = _KERAS_FAILURE.sub("", reason)
        raise DownloadError(
            f"Keras could not download the ImageNet weights ({reason}); without internet, name a weights file with "
            f"backbone.weights (--backbone-weights) or the environment variable {WEIGHTS_ENV_VAR}, or use what ships: "
            f"`--backbone-weights photos` to train, the bundle {' or '.join(SMALL_BUNDLES.values())} to caption or to "
            "start from (--init).",
            reason,
        ) from None


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    """Keras passes no timeout to urllib, which then waits forever for a connection that was cut."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(before or STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load_file(cut: CutNetwork, path: str) -> None:
    """Loads the weights of the full network, or of its part up to the feature layer."""
    if not os.path.isfile(path):
        raise ConfigError(
            f"There are no backbone weights at '{path}'; name a file with backbone.weights (--backbone-weights) or "
            f"the environment variable {WEIGHTS_ENV_VAR}, use 'imagenet' to let Keras download them, or "
            "'photos', which ship."
        )
    config = cut.config
    try:
        if is_eight_bit_file(path):
            load_eight_bit(cut.features, path)
        else:
            _load_keras_file(cut, path)
    except Exception as error:
        raise ConfigError(
            f"The weights in {path} do not fit {_describe(config)} up to '{config.feature_layer}', with its classifier "
            f"or without it: {first_line(error)}"
        ) from error


def _load_keras_file(cut: CutNetwork, path: str) -> None:
    with _named_as_keras_expects(path) as renamed:
        try:
            _load_strictly(cut.full, renamed)
        except Exception as error:
            try:
                _load_strictly(cut.features, renamed)
            except Exception:
                raise error from None


@contextlib.contextmanager
def _named_as_keras_expects(path: str) -> Iterator[str]:
    """A path of the same file whose name says which of its two formats it has: Keras decides by the name alone."""
    if not h5py.is_hdf5(path):  # such as a `.keras` file
        yield path
        return
    with h5py.File(path, "r") as file:
        is_legacy = "layer_names" in file.attrs or "model_weights" in file
    suffix = ".h5" if is_legacy else ".weights.h5"
    if path.endswith(suffix) and path.endswith(".weights.h5") != is_legacy:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield shutil.copyfile(path, os.path.join(folder, f"copy{suffix}"))


def _load_strictly(network: keras.Model, path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras only warns of layers without weights in the file
        network.load_weights(path)
