"""Edits of the folder of a bundle, as functions of the folder."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from caption_tx.bundle_files import CONFIG, DICTIONARY, RETRIEVAL, VOCABULARY, WEIGHTS
from caption_tx.data.features.retrieval_index import build_index

Edit = Callable[[Path], None]
SECRET = "secret.txt"
"""A file beside the folder of the bundle, which must not be opened."""

REMOVED = object()
KERNEL = "layers/image_memory/project/vars/0"


def set_value(path: str, value: Any) -> Edit:
    """An edit of one value of config.json."""

    def edit(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        section, dot, name = path.partition(".")
        table, name = (config[section], name) if dot else (config, section)
        if value is REMOVED:
            del table[name]
        else:
            table[name] = value
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")

    return edit


def write_config(data: bytes) -> Edit:
    """Replaces config.json."""
    return lambda folder: (folder / CONFIG).write_bytes(data) and None


def update_checksum(folder: Path, name: str) -> None:
    """Writes the checksum of a changed file into config.json."""
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    set_value(f"files.{name}", digest)(folder)


def write(name: str, data: bytes) -> Edit:
    """Replaces a file, with its new checksum."""

    def edit(folder: Path) -> None:
        (folder / name).write_bytes(data)
        update_checksum(folder, name)

    return edit


def change_vocabulary(change: Callable[[list[str]], list[str]]) -> Edit:
    """Changes the lines of the vocabulary, with the new checksum."""

    def edit(folder: Path) -> None:
        lines = change((folder / VOCABULARY).read_text(encoding="utf-8").splitlines())
        write(VOCABULARY, "".join(f"{line}\n" for line in lines).encode())(folder)

    return edit


def change_weights(change: Callable[[h5py.File, Path], None]) -> Edit:
    """Changes the HDF5 file, with the new checksum."""

    def edit(folder: Path) -> None:
        with h5py.File(folder / WEIGHTS, "r+") as file:
            change(file, folder)
        update_checksum(folder, WEIGHTS)

    return edit


def replace_dataset(**options: Any) -> Edit:
    """Creates the kernel again with other options of `create_dataset`."""

    def change(file: h5py.File, folder: Path) -> None:
        shape = file[KERNEL].shape
        del file[KERNEL]
        file.create_dataset(KERNEL, **({"shape": shape, "dtype": "<f4"} | options))

    return change_weights(change)


def set_number(value: float) -> Edit:
    """Sets one weight."""

    def change(file: h5py.File, folder: Path) -> None:
        file[KERNEL][0, 0] = value

    return change_weights(change)


def link(make: Callable[[Path], Any]) -> Edit:
    """Replaces a dataset by a link."""

    def change(file: h5py.File, folder: Path) -> None:
        del file[KERNEL]
        file[KERNEL] = make(folder)

    return change_weights(change)


def make_virtual(file: h5py.File, folder: Path) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    layout = h5py.VirtualLayout(shape, "<f4")
    layout[...] = h5py.VirtualSource(str(folder.parent / SECRET), "data", shape)
    file.create_virtual_dataset(KERNEL, layout)


def make_external(file: h5py.File, folder: Path) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    size = 4 * int(np.prod(shape))
    file.create_dataset(KERNEL, shape, "<f4", external=[(str(folder.parent / SECRET), 0, size)])


def make_cycle(file: h5py.File, folder: Path) -> None:
    for index in range(300):
        file[f"loop_{index}"] = file["/"]


def make_fifo(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return edit


def symlink(name: str, target: str) -> Edit:
    """Replaces a file by a link; `{name}` in the target is a copy of the file outside the folder."""

    def edit(folder: Path) -> None:
        copy = (folder / name).rename(folder.parent / f"outside-{name}")
        (folder / name).symlink_to(target.format(name=copy))

    return edit


def make_sparse(name: str, size: int = 20 << 30) -> Edit:
    return lambda folder: os.truncate(folder / name, size)


def make_folder(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return edit


def repeat_key(folder: Path) -> None:
    text = (folder / CONFIG).read_text(encoding="utf-8").rstrip().removesuffix("}")
    (folder / CONFIG).write_text(f'{text}, "format": 1}}', encoding="utf-8")


def flip_byte(position: float) -> Edit:
    """Changes one byte of the weights, with the new checksum, so that HDF5 reads a damaged file."""

    def edit(folder: Path) -> None:
        data = bytearray((folder / WEIGHTS).read_bytes())
        data[int(position * (len(data) - 1))] ^= 0xFF
        write(WEIGHTS, bytes(data))(folder)

    return edit


def add_dictionary(data: bytes) -> Edit:
    """Adds a user dictionary with its checksum."""

    def edit(folder: Path) -> None:
        write(DICTIONARY, data)(folder)
        set_value("text.user_dictionary", DICTIONARY)(folder)

    return edit


def add_index(change: Callable[[h5py.File], Any] = lambda file: None, **sizes: Any) -> Edit:
    """Adds a retrieval index of two images, and changes its file or the sizes in config.json."""

    def edit(folder: Path) -> None:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["captioner"]
        index = build_index(np.eye(2, settings["feature_shape"][-1]), [[[5, 3]], [[6, 3], [7, 3]]])
        index.save(folder / RETRIEVAL, settings["vocabulary_size"])
        with h5py.File(folder / RETRIEVAL, "r+") as file:
            change(file)
        update_checksum(folder, RETRIEVAL)
        set_value("retrieval", {**asdict(index.sizes), **sizes})(folder)

    return edit


def both(first: Edit, second: Edit) -> Edit:
    """One edit after the other."""

    def edit(folder: Path) -> None:
        first(folder)
        second(folder)

    return edit


def set_values(name: str, values: Any) -> Callable[[h5py.File], Any]:
    return lambda file: file[name].__setitem__(..., values)


def retype(name: str, **options: Any) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        values = file[name][()]
        del file[name]
        file.create_dataset(name, **({"data": values} | options))

    return change
