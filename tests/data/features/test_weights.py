"""Where the weights of a backbone come from, and what happens where Keras cannot download them."""

import socket
import time
import urllib.request

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from caption_tx.config import BackboneConfig
from caption_tx.data.features import downloads, weights
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.eight_bit import save_eight_bit
from caption_tx.errors import ConfigError, DownloadError

SMALL = BackboneConfig(alpha=0.25, image_size=32)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty cache of Keras."""
    monkeypatch.delenv(downloads.WEIGHTS_ENV_VAR, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.fixture(scope="module")
def full():
    """The network of `SMALL` with random weights."""
    return keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)


@pytest.fixture
def silent_server():
    """The address of a server that accepts connections and never answers, like one behind a firewall."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_is_given_up(keras_home, monkeypatch, silent_server):
    monkeypatch.setattr(downloads, "SERVER", silent_server)
    monkeypatch.setattr(weights, "ANSWER_SECONDS", 0.5)
    start = time.perf_counter()
    with pytest.raises(
        DownloadError, match=r"could not download .*(timed out|did not answer).*--backbone-weights photos"
    ):
        Backbone(SMALL)
    assert time.perf_counter() - start < 20


def test_a_server_that_refuses_connections_is_reported(keras_home, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(downloads, "SERVER", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(DownloadError, match="refused"):
            Backbone(SMALL)


def test_a_download_that_stalls_fails(keras_home, monkeypatch, silent_server):
    def stall(*_, **__):
        try:
            urllib.request.urlopen(silent_server).read()  # as Keras does, without a timeout
        except OSError as error:
            raise Exception(f"URL fetch failure on {silent_server}: None -- {error}") from None

    monkeypatch.setattr(weights, "require_answer", lambda seconds: None)
    monkeypatch.setattr(weights, "make_network", stall)
    monkeypatch.setattr(weights, "STALL_SECONDS", 0.3)
    with pytest.raises(DownloadError, match="timed out") as raised:
        Backbone(SMALL)
    assert raised.value.reason == "timed out"
    assert socket.getdefaulttimeout() is None


def test_cached_weights_need_no_server(keras_home, full, monkeypatch):
    cached = keras_home / "models" / "mobilenet_2_5_224_tf_no_top.h5"
    cached.parent.mkdir(parents=True)
    cached.symlink_to(keras_home / "saved.weights.h5")  # a name that Keras reads this format by
    full.save_weights(keras_home / "saved.weights.h5")
    monkeypatch.setattr(downloads, "SERVER", "http://127.0.0.1:1")

    def from_cache(config, with_top, weights):
        full.load_weights(keras_home / "saved.weights.h5")
        return full

    monkeypatch.setattr(weights, "make_network", from_cache)
    assert Backbone(SMALL).feature_shape == (1, 1, 256)
    cached.write_bytes(cached.read_bytes()[:5000])  # a download that was cut off
    with pytest.raises(ConfigError, match=r"cut off: delete mobilenet_2_5_224_tf_no_top.h5 there") as raised:
        Backbone(SMALL)
    assert not isinstance(raised.value, DownloadError)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (BackboneConfig("VGG16", weights="photos"), "VGG16"),
        (BackboneConfig(alpha=0.5, weights="photos"), "MobileNet with alpha 0.5"),
        (BackboneConfig(weights="scenes"), "MobileNet with alpha 1"),
    ],
)
def test_weights_that_ship_are_for_one_network(config, found):
    with pytest.raises(
        ConfigError, match=rf"The weights '{config.weights}' are .*, not of {found}; use backbone.name Mob"
    ):
        Backbone(config)


@pytest.mark.parametrize("name", ["new.weights.h5", "new", "old.h5", "old.weights.h5"])
def test_the_format_of_a_file_is_recognized_by_its_contents(tmp_path, full, name):
    full.get_layer("conv1_bn").gamma.assign(np.arange(8))
    saved = tmp_path / ("saved.h5" if name.startswith("old") else "saved.weights.h5")
    if name.startswith("old"):
        with h5py.File(saved, "w") as file:
            save_weights_to_hdf5_group(file, full)
    else:
        full.save_weights(saved)
    saved.rename(tmp_path / name)
    backbone = Backbone(BackboneConfig(alpha=0.25, image_size=32, weights=str(tmp_path / name)))
    np.testing.assert_array_equal(backbone.network.layers[-1].get_layer("conv1_bn").gamma, np.arange(8))


def test_a_file_in_8_bits_loads_like_any_other(tmp_path, full):
    cut = keras.Model(full.input, full.get_layer("conv_pw_12_relu").output)
    path = str(tmp_path / "small.weights.h5")
    save_eight_bit(cut, path)
    config = BackboneConfig(alpha=0.25, image_size=32, weights=path)
    backbone = Backbone(config)
    assert backbone.config.storage == "uint8" and backbone.digest == Backbone(config).digest
    np.testing.assert_allclose(
        np.asarray(backbone.network.layers[-1].get_weights()[0]), cut.get_weights()[0], atol=1e-7
    )  # the first kernel is small, so it is exact
    with pytest.raises(ConfigError, match=r"do not fit MobileNet with alpha 0.5 up to 'conv_pw_12_relu'.*conv1/kernel"):
        Backbone(BackboneConfig(alpha=0.5, image_size=32, weights=path))
    with pytest.raises(ConfigError, match=r"up to 'conv_pw_13_relu'.*'conv_dw_13/kernel' is missing"):
        Backbone(BackboneConfig(alpha=0.25, image_size=32, feature_layer="conv_pw_13_relu", weights=path))
