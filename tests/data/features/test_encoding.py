"""Encode images into a cache that contains each image once."""

import base64
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features import encoding as features
from caption_tx.data.features import shards
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.images.augmentation import augment
from caption_tx.data.images.decoding import read_image
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images
from caption_tx.errors import CacheError, ConfigError


@pytest.fixture
def folder(tmp_path, write_pictures):
    """Eleven images."""
    write_pictures(tmp_path / "images", 11)
    return tmp_path / "images"


@pytest.fixture
def encode(folder, tmp_path, backbone):
    """Encodes images of `folder` into `cache`, in small shards."""

    def encode(names=None, **options):
        names = sorted(os.listdir(folder)) if names is None else names
        options = {"batch_size": 2, "shard_size": 4} | options
        cache = str(options.pop("cache", tmp_path / "cache"))
        images = options.pop("images", str(folder))
        backbone_used, progress = options.pop("backbone", backbone), options.pop("progress", None)
        return encode_images(names, images, cache, backbone_used, EncodingOptions(**options), progress)

    return encode


def counting(encoded: list[str]):
    """A `progress` that records the number of images, and their names."""

    def progress(stream, total):
        encoded.append(total)
        for name, result in stream:
            encoded.append(name)
            yield name, result

    return progress


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


def shard_paths(folder, kind="tfrecord") -> list[Path]:
    return sorted(Path(folder).glob(f"shard-*.{kind}"))


