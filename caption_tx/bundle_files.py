"""Reads the files of a bundle without trusting them.

Everything is compared with config.json before anything of its size is allocated. Only regular files inside the folder
are opened, and no more of them is read than config.json declares.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from caption_tx.config import BackboneConfig, TextConfig, from_dict
from caption_tx.config.fields import suggestion
from caption_tx.data.features.backbone import STORAGE_KEYS
from caption_tx.data.features.networks import NETWORKS
from caption_tx.data.text.vocabulary import MAX_WORD_LENGTH
from caption_tx.errors import BundleError, ConfigError
from caption_tx.escaping import one_line
from caption_tx.model.settings import CaptionerSettings, weight_shapes

FORMAT = 1
CONFIG, VOCABULARY, WEIGHTS, DICTIONARY = (
    "config.json",
    "vocabulary.txt",
    "model.weights.h5",
    "user_dictionary.txt",
)

MAX_CONFIG_BYTES = 1 << 20
MAX_DICTIONARY_BYTES = 64 << 20
_MAX_DEPTH = 20
_MAX_MESSAGE = 400
_BLOCK = 1 << 20

_SECTIONS = {
    "format": int,
    "caption_tx": str,
    "text": dict,
    "backbone": dict,
    "backbone_key": dict,
    "captioner": dict,
    "facts": dict,
    "files": dict,
}
_KEY_TYPES = {
    "backbone": str,
    "alpha": float,
    "weights_sha256": str,
    "feature_layer": str,
    "image_size": int,
    "feature_shape": list,
    "preprocessing": str,
    "storage": str,
}


@dataclass(frozen=True)
class BundleConfig:
    """The contents of config.json.

    Attributes:
        text, backbone, settings: valid settings of the segmentation, the backbone and the captioner.
        backbone_key: complete, and in agreement with `backbone` and `settings`.
        facts: any JSON object.
        files: name of each other file -> its SHA-256.
    """

    text: TextConfig
    backbone: BackboneConfig
    backbone_key: dict[str, Any]
    settings: CaptionerSettings
    facts: dict[str, Any]
    files: dict[str, str]


@contextmanager
def open_regular(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Opens a file that is neither a link, a device nor a pipe, and has at most `max_bytes`.

    Raises:
        BundleError: the file is missing, is not a regular file, is too large or cannot be read.
    """
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
    try:
        # A device or pipe may react to being opened, hence two checks.
        status, descriptor = os.lstat(path), None
        if stat.S_ISREG(status.st_mode):
            descriptor = os.open(path, flags)
            status = os.fstat(descriptor)
    except FileNotFoundError as error:
        raise BundleError(f"The bundle {path.parent} is incomplete: {path.name} is missing.") from error
    except OSError as error:
        raise BundleError(f"Cannot read {path}: {error.strerror or error}.") from error
    if descriptor is None:
        raise BundleError(f"{path} is a link, pipe, folder or device; replace it by a copy of the file.")
    with open(descriptor, "rb") as file:
        if status.st_size > max_bytes:
            raise BundleError(
                f"{path} has {status.st_size:,} bytes, more than the {max_bytes:,} that its contents can need; the "
                "bundle is damaged."
            )
        yield file


