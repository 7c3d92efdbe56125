"""Reads config.json of a bundle without trusting it: the settings, the default search and the backbone's key."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.config import BackboneConfig, DecodingOptions, TextConfig, from_dict
from caption_tx.config.fields import suggestion
from caption_tx.data.features.backbone import STORAGE_KEYS
from caption_tx.data.features.networks import NETWORKS
from caption_tx.data.features.retrieval_index import IndexSizes
from caption_tx.errors import BundleError, ConfigError
from caption_tx.escaping import one_line
from caption_tx.model.settings import CaptionerSettings

FORMAT = 1
CONFIG, VOCABULARY, WEIGHTS, DICTIONARY, RETRIEVAL = (
    "config.json",
    "vocabulary.txt",
    "model.weights.h5",
    "user_dictionary.txt",
    "retrieval.h5",
)

MAX_CONFIG_BYTES = 1 << 20
MAX_HYPOTHESES = 64
"""Beams or samples per image of a search that a bundle stores."""
_MAX_DEPTH = 20
_MAX_MESSAGE = 400

_SECTIONS = {
    "format": int,
    "caption_tx": str,
    "text": dict,
    "backbone": dict,
    "backbone_key": dict,
    "captioner": dict,
    "decoding": dict,
    "retrieval": dict,
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
        decoding: the default search; greedy if the file has none.
        retrieval: the sizes of the retrieval index; None without one.
    """

    text: TextConfig
    backbone: BackboneConfig
    backbone_key: dict[str, Any]
    settings: CaptionerSettings
    facts: dict[str, Any]
    files: dict[str, str]
    decoding: DecodingOptions
    retrieval: IndexSizes | None = None


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
        what = f"it has no {CONFIG}"
        if folder.suffix == ".tflite":
            raise BundleError(f"No bundle in {folder}: it is an exported file, which `caption_tx.lite.load` reads.")
        if not folder.is_dir():
            advice = suggestion(str(folder).replace("_", "-"), SHIPPED_BUNDLES).replace("Known: ", "Those that ship: ")
            raise BundleError(f"No bundle in {folder}: there is no such folder. {advice}")
        if (folder / "config.toml").is_file():
            what = "it is a training run that has not finished an epoch"
        raise BundleError(f"No bundle in {folder}: {what}.")
    with open_regular(path, MAX_CONFIG_BYTES) as file:
        data = file.read(MAX_CONFIG_BYTES)
    try:
        return parse_config(json.loads(data.decode("utf-8"), object_pairs_hook=_distinct))
    except (ValueError, RecursionError, ConfigError, BundleError) as error:
        raise BundleError(f"{path} is damaged or was not made by caption_tx: {brief(error)}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' occurs twice")
    return values


def brief(error: Exception) -> str:
    """The message of an error as one line of bounded length."""
    text = one_line("it is nested too deeply" if isinstance(error, RecursionError) else str(error))
    text = text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}.."
    return text if text.endswith(("?", ".")) else f"{text}."


def parse_config(config: Any) -> BundleConfig:
    """Validates the contents of config.json.

    Raises:
        BundleError, ConfigError: a value is unknown, missing, of the wrong type or out of range.
    """
    if not isinstance(config, dict):
        raise BundleError(f"expected an object, found {type(config).__name__}")
    _check_depth(config)
    version = config.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise BundleError(f"it has format {version}, this version reads format {FORMAT}; upgrade caption_tx")
    _check_names(config, _SECTIONS, "", optional={"facts", "decoding", "retrieval"})
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
    retrieval = _parse_index_sizes(config["retrieval"], settings) if "retrieval" in config else None
    _check_files(config["files"], text, retrieval is not None)
    decoding = parse_decoding(config.get("decoding", {}), settings, retrieval is not None)
    key, facts = config["backbone_key"], config.get("facts", {})
    return BundleConfig(text, backbone, key, settings, facts, config["files"], decoding, retrieval)


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


def parse_decoding(values: dict[str, Any], settings: CaptionerSettings, has_index: bool = False) -> DecodingOptions:
    """The default search. Its hypotheses are limited, so that a bundle cannot exhaust the memory of its user.

    Args:
        values: the fields of `DecodingOptions`.
        settings: of the captioner.
        has_index: whether the bundle has a retrieval index.

    Raises:
        BundleError: an option is unknown, invalid, or does not fit the captioner.
    """
    try:
        decoding = from_dict(DecodingOptions, values, "decoding.")
    except ConfigError as error:
        raise BundleError(str(error) if "'decoding." in str(error) else f"decoding.{error}") from error
    limits = {"beam_width": MAX_HYPOTHESES, "samples": MAX_HYPOTHESES}
    limits |= dict.fromkeys(("max_length", "min_length"), settings.max_length)
    for name, limit in limits.items():
        if (value := getattr(decoding, name)) is not None and value > limit:
            raise BundleError(f"decoding.{name} must be at most {limit} in a bundle, got {value}")
    if decoding.retrieval and not has_index:
        raise BundleError("decoding.retrieval must be 0 in a bundle without a retrieval index")
    return decoding


def _parse_index_sizes(values: dict[str, Any], settings: CaptionerSettings) -> IndexSizes:
    names = [item.name for item in dataclasses.fields(IndexSizes)]
    _check_names(values, names, "retrieval.")
    for name in names:
        value = values[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 1 << 31:
            raise BundleError(f"retrieval.{name} must be an integer from 1 to {(1 << 31) - 1}, got {value!r}")
    sizes, channels = IndexSizes(**values), settings.feature_shape[-1]
    if sizes.dimensions > channels:
        raise BundleError(f"retrieval.dimensions must be at most {channels}, got {sizes.dimensions}")
    return sizes


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


def _check_files(files: dict[str, Any], text: TextConfig, has_index: bool) -> None:
    known = (VOCABULARY, WEIGHTS, DICTIONARY, RETRIEVAL)
    for name, digest in files.items():
        if name not in known:
            raise BundleError(f"'files' lists {name!r}, which is no file of a bundle. Known: {', '.join(known)}")
        if not isinstance(digest, str):
            raise BundleError(f"files.{name} must be a SHA-256, got {digest!r}")
    if missing := [name for name in (VOCABULARY, WEIGHTS) if name not in files]:
        raise BundleError(f"'files' does not list {missing[0]}")
    if has_index != (RETRIEVAL in files):
        raise BundleError(f"'retrieval' and {RETRIEVAL} in 'files' require each other")
    if text.user_dictionary is not None and (text.user_dictionary != DICTIONARY or DICTIONARY not in files):
        raise BundleError(
            f"text.user_dictionary must be {DICTIONARY} and listed in 'files', got {text.user_dictionary!r}"
        )
