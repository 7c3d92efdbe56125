"""The networks of `keras.applications` as backbones: how each scales its input, its usual size, where it is cut."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from caption_tx.config import BackboneConfig
from caption_tx.errors import ConfigError

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225])
"""Of the red, green and blue of ImageNet's pictures in [0, 1]."""

IMAGENET_BGR_MEAN = np.array([103.939, 116.779, 123.68])
"""Of their blue, green and red in [0, 255], as Caffe's networks take it off."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of RGB pixels in [0, 255], a number or one for each channel, and what a cache's key says of it."""

    text: str
    scale: Any = 1.0
    offset: Any = 0.0
    bgr: bool = False

    def __call__(self, images: Any) -> Any:
        """Float images (B, H, W, 3) -> the same shape; also for symbolic tensors."""
        if self.bgr:
            images = images[..., ::-1]
        if np.all(self.scale == 1.0) and np.all(self.offset == 0.0):
            return images
        return keras.layers.Rescaling(_plain(self.scale), _plain(self.offset))(images)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


ONE_TO_ONE = Scaling("[-1, 1]", 1 / 127.5, -1.0)
CAFFE = Scaling("BGR minus the mean of ImageNet", 1.0, -IMAGENET_BGR_MEAN, bgr=True)
TORCH = Scaling(
    "by the mean and deviation of ImageNet", 1 / (255 * IMAGENET_DEVIATION), -IMAGENET_MEAN / IMAGENET_DEVIATION
)
OWN = Scaling("[0, 255], scaled by the network")

_SIZES = {
    CAFFE: {"VGG16": 224, "VGG19": 224, "ResNet50": 224, "ResNet101": 224, "ResNet152": 224},
    ONE_TO_ONE: {
        "MobileNet": 224, "MobileNetV2": 224, "ResNet50V2": 224, "ResNet101V2": 224, "ResNet152V2": 224,
        "InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299, "NASNetMobile": 224, "NASNetLarge": 331,
    },
    TORCH: {"DenseNet121": 224, "DenseNet169": 224, "DenseNet201": 224},
    OWN: {
        "MobileNetV3Small": 224, "MobileNetV3Large": 224,
        "EfficientNetB0": 224, "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300,
        "EfficientNetB4": 380, "EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600,
        "EfficientNetV2B0": 224, "EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300,
        "EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480,
        "ConvNeXtTiny": 224, "ConvNeXtSmall": 224, "ConvNeXtBase": 224, "ConvNeXtLarge": 224, "ConvNeXtXLarge": 224,
    },
}  # fmt: skip

NETWORKS = {name: (scaling, size) for scaling, sizes in _SIZES.items() for name, size in sizes.items()}
"""Every network that is known, with the scaling of its pictures and the side in pixels that it was trained at."""

WITH_ALPHA = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")

DEFAULT_LAYERS = {"MobileNet": "conv_pw_12_relu"}
"""Where another layer than the last is the default: it gave the lower validation loss, and costs less."""

OUTPUT = "output"
"""Stands for the last layer where Keras gives that a number of its own in every process."""


@dataclass(frozen=True)
class Cut:
    """A network up to its feature layer.

    `whole` takes a file of weights, `features` maps scaled pictures to (B, h, w, C) or (B, C), and `config` has
    every setting decided.
    """

    whole: keras.Model
    features: keras.Model
    config: BackboneConfig


def make_network(config: BackboneConfig, with_top: bool = False, weights: str | None = None) -> keras.Model:
    """A network of `keras.applications`, `with_top` with its classifier; without `weights` its weights are random.

    Raises:
        ConfigError: the network, its size or its alpha is unknown.
    """
    if config.name not in NETWORKS:
        near = difflib.get_close_matches(config.name, NETWORKS, 3, 0.5) or sorted(NETWORKS)
        raise ConfigError(f"There is no backbone '{config.name}' in keras.applications; near it: {', '.join(near)}.")
    if config.alpha != 1 and config.name not in WITH_ALPHA:
        raise ConfigError(f"backbone.alpha is for {', '.join(WITH_ALPHA)}; {config.name} takes 1, got {config.alpha}.")
    size = config.image_size or NETWORKS[config.name][1]
    alpha = {"alpha": config.alpha} if config.name in WITH_ALPHA else {}
    builder = getattr(keras.applications, config.name)
    try:
        return builder(input_shape=(size, size, 3), include_top=with_top, weights=weights, **alpha)
    except ValueError as error:
        if weights is not None:
            raise
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{config.name} cannot be made with {size} pixels and alpha {config.alpha}: {reason}"
        ) from error


