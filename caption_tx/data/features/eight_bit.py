"""Weights of a convolutional network in 8 bits: a quarter of their size, in an HDF5 file of numbers only.

A file has one dataset per weight, named `layer/weight`. The large kernels are int8 with a float32 scale per output
channel (`layer/weight.scale`); all other weights are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from caption_tx.files import atomic_write

FORMAT = "caption_tx 8-bit weights 1"
"""Attribute `format` of such a file."""

_MIN_SIZE = 16_384
"""Kernels with fewer numbers stay in float32: they are a small part of a network, and depthwise ones lose most."""


def is_eight_bit_file(path: str | Path) -> bool:
    """Whether a file was written by `save_eight_bit`; False if it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("format") == FORMAT
    except OSError:
        return False


def _weights(network: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    for layer in network.layers:
        for variable in layer.weights:
            yield f"{layer.name}/{variable.name}", variable


def _is_large_kernel(name: str, shape: tuple[int, ...]) -> bool:
    return name.endswith("/kernel") and len(shape) > 1 and int(np.prod(shape)) >= _MIN_SIZE


def save_eight_bit(network: keras.Model, path: str | Path) -> None:
    """Writes the weights of a network. Large kernels are rounded to 255 levels per output channel.

    Args:
        network: without nested networks.
        path: the file to write, atomically.

    Example:
        >>> network = keras.applications.MobileNet(include_top=False, weights=None)
        >>> save_eight_bit(network, "mobilenet.weights.h5")  # 3.5 MB
    """
    with atomic_write(path) as target, h5py.File(target, "w") as file:
        file.attrs["format"] = FORMAT
        for name, variable in _weights(network):
            values = np.asarray(keras.ops.convert_to_numpy(variable.value), np.float32)
            if _is_large_kernel(name, values.shape):
                scale = np.abs(values).max(axis=tuple(range(values.ndim - 1))) / np.float32(127)  # (C,)
                scale[scale == 0] = 1
                file[f"{name}.scale"] = scale
                values = np.round(values / scale).astype(np.int8)
            file[name] = values


def load_eight_bit(network: keras.Model, path: str | Path) -> None:
    """Loads a file of `save_eight_bit` into a network of the same kind, or into its first layers.

    The numbers are the same on every machine.

    Raises:
        ValueError: a weight is missing, has another shape, is stored in an unusual way, or is not finite.
        OSError: the file cannot be read.
    """
    weights = dict(_weights(network))
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, variable in weights.items():
        shape = tuple(variable.shape)
        if _is_large_kernel(name, shape):
            shapes |= {name: (shape, "|i1"), f"{name}.scale": (shape[-1:], "<f4")}
        else:
            shapes[name] = (shape, "<f4")
    with h5py.File(path, "r") as file:
        values = {name: _read(file, name, shape, kind) for name, (shape, kind) in shapes.items()}
    for name, variable in weights.items():
        scale = values.get(f"{name}.scale")
        variable.assign(values[name] if scale is None else values[name].astype(np.float32) * scale)


def _read(file: h5py.File, name: str, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """One dataset of the file itself. Links, which may lead to other files, are not followed."""
    group_name, _, item = name.partition("/")
    group = file[group_name] if isinstance(file.get(group_name, getlink=True), h5py.HardLink) else None
    if not isinstance(group, h5py.Group) or not isinstance(group.get(item, getlink=True), h5py.HardLink):
        raise ValueError(f"'{name}' is missing")
    dataset = group[item]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or dataset.dtype != np.dtype(kind):
        found = f"{dataset.dtype} {dataset.shape}" if isinstance(dataset, h5py.Dataset) else type(dataset).__name__
        raise ValueError(f"'{name}' must be {np.dtype(kind)} {shape}, found {found}")
    properties = dataset.id.get_create_plist()
    # Other layouts and external storage refer to other files or hide the size of their contents.
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_external_count():
        raise ValueError(f"'{name}' is not stored contiguously")
    values = dataset[()]
    if kind == "<f4" and not np.isfinite(values).all():
        raise ValueError(f"'{name}' has numbers that are not finite")
    return values
