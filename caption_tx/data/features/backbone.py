"""The frozen backbone: pictures -> features, and the number formats that features are kept in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from functools import cached_property
from importlib.resources import as_file
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from caption_tx.assets import asset
from caption_tx.config import BackboneConfig
from caption_tx.data.features.networks import WITH_ALPHA, Cut, copy_weights, cut_network, make_network, scaling_of
from caption_tx.errors import ConfigError

WEIGHTS_ENV_VAR = "CAPTION_TX_BACKBONE_WEIGHTS"
"""Environment variable that names a weights file to use where the settings say "imagenet"."""

SCENE_WEIGHTS = "scene_mobilenet_0_25.weights.h5"
RELU6_SCALE = 6.0 / 255.0
"""ReLU6 activations lie in [0, 6]; one unit of the stored 8 bits is this much."""

STORAGE_KEYS = {"uint8": "uint8, scale 6/255", "float16": "float16", "float32": "float32"}
"""What a cache's key says of each number format."""


def quantize(features: Any, storage: str = "uint8") -> Any:
    """Activations as they are stored: uint8, [0, 6] rounded to the nearest of 256 levels, or floats; any shape."""
    if storage == "uint8":
        return keras.ops.cast(keras.ops.round(features / RELU6_SCALE), "uint8")
    return keras.ops.cast(features, storage)


def dequantize(features: Any) -> Any:
    """Stored features to float32 activations: uint8 levels to [0, 6], floats as they are; any shape."""
    activations = keras.ops.cast(features, "float32")
    return activations * RELU6_SCALE if keras.backend.standardize_dtype(features.dtype) == "uint8" else activations


class Backbone:
    """A frozen network of `keras.applications` up to `config.feature_layer`, which scales its own input.

    A layer that gives a vector for each image counts as a grid of one cell.

    Args:
        config: what to build.
        weights: overrides `config.weights`, e.g. the path of the same weights on another machine.

    Attributes:
        config: the settings with everything decided that was None.

    Raises:
        ConfigError: the network or the layer does not exist, or the weights are missing or do not fit.
    """

    def __init__(self, config: BackboneConfig, weights: str | None = None) -> None:
        cut = cut_network(config)
        self.config = config = cut.config
        _load_weights(cut, weights or config.weights)
        cut.features.trainable = False
        self.scaling = scaling_of(cut)
        images = keras.Input((config.image_size, config.image_size, 3), dtype="float32")
        features = cut.features(self.scaling(images), training=False)
        if len(features.shape) == 2:
            features = keras.layers.Reshape((1, 1, features.shape[-1]))(features)
        self.network = keras.Model(images, features, name="backbone")
        self.network.trainable = False
        self.feature_shape: tuple[int, int, int] = tuple(self.network.output_shape[1:])
        self._digest_of = cut.features

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the weights in use, the same whichever file they came from."""
        digest = hashlib.sha256()
        for variable in self._digest_of.weights:
            digest.update(np.ascontiguousarray(variable.numpy(), "<f4").tobytes())
        return digest.hexdigest()

    @property
    def key(self) -> dict[str, Any]:
        """What makes features comparable: backbone, weights, layer, input size, preprocessing and number format."""
        return {
            "backbone": self.config.name,
            "alpha": self.config.alpha,
            "weights_sha256": self.digest,
            "feature_layer": self.config.feature_layer,
            "image_size": self.config.image_size,
            "feature_shape": list(self.feature_shape),
            "preprocessing": f"srgb, squashed to a square, antialiased bilinear, {self.scaling.text}",
            "storage": STORAGE_KEYS[self.config.storage],
        }

    @cached_property
    def encode(self) -> Callable[[Any], tf.Tensor]:
        """Compiled: uint8 images (B, H, W, 3) -> features (B, h, w, C) in the stored number format.

        A picture's features are the same, bit for bit, in a batch of any size on the same machine.
        """
        size = self.config.image_size

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
        def encode(images: tf.Tensor) -> tf.Tensor:
            # For a single picture other kernels are used, whose sums round otherwise: it is encoded as a pair.
            count = tf.shape(images)[0]
            images = tf.concat([images, images[: tf.cast(count == 1, tf.int32)]], axis=0)
            return quantize(self.network(tf.cast(images, tf.float32), training=False), self.config.storage)[:count]

        return encode


def _load_weights(cut: Cut, weights: str) -> None:
    config = cut.config
    if weights == "imagenet":
        weights = os.environ.get(WEIGHTS_ENV_VAR, weights)
    if weights == "imagenet":
        try:
            with contextlib.redirect_stdout(sys.stderr):  # where Keras tells of a download: captions go to stdout
                full = make_network(config, with_top=len(cut.whole.output_shape) == 2, weights="imagenet")
        except Exception as error:
            raise ConfigError(
                f"Keras could not download the ImageNet weights ({_first_line(error)}). Without internet, name a "
                f"weights file with --backbone-weights or the environment variable {WEIGHTS_ENV_VAR}."
            ) from error
        copy_weights(full, cut.whole)
    elif weights == "scenes":
        with as_file(asset(SCENE_WEIGHTS)) as path:
            _load_file(cut, str(path))
    else:
        _load_file(cut, weights)
    for layer in cut.features.layers:
        for variable in layer.weights:
            if variable.name.endswith("kernel") and not np.any(variable.numpy()):
                raise ConfigError(
                    f"The weights {weights} hold only zeros for layer '{layer.name}', which "
                    f"feature_layer '{config.feature_layer}' needs; take other weights or an earlier layer."
                )


def _load_file(cut: Cut, path: str) -> None:
    """Reads the weights of the whole network, or of its part up to the feature layer."""
    if not os.path.isfile(path):
        raise ConfigError(
            f"No backbone weights at '{path}'. Name a file with --backbone-weights or the environment "
            f"variable {WEIGHTS_ENV_VAR}, or take 'imagenet' to let Keras download them."
        )
    config = cut.config
    try:
        _load_strictly(cut.whole, path)
    except Exception as whole:
        try:
            _load_strictly(cut.features, path)
        except Exception:
            alpha = f" with alpha {config.alpha}" if config.name in WITH_ALPHA else ""
            raise ConfigError(
                f"The weights in {path} do not fit {config.name}{alpha} up to '{config.feature_layer}', with its "
                f"classifier or without: {_first_line(whole)}"
            ) from whole


def _load_strictly(network: keras.Model, path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras only warns of layers that stay random
        network.load_weights(path)


def _first_line(error: Exception) -> str:
    """What an error says first: Keras goes on with a list of layers."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
