"""Whether the weights that Keras downloads are in its cache, or its server can be reached. Loads no TensorFlow."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

from caption_tx.config import BackboneConfig

WEIGHTS_ENV_VAR = "CAPTION_TX_BACKBONE_WEIGHTS"
"""Environment variable with the path of a weights file that replaces the download of "imagenet"."""

SERVER = "https://storage.googleapis.com"
"""Where Keras downloads the weights of all networks from."""

_ALPHA_TEXTS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0"}
_SIZES = (128, 160, 192, 224)


def weights_variable() -> str | None:
    """The value of `WEIGHTS_ENV_VAR`; None if it is not set or empty."""
    return os.environ.get(WEIGHTS_ENV_VAR) or None


def mobilenet_file(config: BackboneConfig) -> str:
    """The name of the file with the ImageNet weights of a MobileNet without its classifier, as Keras has it.

    Example:
        >>> mobilenet_file(BackboneConfig())
        'mobilenet_1_0_224_tf_no_top.h5'
    """
    size = config.image_size if config.image_size in _SIZES else _SIZES[-1]
    return f"mobilenet_{_ALPHA_TEXTS.get(config.alpha, '2_5')}_{size}_tf_no_top.h5"


def mobilenet_address(config: BackboneConfig) -> str:
    """Where the file `mobilenet_file` is downloaded from."""
    return f"{SERVER}/tensorflow/keras-applications/mobilenet/{mobilenet_file(config)}"


def cache_folder() -> Path:
    """Where Keras keeps weights that it downloaded."""
    folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):  # Keras then uses another folder
        folder = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / ".keras"
    return folder / "models"


def cached_files(config: BackboneConfig, with_top: bool = False) -> list[Path]:
    """The files in the cache of Keras that have the ImageNet weights of a network.

    The name of a MobileNet's file is known. Those of other networks are recognized, and may be for another alpha.

    Args:
        with_top: whether the classifier is needed, too; it is in a file of its own with all other weights.
    """
    files = [path for path in sorted(cache_folder().glob("*")) if path.is_file()]
    if config.name == "MobileNet":
        name = mobilenet_file(config).replace("_no_top", "" if with_top else "_no_top")
        return [path for path in files if path.name == name]
    pattern = re.compile(rf"{config.name.lower()}(?!v\d)")  # the weights of ResNet50 are not those of ResNet50V2
    names = {path: re.sub("[-_]", "", path.name.lower()) for path in files}
    return [path for path, name in names.items() if pattern.search(name) and ("notop" in name) != with_top]


def require_answer(seconds: float) -> None:
    """Ask the server of the weights for an answer, directly or through the proxy of the environment.

    Args:
        seconds: how long to wait. Where the server is blocked, connections hang for minutes.

    Raises:
        Exception: there is no answer; it is an OSError unless the proxy's address is invalid.
    """
    errors: list[Exception] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(SERVER, method="HEAD"), timeout=seconds).close()
        except urllib.error.HTTPError:
            pass  # it answered
        except Exception as error:
            reason = getattr(error, "reason", None)  # of urllib's own error
            errors.append(reason if isinstance(reason, Exception) else error)

    # Each of the server's addresses is tried for the whole timeout, and resolving the name has none.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if thread.is_alive():
        raise TimeoutError(f"{SERVER} did not answer within {seconds:g} seconds")


def first_line(error: BaseException | None) -> str:
    """First line of an error message. Keras appends a list of layers."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
