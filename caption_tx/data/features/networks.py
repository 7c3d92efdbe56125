"""The networks of `keras.applications` as backbones: their input scaling, image size and feature layer."""

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
"""Mean and standard deviation of red, green and blue over ImageNet, in [0, 1]."""

IMAGENET_BGR_MEAN = np.array([103.939, 116.779, 123.68])
"""Mean of blue, green and red in [0, 255], which networks converted from Caffe subtract."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map of RGB pixels in [0, 255] to the input of a network.

    Attributes:
        text: its description in a cache's key. Changing a text invalidates existing caches.
        scale, offset: a number, or one per channel.
        bgr: whether the channels are reversed first.
    """

    text: str
    scale: Any = 1.0
    offset: Any = 0.0
    bgr: bool = False

    def __call__(self, images: Any) -> Any:
        """Scales float images (B, H, W, 3), also symbolic ones."""
        if self.bgr:
            images = images[..., ::-1]
        if np.all(self.scale == 1.0) and np.all(self.offset == 0.0):
            return images
        return keras.layers.Rescaling(_to_python(self.scale), _to_python(self.offset))(images)


def _to_python(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


MINUS_ONE_TO_ONE = Scaling("[-1, 1]", 1 / 127.5, -1.0)
CAFFE = Scaling("BGR minus the mean of ImageNet", 1.0, -IMAGENET_BGR_MEAN, bgr=True)
TORCH = Scaling(
    "by the mean and deviation of ImageNet", 1 / (255 * IMAGENET_DEVIATION), -IMAGENET_MEAN / IMAGENET_DEVIATION
)
SCALED_BY_NETWORK = Scaling("[0, 255], scaled by the network")

_SIZES = {
    CAFFE: {"VGG16": 224, "VGG19": 224, "ResNet50": 224, "ResNet101": 224, "ResNet152": 224},
    MINUS_ONE_TO_ONE: {
        "MobileNet": 224, "MobileNetV2": 224, "ResNet50V2": 224, "ResNet101V2": 224, "ResNet152V2": 224,
        "InceptionV3": 299, "InceptionResNetV2": 299, "Xception": 299, "NASNetMobile": 224, "NASNetLarge": 331,
    },
    TORCH: {"DenseNet121": 224, "DenseNet169": 224, "DenseNet201": 224},
    SCALED_BY_NETWORK: {
        "MobileNetV3Small": 224, "MobileNetV3Large": 224,
        "EfficientNetB0": 224, "EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300,
        "EfficientNetB4": 380, "EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600,
        "EfficientNetV2B0": 224, "EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300,
        "EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480,
        "ConvNeXtTiny": 224, "ConvNeXtSmall": 224, "ConvNeXtBase": 224, "ConvNeXtLarge": 224, "ConvNeXtXLarge": 224,
    },
}  # fmt: skip

NETWORKS = {name: (scaling, size) for scaling, sizes in _SIZES.items() for name, size in sizes.items()}
"""Name of every supported network -> its input scaling, and the side in pixels of the images it was trained on."""

NETWORKS_WITH_ALPHA = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large")

DEFAULT_LAYERS = {"MobileNet": "conv_pw_12_relu"}
"""Networks whose default feature layer is not the last one. This one gave a lower validation loss and is cheaper."""

OUTPUT = "output"
"""Name of the last layer if Keras gives that layer a different number in every process."""


@dataclass(frozen=True)
class CutNetwork:
    """A network and its part up to the feature layer, which share their weights.

    Attributes:
        full: the network that loads a weights file.
        features: scaled images (B, H, W, 3) -> (B, h, w, C) or (B, C).
        config: the settings with a value for everything that was None.
    """

    full: keras.Model
    features: keras.Model
    config: BackboneConfig


def make_network(config: BackboneConfig, with_top: bool = False, weights: str | None = None) -> keras.Model:
    """Builds a network of `keras.applications`.

    Args:
        with_top: whether to include the classifier.
        weights: "imagenet" to download them; None for random weights.

    Raises:
        ConfigError: the network does not exist, or does not support this image size or alpha.
    """
    if config.name not in NETWORKS:
        matches = difflib.get_close_matches(config.name, NETWORKS, 3, 0.5) or sorted(NETWORKS)
        raise ConfigError(f"keras.applications has no network '{config.name}'; did you mean {', '.join(matches)}?")
    if config.alpha != 1 and config.name not in NETWORKS_WITH_ALPHA:
        raise ConfigError(
            f"backbone.alpha is only for {', '.join(NETWORKS_WITH_ALPHA)}; leave it at 1 for {config.name}, "
            f"got {config.alpha}."
        )
    size = config.image_size or NETWORKS[config.name][1]
    alpha = {"alpha": config.alpha} if config.name in NETWORKS_WITH_ALPHA else {}
    builder = getattr(keras.applications, config.name)
    try:
        return builder(input_shape=(size, size, 3), include_top=with_top, weights=weights, **alpha)
    except ValueError as error:
        if weights is not None:
            raise
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{config.name} cannot be built with image_size {size} and alpha {config.alpha}: {reason}"
        ) from error


