"""An exported LiteRT file and the files beside it.

NAME.tflite          the graphs
export.json          digests, signatures, settings, the license and what the verification measured
vocabulary.txt       one token per line
user_dictionary.txt  only if captions were segmented with one
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.config import POOL_NAMES, DecodingOptions, TextConfig, from_dict
from caption_tx.errors import BundleError
from caption_tx.escaping import one_line

if TYPE_CHECKING:
    from caption_tx.data.text.token_words import TokenWords

FORMAT = 1
SUFFIX = ".tflite"
DESCRIPTION, VOCABULARY, DICTIONARY = "export.json", "vocabulary.txt", "user_dictionary.txt"
FILE = "captioner.tflite"
"""The name of the file in a folder of its own."""

CACHE_ENV_VAR = "CAPTION_TX_EXPORTS"
"""Environment variable with the folder of exports that commands use by themselves."""

_MAX_BYTES = 4 << 20


@dataclass(frozen=True)
class ExportDescription:
    """The contents of export.json that captioning needs.

    Attributes:
        file, sha256: name of the LiteRT file and its digest. signatures: their names.
        bundle_digest: `Bundle.digest` of what was exported.
        precision: of the weights.
        text: how captions were segmented.
        image_size: side of the images in pixels.
        grid: (h, w). layers, heads, max_length: of the model; max_length is P.
        beam_width: hypotheses of the signature `beam`.
        decoding: the default search of the bundle. The file may not support it, if it has another beam width.
        pool, map_accuracy: of attention maps, see `Bundle`.
        vocabulary_sha256: digest of the vocabulary.
        files: name of the other files -> digest.
    """

    file: str
    sha256: str
    signatures: frozenset[str]
    bundle_digest: str
    precision: str
    text: TextConfig
    image_size: int
    grid: tuple[int, int]
    layers: int
    heads: int
    max_length: int
    beam_width: int
    decoding: DecodingOptions
    pool: str
    map_accuracy: dict[str, float]
    files: dict[str, str]


def read_description(path: str | Path) -> ExportDescription:
    """Read and validate the description of an exported file, and compare it with the files.

    Args:
        path: of the .tflite file.

    Raises:
        BundleError: a file is missing, was changed, or is of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"There is no exported file {path}; write one with `caption-tx export BUNDLE --to litert`.")
    values = _read_json(path.with_name(DESCRIPTION), path)
    try:
        if values["format"] != FORMAT:
            raise BundleError(f"{path} has format {values['format']}; this version reads {FORMAT}: export it again.")
        if values["file"] != path.name:
            raise BundleError(f"{path.with_name(DESCRIPTION)} describes {values['file']}, not {path.name}.")
        grid_height, grid_width = (int(value) for value in values["grid"])
        sizes = {name: int(values[name]) for name in ("image_size", "layers", "heads", "max_length", "beam_width")}
        description = ExportDescription(
            **{name: str(values[name]) for name in ("file", "sha256", "bundle_digest", "precision", "pool")},
            signatures=frozenset(values["signatures"]),
            text=from_dict(TextConfig, values["text"]),
            decoding=from_dict(DecodingOptions, values["decoding"], "decoding."),
            grid=(grid_height, grid_width),
            map_accuracy={str(name): float(value) for name, value in values["map_accuracy"].items()},
            files={str(name): str(value) for name, value in values["files"].items()},
            **sizes,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"{path.with_name(DESCRIPTION)} is damaged ({type(error).__name__}: {one_line(str(error))}); export the "
            "bundle again."
        ) from error
    is_known = description.pool in POOL_NAMES
    if not is_known or min(sizes.values()) < 1 or set(description.files) - {VOCABULARY, DICTIONARY}:
        raise BundleError(f"{path.with_name(DESCRIPTION)} has values that no export has; export the bundle again.")
    for name, expected in {path.name: description.sha256, **description.files}.items():
        if not path.with_name(name).exists():
            raise BundleError(_missing(path.with_name(name), path))
        if file_digest(path.with_name(name)) != expected:
            raise BundleError(f"{path.with_name(name)} was changed after the export; export the bundle again.")
    if description.text.user_dictionary is not None:
        text = replace(description.text, user_dictionary=str(path.with_name(DICTIONARY)))
        return replace(description, text=text)
    return description


def _read_json(path: Path, file: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        values = json.loads(data)
    except FileNotFoundError as error:
        raise BundleError(_missing(path, file)) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"Cannot read {path} ({one_line(str(error))[:100]}); export the bundle again.") from error
    if not isinstance(values, dict):
        raise BundleError(f"{path} is not the description of an export; export the bundle again.")
    return values


def _missing(path: Path, file: Path) -> str:
    return f"{path} is missing; copy it from where {file.name} was exported to, or export the bundle again."


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"Cannot read {path}: {error.strerror or error}.") from error


def read_vocabulary(path: str | Path, language: str) -> TokenWords:
    """The words of an exported file; its digest was checked.

    Raises:
        BundleError: it is not a vocabulary.
    """
    from caption_tx.data.text.token_words import TokenWords  # NumPy may be missing, which commands report first

    try:
        text = Path(path).read_text(encoding="utf-8")
        return TokenWords(text.removesuffix("\n").split("\n"), language)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is not a vocabulary: {one_line(str(error))}") from error


def cache_folder() -> Path:
    """The folder of exports that `caption` and `explain` use by themselves."""
    if folder := os.environ.get(CACHE_ENV_VAR):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "caption_tx" / "exports"


def cached_export(bundle: Path) -> Path | None:
    """Where the export of a bundle's folder is cached, or None if the folder is not a complete bundle.

    The name depends on the contents of all files of the bundle.
    """
    digest = hashlib.sha256()
    try:
        config = (bundle / "config.json").read_bytes()
        digest.update(config)
        for name in sorted(json.loads(config)["files"]):
            digest.update(file_digest(bundle / Path(name).name).encode())
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return None
    return cache_folder() / digest.hexdigest()[:32] / FILE