@pytest.mark.parametrize("name", ["cache.json", "shard-*-00001-*.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"key": 3}', "\xff\xfe"])
def test_damaged_json_is_an_error_with_its_name(encode, name, text):
    folder = encode().folder
    [path] = Path(folder).glob(name)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CacheError, match=path.name):
        open_cache(folder)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_shard_is_an_error_with_its_name(encode, damage):
    folder = encode().folder
    shard = shard_paths(folder)[1]
    data = shard.read_bytes()
    shard.unlink()
    if damage == "truncated":
        shard.write_bytes(data[:-1])
    with pytest.raises(CacheError, match=shard.name):
        open_cache(folder)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_changed_byte_of_a_shard_is_an_error(encode, compression):
    cache = encode(compression=compression)
    shard = shard_paths(cache.folder)[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CacheError, match=shard.stem):
        cache.load(sorted(cache.images))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_of_another_size_are_an_error(encode, compression):
    cache = encode(compression=compression)
    shard = shard_paths(cache.folder)[1]
    with tf.io.TFRecordWriter(str(shard)) as file:
        for name in cache.shards[shard.stem]:
            file.write(shards.make_record(name, shard.stem, b"short"))
    with pytest.raises(CacheError, match=rf"{shard.name} is damaged \(.+\); delete"):
        cache.load(sorted(cache.images))


def test_a_shard_of_a_cache_with_other_settings_is_rejected(encode, tmp_path):
    other = encode(["001.png"], cache=tmp_path / "other", compression="none")
    cache = encode(["002.png"])
    for path in shard_paths(other.folder, "*"):
        shutil.copy(path, cache.folder)
    with pytest.raises(CacheError, match=r"shard-.*json belongs to a cache with .* another compression"):
        open_cache(cache.folder)


def test_a_cache_of_an_unknown_format_is_rejected(encode):
    path = Path(encode(["001.png"]).folder, "cache.json")
    header = json.loads(path.read_text())
    for changes in ({"compression": "zstd"}, {"key": header["key"] | {"storage": "int4"}}):
        path.write_text(json.dumps(header | changes))
        with pytest.raises(CacheError, match=r"zstd|int4"):
            open_cache(str(path.parent))


KILLED = """
import os, signal, sys, time
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.encoding import EncodingOptions, encode_images
import json
images, cache, config, stop = sys.argv[1:]

def progress(stream, total):
    for index, item in enumerate(stream):
        if index == int(stop):
            while not any(name.startswith("shard") and name.endswith("json") for name in os.listdir(cache)):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        yield item

backbone = Backbone(from_dict(BackboneConfig, json.loads(config)))
options = EncodingOptions(batch_size=2, shard_size=4)
encode_images(sorted(os.listdir(images)), images, cache, backbone, options, progress)
"""


def test_a_killed_run_loses_at_most_a_shard_and_the_next_run_completes(
    encode, folder, tmp_path, backbone, backbone_config, run_forked
):
    broken = tmp_path / "broken"
    process = run_forked(KILLED, folder, broken, json.dumps(dataclasses.asdict(backbone_config)), 7)
    assert process.returncode == -signal.SIGKILL, process.stderr
    after = open_cache(str(broken), backbone.key)
    assert len(after.images) == 4  # of the 7 that were read, those in the complete shard
    assert len(after.load(sorted(after.images))) == 4

    encoded = []
    resumed = encode(cache=broken, progress=counting(encoded))
    whole = encode(cache=tmp_path / "whole")
    assert encoded[0] == 7
    assert resumed.images == whole.images
    names = sorted(whole.images)
    np.testing.assert_array_equal(resumed.load(names), whole.load(names))
    assert not list(broken.glob("*.tmp"))


def test_batches_encoded_in_parallel_are_stored_in_order(encode, folder, tmp_path, monkeypatch):
    (folder / "004.png").write_bytes(b"not an image")
    alone = encode(cache=tmp_path / "alone")
    monkeypatch.setattr(features, "parallel_chunks", lambda: 3)
    parallel = encode(cache=tmp_path / "parallel")
    assert list(parallel.failed) == list(alone.failed) == ["004.png"]
    assert list(parallel.shards.values()) == list(alone.shards.values())
    names = sorted(alone.images)
    np.testing.assert_array_equal(parallel.load(names), alone.load(names))


@pytest.mark.parametrize("parallel_chunks", [1, 3])
def test_an_error_keeps_what_was_encoded(encode, tmp_path, monkeypatch, parallel_chunks):
    monkeypatch.setattr(features, "parallel_chunks", lambda: parallel_chunks)

    def stop(stream, total):
        for index, item in enumerate(stream):
            if index == 9:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        encode(["missing.png", *(f"{number:03d}.png" for number in range(11))], progress=stop)
    cache = open_cache(str(tmp_path / "cache"))
    assert sorted(cache.images) == [f"{number:03d}.png" for number in range(8)]
    assert list(cache.failed) == ["missing.png"]
    assert not list((tmp_path / "cache").glob("*.tmp"))
    with pytest.raises(KeyboardInterrupt):
        encode([*(f"{number:03d}.png" for number in range(10, 40)), "missing.png"], progress=stop)
    assert "missing.png" in open_cache(str(tmp_path / "cache")).failed  # as before: the run did not get to it


@pytest.mark.parametrize("method", ["add", "close"])
def test_the_error_of_a_full_disk_names_the_cache(encode, monkeypatch, method):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(shards.ShardWriter, method, fail)
    with pytest.raises(CacheError, match=r"Cannot write the feature cache .*cache: No space left"):
        encode()
    for shard_size in (1, 100):
        with pytest.raises(CacheError, match="No space left"):
            encode(batch_size=1, shard_size=shard_size)


def test_a_cache_that_cannot_be_created_is_an_error(encode, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match=r"Cannot write the feature cache .*file/cache"):
        encode(cache=tmp_path / "file" / "cache")


class CountedReads(ImageSource):
    """Images of a folder; records the names that are read."""

    def __init__(self, folder):
        super().__init__(str(folder))
        self.files = open_images(str(folder))
        self.read = []
        self.stamp = self.files.stamp

    def read_bytes(self, name):
        self.read.append(name)
        return self.files.read_bytes(name)


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
    ("storage", "flips", "compression"),
    [("uint8", True, "none"), ("float16", False, "none"), ("float16", True, "zlib"), ("float32", False, "zlib")],
)
def test_number_formats_and_compressions_store_the_same_features(
    encode, folder, backbone_config, backbone, make_backbone, storage, flips, compression
):
    other = make_backbone(dataclasses.replace(backbone_config, storage=storage))
    cache = encode(backbone=other, compression=compression, flips=flips)
    names = sorted(cache.images)
    stored = cache.load(names)
    assert stored.dtype == storage
    pixels = np.stack([read_image(str(folder / name), 32)[1] for name in names])
    expected = np.asarray(dequantize(backbone.encode(pixels)))
    assert np.abs(np.asarray(dequantize(stored)) - expected).max() < 0.04
    for record in tf.data.TFRecordDataset(cache.paths_holding(names)).map(cache.parse):
        assert record[1].shape == (cache.num_augmentations, *cache.feature_shape)
        assert record[1].dtype == storage


