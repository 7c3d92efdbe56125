"""Every family of networks: input scaling as in Keras, and the layers where a network can be cut."""

import importlib

import keras
import numpy as np
import pytest

from caption_tx.config import BackboneConfig
from caption_tx.data.features import networks
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.networks import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    NETWORKS,
    OUTPUT,
    copy_weights,
    cut_network,
    input_scaling,
    make_network,
)
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import ConfigError

MODULE_OF = {
    "ResNet50": "resnet", "ResNet101": "resnet", "ResNet152": "resnet", "NASNetMobile": "nasnet",
    "MobileNetV3Small": "mobilenet_v3", "MobileNetV3Large": "mobilenet_v3", "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2", "MobileNetV2": "mobilenet_v2", "NASNetLarge": "nasnet",
}  # fmt: skip


def module_of(name):
    """The module of `keras.applications` with a network's `preprocess_input`."""
    families = {"EfficientNetV2": "efficientnet_v2", "EfficientNetB": "efficientnet", "ConvNeXt": "convnext"}
    families |= {"DenseNet": "densenet"}
    module = MODULE_OF.get(name) or next((families[family] for family in families if name.startswith(family)), "")
    if not module:
        module = "resnet_v2" if name.startswith("ResNet") else name.lower()
    return importlib.import_module(f"keras.applications.{module}")


@pytest.fixture(scope="module")
def photograph():
    """An image with three different channels, as `read_image` returns it."""
    y, x = np.mgrid[0:64, 0:64]
    return np.stack([4 * x, 4 * y, 255 - 2 * (x + y)], axis=-1).astype(np.uint8)


def test_exactly_the_networks_of_keras_are_supported():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert sorted(NETWORKS) == sorted(names)


@pytest.mark.parametrize("name", NETWORKS)
def test_images_are_scaled_as_in_keras(name, photograph):
    images = photograph[None].astype(np.float32)
    expected = module_of(name).preprocess_input(images.copy())
    scaled = np.asarray(NETWORKS[name][0](images))
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["VGG16", "DenseNet121", "InceptionV3"])
def test_a_real_photograph_is_scaled_as_in_keras(shared, name):
    path = next((shared / "data" / "flickr8k" / "images").glob("*.jpg"))
    images = read_image(str(path), 64)[1][None].astype(np.float32)
    np.testing.assert_allclose(NETWORKS[name][0](images), module_of(name).preprocess_input(images.copy()), atol=1e-4)


def save_random(name, folder, size, with_top=False, **more):
    """Saves random weights of a network; returns its settings and the network."""
    keras.utils.set_random_seed(0)
    config = BackboneConfig(name, image_size=size, weights=str(folder / "random.weights.h5"), **more)
    network = make_network(config, with_top)
    network.save_weights(config.weights)
    return config, network


def test_the_output_is_a_feature_layer(tmp_path, photograph):
    config, network = save_random("MobileNetV3Small", tmp_path, 64, alpha=0.75)
    backbone = Backbone(config)
    assert backbone.feature_shape == (2, 2, 432)
    assert (backbone.config.feature_layer, backbone.config.storage) == (OUTPUT, "float16")
    assert backbone.key["backbone"] == "MobileNetV3Small"
    images = photograph[None].astype(np.float32)
    expected = network(module_of("MobileNetV3Small").preprocess_input(images.copy()), training=False)
    assert np.std(expected) > 0
    np.testing.assert_allclose(backbone.network(images), expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max()))
    # A bundle stores the resolved settings, which must give the same key.
    assert cut_network(backbone.config).config == backbone.config


def test_a_classifier_layer_is_a_grid_of_one_cell(tmp_path, photograph):
    config, network = save_random("MobileNet", tmp_path, 32, True, alpha=0.25, feature_layer="predictions")
    for layer in network.layers:  # else random weights give activations near 0, and all classes are equally likely
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32), training=True)
    network.save_weights(config.weights)
    backbone = Backbone(config)
    assert backbone.feature_shape == (1, 1, 1000)
    images = photograph[None, :32, :32]
    expected = network(module_of("MobileNet").preprocess_input(images.astype(np.float32)), training=False)
    assert np.std(expected) > 1e-5
    np.testing.assert_allclose(backbone.network(images.astype(np.float32))[:, 0, 0], expected, rtol=1e-3, atol=1e-7)


