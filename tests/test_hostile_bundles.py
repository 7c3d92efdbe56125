"""A hostile bundle is one BundleError: quickly, in bounded memory, and without opening a file outside its folder.

`HOSTILE` generates bundles with one hostile edit each: a name -> a function that edits the folder of a valid bundle.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from caption_tx.bundle import load_bundle
from caption_tx.bundle_files import CONFIG, DICTIONARY, RETRIEVAL, VOCABULARY, WEIGHTS
from caption_tx.data.features.retrieval_index import build_index
from caption_tx.errors import BundleError
from caption_tx.inference.captioner import load

Edit = Callable[[Path], None]
SECRET = "secret.txt"
"""A file beside the folder of the bundle, which must not be opened."""

REMOVED = object()
KERNEL = "layers/image_memory/project/vars/0"

VALUES: dict[str, list[Any]] = {
    "captioner.vocabulary_size": [0, -1, 12, 4_000_000, 10**30, 13.0, "13", True, None, [13], REMOVED],
    "captioner.feature_shape": [[], [1, 1], [1, 1, 10**9], [10**6, 10**6, 1], [0, 4, 64], "abc", 5, [1.5, 4, 64]],
    "captioner.hidden_dim": [0, 24, 10**9, "22", None],
    "captioner.intermediate_dim": [0, 1_000_000, 65_536, -5],
    "captioner.num_layers": [0, 1, 2, 4, 500, 10**9, 3.0, False],
    "captioner.num_heads": [0, -2, 3, 10**9],
    "captioner.max_length": [0, 10, 4_000_000, float("inf"), float("nan")],
    "captioner.dropout": [2, 1, -0.1, float("nan"), "0.3", 10**400],
    "captioner.attention_dropout": [1.5],
    "captioner.feature_dropout": [-1],
    "captioner.norm_order": ["sideways", "post", None, ["pre"], {}],
    "captioner.tie_embeddings": [False, 1, "true"],
    "captioner.embedding_dim": [0, 22, 7, 10**9, "7"],
    "captioner.freeze_embeddings": [True, None],
    "captioner.depth": [3],
    "captioner.__class__": ["x"],
    "backbone.alpha": [20, 0, -1, 0.5, "wide", float("nan")],
    "backbone.name": ["", "os", "../MobileNet", "MobileNetV2", 5, REMOVED],
    "backbone.image_size": [0, 10**9, 64, "32"],
    "backbone.feature_layer": ["conv_pw_5_relu", 7],
    "backbone.storage": ["float128", "float16"],
    "backbone.weights": [None, 3, REMOVED],
    "backbone.color": ["blue"],
    "backbone_key": [{}, [], None, "key", REMOVED],
    "backbone_key.weights_sha256": ["", "0" * 63, 12, REMOVED],
    "backbone_key.feature_shape": [[4, 4, 65], None],
    "backbone_key.image_size": [33],
    "backbone_key.storage": ["float16", "uint8, scale 7/255"],
    "backbone_key.extra": [1],
    "text.language": ["fr", "", None, 1, ["zh"], REMOVED],
    "text.user_dictionary": ["../secret.txt", "/etc/passwd", "/dev/zero", "vocabulary.txt", "a\0b", DICTIONARY, ""],
    "text.script": ["runes"],
    "text.min_frequency": [-1, 1e9],
    "text.max_vocabulary_size": [10**12],
    "text.shell": ["rm"],
    "files": [{}, [], None, "all"],
    "files.../secret.txt": ["0"],
    "files./etc/passwd": ["0"],
    "files./dev/zero": ["0"],
    "files.README.md": ["0"],
    "files.": ["0"],
    f"files.{VOCABULARY}": [REMOVED, 5, None, "", "0" * 64],
    f"files.{WEIGHTS}": [REMOVED, "0" * 64],
    "format": [0, 2, -1, "1", None, True, 1.0, 10**400, REMOVED],
    "facts": [None, 3, "fast", []],
    "decoding": [
        None, 3, "greedy", [], {"beam_width": 0}, {"beam_width": 65}, {"beam_width": 10**9}, {"beam_width": "20"},
        {"beam_width": None}, {"beam_width": True}, {"samples": 65, "temperature": 1.0}, {"consensus": 0.4},
        {"beam_width": 3, "temperature": 1}, {"temperature": float("nan")}, {"n_best": 2}, {"max_length": 12},
        {"min_length": 10**30}, {"beam": 3}, {"__class__": "x"}, {"suppress_words": "狗"}, {"force_words": ["a"]},
        {"prefix": 3}, {"seed": -1}, {"length_penalty": 1e308},
    ],
    "caption_tx": [1, None, REMOVED],
    "unknown": [1],
}  # fmt: skip
"""Path of a value in config.json -> what to replace it with."""


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


INDEX: dict[str, Edit] = {
    "index: a token out of the vocabulary": add_index(set_values("token_ids", 9999)),
    "index: wrong lengths": add_index(set_values("caption_lengths", [1, 2, 2])),
    "index: empty caption": add_index(set_values("caption_lengths", [0, 3, 3])),
    "index: wrong numbers of captions": add_index(set_values("image_captions", [1, 1])),
    "index: huge numbers of captions": add_index(set_values("image_captions", [2**32 - 1, 4])),
    "index: NaN": add_index(set_values("mean", float("nan"))),
    "index: infinite projection": add_index(set_values("projection", float("inf"))),
    "index: array missing": add_index(lambda file: file.__delitem__("vectors")),
    "index: array more": add_index(lambda file: file.create_dataset("extra", data=np.zeros(3))),
    "index: another type": add_index(retype("vectors", dtype="<f4")),
    "index: compressed": add_index(retype("vectors", chunks=True, compression="gzip")),
    "index: link": add_index(lambda file: file.__setitem__("vectors", h5py.ExternalLink(SECRET, "/data"))
                             if file.__delitem__("vectors") is None else None),
    "index: 0 images": add_index(images=0),
    "index: a billion images": add_index(images=10**9),
    "index: too many dimensions": add_index(dimensions=10**6),
    "index: size of a wrong type": add_index(tokens="6"),
    "index: unknown size": add_index(words=3),
    "index: not HDF5": both(add_index(), write(RETRIEVAL, b"PK")),
    "index: section without file": set_value("retrieval", {"images": 1, "captions": 1, "tokens": 1, "dimensions": 1}),
    "index: file without section": write(RETRIEVAL, b"x"),
    "index: 20 GB": both(add_index(), make_sparse(RETRIEVAL)),
    "index: search without index": set_value("decoding", {"beam_width": 3, "consensus": 0.4, "retrieval": 8.0}),
}  # fmt: skip

FILES: dict[str, Edit] = {
    "config: deep list": write_config(b"[" * 100_000 + b"]" * 100_000),
    "config: deep object": write_config(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "config: facts 900 deep": set_value("facts.deep", json.loads("[" * 900 + "]" * 900)),
    "config: 2 MB": write_config(b'{"a": "' + b"x" * (2 << 20) + b'"}'),
    "config: integer of 5000 digits": write_config(b'{"format": ' + b"9" * 5000 + b"}"),
    "config: zeros": write_config(bytes(1000)),
    "config: empty": write_config(b""),
    "config: UTF-16": write_config('{"format": 1}'.encode("utf-16")),
    "config: number": write_config(b"1"),
    "config: null": write_config(b"null"),
    "config: repeated key": repeat_key,
    "vocabulary: word of a million characters": change_vocabulary(lambda lines: [*lines[:-1], "x" * 1_000_000]),
    "vocabulary: word of 2000 characters": change_vocabulary(lambda lines: [*lines[:-1], "x" * 2000]),
    "vocabulary: one word fewer": change_vocabulary(lambda lines: lines[:-1]),
    "vocabulary: one word more": change_vocabulary(lambda lines: [*lines, "more"]),
    "vocabulary: repeated word": change_vocabulary(lambda lines: [*lines[:-1], lines[-2]]),
    "vocabulary: space": change_vocabulary(lambda lines: [*lines[:-1], "a  b"]),
    "vocabulary: escape sequence": change_vocabulary(lambda lines: [*lines[:-1], "\x1b[2Jx"]),
    "vocabulary: empty word": change_vocabulary(lambda lines: [*lines[:-1], ""]),
    "vocabulary: no special tokens": change_vocabulary(lambda lines: [f"w{index}" for index in range(len(lines))]),
    "vocabulary: not UTF-8": write(VOCABULARY, b"\xff\n" * 13),
    "vocabulary: empty": write(VOCABULARY, b""),
    "weights: empty": write(WEIGHTS, b""),
    "weights: text": write(WEIGHTS, b"not HDF5"),
    "weights: only the signature": write(WEIGHTS, b"\x89HDF\r\n\x1a\n" + bytes(500)),
    "weights: ZIP": write(WEIGHTS, b"PK\x03\x04" + bytes(100)),
    "weights: pickle": write(WEIGHTS, b"\x80\x04cos\nsystem\n(S'touch planted'\ntR."),
    "weights: truncated": lambda folder: write(WEIGHTS, (folder / WEIGHTS).read_bytes()[:-2000])(folder),
    "weights: 50 MB appended": lambda folder: write(WEIGHTS, (folder / WEIGHTS).read_bytes() + bytes(50 << 20))(folder),
    "weights: NaN": set_number(float("nan")),
    "weights: infinity": set_number(float("inf")),
    "weights: -infinity": set_number(float("-inf")),
    "weights: float64": replace_dataset(dtype="<f8"),
    "weights: integers": replace_dataset(dtype="<i4"),
    "weights: text numbers": replace_dataset(dtype=h5py.string_dtype()),
    "weights: structure": replace_dataset(dtype=[("a", "<f4"), ("b", "<f4")]),
    "weights: big endian": replace_dataset(dtype=">f4"),
    "weights: no data": replace_dataset(),
    "weights: a terabyte": replace_dataset(shape=(2**20, 2**18)),
    "weights: another shape": replace_dataset(shape=(3, 5)),
    "weights: a scalar": replace_dataset(shape=()),
    "weights: compressed": replace_dataset(chunks=True, compression="gzip", fillvalue=1.0),
    "weights: a compressed bomb": replace_dataset(shape=(2**14, 2**14), chunks=(2**12, 2**12), compression="gzip"),
    "weights: one missing": change_weights(lambda file, _: file.__delitem__(KERNEL)),
    "weights: one more": change_weights(lambda file, _: file.create_dataset("extra", data=np.zeros(3, "f4")) and None),
    "weights: group in place of numbers": link(lambda folder: h5py.SoftLink("/embedding")),
    "weights: soft link": link(lambda folder: h5py.SoftLink("/embedding/vars/0")),
    "weights: dangling link": link(lambda folder: h5py.SoftLink("/nothing")),
    "weights: external link": link(lambda folder: h5py.ExternalLink(str(folder.parent / SECRET), "/data")),
    "weights: external storage": change_weights(make_external),
    "weights: virtual dataset": change_weights(make_virtual),
    "weights: cycle": change_weights(make_cycle),
    "weights: named type": link(lambda folder: np.dtype("<f4")),
    "weights: damaged superblock": flip_byte(0.0001),
    "dictionary: frequency of 0": add_dictionary("词 0\n".encode()),
    "dictionary: frequency of 5000 digits": add_dictionary("词 ".encode() + b"9" * 5000),
    "dictionary: not UTF-8": add_dictionary(b"\xff\xfe\xff"),
    "files: no config": lambda folder: (folder / CONFIG).unlink(),
    **{f"{name}: pipe": make_fifo(name) for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: folder": make_folder(name) for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: 20 GB": make_sparse(name) for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: link to /dev/zero": symlink(name, "/dev/zero") for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: link outside": symlink(name, "{name}") for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: dangling link": symlink(name, "nowhere") for name in (CONFIG, VOCABULARY, WEIGHTS)},
    **{f"{name}: link to itself": symlink(name, name) for name in (CONFIG, VOCABULARY, WEIGHTS)},
}


def _label(value: Any) -> str:
    text = "removed" if value is REMOVED else repr(value)
    return text if len(text) <= 20 else f"{text[:17]}.."


HOSTILE: dict[str, Edit] = (
    FILES
    | INDEX
    | {f"{path} = {_label(value)}": set_value(path, value) for path, values in VALUES.items() for value in values}
)


MAX_SECONDS, MAX_BYTES = 5, 1_500_000_000

LOAD = """
import json, os, resource, signal, sys, time
from pathlib import Path
from caption_tx.bundle import load_bundle
from caption_tx.errors import BundleError