def read_config(folder: Path) -> BundleConfig:
    """Reads and validates config.json.

    Raises:
        BundleError: the file is missing, or a value is unknown, missing, of the wrong type or out of range.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):
        what = f"it has no {CONFIG}" if folder.is_dir() else "there is no such folder"
        if (folder / "config.toml").is_file():
            what = "it is a training run that has not finished an epoch"
        raise BundleError(f"No bundle in {folder}: {what}.")
    with open_regular(path, MAX_CONFIG_BYTES) as file:
        data = file.read(MAX_CONFIG_BYTES)
    try:
        return _parse_config(json.loads(data.decode("utf-8"), object_pairs_hook=_distinct))
    except (ValueError, RecursionError, ConfigError, BundleError) as error:
        raise BundleError(f"{path} is damaged or was not made by caption_tx: {_brief(error)}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' occurs twice")
    return values


def _brief(error: Exception) -> str:
    """The message of an error as one line of bounded length."""
    text = one_line("it is nested too deeply" if isinstance(error, RecursionError) else str(error))
    text = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}.."
    return text if text.endswith(("?", ".")) else f"{text}."


def _parse_config(config: Any) -> BundleConfig:
    if not isinstance(config, dict):
        raise BundleError(f"expected an object, found {type(config).__name__}")
    _check_depth(config)
    version = config.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise BundleError(f"it has format {version}, this version reads format {FORMAT}; upgrade caption_tx")
    _check_names(config, _SECTIONS, "", optional={"facts"})
    for name, kind in _SECTIONS.items():
        if not isinstance(config.get(name, {}), kind) or isinstance(config.get(name), bool):
            raise BundleError(f"'{name}' must be of type {kind.__name__}, got {config[name]!r}")
    if version != FORMAT:
        raise BundleError(f"'format' must be {FORMAT}, got {version}")
    for section, name in (("text", "language"), ("backbone", "name"), ("backbone", "weights")):
        if name not in config[section]:
            raise BundleError(f"'{section}.{name}' is missing")
    text = from_dict(TextConfig, config["text"], "text.")
    backbone = from_dict(BackboneConfig, config["backbone"], "backbone.")
    settings = _parse_settings(config["captioner"])
    _check_backbone(backbone, config["backbone_key"], settings)
    _check_files(config["files"], text)
    return BundleConfig(text, backbone, config["backbone_key"], settings, config.get("facts", {}), config["files"])


def _check_depth(config: dict[str, Any]) -> None:
    """Rejects values that are nested so deeply that functions which recurse into them would fail."""
    values: list[Any] = [config]
    for _ in range(_MAX_DEPTH):
        nested = [value.values() if isinstance(value, dict) else value for value in values]
        values = [item for items in nested for item in items if isinstance(item, (dict, list))]
    if values:
        raise BundleError(f"it is nested more than {_MAX_DEPTH} levels deep")


def _check_names(values: dict[str, Any], known: Any, prefix: str, optional: Any = ()) -> None:
    for name in values:
        if name not in known:
            raise BundleError(f"unknown setting '{prefix}{name}'. {suggestion(name, known)}")
    if missing := [name for name in known if name not in values and name not in optional]:
        raise BundleError(f"'{prefix}{missing[0]}' is missing")


def _parse_settings(values: dict[str, Any]) -> CaptionerSettings:
    fields = dataclasses.fields(CaptionerSettings)
    optional = {item.name for item in fields if item.default is not dataclasses.MISSING}
    _check_names(values, [item.name for item in fields], "captioner.", optional)
    try:
        return CaptionerSettings(**values)
    except ConfigError as error:
        raise BundleError(str(error).replace("model.", "captioner.", 1)) from error


def _check_backbone(backbone: BackboneConfig, key: dict[str, Any], settings: CaptionerSettings) -> None:
    """Compares the three descriptions of the backbone that a config.json contains."""
    if backbone.name not in NETWORKS:
        raise BundleError(
            f"backbone.name: there is no network '{backbone.name}'. {suggestion(backbone.name, NETWORKS)}"
        )
    _check_names(key, _KEY_TYPES, "backbone_key.")
    for name, kind in _KEY_TYPES.items():
        fits = isinstance(key[name], (int, float) if kind is float else kind) and not isinstance(key[name], bool)
        if not fits:
            raise BundleError(f"backbone_key.{name} must be of type {kind.__name__}, got {key[name]!r}")
    digest = key["weights_sha256"]
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BundleError(f"backbone_key.weights_sha256 must be 64 hexadecimal digits, got {digest!r}")
    expected = {
        "backbone": backbone.name,
        "alpha": backbone.alpha,
        "feature_layer": backbone.feature_layer,
        "image_size": backbone.image_size,
        "feature_shape": list(settings.feature_shape),
    }
    for name, value in expected.items():
        if value is not None and key[name] != value:
            raise BundleError(f"backbone_key.{name} is {key[name]!r}, but the settings say {value!r}")
    storages = STORAGE_KEYS.values() if backbone.storage is None else [STORAGE_KEYS[backbone.storage]]
    if key["storage"] not in storages:
        raise BundleError(f"backbone_key.storage must be {' or '.join(map(repr, storages))}, got {key['storage']!r}")


def _check_files(files: dict[str, Any], text: TextConfig) -> None:
    known = (VOCABULARY, WEIGHTS, DICTIONARY)
    for name, digest in files.items():
        if name not in known:
            raise BundleError(f"'files' lists {name!r}, which is no file of a bundle. Known: {', '.join(known)}")
        if not isinstance(digest, str):
            raise BundleError(f"files.{name} must be a SHA-256, got {digest!r}")
    if missing := [name for name in (VOCABULARY, WEIGHTS) if name not in files]:
        raise BundleError(f"'files' does not list {missing[0]}")
    if text.user_dictionary is not None and (text.user_dictionary != DICTIONARY or DICTIONARY not in files):
        raise BundleError(
            f"text.user_dictionary must be {DICTIONARY} and listed in 'files', got {text.user_dictionary!r}"
        )


def digest(path: Path, max_bytes: int) -> str:
    """The SHA-256 of a file, read in blocks.

    Raises:
        BundleError: as for `open_regular`.
    """
    result = hashlib.sha256()
    with open_regular(path, max_bytes) as file:
        while block := file.read(_BLOCK):
            result.update(block)
    return result.hexdigest()


def check_files(folder: Path, config: BundleConfig) -> None:
    """Compares every file with its checksum, then the vocabulary and the headers of the weights with the settings.

    Raises:
        BundleError: a file is missing, damaged, too large or does not match config.json.
    """
    limits = {
        VOCABULARY: _max_vocabulary_bytes(config.settings),
        WEIGHTS: _max_weights_bytes(weight_shapes(config.settings)),
        DICTIONARY: MAX_DICTIONARY_BYTES,
    }
    for name, expected in config.files.items():
        if digest(folder / name, limits[name]) != expected:
            raise BundleError(f"{folder / name} is damaged or was modified: its checksum differs from {CONFIG}.")
    _check_vocabulary(folder / VOCABULARY, limits[VOCABULARY], config.settings.vocabulary_size)
    _check_weights(folder / WEIGHTS, weight_shapes(config.settings))


def _max_vocabulary_bytes(settings: CaptionerSettings) -> int:
    """A word of the maximum length has 4 bytes per character; the average word of a large vocabulary is shorter."""
    return min(settings.vocabulary_size * (4 * MAX_WORD_LENGTH + 2), (4 << 20) + 64 * settings.vocabulary_size)


def _max_weights_bytes(shapes: dict[str, tuple[int, ...]]) -> int:
    """float32 numbers, and the headers that Keras writes: some 3 KB per weight."""
    return sum(4 * int(np.prod(shape, dtype=np.int64)) + 8192 for shape in shapes.values()) + 65_536


def _check_vocabulary(path: Path, max_bytes: int, vocabulary_size: int) -> None:
    with open_regular(path, max_bytes) as file:
        lines = sum(1 for _ in file)
    if lines != vocabulary_size:
        raise BundleError(f"{path} has {lines} tokens, the model {vocabulary_size}.")


def _check_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compares the headers of all weights with the settings, then the numbers with float32."""
    try:
        with open_regular(path, _max_weights_bytes(shapes)) as file, h5py.File(file, "r") as weights:
            found = _datasets(weights, max_items=100 + 10 * len(shapes))  # Keras also writes empty groups
            if missing := sorted(shapes.keys() - found.keys()):
                raise BundleError(f"'{missing[0]}' is missing")
            if extra := sorted(found.keys() - shapes.keys()):
                raise BundleError(f"'{extra[0]}' is not a weight of this captioner")
            for name, dataset in found.items():
                _check_header(name, dataset, shapes[name])
            for name, dataset in found.items():
                values = dataset[()]
                with np.errstate(over="ignore"):
                    if not np.isfinite(np.asarray(values, np.float32)).all():
                        raise BundleError(f"'{name}' has numbers that are not finite")
    except Exception as error:  # h5py raises many classes for damaged files
        raise BundleError(f"The weights in {path} do not fit its {CONFIG} or are damaged: {_brief(error)}") from error


