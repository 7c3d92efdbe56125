"""Encode images into a cache that contains each image once."""

import base64
import dataclasses
import os
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from feature_caches import CountedReads, counting

from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.encoding import encode_images
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import CacheError, ConfigError


def test_cache_contains_the_features_of_the_backbone(encode, folder, backbone):
    cache = encode()
    names = sorted(os.listdir(folder))
    assert cache.images == set(names)
    assert cache.feature_shape == backbone.feature_shape
    assert sorted(map(len, cache.shards.values())) == [3, 4, 4]
    pixels = np.stack([read_image(str(folder / name), 32)[1] for name in names])
    order = [5, 0, 10, 3]
    stored = cache.load([names[index] for index in order])
    assert np.abs(stored.astype(int) - backbone.encode(pixels).numpy()[order].astype(int)).max() <= 1
    assert stored.std() > 5


def test_loading_an_image_that_is_not_in_the_cache_is_an_error(encode):
    with pytest.raises(CacheError, match=r"missing\.png"):
        encode().load(["003.png", "missing.png"])


def test_repeated_names_are_encoded_once(encode):
    encoded = []
    encode(["001.png", "002.png", "001.png", "002.png", "001.png"], progress=counting(encoded))
    assert encoded == [2, "001.png", "002.png"]


def test_only_new_images_are_encoded(encode, folder, write_pictures):
    first = encode()
    before = {name: (Path(first.folder) / name).read_bytes() for name in os.listdir(first.folder)}
    new = write_pictures(folder, 2, first=50)
    encoded = []
    cache = encode(progress=counting(encoded))
    assert encoded == [2, *new]
    assert cache.images == first.images | set(new)
    assert {name: (Path(cache.folder) / name).read_bytes() for name in before} == before


def test_unreadable_images_are_skipped_listed_and_tried_again(encode, folder, write_pictures):
    (folder / "005.png").write_bytes(b"not an image")
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


def test_only_unreadable_images_make_an_empty_cache(encode, tmp_path):
    cache = encode(["a.png", "b.png"])
    assert cache.images == frozenset()
    assert sorted(cache.failed) == ["a.png", "b.png"]


def test_flips_stores_the_encoded_mirror_image(encode, folder, backbone):
    cache = encode(flips=True)
    assert cache.num_augmentations == 2
    for record in tf.data.TFRecordDataset(cache.paths_holding(cache.images)):
        name, augmented = cache.parse(record)
        image = read_image(str(folder / name.numpy().decode()), 32)[1]
        expected = backbone.encode(np.stack([image, image[:, ::-1]])).numpy()
        assert np.abs(augmented.numpy().astype(int) - expected).max() <= 1
        assert np.abs(expected[0].astype(int) - expected[1]).max() > 10


def test_crops_are_parts_of_the_image_at_full_size():
    rows, columns = np.mgrid[0:64, 0:64]
    image = np.stack([4 * rows, 4 * columns, np.full((64, 64), 9)], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(augment(image, 0, "0" * 32), image)
    np.testing.assert_array_equal(augment(image, 1, "0" * 32), image[:, ::-1])
    areas = []
    for content in range(8):
        for index in range(2, 8):
            crop = augment(image, index, f"{content:016x}").astype(int)
            assert crop.shape == (64, 64, 3)
            heights, widths = np.ptp(crop[:, 0, 0]) / 4, np.ptp(crop[0, :, 1]) / 4  # the part of the ramps in the crop
            assert 0.45 <= heights * widths / 63**2 <= 1.0
            assert 0.7 <= widths / heights <= 1.42
            assert np.all(np.diff(crop[:, 0, 0]) >= 0)  # never upside down
            assert (crop[0, 0, 1] > crop[0, -1, 1]) == bool(index % 2)
            areas.append(heights * widths / 63**2)
    assert min(areas) < 0.6 and max(areas) > 0.9 and len(set(areas)) > 40


def test_crops_depend_only_on_the_image(encode, backbone, tmp_path):
    first, again = encode(flips=True, crops=2), encode(flips=True, crops=2, cache=tmp_path / "again", batch_size=3)
    assert first.num_augmentations == 4

    def features_of(cache):
        records = (cache.parse(record) for record in tf.data.TFRecordDataset(cache.paths_holding(cache.images)))
        return {name.numpy(): features.numpy().astype(int) for name, features in records}

    first, again = features_of(first), features_of(again)
    for name, stored in first.items():
        assert np.abs(stored - again[name]).max() <= 1
        assert np.abs(stored[2] - stored[3]).max() > 10


def test_a_cache_with_too_few_crops_is_rejected(encode):
    encode(flips=True, crops=1)
    with pytest.raises(CacheError, match="2 random crops"):
        encode(flips=True, crops=2)
    with pytest.raises(ConfigError, match="flips"):
        encode(crops=2)


def test_a_cache_without_mirror_images_is_rejected_for_flips(encode):
    encode()
    with pytest.raises(CacheError, match="mirror images"):
        encode(flips=True)


def test_a_cache_with_mirror_images_can_be_used_without_flips(encode):
    encode(["000.png"], flips=True)
    assert encode().num_augmentations == 2


def test_the_error_of_a_cache_of_another_backbone_names_the_difference(encode, backbone_config, make_backbone):
    encode()
    other = make_backbone(dataclasses.replace(backbone_config, feature_layer="conv_pw_2_relu"))
    with pytest.raises(CacheError, match=r"feature_layer is 'conv_pw_3_relu', expected 'conv_pw_2_relu'"):
        encode(backbone=other)


def test_the_error_of_a_missing_cache_says_how_to_make_one(tmp_path):
    with pytest.raises(CacheError, match="caption-tx features"):
        open_cache(str(tmp_path))


def test_failures_of_other_images_are_kept(tmp_path, backbone, write_pictures):
    folder = tmp_path / "images"
    names = write_pictures(folder, 2)
    (folder / "bad.png").write_bytes(b"not an image")
    encode_images(["bad.png"], str(folder), str(tmp_path / "cache"), backbone)
    cache = encode_images(names, str(folder), str(tmp_path / "cache"), backbone)
    assert list(cache.failed) == ["bad.png"]
    (folder / names[0]).replace(folder / "bad.png")
    assert encode_images(["bad.png"], str(folder), str(tmp_path / "cache"), backbone).failed == {}


def test_a_changed_image_is_rejected(encode, folder, write_pictures, tmp_path):
    encode()
    (folder / "000.png").unlink()  # a missing image did not change
    encode(["000.png", "001.png"])
    write_pictures(tmp_path / "others", 3, first=50)
    (tmp_path / "others" / "051.png").replace(folder / "001.png")
    with pytest.raises(CacheError, match=r"images/001\.png is not the image"):
        encode(["000.png", "001.png"])
    encode(["002.png"])  # the changed image is not requested


def test_refresh_encodes_only_changed_images_again(encode, folder, write_pictures, tmp_path):
    first = encode()
    before = dict(zip(sorted(first.images), first.load(sorted(first.images)), strict=True))
    for name, other in (("001.png", "051.png"), ("006.png", "052.png")):
        write_pictures(tmp_path / "others", 3, first=50)
        (tmp_path / "others" / other).replace(folder / name)
    with pytest.raises(CacheError, match=r"001\.png \(and 1 more\) is not the image .*features --refresh"):
        encode()
    encoded = []
    cache = encode(refresh=True, progress=counting(encoded))
    assert sorted(encoded[1:]) == ["001.png", "006.png"]
    assert cache.images == first.images
    assert not cache.duplicates
    after = dict(zip(sorted(cache.images), cache.load(sorted(cache.images)), strict=True))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"001.png", "006.png"}
    assert encode().images == first.images