def test_a_pooled_vector_loads_weights_without_the_classifier(tmp_path, photograph, monkeypatch):
    config, bare = save_random("ResNet50V2", tmp_path, 32, feature_layer="avg_pool")

    def make(config, with_top=False):
        return make_network(config, with_top) if with_top else bare  # another one takes a second

    monkeypatch.setattr(networks, "make_network", make)
    backbone = Backbone(config)
    assert backbone.feature_shape == (1, 1, 2048) and backbone.config.storage == "float16"
    images = photograph[None, :32, :32]
    expected = np.mean(bare(module_of("ResNet50V2").preprocess_input(images.astype(np.float32))), axis=(1, 2))
    np.testing.assert_allclose(backbone.network(images.astype(np.float32))[:, 0, 0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "layer", "channels", "storage"),
    [
        (BackboneConfig("ResNet50V2", image_size=32), "post_relu", 2048, "float16"),
        (BackboneConfig("MobileNetV2", alpha=0.35, image_size=32), "out_relu", 1280, "uint8"),
    ],
)
def test_the_default_feature_layer_is_the_last_one(config, layer, channels, storage):
    cut = cut_network(config)
    assert (cut.config.feature_layer, cut.config.storage) == (layer, storage)
    assert cut.features.output.shape == (None, 1, 1, channels)


def test_imagenet_weights_of_efficientnet_are_scaled_as_in_keras(tmp_path, photograph):
    """Keras adds a scaling layer when it downloads the weights. Weights from a file need the same scaling."""
    config = BackboneConfig("EfficientNetB0", feature_layer="stem_conv", image_size=32)
    cut = cut_network(config)
    images = photograph[None, :32, :32].astype(np.float32)
    assert input_scaling(cut)(images) is images  # trained from scratch
    [norm] = [layer for layer in cut.full.layers if isinstance(layer, keras.layers.Normalization)]
    norm.set_weights([IMAGENET_MEAN, IMAGENET_DEVIATION, np.array(0)])  # deviations instead of variances, as in Keras
    norm.finalize_state()
    path = str(tmp_path / "imagenet.weights.h5")
    cut.full.save_weights(path)
    backbone = Backbone(BackboneConfig("EfficientNetB0", 1.0, "stem_conv", 32, path))
    stem = cut.full.get_layer("stem_conv")
    padded = np.pad((images / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION, ((0, 0), (0, 1), (0, 1), (0, 0)))
    expected = np.asarray(stem(padded))
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(backbone.network(images), expected, atol=1e-4)
    assert "ImageNet weights" in backbone.key["preprocessing"]
    # Copied to a network with other weights, which are used in place of the old ones.
    for layer, values in (
        (norm, [np.zeros(3), np.ones(3), np.array(0)]),
        (stem, [np.zeros_like(stem.get_weights()[0])]),
    ):
        layer.set_weights(values)
    norm.finalize_state()
    copy_weights(backbone.network.layers[-1], cut.features)
    np.testing.assert_allclose(cut.features(input_scaling(cut)(images)), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "Resnet50"}, r"no network 'Resnet50'.*ResNet50"),
        ({"name": "VGG16", "alpha": 0.5}, r"alpha is only for MobileNet.*at 1 for VGG16"),
        ({"name": "Xception", "image_size": 40}, r"Xception cannot be built with image_size 40.*71"),
        ({"name": "MobileNetV2", "alpha": 0.35, "weights": "nowhere.h5"}, r"nowhere\.h5"),
    ],
)
def test_impossible_settings_are_a_one_line_error(settings, message):
    with pytest.raises(ConfigError, match=message) as error_info:
        Backbone(BackboneConfig(**settings))
    assert len(str(error_info.value).splitlines()) == 1
