"""The frozen backbone and the number formats of its features."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import STORAGES, BackboneConfig
from caption_tx.data.features.backbone import (
    RELU6_SCALE,
    STORAGE_KEYS,
    Backbone,
    dequantize,
    quantize,
)
from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import ConfigError


def test_quantizing_is_off_by_at_most_half_a_step():
    activations = np.linspace(0, 6, 10_007, dtype=np.float32)
    stored = np.asarray(quantize(activations))
    assert stored.dtype == np.uint8
    assert (stored.min(), stored.max()) == (0, 255)
    assert np.abs(np.asarray(dequantize(stored)) - activations).max() <= RELU6_SCALE / 2 + 1e-6
    np.testing.assert_array_equal(quantize(dequantize(np.arange(256, dtype=np.uint8))), np.arange(256))


@pytest.fixture(scope="module")
def plain_network():
    """The network of Keras, which several tests change, since building one takes half a second."""
    return keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)


@pytest.fixture
def plain(plain_network, backbone_config):
    """The network of Keras with the weights of the backbone."""
    plain_network.load_weights(backbone_config.weights)
    return plain_network


def test_backbone_scales_its_own_input(plain, backbone, backbone_config):
    cut = keras.Model(plain.input, plain.get_layer(backbone_config.feature_layer).output)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = np.asarray(cut(images / np.float32(127.5) - 1))
    assert expected.std() > 0.1
    assert backbone.feature_shape == expected.shape[1:]
    assert not backbone.network.trainable_variables
    np.testing.assert_allclose(backbone.network(images.astype(np.float32)), expected, atol=1e-4)
    np.testing.assert_allclose(dequantize(backbone.encode(images)), expected, atol=RELU6_SCALE / 2 + 1e-4)


def test_the_key_depends_on_weights_layer_and_size_but_not_on_the_file(backbone_config, backbone, plain, tmp_path):
    copy = tmp_path / "copy.weights.h5"
    copy.write_bytes(Path(backbone_config.weights).read_bytes())
    assert Backbone(backbone_config, str(copy)).key == backbone.key
    assert Backbone(dataclasses.replace(backbone_config, image_size=64)).key != backbone.key
    plain.weights[0].assign(plain.weights[0] + 1e-3)
    plain.save_weights(tmp_path / "other.weights.h5")
    assert Backbone(backbone_config, str(tmp_path / "other.weights.h5")).digest != backbone.digest


def test_the_environment_variable_names_the_weights(backbone_config, backbone, monkeypatch):
    monkeypatch.setenv(WEIGHTS_ENV_VAR, backbone_config.weights)
    assert Backbone(dataclasses.replace(backbone_config, weights="imagenet")).digest == backbone.digest


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv_pw_99_relu", "did you mean conv_pw_9_relu"),
        ("input_layer", "conv_pw_13_relu"),
        ("reshape_1", "fixed name"),
    ],
)
def test_the_error_of_an_unknown_feature_layer_lists_the_layers(backbone_config, layer, message):
    with pytest.raises(ConfigError, match=rf"feature_layer.*{layer}.*{message}"):
        Backbone(dataclasses.replace(backbone_config, feature_layer=layer))


def test_features_outside_0_to_6_are_never_stored_as_uint8(backbone_config):
    config = dataclasses.replace(backbone_config, feature_layer="conv_pw_3")
    backbone = Backbone(config)
    assert backbone.config.storage == "float16"
    assert backbone.encode(np.zeros((1, 32, 32, 3), np.uint8)).dtype == tf.float16
    with pytest.raises(ConfigError, match=r"uint8.*\[0, 6\].*conv_pw_3"):
        Backbone(dataclasses.replace(config, storage="uint8"))


def test_the_error_of_missing_weights_names_them(backbone_config):
    with pytest.raises(ConfigError, match=r"nowhere\.h5"):
        Backbone(backbone_config, "nowhere.h5")


def test_weights_of_another_network_are_rejected(backbone_config, tmp_path):
    with pytest.raises(ConfigError, match=r"random\.weights\.h5 do not fit MobileNet with alpha 0\.5") as error_info:
        Backbone(dataclasses.replace(backbone_config, alpha=0.5))
    assert len(str(error_info.value).splitlines()) == 1
    (tmp_path / "text.weights.h5").write_text("not HDF5")
    with pytest.raises(ConfigError, match=r"text\.weights\.h5 do not fit"):
        Backbone(backbone_config, str(tmp_path / "text.weights.h5"))


def test_a_needed_kernel_of_zeros_is_rejected(backbone_config, plain, tmp_path):
    kernel = plain.get_layer("conv_pw_4").kernel
    kernel.assign(np.zeros(kernel.shape))
    path = str(tmp_path / "zeros.weights.h5")
    plain.save_weights(path)
    Backbone(backbone_config, path)
    with pytest.raises(ConfigError, match=r"all zeros for layer 'conv_pw_4'.*conv_pw_4_relu"):
        Backbone(dataclasses.replace(backbone_config, feature_layer="conv_pw_4_relu"), path)


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_floats_are_stored_unchanged(storage):
    activations = np.random.default_rng(0).uniform(0, 6, (3, 5, 7)).astype(np.float32)
    stored = np.asarray(quantize(activations, storage))
    assert stored.dtype == storage
    back = np.asarray(dequantize(stored))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, activations.astype(storage).astype(np.float32))


@pytest.mark.parametrize("storage", STORAGES)
def test_storage_affects_only_dtype_and_key(backbone_config, backbone, make_backbone, storage):
    other = make_backbone(dataclasses.replace(backbone_config, storage=storage))
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    features = other.encode(images)
    assert features.dtype == storage
    exact = other.network(images.astype(np.float32))
    tolerance = {"uint8": RELU6_SCALE / 2, "float16": 2**-9, "float32": 0}[storage]
    assert np.abs(np.asarray(dequantize(features)) - exact).max() <= tolerance + 1e-5
    assert other.key == backbone.key | {"storage": STORAGE_KEYS[storage]}


def test_the_key_of_uint8_is_that_of_existing_caches(backbone):
    assert backbone.key["storage"] == "uint8, scale 6/255"


@pytest.mark.parametrize("storage", STORAGES)
def test_quantize_and_dequantize_work_in_a_graph(storage):
    activations = tf.random.stateless_uniform((2, 3), (1, 2), 0.0, 6.0)
    there_and_back = tf.function(lambda values: dequantize(quantize(values, storage)))
    np.testing.assert_allclose(there_and_back(activations), activations, atol=RELU6_SCALE / 2 + 1e-6)


def test_published_mobilenet_gives_similar_features_for_any_file_format(shared, tmp_path):
    weights = shared / "weights" / "mobilenet_0_25_224_no_top.weights.h5"
    backbone = Backbone(BackboneConfig(alpha=0.25, image_size=96, weights=str(weights)))
    assert backbone.feature_shape == (3, 3, 256)
    from PIL import Image

    photograph = sorted((shared / "data" / "flickr8k").rglob("*.jpg"))[:2]
    assert len(photograph) == 2
    with Image.open(photograph[0]) as picture:
        picture.save(tmp_path / "same.png")
    paths = [str(photograph[0]), str(tmp_path / "same.png"), str(photograph[1])]
    features = np.asarray(dequantize(backbone.encode(np.stack([read_image(path, 96)[1] for path in paths]))))
    same, other = np.abs(features[0] - features[1]).mean(), np.abs(features[0] - features[2]).mean()
    assert same < 0.3 * other
    assert features.std() > 0.2


def test_keras_prints_the_download_progress_to_stderr(backbone_config, monkeypatch, capsys):
    def download(*_, **__):
        keras.utils.Progbar(7).update(7)
        raise OSError("no network\nat all")

    monkeypatch.delenv(WEIGHTS_ENV_VAR, raising=False)
    monkeypatch.setattr("caption_tx.data.features.weights.make_network", download)
    monkeypatch.setattr("caption_tx.data.features.weights.require_answer", lambda seconds: None)
    with pytest.raises(
        ConfigError, match=r"could not download the ImageNet weights \(no network\).*--backbone-weights"
    ):
        Backbone(dataclasses.replace(backbone_config, weights="imagenet"))
    printed = capsys.readouterr()
    assert printed.out == "" and "7/7" in printed.err
