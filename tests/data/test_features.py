"""The frozen backbone, and the cache that holds every image's features once."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from caption_tx.config import BackboneConfig
from caption_tx.data.features import (
    RELU6_SCALE,
    WEIGHTS_VARIABLE,
    Backbone,
    dequantize,
    encode_images,
    open_cache,
    quantize,
)
from caption_tx.data.images import read_image
from caption_tx.errors import CacheError, ConfigError


@pytest.fixture
def folder(tmp_path, write_pictures):
    """Eleven pictures."""
    write_pictures(tmp_path / "images", 11)
    return tmp_path / "images"


@pytest.fixture
def encode(folder, tmp_path, backbone):
    """Encodes pictures of `folder` into `cache`, in small shards."""

    def encode(names=None, **options):
        names = sorted(os.listdir(folder)) if names is None else names
        options = {"batch_size": 2, "shard_size": 4} | options
        cache = options.pop("cache", tmp_path / "cache")
        return encode_images(names, str(folder), str(cache), options.pop("backbone", backbone), **options)

    return encode


def counting(encoded: list[str]):
    """A `progress` that notes how many images it was given, and which came."""

    def progress(stream, total):
        encoded.append(total)
        for name, result in stream:
            encoded.append(name)
            yield name, result

    return progress


def test_quantizing_is_off_by_half_a_step_at_most():
    activations = np.linspace(0, 6, 10_007, dtype=np.float32)
    stored = np.asarray(quantize(activations))
    assert stored.dtype == np.uint8
    assert (stored.min(), stored.max()) == (0, 255)
    assert np.abs(np.asarray(dequantize(stored)) - activations).max() <= RELU6_SCALE / 2 + 1e-6
    np.testing.assert_array_equal(quantize(dequantize(np.arange(256, dtype=np.uint8))), np.arange(256))


def test_backbone_scales_its_own_input(backbone, backbone_config):
    plain = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    plain.load_weights(backbone_config.weights)
    cut = keras.Model(plain.input, plain.get_layer(backbone_config.feature_layer).output)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    wanted = np.asarray(cut(images / np.float32(127.5) - 1))
    assert wanted.std() > 0.1
    assert backbone.feature_shape == wanted.shape[1:]
    assert not backbone.network.trainable_variables
    np.testing.assert_allclose(backbone.network(images.astype(np.float32)), wanted, atol=1e-4)
    np.testing.assert_allclose(dequantize(backbone.encode(images)), wanted, atol=RELU6_SCALE / 2 + 1e-4)


def test_key_tells_weights_layers_and_sizes_apart_but_not_files(backbone_config, backbone, tmp_path):
    copy = tmp_path / "copy.weights.h5"
    copy.write_bytes(Path(backbone_config.weights).read_bytes())
    assert Backbone(backbone_config, str(copy)).key == backbone.key
    assert Backbone(dataclasses.replace(backbone_config, image_size=64)).key != backbone.key
    other = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    other.save_weights(tmp_path / "other.weights.h5")
    assert Backbone(backbone_config, str(tmp_path / "other.weights.h5")).digest != backbone.digest


def test_environment_variable_names_the_weights(backbone_config, backbone, monkeypatch):
    monkeypatch.setenv(WEIGHTS_VARIABLE, backbone_config.weights)
    assert Backbone(dataclasses.replace(backbone_config, weights="imagenet")).digest == backbone.digest


@pytest.mark.parametrize("layer", ["conv_pw_99_relu", "conv_pw_3", "input_layer"])
def test_unknown_feature_layer_is_refused_with_those_there_are(backbone_config, layer):
    with pytest.raises(ConfigError, match=rf"feature_layer.*{layer}.*conv_pw_3_relu"):
        Backbone(dataclasses.replace(backbone_config, feature_layer=layer))


def test_missing_weights_are_named(backbone_config):
    with pytest.raises(ConfigError, match=r"nowhere\.h5"):
        Backbone(backbone_config, "nowhere.h5")


def test_weights_of_another_network_are_refused(backbone_config, tmp_path):
    with pytest.raises(ConfigError, match=r"random\.weights\.h5 do not fit"):
        Backbone(dataclasses.replace(backbone_config, alpha=0.5))
    (tmp_path / "text.weights.h5").write_text("not HDF5")
    with pytest.raises(ConfigError, match=r"text\.weights\.h5 do not fit"):
        Backbone(backbone_config, str(tmp_path / "text.weights.h5"))


def test_kernel_of_zeros_is_refused_where_it_is_needed(backbone_config, tmp_path):
    network = keras.applications.MobileNet(input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None)
    network.load_weights(backbone_config.weights)
    kernel = network.get_layer("conv_pw_4").kernel
    kernel.assign(np.zeros(kernel.shape))
    path = str(tmp_path / "zeros.weights.h5")
    network.save_weights(path)
    Backbone(backbone_config, path)
    with pytest.raises(ConfigError, match=r"zeros for layer 'conv_pw_4'.*conv_pw_4_relu"):
        Backbone(dataclasses.replace(backbone_config, feature_layer="conv_pw_4_relu"), path)


def test_cache_holds_what_the_backbone_gives(encode, folder, backbone):
    cache = encode()
    names = sorted(os.listdir(folder))
    assert cache.images == set(names)
    assert cache.feature_shape == backbone.feature_shape
    assert sorted(map(len, cache.shards.values())) == [3, 4, 4]
    pictures = np.stack([read_image(str(folder / name), 32)[1] for name in names])
    order = [5, 0, 10, 3]
    stored = cache.load([names[place] for place in order])
    assert np.abs(stored.astype(int) - backbone.encode(pictures).numpy()[order].astype(int)).max() <= 1
    assert stored.std() > 5


def test_features_of_an_image_that_is_not_there_are_an_error(encode):
    with pytest.raises(CacheError, match=r"missing\.png"):
        encode().load(["003.png", "missing.png"])


def test_repeated_names_are_encoded_once(encode):
    encoded = []
    encode(["001.png", "002.png", "001.png", "002.png", "001.png"], progress=counting(encoded))
    assert encoded == [2, "001.png", "002.png"]


def test_new_images_alone_are_encoded(encode, folder, write_pictures):
    first = encode()
    before = {name: (Path(first.folder) / name).read_bytes() for name in os.listdir(first.folder)}
    new = write_pictures(folder, 2, first=50)
    encoded = []
    cache = encode(progress=counting(encoded))
    assert encoded == [2, *new]
    assert cache.images == first.images | set(new)
    assert {name: (Path(cache.folder) / name).read_bytes() for name in before} == before


def test_bad_images_are_skipped_named_and_tried_again(encode, folder, write_pictures):
    (folder / "005.png").write_bytes(b"no picture")
    (folder / "010.png").write_bytes(b"")
    names = [*sorted(os.listdir(folder)), "never.png"]
    cache = encode(names)
    assert sorted(cache.failed) == ["005.png", "010.png", "never.png"]
    assert all(name in reason for name, reason in cache.failed.items())
    assert len(cache.images) == 9
    write_pictures(folder, 1, first=5)
    cache = encode(names)
    assert "005.png" in cache.images
    assert sorted(cache.failed) == ["010.png", "never.png"]


def test_only_bad_images_give_an_empty_cache(encode, tmp_path):
    cache = encode(["a.png", "b.png"])
    assert cache.images == frozenset()
    assert sorted(cache.failed) == ["a.png", "b.png"]


def test_mirrored_view_is_the_encoded_mirrored_picture(encode, folder, backbone):
    cache = encode(flips=True)
    assert cache.views == 2
    import tensorflow as tf

    for record in tf.data.TFRecordDataset(cache.paths_holding(cache.images)):
        name, views = cache.parse(record)
        picture = read_image(str(folder / name.numpy().decode()), 32)[1]
        wanted = backbone.encode(np.stack([picture, picture[:, ::-1]])).numpy()
        assert np.abs(views.numpy().astype(int) - wanted).max() <= 1
        assert np.abs(wanted[0].astype(int) - wanted[1]).max() > 10


def test_cache_without_mirrored_views_is_refused_for_flips(encode):
    encode()
    with pytest.raises(CacheError, match="mirrored"):
        encode(flips=True)


def test_cache_with_mirrored_views_serves_without_flips_too(encode):
    encode(["000.png"], flips=True)
    assert encode().views == 2


def test_cache_of_another_backbone_is_refused_naming_the_difference(encode, backbone_config):
    encode()
    other = Backbone(dataclasses.replace(backbone_config, feature_layer="conv_pw_2_relu"))
    with pytest.raises(CacheError, match=r"feature_layer is 'conv_pw_3_relu', wanted 'conv_pw_2_relu'"):
        encode(backbone=other)


def test_missing_cache_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(CacheError, match="caption-tx features"):
        open_cache(str(tmp_path))


@pytest.mark.parametrize("name", ["cache.json", "shard-00001.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"key": 3}', "\xff\xfe"])
def test_damaged_description_is_named(encode, name, text):
    folder = encode().folder
    (Path(folder) / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(CacheError, match=r"(cache\.json|shard-00001)"):
        open_cache(folder)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_shard_is_named(encode, damage):
    folder = encode().folder
    shard = Path(folder) / "shard-00001.tfrecord"
    data = shard.read_bytes()
    shard.unlink()
    if damage == "truncated":
        shard.write_bytes(data[:-1])
    with pytest.raises(CacheError, match=r"shard-00001\.tfrecord"):
        open_cache(folder)


def test_changed_byte_of_a_shard_is_an_error(encode):
    cache = encode()
    shard = Path(cache.folder) / "shard-00001.tfrecord"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CacheError, match=r"shard-00001"):
        cache.load(sorted(cache.images))


KILLED = """
import os, signal, sys
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features import Backbone, encode_images
import json
images, cache, config, stop = sys.argv[1:]

