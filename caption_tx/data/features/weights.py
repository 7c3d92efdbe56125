"""Weights of a backbone: downloaded by Keras, from a file, or from the files that ship with the package."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from importlib.resources import as_file
from pathlib import Path

import h5py
import keras
import numpy as np

from caption_tx.assets import asset
from caption_tx.config import BackboneConfig
from caption_tx.data.features.eight_bit import is_eight_bit_file, load_eight_bit
from caption_tx.data.features.networks import NETWORKS_WITH_ALPHA, CutNetwork, copy_weights, make_network
from caption_tx.errors import ConfigError, DownloadError
from caption_tx.escaping import one_line

WEIGHTS_ENV_VAR = "CAPTION_TX_BACKBONE_WEIGHTS"
"""Environment variable with the path of a weights file that replaces the download of "imagenet"."""

SHIPPED_WEIGHTS = {
    "scenes": ("scene_mobilenet_0_25.weights.h5", 0.25),
    "photos": ("photo_mobilenet.weights.h5", 1.0),
}
"""Name of weights that ship -> their file among the assets, and the alpha of their MobileNet."""

SERVER = "https://storage.googleapis.com"
"""Where Keras downloads the weights of all networks from."""

ANSWER_SECONDS = 15
"""A server that takes longer to answer is unreachable: where it is blocked, connections hang for minutes."""

STALL_SECONDS = 30
"""A download that receives nothing for so long has failed."""


def load_weights(cut: CutNetwork, weights: str) -> None:
    """Loads weights into a network.

    Args:
        weights: "imagenet", a name in `SHIPPED_WEIGHTS`, or a file.

    Raises:
        DownloadError: the weights have to be downloaded and cannot be.
        ConfigError: the file is missing, or the weights do not fit the network.
    """
    config = cut.config
    if weights == "imagenet":
        weights = os.environ.get(WEIGHTS_ENV_VAR, weights)
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


def _describe(config: BackboneConfig) -> str:
    return f"{config.name} with alpha {config.alpha:g}" if config.name in NETWORKS_WITH_ALPHA else config.name


def _download(cut: CutNetwork) -> keras.Model:
    """The full network with ImageNet weights, from the cache of Keras or downloaded into it."""
    config = cut.config
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
    is_cached = any(folder.glob(f"{config.name.lower()}*"))
    try:
        if not is_cached:
            _require_answer()
        # Keras prints the progress; captions go to stdout.
        with contextlib.redirect_stdout(sys.stderr), _socket_timeout():
            return make_network(config, with_top=len(cut.full.output_shape) == 2, weights="imagenet")
    except Exception as error:
        reason = first_line(error)
        # Keras raises a plain Exception for errors of urllib, and HDF5 an OSError for damaged files.
        is_network = "URL fetch failure" in reason or (isinstance(error, OSError) and "Unable to" not in reason)
        if is_cached and not is_network:
            raise ConfigError(
                f"The ImageNet weights in {one_line(str(folder))} cannot be read ({reason}). An earlier download may "
                f"have been cut off: delete {config.name.lower()}* there, and Keras downloads the file again."
            ) from None
        raise DownloadError(
            f"Keras could not download the ImageNet weights ({reason}); without internet, name a weights file with "
            f"backbone.weights (--backbone-weights) or the environment variable {WEIGHTS_ENV_VAR}, or use what ships: "
            "`--backbone-weights photos` to train, the bundle flickr8k-zh-small to caption."
        ) from None


def _require_answer() -> None:
    """Raises an OSError if the server of the weights does not answer in time."""
    errors: list[Exception] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(SERVER, method="HEAD"), timeout=ANSWER_SECONDS).close()
        except urllib.error.HTTPError:
            pass  # it answered
        except Exception as error:
            errors.append(error)

    # Each of the server's addresses is tried for the whole timeout, and resolving the name has none.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if errors:
        raise errors[0]
    if thread.is_alive():
        raise TimeoutError(f"{SERVER} did not answer within {ANSWER_SECONDS} seconds")


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


def first_line(error: BaseException | None) -> str:
    """First line of an error message. Keras appends a list of layers."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
