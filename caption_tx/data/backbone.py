"""The frozen backbone: pictures -> features, and the number formats that features are kept in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from importlib.resources import as_file
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from caption_tx.assets import asset
from caption_tx.config import BackboneConfig
from caption_tx.errors import ConfigError

WEIGHTS_VARIABLE = "CAPTION_TX_BACKBONE_WEIGHTS"
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
    """A frozen `keras.applications.MobileNet` up to `config.feature_layer`, which scales its own input.

    Args:
        config: what to build.
        weights: overrides `config.weights`, e.g. the path of the same weights on another machine.

    Raises:
        ConfigError: the layer does not exist or is no ReLU6, or the weights are missing or do not fit.
    """

    def __init__(self, config: BackboneConfig, weights: str | None = None) -> None:
        self.config = config
        size = config.image_size
        network = keras.applications.MobileNet(
            input_shape=(size, size, 3), alpha=config.alpha, include_top=False, weights=None
        )
        names = [layer.name for layer in network.layers if layer.name.endswith("_relu")]
        if config.feature_layer not in names:
            raise ConfigError(
                f"backbone.feature_layer must be a ReLU of MobileNet, got '{config.feature_layer}'; "
                f"there are {', '.join(names)}."
            )
        cut = keras.Model(network.input, network.get_layer(config.feature_layer).output)
        _load_weights(network, cut, config, weights or config.weights)
        cut.trainable = False
        images = keras.Input((size, size, 3), dtype="float32")
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
        self.network = keras.Model(images, cut(scaled, training=False), name="backbone")
        self.network.trainable = False
        self.feature_shape: tuple[int, int, int] = tuple(self.network.output_shape[1:])
        self._digest_of = cut

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the weights in use, the same whichever file they came from."""
        digest = hashlib.sha256()
        for variable in self._digest_of.variables:
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
            "preprocessing": "srgb, squashed to a square, antialiased bilinear, [-1, 1]",
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


def _load_weights(network: keras.Model, cut: keras.Model, config: BackboneConfig, weights: str) -> None:
    if weights == "imagenet":
        weights = os.environ.get(WEIGHTS_VARIABLE, weights)
    if weights == "imagenet":
        try:
            full = keras.applications.MobileNet(
                input_shape=network.input_shape[1:], alpha=config.alpha, include_top=False, weights="imagenet"
            )
        except Exception as error:
            raise ConfigError(
                f"Keras could not download the ImageNet weights ({error}). Without internet, name a weights "
                f"file with --backbone-weights or the environment variable {WEIGHTS_VARIABLE}."
            ) from error
        network.set_weights(full.get_weights())
    elif weights == "scenes":
        with as_file(asset(SCENE_WEIGHTS)) as path:
            _load_file(cut, cut, str(path))
    else:
        _load_file(network, cut, weights)
    for layer in cut.layers:
        for variable in layer.weights:
            if variable.name.endswith("kernel") and not np.any(variable.numpy()):
                raise ConfigError(
                    f"The weights {weights} hold only zeros for layer '{layer.name}', which "
                    f"feature_layer '{config.feature_layer}' needs; take other weights or an earlier layer."
                )


def _load_file(network: keras.Model, cut: keras.Model, path: str) -> None:
    if not os.path.isfile(path):
        raise ConfigError(
            f"No backbone weights at '{path}'. Name a file with --backbone-weights or the environment "
            f"variable {WEIGHTS_VARIABLE}, or take 'imagenet' to let Keras download them."
        )
    try:
        network.load_weights(path)
    except Exception as whole:
        try:
            cut.load_weights(path)
        except Exception:
            raise ConfigError(
                f"The weights in {path} do not fit this MobileNet (alpha, or not a 'no top' file?): {whole}"
            ) from whole
