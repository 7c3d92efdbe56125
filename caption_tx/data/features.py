"""Images -> frozen backbone -> features, each image once, in a cache that resumes.

A cache is a folder: `cache.json` (its key), `shard-00000.tfrecord` with `shard-00000.json`
beside it (which images it holds, and their content hashes), and `failed.json`. A shard counts
only when its JSON is there, and that is written last, so a killed run loses at most one shard.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from caption_tx.assets import asset
from caption_tx.config import BackboneConfig
from caption_tx.data.images import content_hash, read_image
from caption_tx.errors import CacheError, ConfigError, ImageError

WEIGHTS_VARIABLE = "CAPTION_TX_BACKBONE_WEIGHTS"
"""Environment variable that names a weights file to use where the settings say "imagenet"."""

SCENE_WEIGHTS = "scene_mobilenet_0_25.weights.h5"
RELU6_SCALE = 6.0 / 255.0
"""ReLU6 activations lie in [0, 6]; one unit of the stored 8 bits is this much."""


def quantize(features: Any) -> Any:
    """Activations in [0, 6] to uint8, rounded to the nearest of 256 levels; any shape."""
    return keras.ops.cast(keras.ops.round(features / RELU6_SCALE), "uint8")


def dequantize(features: Any) -> Any:
    """uint8 levels to float32 activations in [0, 6]; any shape."""
    return keras.ops.cast(features, "float32") * RELU6_SCALE


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
        """What makes features comparable: backbone, weights, layer, input size and preprocessing."""
        return {
            "backbone": self.config.name,
            "alpha": self.config.alpha,
            "weights_sha256": self.digest,
            "feature_layer": self.config.feature_layer,
            "image_size": self.config.image_size,
            "feature_shape": list(self.feature_shape),
            "preprocessing": "srgb, squashed to a square, antialiased bilinear, [-1, 1]",
            "storage": "uint8, scale 6/255",
        }

    @cached_property
    def encode(self) -> Callable[[Any], tf.Tensor]:
        """Compiled: uint8 images (B, H, W, 3) -> uint8 features (B, h, w, C)."""
        size = self.config.image_size

        @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
        def encode(images: tf.Tensor) -> tf.Tensor:
            return quantize(self.network(tf.cast(images, tf.float32), training=False))

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


def _write(path: str, data: bytes) -> None:
    """Writes a whole file or nothing, on any store TensorFlow knows."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(data)
    tf.io.gfile.rename(temporary, path, overwrite=True)


@dataclass(frozen=True)
class FeatureCache:
    """An opened cache: which shard holds which image, with the content hash of each.

    `views` is 2 when every image also stands mirrored left to right, else 1.
    """

    folder: str
    key: dict[str, Any]
    views: int
    shards: dict[str, dict[str, str]]
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(h, w, C)."""
        h, w, channels = self.key["feature_shape"]
        return h, w, channels

    @cached_property
    def images(self) -> frozenset[str]:
        return frozenset(name for names in self.shards.values() for name in names)

    def paths_holding(self, names: Iterable[str]) -> list[str]:
        """Paths of the shards that hold any of `names`, in order."""
        wanted = set(names)
        return [
            os.path.join(self.folder, f"{shard}.tfrecord")
            for shard, held in sorted(self.shards.items())
            if not wanted.isdisjoint(held)
        ]

    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One serialized record -> (image name, uint8 features (views, h, w, C)); runs in the graph."""
        example = tf.io.parse_single_example(
            record,
            {"image": tf.io.FixedLenFeature((), tf.string), "features": tf.io.FixedLenFeature((), tf.string)},
        )
        features = tf.io.decode_raw(example["features"], tf.uint8)
        return example["image"], tf.reshape(features, (self.views, *self.feature_shape))

    def load(self, names: Sequence[str]) -> np.ndarray:
        """The unmirrored uint8 features of a few images, (len(names), h, w, C), in that order."""
        missing = [name for name in names if name not in self.images]
        if missing:
            raise CacheError(f"The cache {self.folder} does not hold {missing[0]} ({len(missing)} missing).")
        found = {}
        wanted = set(names)
        for path in self.paths_holding(names):
            try:
                for record in tf.data.TFRecordDataset(path):
                    name, features = self.parse(record)
                    if (text := name.numpy().decode()) in wanted:
                        found[text] = features[0].numpy()
            except tf.errors.DataLossError as error:
                raise CacheError(
                    f"{path} is damaged; delete {path[: -len('tfrecord')]}json and run `caption-tx features` again."
                ) from error
        return np.stack([found[name] for name in names])