def progress(stream, total):
    for number, item in enumerate(stream):
        if number == int(stop):
            os.kill(os.getpid(), signal.SIGKILL)
        yield item

backbone = Backbone(from_dict(BackboneConfig, json.loads(config)))
encode_images(sorted(os.listdir(images)), images, cache, backbone, batch_size=2, shard_size=4, progress=progress)
"""


def test_killed_encoding_loses_a_shard_at_most_and_the_next_run_completes(
    encode, folder, tmp_path, backbone, backbone_config, run_python
):
    broken = tmp_path / "broken"
    process = run_python(KILLED, folder, broken, json.dumps(dataclasses.asdict(backbone_config)), 7)
    assert process.returncode == -signal.SIGKILL, process.stderr
    after = open_cache(str(broken), backbone.key)
    assert len(after.images) == 4  # of 7 seen, those of the one whole shard
    assert len(after.load(sorted(after.images))) == 4

    encoded = []
    resumed = encode(cache=broken, progress=counting(encoded))
    whole = encode(cache=tmp_path / "whole")
    assert encoded[0] == 7
    assert resumed.images == whole.images
    assert resumed.shards.keys() == whole.shards.keys()
    names = sorted(whole.images)
    np.testing.assert_array_equal(resumed.load(names), whole.load(names))


def test_published_mobilenet_sees_a_photograph_alike_in_any_file_format(shared, tmp_path):
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


def test_another_picture_under_a_known_name_is_refused(tmp_path, backbone, write_pictures):
    names = write_pictures(tmp_path / "images", 3)
    encode_images(names, str(tmp_path / "images"), str(tmp_path / "cache"), backbone)
    (tmp_path / "images" / names[0]).unlink()  # gone is no contradiction
    encode_images(names[1:], str(tmp_path / "images"), str(tmp_path / "cache"), backbone)
    write_pictures(tmp_path / "others", 3, first=50)
    (tmp_path / "others" / "051.png").replace(tmp_path / "images" / names[1])
    with pytest.raises(CacheError, match=r"001\.png is another picture"):
        encode_images(names, str(tmp_path / "images"), str(tmp_path / "cache"), backbone)


def test_failures_of_other_images_stay_listed(tmp_path, backbone, write_pictures):
    folder = tmp_path / "images"
    names = write_pictures(folder, 2)
    (folder / "bad.png").write_bytes(b"no picture")
    encode_images(["bad.png"], str(folder), str(tmp_path / "cache"), backbone)
    cache = encode_images(names, str(folder), str(tmp_path / "cache"), backbone)
    assert list(cache.failed) == ["bad.png"]
    (folder / names[0]).replace(folder / "bad.png")
    assert encode_images(["bad.png"], str(folder), str(tmp_path / "cache"), backbone).failed == {}


def test_a_manifest_without_images_is_named(tmp_path, backbone, write_pictures):
    cache = encode_images(write_pictures(tmp_path, 2), str(tmp_path), str(tmp_path / "cache"), backbone)
    manifest = tmp_path / "cache" / "shard-00000.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({"bytes": content["bytes"]}))
    with pytest.raises(CacheError, match=r"shard-00000\.json is damaged"):
        open_cache(cache.folder)
