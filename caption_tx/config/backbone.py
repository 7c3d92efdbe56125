"""Settings of the frozen image encoder."""

from __future__ import annotations

from dataclasses import dataclass

from caption_tx.config.fields import Bounds, check, setting, validate

STORAGES = ("uint8", "float16", "float32")
"""Number formats of stored features. 8 bits are for activations in [0, 6] only."""

NAMED_WEIGHTS = ("imagenet", "scenes", "photos")
"""Values of `backbone.weights` that are not files: a download by Keras, and the weights that ship."""


@dataclass(frozen=True)
class BackboneConfig:
    """The frozen image encoder: a network of `keras.applications`, cut at `feature_layer`."""

    name: str = setting("MobileNet", "network of keras.applications, e.g. ResNet50", flag="--backbone", metavar="NAME")
    alpha: float = setting(1.0, "width multiplier of a MobileNet", flag="--alpha", bounds=Bounds(above=0, maximum=4))
    feature_layer: str | None = setting(
        None,
        "layer whose output is the features: any with a grid or a vector for each image",
        flag="--feature-layer",
        metavar="LAYER",
        unset="the last feature map; conv_pw_12_relu for MobileNet",
    )
    image_size: int | None = setting(
        None,
        "input size in pixels",
        flag="--image-size",
        bounds=Bounds(minimum=32, maximum=4096),
        unset="the network's own",
    )
    weights: str = setting(
        "imagenet",
        "'imagenet' (downloaded by Keras), 'photos' or 'scenes' (ship with this package), or a weights file",
        flag="--backbone-weights",
        metavar="WEIGHTS",
    )
    storage: str | None = setting(
        None,
        "number format of stored features",
        flag="--storage",
        choices=STORAGES,
        unset="uint8 for features in [0, 6], else float16",
    )

    def __post_init__(self) -> None:
        validate(self, "backbone.")
        check(bool(self.name), "backbone.name", self.name, "a network of keras.applications")