def test_zlib_makes_a_cache_smaller(encode, tmp_path):
    sizes = {}
    for compression in COMPRESSIONS:
        cache = encode(cache=tmp_path / compression, compression=compression)
        sizes[compression] = sum(path.stat().st_size for path in shard_paths(cache.folder))
    assert sizes["zlib"] < 0.95 * sizes["none"]
    assert sizes["none"] > 11 * cache.record_bytes


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_cache_keeps_its_compression(encode, compression):
    [other] = set(COMPRESSIONS) - {compression}
    encode(["001.png"], compression=compression)
    cache = encode(["001.png", "002.png"], compression=other)
    assert cache.compression == compression
    assert cache.load(["002.png", "001.png"]).std() > 5


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


@pytest.fixture
def old_cache(folder, backbone, tmp_path):
    """A cache in the format of the first version of the package."""
    path = tmp_path / "old"
    path.mkdir()
    (path / "cache.json").write_text(json.dumps({"key": backbone.key, "views": 1}, indent=1))
    names = ["000.png", "001.png", "002.png"]
    hashes, rows = {}, []
    for name in names:
        hashes[name], image = read_image(str(folder / name), 32)
        rows.append(backbone.encode(image[None]).numpy()[0])
    with tf.io.TFRecordWriter(str(path / "shard-00000.tfrecord")) as writer:
        for name, row in zip(names, rows, strict=True):
            values = {"image": name.encode(), "features": row.tobytes()}
            feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    size = (path / "shard-00000.tfrecord").stat().st_size
    (path / "shard-00000.json").write_text(json.dumps({"bytes": size, "images": hashes}))
    (path / "failed.json").write_text(json.dumps({"bad.png": "bad.png is empty (0 bytes)."}))
    return path, names, np.stack(rows)


def test_a_cache_of_the_first_version_can_be_extended(old_cache, encode, folder, backbone):
    path, names, rows = old_cache
    cache = open_cache(str(path), backbone.key)
    assert (cache.compression, cache.num_augmentations, sorted(cache.failed)) == ("none", 1, ["bad.png"])
    np.testing.assert_array_equal(cache.load(names), rows)
    encoded = []
    images = CountedReads(folder)
    cache = encode(images=images, cache=path, progress=counting(encoded))
    assert encoded[0] == 8
    assert len(cache.images) == 11
    np.testing.assert_array_equal(cache.load(names), rows)
    images.read.clear()
    encode(images=images, cache=path)
    assert images.read == []  # stamps were added to the hashes
    (folder / "001.png").write_bytes((folder / "009.png").read_bytes())
    with pytest.raises(CacheError, match=r"001\.png is not the image"):
        encode(cache=path)


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


def test_workers_divide_the_images_whatever_is_in_the_cache(encode, folder, tmp_path):
    names = sorted(os.listdir(folder))
    encode(names[2:7])
    parts = []
    for rank in range(3):
        encoded = []
        encode([*names, *names], rank=rank, world_size=3, progress=counting(encoded))
        parts.append(encoded[1:])
    assert [*map(sorted, parts)] == [
        [name for index, name in enumerate(names) if index % 3 == rank and not 2 <= index < 7] for rank in range(3)
    ]
    cache = open_cache(str(tmp_path / "cache"))
    assert sorted(cache.images) == names
    assert cache.duplicates == {}


def test_workers_list_their_failures_separately_and_the_cache_merges_them(encode, folder):
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).write_bytes(b"")
    names = sorted(os.listdir(folder))
    encode(rank=0, world_size=2)
    cache = encode(rank=1, world_size=2)
    assert sorted(path.name for path in Path(cache.folder).glob("failed*")) == ["failed-1of2.json", "failed-2of2.json"]
    assert sorted(cache.failed) == ["a.png", "b.png", "c.png"]
    (folder / "b.png").write_bytes((folder / "000.png").read_bytes())
    cache = encode(rank=names.index("b.png") % 2, world_size=2)
    assert sorted(cache.failed) == ["a.png", "c.png"]
    (folder / "c.png").write_bytes(b"not an image")
    cache = encode()  # the reasons of the last run take precedence
    assert "known format" in cache.failed["c.png"]
    assert sorted(cache.failed) == ["a.png", "c.png"]
    (folder / "c.png").write_bytes((folder / "000.png").read_bytes())
    cache = encode(rank=names.index("c.png") % 2, world_size=2)  # it is still in `failed.json`
    assert sorted(cache.failed) == ["a.png"]