def _datasets(file: h5py.File, max_items: int) -> dict[str, h5py.Dataset]:
    """The datasets of a file by path. Links, which may lead to other files, are not followed."""
    found, groups, items = {}, [("", file)], 0
    while groups:
        prefix, group = groups.pop()
        for name in group:
            path, items = f"{prefix}{name}", items + 1
            if items > max_items:
                raise BundleError("it contains more than the weights of this captioner")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise BundleError(f"'{path}' is a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append((f"{path}/", item))
            elif isinstance(item, h5py.Dataset):
                found[path] = item
            else:
                raise BundleError(f"'{path}' is a {type(item).__name__}, not numbers")
    return found


def _check_header(name: str, dataset: h5py.Dataset, shape: tuple[int, ...]) -> None:
    properties = dataset.id.get_create_plist()
    # Other layouts and external storage refer to other files or hide the size of their contents.
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise BundleError(f"'{name}' is not stored contiguously")
    if dataset.dtype not in (np.dtype("<f4"), np.dtype("<f2")):
        raise BundleError(f"'{name}' must have dtype float32 or float16, found {dataset.dtype}")
    if dataset.shape != shape:
        raise BundleError(f"'{name}' has shape {dataset.shape}, the settings say {shape}")
    if dataset.id.get_storage_size() != dataset.nbytes:
        raise BundleError(f"'{name}' has no data")