def test_only_files_with_another_stamp_are_read_again(encode, folder):
    names = sorted(os.listdir(folder))
    first = CountedReads(folder)
    encode(names, images=first)
    assert sorted(first.read) == names
    again = CountedReads(folder)
    encode(names, images=again)
    assert again.read == []
    os.utime(folder / "004.png", ns=(1, 1))
    encode(names, images=again)
    assert again.read == ["004.png"]
    encode(names, images=again)  # the new stamp was stored
    assert again.read == ["004.png"]


def test_reading_ahead_is_bounded(encode, folder):
    names = sorted(os.listdir(folder)) + [f"more/{number}.png" for number in range(500)]
    images = CountedReads(folder)
    ahead = []

    def progress(stream, total):
        for index, item in enumerate(stream):
            ahead.append(len(images.read) - index)
            yield item

    cache = encode(names, images=images, progress=progress, batch_size=4)
    assert len(cache.failed) == 500
    assert max(ahead) <= max(2 * 4, os.cpu_count()) + 1


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"rank": 2, "world_size": 2},
        {"rank": -1, "world_size": 2},
        {"rank": 0, "world_size": 0},
    ],
)
def test_options_out_of_range_are_rejected(encode, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        encode(**options)


def test_cache_and_images_may_be_on_a_remote_store(encode, folder, tmp_path, backbone):
    location, remote = f"ram://{uuid.uuid4().hex}/images", f"ram://{uuid.uuid4().hex}/deep/cache"
    tf.io.gfile.makedirs(location)
    for name in os.listdir(folder):
        tf.io.gfile.copy(str(folder / name), f"{location}/{name}")
    local = encode()
    names = sorted(local.images)
    encode(names[:5], images=location, cache=remote)
    encoded = []
    cache = encode(names, images=location, cache=remote, progress=counting(encoded))
    assert encoded[0] == 6
    np.testing.assert_array_equal(cache.load(names), local.load(names))
    assert open_cache(remote, backbone.key).images == local.images
    tf.io.gfile.remove(f"{location}/{names[0]}")  # this store would append to the file
    with tf.io.gfile.GFile(f"{location}/{names[0]}", "wb") as file:  # the same size, and no time
        file.write((folder / names[0]).read_bytes()[:-1] + b"x")
    with pytest.raises(CacheError, match="is not the image"):
        encode(names, images=location, cache=remote)


def test_images_may_be_in_a_table(encode, folder, tmp_path):
    names = sorted(os.listdir(folder))
    rows = [f"{name}\t{base64.b64encode((folder / name).read_bytes()).decode()}\n" for name in names]
    (tmp_path / "t.tsv").write_text("".join(rows))
    whole = encode()
    cache = encode(names, images=str(tmp_path / "t.tsv"), cache=tmp_path / "table")
    np.testing.assert_array_equal(cache.load(names), whole.load(names))
    inside = encode([f"t.tsv/{name}" for name in names], images=str(tmp_path), cache=tmp_path / "inside")
    np.testing.assert_array_equal(inside.load([f"t.tsv/{name}" for name in names]), whole.load(names))
    (tmp_path / "t.tsv").unlink()
    encoded = []
    encode(names, images=str(tmp_path / "t.tsv"), cache=tmp_path / "table", progress=counting(encoded))
    assert encoded == [0]  # encoded images do not need the table


def test_a_name_that_is_not_unicode_is_listed_as_failed(encode, folder):
    name = os.fsdecode(b"caf\xe9.png")
    cache = encode([name, "001.png"])
    assert cache.images == {"001.png"}
    assert list(cache.failed) == [name]
    assert list(open_cache(cache.folder).failed) == [name]