def cut_network(config: BackboneConfig) -> CutNetwork:
    """Builds a network with random weights, cut at its feature layer. The only place that fills in defaults.

    A layer that only the classifier has (`fc2` of VGG16, `avg_pool` of ResNet50) includes the classifier.

    Raises:
        ConfigError: the network or the layer does not exist, or the storage does not fit the layer.
    """
    full = make_network(config)
    name = config.feature_layer or DEFAULT_LAYERS.get(config.name, OUTPUT)
    layers = _feature_layers(full)
    if name == OUTPUT:
        layer = full.layers[-1]
        name = layer.name if layer.name in layers else OUTPUT
    elif name in layers:
        layer = layers[name]
    else:
        without_top, full = layers, make_network(config, with_top=True)
        layers = _feature_layers(full)
        if name not in layers:
            raise ConfigError(_unknown_layer(config, name, [*dict.fromkeys([*without_top, *layers])]))
        layer = layers[name]
    is_relu6 = isinstance(layer, keras.layers.ReLU) and (layer.max_value, layer.threshold) == (6, 0)
    if config.storage == "uint8" and not is_relu6:
        raise ConfigError(
            f"backbone.storage 'uint8' is for values in [0, 6], the range of a ReLU6, and '{name}' of {config.name} "
            "is not a ReLU6 layer; remove the setting or use 'float16'."
        )
    config = replace(
        config,
        feature_layer=name,
        image_size=full.input_shape[1],
        storage=config.storage or ("uint8" if is_relu6 else "float16"),
    )
    return CutNetwork(full, keras.Model(full.input, layer.output), config)


def _feature_layers(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers that output a grid or a vector and have the same name in every process, by name."""

    def is_feature_layer(layer: keras.layers.Layer) -> bool:
        kind, name = type(layer).__name__.lower(), layer.name.replace("_", "")
        is_numbered = name == kind or re.fullmatch(rf"{kind}\d+", name)  # Keras counts layers without a name
        rank = len(getattr(layer.output, "shape", ()))
        return not is_numbered and not isinstance(layer, keras.layers.InputLayer) and rank in (2, 4)

    return {layer.name: layer for layer in network.layers if is_feature_layer(layer)}


def _unknown_layer(config: BackboneConfig, name: str, names: list[str]) -> str:
    matches = difflib.get_close_matches(name, names, 5, 0.5)
    suggestion = f"did you mean {', '.join(matches)}? " if matches else ""
    return (
        f"backbone.feature_layer '{name}' is not a layer of {config.name} that outputs a grid or a vector and has a "
        f"fixed name; {suggestion}The last of its {len(names)} layers: {', '.join(names[-8:])}; '{OUTPUT}' is the "
        "output."
    )


def input_scaling(cut: CutNetwork) -> Scaling:
    """The scaling of a network whose weights are loaded."""
    scaling, _ = NETWORKS[cut.config.name]
    if not cut.config.name.startswith("EfficientNetB"):
        return scaling
    [norm] = [layer for layer in cut.full.layers if isinstance(layer, keras.layers.Normalization)]
    mean, variance = (np.asarray(value).reshape(3) for value in (norm.mean, norm.variance))
    if np.all(mean == 0) and np.all(variance == 1):
        return scaling  # trained from scratch, without the means of ImageNet
    # The ImageNet weights of Keras contain standard deviations where the layer expects variances. Keras adds a layer
    # that divides by their square root to networks with weights="imagenet" only; here the scaling does it.
    factor = IMAGENET_DEVIATION**-0.5
    return Scaling("[0, 255], scaled by the network and its ImageNet weights", factor, 255 * mean * (1 - factor))


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights between two networks of the same kind."""
    target.set_weights(source.get_weights())
    for layer in target.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # otherwise it keeps using its old mean
