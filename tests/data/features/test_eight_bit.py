"""Weights in 8 bits, and files that are not what they claim."""

import h5py
import keras
import numpy as np
import pytest

from caption_tx.data.features.eight_bit import is_eight_bit_file, load_eight_bit, save_eight_bit

LARGE, SMALL = "conv_pw_6/kernel", "conv_dw_6/kernel"


def make_network():
    full = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.5, include_top=False, weights=None)
    return keras.Model(full.input, full.get_layer("conv_pw_6_relu").output)


@pytest.fixture(scope="module")
def network():
    network = make_network()
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape).astype(np.float32) * rng.uniform(0.1, 2, weight.shape[-1:]))
    return network


@pytest.fixture(scope="module")
def other_network():
    """A second network, which all tests use one after another, since building one takes half a second."""
    return make_network()


@pytest.fixture
def again(other_network):
    """A second network, whose weights are zeros."""
    for weight in other_network.weights:
        weight.assign(np.zeros(weight.shape))
    return other_network


@pytest.fixture
def path(network, tmp_path):
    save_eight_bit(network, tmp_path / "network.weights.h5")
    return tmp_path / "network.weights.h5"


def test_large_kernels_are_rounded_and_other_weights_are_exact(network, again, path):
    load_eight_bit(again, path)
    rounded = 0
    for before, after in zip(network.weights, again.weights, strict=True):
        old, new = np.asarray(before), np.asarray(after)
        step = np.abs(old).max(axis=tuple(range(old.ndim - 1))) / 127
        if np.prod(old.shape) >= 16_384 and old.ndim == 4:
            assert np.all(np.abs(old - new) <= step * 0.5001) and not np.array_equal(old, new)
            rounded += 1
        else:
            np.testing.assert_array_equal(old, new)
    assert rounded == 2
    assert path.stat().st_size < 0.75 * 4 * network.count_params() and is_eight_bit_file(path)


def test_a_channel_of_zeros_stays_zero(network, again, tmp_path):
    kernel = network.get_layer("conv_pw_6").kernel
    before = np.asarray(kernel)
    try:
        kernel.assign(before * (np.arange(before.shape[-1]) != 7))
        save_eight_bit(network, tmp_path / "zero.weights.h5")
    finally:
        kernel.assign(before)
    load_eight_bit(again, tmp_path / "zero.weights.h5")
    loaded = np.asarray(again.get_layer("conv_pw_6").kernel)
    assert np.all(loaded[..., 7] == 0) and np.all(np.any(loaded[..., :7] != 0, axis=(0, 1, 2)))


def test_the_first_layers_load_from_a_file_of_more(network, again, path):
    first = keras.Model(again.input, again.get_layer("conv_pw_2_relu").output)
    load_eight_bit(first, path)
    np.testing.assert_array_equal(first.get_layer("conv_pw_2").kernel, network.get_layer("conv_pw_2").kernel)
    assert not np.any(again.get_layer("conv_pw_3").kernel)


def test_other_files_are_not_taken_for_eight_bit_files(network, tmp_path):
    network.save_weights(tmp_path / "keras.weights.h5")
    (tmp_path / "text.h5").write_text("weights")
    for name in ("keras.weights.h5", "text.h5", "missing.h5"):
        assert not is_eight_bit_file(tmp_path / name)


def replace(file, name, *arguments, **options):
    del file[name]
    file.create_dataset(name, *arguments, **options)


DAMAGES = {
    "is missing": lambda file: file.__delitem__(LARGE),
    r"'conv_pw_6/kernel.scale' is missing": lambda file: file.__delitem__(f"{LARGE}.scale"),
    r"must be int8 .*found float64": lambda file: replace(file, LARGE, data=np.zeros(file[LARGE].shape)),
    r"must be float32 \(3, 3, 128, 1\), found float32 \(3,\)": lambda file: replace(
        file, SMALL, data=np.ones(3, np.float32)
    ),
    "not stored contiguously": lambda file: replace(file, LARGE, data=file[LARGE][()], compression="gzip"),
    "not finite": lambda file: replace(file, f"{LARGE}.scale", data=np.full(256, np.inf, np.float32)),
    "'conv_pw_6/kernel' is missing": lambda file: (
        file.__delitem__(LARGE),
        file.__setitem__(LARGE, h5py.ExternalLink("/etc/hostname", "x")),
    ),
    r"'conv_dw_6/kernel' is missing": lambda file: (
        file.__delitem__("conv_dw_6"),
        file.__setitem__("conv_dw_6", h5py.SoftLink("/conv_dw_5")),
    ),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damaged_files_are_rejected_before_a_weight_changes(again, path, message):
    with h5py.File(path, "r+") as file:
        DAMAGES[message](file)
    with pytest.raises(ValueError, match=message):
        load_eight_bit(again, path)
    assert not any(np.any(weight) for weight in again.weights)


def test_external_storage_is_rejected(again, path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(128 * 256))
    with h5py.File(path, "r+") as file:
        shape = file[LARGE].shape
        replace(file, LARGE, shape, np.int8, external=[(str(tmp_path / "secret"), 0, 128 * 256)])
    with pytest.raises(ValueError, match="not stored contiguously"):
        load_eight_bit(again, path)
