"""Merging repairs a cache that several processes made or that was damaged."""

import dataclasses
import json
import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from feature_caches import shard_paths

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features import merging, shards
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.features.merging import merge_cache
from caption_tx.errors import CacheError


@pytest.fixture
def folder(tmp_path, write_pictures):
    """Thirteen images."""
    write_pictures(tmp_path / "images", 13)
    return tmp_path / "images"


@pytest.fixture(scope="module")
def expected(write_pictures, backbone, tmp_path_factory):
    """Name -> features of the images in `folder`, from an undamaged cache."""
    path = tmp_path_factory.mktemp("expected")
    names = write_pictures(path / "images", 13)
    cache = encode_images(
        names, str(path / "images"), str(path / "cache"), backbone, EncodingOptions(batch_size=2, shard_size=4)
    )
    return dict(zip(names, cache.load(names), strict=True))


def assert_contains(cache, expected, names=None):
    names = sorted(expected if names is None else names)
    assert sorted(cache.images) == names
    assert cache.duplicates == {}
    records = tf.data.TFRecordDataset(cache.paths_holding(names)).map(cache.parse)
    assert sorted(name.numpy().decode() for name, _ in records) == names
    np.testing.assert_array_equal(cache.load(names), [expected[name] for name in names])


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


WORKER = """
import json, os, sys, time
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.encoding import EncodingOptions, encode_images
images, cache, config, rank, world_size, ready, others = sys.argv[1:]

def progress(stream, total):
    for index, item in enumerate(stream):
        if index == 1:  # wait until so many processes got here
            open(os.path.join(ready, rank), "w").close()
            while len(os.listdir(ready)) < int(others):
                time.sleep(0.01)
        yield item
        if os.path.exists(os.path.join(ready, "slow")):
            time.sleep(0.3)

backbone = Backbone(from_dict(BackboneConfig, json.loads(config)))
options = EncodingOptions(rank=int(rank), world_size=int(world_size), batch_size=2, shard_size=4)
encode_images(sorted(os.listdir(images)), images, cache, backbone, options, progress)
"""


@pytest.fixture
def start(folder, tmp_path, backbone_config, start_forked):
    """Starts a worker process, which ends only after `others` workers run at the same time."""
    ready = tmp_path / "ready"
    ready.mkdir()

    def start(rank, world_size, others=1):
        config = json.dumps(dataclasses.asdict(backbone_config))
        return start_forked(WORKER, folder, tmp_path / "cache", config, rank, world_size, ready, others)

    return start


def finish(*processes):
    for process in processes:
        result = process.wait()
        assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_two_concurrent_workers_and_a_third_that_is_killed(start, encode, folder, tmp_path, expected):
    (folder / "bad.png").write_bytes(b"")
    (folder / "worse.png").write_bytes(b"not an image")
    names = sorted(os.listdir(folder))
    cache = tmp_path / "cache"
    finish(*[start(rank, 3, others=2) for rank in (0, 1)])
    cached = open_cache(str(cache))
    assert {name.rsplit("-", 2)[0] for name in cached.shards} == {"shard-1of3", "shard-2of3"}
    assert cached.images | set(cached.failed) == {name for index, name in enumerate(names) if index % 3 < 2}

    (tmp_path / "ready" / "slow").touch()
    third = start(2, 3)
    end = time.monotonic() + 120
    while not list(cache.glob("shard-3of3*.tmp")) and time.monotonic() < end:
        time.sleep(0.01)
    third.kill()
    assert third.wait().returncode == -signal.SIGKILL
    assert list(cache.glob("*.tmp"))
    (tmp_path / "ready" / "slow").unlink()

    merged = merge_cache(str(cache), names)
    assert len(merged.missing) > 0
    assert merged.images | set(merged.missing) | set(merged.failed) == set(names)
    assert not list(cache.glob("*.tmp"))

    finish(start(2, 3))
    merged = merge_cache(str(cache), names)
    assert_contains(merged, expected)
    assert merged.missing == ()
    assert merged.notes == ()
    assert sorted(merged.failed) == ["bad.png", "worse.png"]
    assert [path.name for path in cache.glob("failed*")] == ["failed.json"]
    assert_contains(encode(), expected)


def test_merging_does_not_change_a_valid_cache(encode, expected, tmp_path):
    encode()
    before = contents(tmp_path / "cache")
    totals = []

    def progress(stream, total):
        totals.append(total)
        yield from stream

    merged = merge_cache(str(tmp_path / "cache"), [*expected, "other.png", "other.png"], progress)
    assert contents(tmp_path / "cache") == before
    assert merged.notes == ()
    assert merged.missing == ("other.png",)
    assert totals == [4]
    assert_contains(merged, expected)