root, seconds, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def load(folder):
    outside = []

    def watch(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith(f"{folder}/") and not path.endswith((".py", ".pyc")):
                outside.append(path)
        elif event.split(".")[0] in ("subprocess", "socket") or event in ("os.system", "os.exec"):
            outside.append(event)

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + size, used + size))
    sys.addaudithook(watch)
    start = time.monotonic()
    try:
        load_bundle(folder)
        result = ["loaded", ""]
    except BundleError as error:
        result = ["BundleError", str(error)]
    except BaseException as error:
        result = [type(error).__name__, str(error)[:300]]
    return {"result": result, "seconds": time.monotonic() - start, "outside": list(outside)}


results = {}
for folder in sorted(root.iterdir()):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 4 * seconds)  # kills the process
        os.write(writer, json.dumps(load(folder / "bundle")).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        text = file.read()
    _, status, usage = os.wait4(child, 0)
    results[folder.name] = json.loads(text) if text else {"result": ["killed", str(status)], "outside": []}
    results[folder.name] |= {"cpu": usage.ru_utime + usage.ru_stime}
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results(bundle, tmp_path_factory, run_forked):
    """What loading each bundle did, by the number of the bundle; the last one is valid."""
    root = tmp_path_factory.mktemp("hostile")
    for index, edit in enumerate([*HOSTILE.values(), lambda folder: None]):
        folder = root / f"{index:03d}"
        shutil.copytree(bundle, folder / "bundle")
        (folder / SECRET).write_text("root:x:0:0", encoding="utf-8")
        edit(folder / "bundle")
    process = run_forked(LOAD, root, MAX_SECONDS, MAX_BYTES, timeout=600)
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout)


