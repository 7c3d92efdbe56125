"""Reads the files of a bundle without trusting them.

Everything is compared with config.json before anything of its size is allocated. Only regular files inside the folder
are opened, and no more of them is read than config.json declares.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from caption_tx.bundle_config import (
    CONFIG,
    DICTIONARY,
    RETRIEVAL,
    VOCABULARY,
    WEIGHTS,
    BundleConfig,
    brief,
    open_regular,
)
from caption_tx.data.features.retrieval_index import IndexSizes
from caption_tx.data.text.vocabulary import MAX_WORD_LENGTH
from caption_tx.errors import BundleError
from caption_tx.model.settings import CaptionerSettings, weight_shapes

MAX_DICTIONARY_BYTES = 64 << 20
_BLOCK = 1 << 20


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
    settings, sizes = config.settings, config.retrieval
    limits = {
        VOCABULARY: _max_vocabulary_bytes(settings),
        WEIGHTS: _max_weights_bytes(weight_shapes(settings)),
        DICTIONARY: MAX_DICTIONARY_BYTES,
        RETRIEVAL: 0 if sizes is None else _max_index_bytes(_index_arrays(sizes, settings)),
    }
    for name, expected in config.files.items():
        if digest(folder / name, limits[name]) != expected:
            raise BundleError(f"{folder / name} is damaged or was modified: its checksum differs from {CONFIG}.")
    _check_vocabulary(folder / VOCABULARY, limits[VOCABULARY], settings.vocabulary_size)
    _check_weights(folder / WEIGHTS, weight_shapes(settings))
    if sizes is not None:
        _check_index(folder / RETRIEVAL, sizes, settings)


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


_Arrays = dict[str, tuple[tuple[int, ...], tuple[np.dtype, ...]]]
"""Shape and allowed data types of the arrays in an HDF5 file, by name."""


def _check_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compares the headers of all weights with the settings, then the numbers with float32."""
    floats = (np.dtype("<f4"), np.dtype("<f2"))
    try:
        arrays: _Arrays = {name: (shape, floats) for name, shape in shapes.items()}
        with _open_arrays(path, _max_weights_bytes(shapes), arrays, "a weight of this captioner") as found:
            for name, dataset in found.items():
                _check_finite(name, dataset[()])
    except Exception as error:  # h5py raises many classes for damaged files
        raise BundleError(f"The weights in {path} do not fit its {CONFIG} or are damaged: {brief(error)}") from error


def _index_arrays(sizes: IndexSizes, settings: CaptionerSettings) -> _Arrays:
    arrays = sizes.arrays(settings.feature_shape[-1], settings.vocabulary_size)
    return {name: (shape, (kind,)) for name, (shape, kind) in arrays.items()}


def _max_index_bytes(arrays: _Arrays) -> int:
    return sum(kind.itemsize * math.prod(shape) for shape, (kind,) in arrays.values()) + 65_536


def _check_index(path: Path, sizes: IndexSizes, settings: CaptionerSettings) -> None:
    """Compares the headers of all arrays of the retrieval index with its sizes, then the numbers with each other."""
    arrays = _index_arrays(sizes, settings)
    try:
        with _open_arrays(path, _max_index_bytes(arrays), arrays, "an array of a retrieval index") as found:
            for name in ("mean", "projection"):
                _check_finite(name, found[name][()])
            if (largest := found["token_ids"][()].max()) >= settings.vocabulary_size:
                raise BundleError(f"'token_ids' has the token {largest}, the model {settings.vocabulary_size} tokens")
            for name, total in (("caption_lengths", sizes.tokens), ("image_captions", sizes.captions)):
                counts = found[name][()]
                if counts.min() < 1 or counts.sum(dtype=np.int64) != total:
                    raise BundleError(f"'{name}' must be positive numbers whose sum is {total}")
    except Exception as error:
        raise BundleError(f"The index in {path} does not fit its {CONFIG} or is damaged: {brief(error)}") from error


@contextmanager
def _open_arrays(path: Path, max_bytes: int, arrays: _Arrays, what: str) -> Iterator[dict[str, h5py.Dataset]]:
    """Opens an HDF5 file with exactly these arrays; their numbers are not read yet."""
    with open_regular(path, max_bytes) as file, h5py.File(file, "r") as opened:
        found = _datasets(opened, max_items=100 + 10 * len(arrays))  # Keras also writes empty groups
        if missing := sorted(arrays.keys() - found.keys()):
            raise BundleError(f"'{missing[0]}' is missing")
        if extra := sorted(found.keys() - arrays.keys()):
            raise BundleError(f"'{extra[0]}' is not {what}")
        for name, dataset in found.items():
            _check_header(name, dataset, *arrays[name])
        yield found


def _check_finite(name: str, values: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        if not np.isfinite(np.asarray(values, np.float32)).all():
            raise BundleError(f"'{name}' has numbers that are not finite")


def _datasets(file: h5py.File, max_items: int) -> dict[str, h5py.Dataset]:
    """The datasets of a file by path. Links, which may lead to other files, are not followed."""
    found, groups, items = {}, [("", file)], 0
    while groups:
        prefix, group = groups.pop()
        for name in group:
            path, items = f"{prefix}{name}", items + 1
            if items > max_items:
                raise BundleError("it contains more arrays than a bundle")
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


def _check_header(name: str, dataset: h5py.Dataset, shape: tuple[int, ...], kinds: tuple[np.dtype, ...]) -> None:
    properties = dataset.id.get_create_plist()
    # Other layouts and external storage refer to other files or hide the size of their contents.
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise BundleError(f"'{name}' is not stored contiguously")
    if dataset.dtype not in kinds:
        raise BundleError(f"'{name}' must have dtype {' or '.join(map(str, kinds))}, found {dataset.dtype}")
    if dataset.shape != shape:
        raise BundleError(f"'{name}' has shape {dataset.shape}, the settings say {shape}")
    if dataset.id.get_storage_size() != dataset.nbytes:
        raise BundleError(f"'{name}' has no data")