def cut_network(config: BackboneConfig) -> Cut:
    """A network with random weights, cut at its feature layer; the one place that decides what `config` leaves open.

    A layer that only the classifier has (VGG16's `fc2`, ResNet50's `avg_pool`) brings the whole of it.

    Raises:
        ConfigError: the network or the layer does not exist, or the storage does not fit the layer.
    """
    whole = make_network(config)
    wanted = config.feature_layer or DEFAULT_LAYERS.get(config.name, OUTPUT)
    layers = {layer.name: layer for layer in whole.layers if _gives_features(layer)}
    if wanted == OUTPUT:
        layer = whole.layers[-1]
        wanted = OUTPUT if layer.name not in layers else layer.name
    elif wanted in layers:
        layer = layers[wanted]
    else:
        bare, whole = layers, make_network(config, with_top=True)
        layers = {layer.name: layer for layer in whole.layers if _gives_features(layer)}
        if wanted not in layers:
            raise ConfigError(_no_layer(config, wanted, [*bare, *(name for name in layers if name not in bare)]))
        layer = layers[wanted]
    bounded = isinstance(layer, keras.layers.ReLU) and (layer.max_value, layer.threshold) == (6, 0)
    if config.storage == "uint8" and not bounded:
        raise ConfigError(
            f"backbone.storage 'uint8' holds [0, 6], the range of a ReLU6; '{wanted}' of {config.name} is none. "
            "Leave it out, or take 'float16'."
        )
    decided = replace(
        config,
        feature_layer=wanted,
        image_size=whole.input_shape[1],
        storage=config.storage or ("uint8" if bounded else "float16"),
    )
    return Cut(whole, keras.Model(whole.input, layer.output), decided)


def _gives_features(layer: keras.layers.Layer) -> bool:
    """Whether it gives a grid or a vector, and has a name that is the same in every process."""
    kind, name = type(layer).__name__.lower(), layer.name.replace("_", "")
    numbered = name == kind or re.fullmatch(rf"{kind}\d+", name)  # as Keras counts them up
    shape = getattr(layer.output, "shape", ())
    return not numbered and not isinstance(layer, keras.layers.InputLayer) and len(shape) in (2, 4)


def _no_layer(config: BackboneConfig, wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, 5, 0.5)
    near_text = f"near it: {', '.join(near)}; " if near else ""
    return (
        f"backbone.feature_layer '{wanted}' is no layer of {config.name} that gives a grid or a vector under a lasting "
        f"name; {near_text}the last of {len(names)}: {', '.join(names[-8:])}; '{OUTPUT}' is the last of all."
    )


def scaling_of(cut: Cut) -> Scaling:
    """How pictures are scaled for a network that has its weights."""
    scaling, _ = NETWORKS[cut.config.name]
    if not cut.config.name.startswith("EfficientNetB"):
        return scaling
    [norm] = [layer for layer in cut.whole.layers if isinstance(layer, keras.layers.Normalization)]
    mean, variance = (np.asarray(value).reshape(3) for value in (norm.mean, norm.variance))
    if np.all(mean == 0) and np.all(variance == 1):
        return scaling  # trained from scratch, without the means of ImageNet
    # Keras' own ImageNet weights hold deviations where its layer wants variances. A network made with
    # weights="imagenet" divides by their root once more, behind that layer; others do not, so it is done before it.
    factor = IMAGENET_DEVIATION**-0.5
    return Scaling("[0, 255], scaled by the network and its ImageNet weights", factor, 255 * mean * (1 - factor))


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a network the weights of another of the same kind."""
    target.set_weights(source.get_weights())
    for layer in target.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it goes on with its old mean otherwise