def test_a_name_that_is_not_unicode_is_listed_as_failed(encode, folder):
    name = os.fsdecode(b"caf\xe9.png")
    cache = encode([name, "001.png"])
    assert cache.images == {"001.png"}
    assert list(cache.failed) == [name]
    assert list(open_cache(cache.folder).failed) == [name]


def write_duplicates(cache, names=None):
    """Writes a second shard with images of the first one, as a concurrent run does; returns its name."""
    first = shard_paths(cache.folder)[0].stem
    manifest = json.loads(Path(cache.folder, f"{first}.json").read_text())
    writer = shards.ShardWriter(cache.folder, shards.with_new_token("shard-1of1-00009"), cache.digest)
    for record in tf.data.TFRecordDataset(str(Path(cache.folder, f"{first}.tfrecord"))):
        name, features = shards.read_record(record.numpy())
        if names is None or name in names:
            writer.add(name, *manifest["images"][name], features)
    writer.close()
    return writer.shard


def test_an_image_in_two_shards_is_read_once(encode):
    cache = encode(shard_size=4)
    shard = write_duplicates(cache, ["001.png", "003.png"])
    encode(["000.png"])
    cache = open_cache(cache.folder)
    assert cache.duplicates == {shard: ("001.png", "003.png")}
    assert cache.shards[shard] == ()
    assert len(cache.images) == 11
    assert not any(shard in path for path in cache.paths_holding(cache.images))
    # Even if a shard is read because of its other images.
    paths = [str(path) for path in shard_paths(cache.folder)]
    parsed = [name.numpy().decode() for name, _ in tf.data.TFRecordDataset(paths).map(cache.parse)]
    assert sorted(parsed) == ["", "", *sorted(cache.images)]
    assert cache.load(sorted(cache.images)).shape[0] == 11


def test_duplicates_of_older_caches_must_be_merged_first(old_cache):
    path, names, _ = old_cache
    for kind in ("tfrecord", "json"):
        shutil.copy(path / f"shard-00000.{kind}", path / f"shard-00001.{kind}")
    cache = open_cache(str(path))
    with pytest.raises(CacheError, match=r"shard-00001\.tfrecord contains 3 images .*--merge"):
        cache.paths_holding(names)


def test_two_concurrent_runs_of_the_same_images_are_harmless(encode, tmp_path, folder):
    """The second run starts and ends while the first one runs."""
    names = sorted(os.listdir(folder))
    inner = []

    def meanwhile(stream, total):
        for index, item in enumerate(stream):
            if index == 6:
                inner.append(encode())
            yield item

    outer = encode(progress=meanwhile)
    assert len(inner[0].images) == len(outer.images) == 11
    assert sum(map(len, outer.duplicates.values())) >= 7
    np.testing.assert_array_equal(outer.load(names), encode(cache=tmp_path / "undisturbed").load(names))


def test_temporary_files_of_dead_processes_are_removed(encode, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    cache = tmp_path / "cache"
    encode(["000.png"])
    alive = Path(shards.temporary_path(str(cache / "shard-1of1-00003-aa.tfrecord")))
    dead = Path(str(alive).replace(f".{os.getpid()}.", f".{ended.pid}."))
    elsewhere = cache / f"shard-1of1-00003-aa.tfrecord.other-host.{ended.pid}.ab.tmp"
    for path in (alive, dead, elsewhere):
        path.write_bytes(b"half")
    encode(["000.png"], rank=0, world_size=2)
    assert dead.exists()
    encode()
    assert not dead.exists()
    assert alive.exists()
    assert elsewhere.exists()
    assert len(open_cache(str(cache)).images) == 11


def test_records_without_a_manifest_are_ignored(encode):
    cache = encode()
    shard_paths(cache.folder, "json")[0].unlink()
    assert len(open_cache(cache.folder).images) == 7
    encoded = []
    assert len(encode(progress=counting(encoded)).images) == 11
    assert encoded[0] == 4


def test_a_cache_folder_may_have_any_name(encode, tmp_path):
    assert len(encode(cache=tmp_path / "[a]*?{b}").images) == 11