def test_there_are_enough_hostile_bundles():
    assert len(HOSTILE) >= 120


def test_the_bundle_loads_without_an_edit(results):
    assert results[f"{len(HOSTILE):03d}"]["result"] == ["loaded", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_one_error(results, name):
    result = results[f"{list(HOSTILE).index(name):03d}"]
    kind, message = result["result"]
    assert kind == "BundleError", message
    assert message.isprintable() and len(message) < 1000
    assert "root:x" not in message
    assert result["outside"] == []
    assert result["cpu"] < MAX_SECONDS  # the wall clock includes the load of this machine


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beam_width": 65}, "decoding.beam_width must be at most 64 in a bundle, got 65"),
        ({"beam_width": 0}, "decoding.beam_width must be at least 1, got 0"),
        ({"beem_width": 3}, "'decoding.beem_width'. Did you mean 'beam_width'"),
        ({"max_length": 12}, "decoding.max_length must be at most 11 in a bundle, got 12"),
        ({"consensus": 0.4}, "decoding.consensus requires at least 3 captions"),
        ({"suppress_words": ["zebra"]}, "decoding.suppress_words: 'zebra' not in the model's vocabulary"),
        ({"prefix": "zebra " * 10_000}, "decoding.prefix: 'zebra', 'zebra'"),
        ({"prefix": "a b c d e f a b c d e f"}, "decoding.prefix: 12 words leave no room"),
    ],
)
def test_a_hostile_default_search_is_rejected_by_name(bundle, tmp_path, values, message):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    set_value("decoding", values)(folder)
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert message in str(caught.value) and len(str(caught.value)) < 1000 and "\n" not in str(caught.value)


def test_a_dictionary_that_the_bundle_lists_is_loaded(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    add_dictionary("小猫咪 10\n".encode())(folder)
    assert load_bundle(folder).text.user_dictionary == str(folder / DICTIONARY)
