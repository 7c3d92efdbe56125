"""The files of a cache: damaged, changed, compressed, of an older format, or left by a killed process."""

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from feature_caches import CountedReads, counting, shard_paths, write_duplicates

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features import shards
from caption_tx.data.features.backbone import dequantize
from caption_tx.data.features.cache import open_cache
from caption_tx.data.images.decoding import read_image
from caption_tx.errors import CacheError


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