def open_cache(folder: str, key: dict[str, Any] | None = None) -> FeatureCache:
    """Opens a cache, and refuses one that another backbone made.

    Raises:
        CacheError: nothing there, damaged, or of another key; the message names the difference.
    """
    path = os.path.join(folder, "cache.json")
    if not tf.io.gfile.exists(path):
        raise CacheError(f"No feature cache in {folder}; make one with `caption-tx features`.")
    header = _read_json(path)
    if not isinstance(header.get("key"), dict) or header.get("views") not in (1, 2):
        raise CacheError(f"{path} is damaged (no key or views); delete {folder} and run `caption-tx features` again.")
    if key is not None and header["key"] != key:
        found = header["key"]
        names = [name for name in key if found.get(name) != key[name]]
        differences = "; ".join(f"{name} is {found.get(name)!r}, wanted {key[name]!r}" for name in names)
        raise CacheError(f"The feature cache {folder} was made otherwise: {differences}. Name another --cache.")
    shards = {}
    for file in sorted(tf.io.gfile.glob(os.path.join(folder, "shard-*.json"))):
        shard = os.path.basename(file)[: -len(".json")]
        manifest = _read_json(file)
        data = os.path.join(folder, f"{shard}.tfrecord")
        if not tf.io.gfile.exists(data) or tf.io.gfile.stat(data).length != manifest.get("bytes"):
            raise CacheError(f"{data} is missing or damaged; delete {file} and run `caption-tx features` again.")
        if not isinstance(manifest.get("images"), dict):
            raise CacheError(f"{file} is damaged (no images); delete it and run `caption-tx features` again.")
        shards[shard] = manifest["images"]
    failures = os.path.join(folder, "failed.json")
    failed = _read_json(failures) if tf.io.gfile.exists(failures) else {}
    return FeatureCache(folder, header["key"], header["views"], shards, failed)


def _read_json(path: str) -> dict[str, Any]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            value = json.loads(file.read())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
    except (ValueError, UnicodeDecodeError) as error:
        raise CacheError(f"{path} is damaged ({error}); delete it and run `caption-tx features` again.") from error
    return value


def encode_images(
    names: Sequence[str],
    image_folder: str,
    folder: str,
    backbone: Backbone,
    *,
    flips: bool = False,
    batch_size: int = 32,
    shard_size: int = 512,
    progress: Callable[[Iterable, int], Iterable] | None = None,
) -> FeatureCache:
    """Encodes each image that the cache does not hold yet, once, and returns the cache.

    Args:
        names: image files, relative to `image_folder`; repeats count once.
        flips: also store each image mirrored left to right.
        progress: wraps an iterable of images and its length, e.g. `tqdm`.

    Unreadable images are skipped and listed with their reason in `failed.json`.

    Raises:
        CacheError: the folder holds a cache made otherwise.
    """
    tf.io.gfile.makedirs(folder)
    header = os.path.join(folder, "cache.json")
    views = 2 if flips else 1
    if not tf.io.gfile.exists(header):
        _write(header, json.dumps({"key": backbone.key, "views": views}, indent=1).encode())
    cache = open_cache(folder, backbone.key)
    if cache.views < views:
        raise CacheError(f"The feature cache {folder} holds no mirrored views; name another --cache for --flips.")
    _check_contents(cache, image_folder, names)
    remaining = [name for name in dict.fromkeys(names) if name not in cache.images]
    failed: dict[str, str] = {}
    number = 1 + max((int(shard.split("-")[1]) for shard in cache.shards), default=-1)
    stream: Iterable = _read_ahead(remaining, image_folder, backbone.config.image_size, 2 * batch_size)
    if progress is not None:
        stream = progress(stream, len(remaining))
    shard = _ShardWriter(folder, number)
    batch: list[tuple[str, str, np.ndarray]] = []
    for position, (name, result) in enumerate(stream, start=1):
        if isinstance(result, ImageError):
            failed[name] = str(result)
        else:
            batch.append((name, *result))
        last = position == len(remaining)
        if batch and (last or len(batch) == batch_size):
            _encode_batch(batch, backbone, cache.views, shard)
            batch = []
        if shard.images and (last or len(shard.images) >= shard_size):
            shard.close()
            number += 1
            shard = _ShardWriter(folder, number)
    failures = os.path.join(folder, "failed.json")
    asked = set(names)
    failed = {name: reason for name, reason in cache.failed.items() if name not in asked} | failed
    if failed or cache.failed:
        _write(failures, json.dumps(failed, indent=1, ensure_ascii=False).encode())
    return open_cache(folder, backbone.key)


