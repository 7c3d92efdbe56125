"""Extract the features of images without a cache: read, stack and encode them in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.data.features.backbone import Backbone
from caption_tx.data.images.forms import ImageLike
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.reader import ImageBatch, read_image_batches
from caption_tx.data.images.sources import open_images
from caption_tx.errors import ImageError


@dataclass(frozen=True)
class ExtractedFeatures:
    """Features of the images that can be read, in the order of the request.

    Attributes:
        names: of the readable images.
        contents: their hex content hashes.
        features: (B, h, w, C) in the number format of `backbone.config.storage`; see `dequantize`.
        errors: name -> why the image cannot be read.
    """

    names: list[str]
    contents: list[str]
    features: np.ndarray
    errors: dict[str, ImageError]


def encode_batches(
    backbone: Backbone,
    images: Iterable[ImageLike] | ImageLike,
    source: ImageSource,
    batch_size: int = 32,
    stop: threading.Event | None = None,
) -> Iterator[tuple[ImageBatch, tf.Tensor]]:
    """Yields each batch of images with the stored features (B, h, w, C) of its readable images.

    Args:
        images: names in `source`, or images in another form of `ImageLike`. Any number.
        stop: once set, no more images are read.
    """
    for batch in read_image_batches(images, source, backbone.config.image_size, batch_size, stop):
        empty = tf.zeros((0, *backbone.feature_shape), backbone.config.storage)
        yield batch, backbone.encode(batch.pixels) if batch.contents else empty


def extract_features(
    backbone: Backbone,
    images: str | ImageSource | Mapping[str, ImageLike],
    names: Iterable[ImageLike],
    batch_size: int = 32,
) -> ExtractedFeatures:
    """Reads images and encodes them. Unreadable images are left out and listed in `errors`.

    Args:
        images: a location for `open_images`, the source that it returned, or a mapping of names to images.
        names: of images in `images`, or other images in a form of `ImageLike`.
        batch_size: images that the backbone encodes at once. It does not change the features.

    Example:
        >>> extracted = extract_features(backbone, "photos", ["cat.jpg", "dog.jpg"])
        >>> activations = dequantize(extracted.features)  # float32 (2, 7, 7, 1024)
    """
    if isinstance(images, Mapping):
        names, images = [(name, images[name]) for name in names], ""
    source = open_images(images) if isinstance(images, str) else images
    readable: list[str] = []
    contents: list[str] = []
    parts = [np.empty((0, *backbone.feature_shape), backbone.config.storage)]
    errors: dict[str, ImageError] = {}
    for batch, features in encode_batches(backbone, names, source, batch_size):
        errors |= {batch.names[row]: error for row, error in batch.errors.items()}
        readable += [name for row, name in enumerate(batch.names) if row not in batch.errors]
        contents += batch.contents
        parts.append(features.numpy())
    return ExtractedFeatures(readable, contents, np.concatenate(parts), errors)
