"""The frozen backbone: images -> features, and the number formats that features are stored in."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from caption_tx.config import BackboneConfig
from caption_tx.data.features.networks import cut_network, input_scaling
from caption_tx.data.features.weights import load_weights

RELU6_SCALE = 6.0 / 255.0
"""Step between two of the 256 levels that store the range [0, 6] of a ReLU6."""

STORAGE_KEYS = {"uint8": "uint8, scale 6/255", "float16": "float16", "float32": "float32"}
"""Number format -> its description in a cache's key."""


def quantize(features: Any, storage: str = "uint8") -> Any:
    """Activations of any shape -> the stored number format: [0, 6] rounded to 256 levels (uint8), or floats."""
    if storage == "uint8":
        return keras.ops.cast(keras.ops.round(features / RELU6_SCALE), "uint8")
    return keras.ops.cast(features, storage)


def dequantize(features: Any) -> Any:
    """Stored features of any shape -> float32 activations: uint8 levels to [0, 6], floats unchanged."""
    activations = keras.ops.cast(features, "float32")
    return activations * RELU6_SCALE if keras.backend.standardize_dtype(features.dtype) == "uint8" else activations


@contextlib.contextmanager
def _default_keras_config() -> Iterator[None]:
    """The networks of Keras have no argument for these globals, which the user's process may have changed."""
    policy, data_format = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_image_data_format(data_format)


class Backbone:
    """A frozen network of `keras.applications` up to `config.feature_layer`. It scales its own input.

    A layer that outputs a vector per image is a grid of one cell.

    Args:
        config: the network, its feature layer and weights.
        weights: replaces `config.weights`, e.g. with the path of the same weights on another machine.

    Attributes:
        config: the settings with a value for everything that was None.
        feature_shape: (h, w, C).
        network: float images (B, H, W, 3) in [0, 255] -> activations (B, h, w, C).
        loaded_weights: "imagenet", the name of weights that ship, or the file that was read.

    Raises:
        ConfigError: the network or the layer does not exist, or the weights are missing or do not fit.

    Example:
        >>> backbone = caption_tx.Backbone(BackboneConfig(weights="photos"))  # a MobileNet whose weights ship
        >>> backbone.encode(np.zeros((2, 224, 224, 3), np.uint8)).shape
        TensorShape([2, 7, 7, 1024])
    """

    def __init__(self, config: BackboneConfig, weights: str | None = None) -> None:
        with _default_keras_config():
            self._build(config, weights)

    def _build(self, config: BackboneConfig, weights: str | None) -> None:
        cut = cut_network(config)
        self.config = config = cut.config
        self.loaded_weights = load_weights(cut, weights or config.weights)
        cut.features.trainable = False
        self.scaling = input_scaling(cut)
        images = keras.Input((config.image_size, config.image_size, 3), dtype="float32")
        features = cut.features(self.scaling(images), training=False)
        if len(features.shape) == 2:
            features = keras.layers.Reshape((1, 1, features.shape[-1]))(features)
        self.network = keras.Model(images, features, name="backbone")
        self.network.trainable = False
        self.feature_shape: tuple[int, int, int] = tuple(self.network.output_shape[1:])
        self._weighted = cut.features

    def __repr__(self) -> str:
        return f"Backbone('{self.config.name}', {self.config.image_size} pixels, features {self.feature_shape})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights in use. It does not depend on the file they were loaded from."""
        digest = hashlib.sha256()
        for variable in self._weighted.weights:
            digest.update(np.ascontiguousarray(variable.numpy(), "<f4").tobytes())
        return digest.hexdigest()

    @property
    def key(self) -> dict[str, Any]:
        """Everything that features depend on: network, weights, layer, image size, preprocessing and number format."""
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
        """Compiled function: uint8 images (B, H, W, 3) -> features (B, h, w, C) in the stored number format.

        On one machine, the features of an image are bit-identical in batches of any size.
        """
        size = self.config.image_size

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
        def encode(images: tf.Tensor) -> tf.Tensor:
            # A batch of one uses other kernels, which round differently: encode the image twice.
            count = tf.shape(images)[0]
            images = tf.concat([images, images[: tf.cast(count == 1, tf.int32)]], axis=0)
            return quantize(self.network(tf.cast(images, tf.float32), training=False), self.config.storage)[:count]

        return encode