def _check_contents(cache: FeatureCache, image_folder: str, names: Iterable[str]) -> None:
    """Refuses a cache that holds another picture under the same name; files that are gone are not asked."""
    hashes = {name: content for held in cache.shards.values() for name, content in held.items()}

    def changed(name: str) -> bool:
        try:
            return content_hash(Path(image_folder, name).read_bytes()) != hashes[name]
        except OSError:
            return False

    held = [name for name in dict.fromkeys(names) if name in hashes]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for name, different in zip(held, pool.map(changed, held), strict=True):
            if different:
                raise CacheError(
                    f"{os.path.join(image_folder, name)} is another picture than the '{name}' in the feature cache "
                    f"{cache.folder}; name another --cache."
                )


def _encode_batch(
    batch: list[tuple[str, str, np.ndarray]], backbone: Backbone, views: int, shard: _ShardWriter
) -> None:
    pictures = np.stack([picture for _, _, picture in batch])  # (B, H, W, 3)
    encoded = [backbone.encode(pictures).numpy()]
    if views == 2:
        encoded.append(backbone.encode(np.ascontiguousarray(pictures[:, :, ::-1])).numpy())
    for row, (name, content, _) in enumerate(batch):
        shard.add(name, content, np.stack([view[row] for view in encoded]))


class _ShardWriter:
    """One shard under a temporary name until it is whole."""

    def __init__(self, folder: str, number: int) -> None:
        self.path = os.path.join(folder, f"shard-{number:05d}")
        self.temporary = f"{self.path}.{os.getpid()}.tmp"
        self.images: dict[str, str] = {}
        self._writer: tf.io.TFRecordWriter | None = None

    def add(self, name: str, content: str, features: np.ndarray) -> None:
        if self._writer is None:
            self._writer = tf.io.TFRecordWriter(self.temporary)
        values = {"image": name.encode(), "features": features.tobytes()}
        feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
        self._writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
        self.images[name] = content

    def close(self) -> None:
        assert self._writer is not None
        self._writer.close()
        size = tf.io.gfile.stat(self.temporary).length
        tf.io.gfile.rename(self.temporary, f"{self.path}.tfrecord", overwrite=True)
        manifest = {"bytes": size, "images": self.images}
        _write(f"{self.path}.json", json.dumps(manifest, ensure_ascii=False).encode())


def _read_ahead(
    names: Sequence[str], folder: str, size: int, depth: int
) -> Iterator[tuple[str, tuple[str, np.ndarray] | ImageError]]:
    """Yields (name, (content hash, picture) or the error), reading `depth` images ahead in threads."""

    def read(name: str) -> tuple[str, np.ndarray] | ImageError:
        try:
            return read_image(os.path.join(folder, name), size)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pending = [(name, pool.submit(read, name)) for name in names[:depth]]
        for following in range(depth, len(names) + depth):
            if not pending:
                return
            name, result = pending.pop(0)
            yield name, result.result()
            if following < len(names):
                pending.append((names[following], pool.submit(read, names[following])))