def test_duplicates_stay_in_the_first_shard(encode, tmp_path, expected):
    """Two concurrent runs of the same images: the second starts and ends while the first one runs."""

    def meanwhile(stream, total):
        for index, item in enumerate(stream):
            if index == 7:
                encode()
            yield item

    cache = encode(progress=meanwhile)
    assert sum(map(len, cache.duplicates.values())) > 4
    size = sum(path.stat().st_size for path in shard_paths(cache.folder))
    kept = {shard for shard in cache.shards if shard not in cache.duplicates}
    merged = merge_cache(cache.folder)
    assert_contains(merged, expected)
    assert kept <= merged.shards.keys()
    assert len(merged.notes) == len(cache.duplicates)
    assert all("another shard" in note for note in merged.notes)
    assert sum(path.stat().st_size for path in shard_paths(merged.folder)) < 0.75 * size
    assert_contains(encode(), expected)
    assert merge_cache(cache.folder).notes == ()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_changed_byte_loses_only_the_records_after_it(encode, expected, compression):
    cache = encode(compression=compression)
    shard = shard_paths(cache.folder)[1]
    flip_byte(shard)
    merged = merge_cache(cache.folder, expected)
    assert len(merged.notes) == 1
    assert str(shard) in merged.notes[0]
    assert "caption-tx features" in merged.notes[0]
    assert 0 < len(merged.missing) <= 2
    assert set(merged.missing) <= set(cache.shards[shard.stem])
    assert_contains(merged, expected, set(expected) - set(merged.missing))
    assert not shard.exists()
    assert_contains(encode(), expected)
    assert merge_cache(cache.folder, expected).notes == ()


def damage_manifest(path):
    path.with_suffix(".json").write_text("{")


def lose_records(path):
    path.unlink()


def empty_records(path):
    path.write_bytes(b"")


def cut_records(path):
    path.write_bytes(path.read_bytes()[:-1])


def add_record(path):
    path.write_bytes(path.read_bytes() + path.read_bytes())
    manifest = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(manifest | {"bytes": path.stat().st_size}))


def lose_name(path):
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["images"].popitem()
    path.with_suffix(".json").write_text(json.dumps(manifest))


def of_another_cache(path):
    manifest = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(manifest | {"cache": "0" * 16}))


def shorter_features(path):
    records = [shards.read_record(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, (name, _) in enumerate(records):
            data = shards.compress(bytes(7)) if index == 1 else records[index][1]
            writer.write(shards.make_record(name, path.stem, data))
    manifest = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(manifest | {"bytes": path.stat().st_size}))


DAMAGES = {
    damage_manifest: 4,
    lose_records: 4,
    empty_records: 4,
    cut_records: 1,
    add_record: 0,
    lose_name: 1,
    of_another_cache: 4,
    shorter_features: 1,
}


@pytest.mark.parametrize(("damage", "lost"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_damage_is_reported_and_repaired_by_the_next_run(encode, expected, damage, lost):
    cache = encode()
    shard = shard_paths(cache.folder)[2]
    damage(shard)
    merged = merge_cache(cache.folder, expected)
    assert len(merged.notes) == 1
    assert shard.stem in merged.notes[0]
    assert len(merged.missing) == lost
    assert_contains(merged, expected, set(expected) - set(merged.missing))
    assert_contains(encode(), expected)
    assert merge_cache(cache.folder, expected).notes == ()
    assert len(shard_paths(cache.folder)) == len(shard_paths(cache.folder, "json"))


def test_a_killed_merge_can_be_repeated(encode, expected, monkeypatch):
    cache = encode()
    shard = shard_paths(cache.folder)[1]
    flip_byte(shard)

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_cache(cache.folder)
    monkeypatch.undo()
    assert len(shard_paths(cache.folder)) == 5
    merged = merge_cache(cache.folder, expected)
    assert_contains(merged, expected, set(expected) - set(merged.missing))
    assert_contains(encode(), expected)


def test_leftovers_are_removed_unless_a_process_may_be_writing_them(encode, tmp_path, expected):
    cache = tmp_path / "cache"
    encode()
    old = time.time() - 2 * shards.ABANDONED_SECONDS
    removed, kept = [], []
    for index, age in enumerate((0, old)):
        for name in (f"shard-1of9-0000{index}-ab.tfrecord", f"shard-1of9-0000{index}-ab.json.host.7.cd.tmp"):
            path = cache / name
            path.write_bytes(b"half")
            (removed if age else kept).append(path)
            if age:
                os.utime(path, (age, age))
    merged = merge_cache(str(cache))
    assert not any(path.exists() for path in removed)
    assert all(path.exists() for path in kept)
    assert len(merged.notes) == 2
    assert all(any(str(path) in note for note in merged.notes) for path in kept)
    assert_contains(merged, expected)


def test_merging_on_a_remote_store(encode, expected):
    location = f"ram://{uuid.uuid4().hex}/cache"
    for rank in (1, 0):
        encode(cache=location, rank=rank, world_size=2)
    [first, *_] = sorted(name for name in tf.io.gfile.listdir(location) if name.endswith(".tfrecord"))
    with tf.io.gfile.GFile(f"{location}/{first}", "rb") as file:
        data = file.read()
    tf.io.gfile.remove(f"{location}/{first}")  # this store would append to the file
    with tf.io.gfile.GFile(f"{location}/{first}", "wb") as file:
        file.write(data[:-7])
    with tf.io.gfile.GFile(f"{location}/x.json.host.1.ab.tmp", "wb") as file:
        file.write(b"half")
    merged = merge_cache(location, expected)
    assert len(merged.notes) == len(merged.missing) == 1
    assert "x.json.host.1.ab.tmp" not in tf.io.gfile.listdir(location)
    assert_contains(merged, expected, set(expected) - set(merged.missing))
    assert_contains(encode(cache=location), expected)


def test_a_folder_without_a_cache_is_an_error(tmp_path):
    with pytest.raises(CacheError, match="no feature cache"):
        merge_cache(str(tmp_path))
