"""The last step: a cache that several processes filled, or that was damaged, becomes one sound cache."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from caption_tx.config import COMPRESSIONS
from caption_tx.data.features import merging as joining
from caption_tx.data.features import shards
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.encoding import encode_images
from caption_tx.data.features.merging import merge_cache
from caption_tx.errors import CacheError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path, write_pictures):
    """Thirteen pictures."""
    write_pictures(tmp_path / "images", 13)
    return tmp_path / "images"


@pytest.fixture
def encode(folder, tmp_path, backbone):
    """Encodes pictures of `folder` into `cache`, in shards of 4 images."""

    def encode(names=None, cache=None, **options):
        names = sorted(os.listdir(folder)) if names is None else names
        options = {"batch_size": 2, "shard_size": 4} | options
        return encode_images(names, str(folder), str(cache or tmp_path / "cache"), backbone, **options)

    return encode


@pytest.fixture
def whole(encode, tmp_path):
    """The features of all images by name, of a cache that nothing happened to."""
    cache = encode(cache=tmp_path / "whole")
    names = sorted(cache.images)
    return dict(zip(names, cache.load(names), strict=True))


def assert_holds(cache, whole, names=None):
    names = sorted(whole if names is None else names)
    assert sorted(cache.images) == names
    assert cache.duplicates == {}
    records = tf.data.TFRecordDataset(cache.paths_holding(names)).map(cache.parse)
    assert sorted(name.numpy().decode() for name, _ in records) == names
    np.testing.assert_array_equal(cache.load(names), [whole[name] for name in names])


def paths(folder, kind="tfrecord") -> list[Path]:
    return sorted(Path(folder).glob(f"shard-*.{kind}"))


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def flip_byte(path: Path, place: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.write_bytes(data)


WORKER = """
import json, os, sys, time
from caption_tx.config import BackboneConfig, from_dict
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.encoding import encode_images
images, cache, config, part, parts, ready, others = sys.argv[1:]

def progress(stream, total):
    for number, item in enumerate(stream):
        if number == 1:  # in the middle of it: wait until as many are there
            open(os.path.join(ready, part), "w").close()
            while len(os.listdir(ready)) < int(others):
                time.sleep(0.01)
        yield item
        if os.path.exists(os.path.join(ready, "slow")):
            time.sleep(0.3)

backbone = Backbone(from_dict(BackboneConfig, json.loads(config)))
encode_images(sorted(os.listdir(images)), images, cache, backbone, batch_size=2, shard_size=4,
              shard=(int(part), int(parts)), progress=progress)
"""


@pytest.fixture
def start(folder, tmp_path, backbone_config):
    """Starts a worker process; `others` so many are at work at once before one ends."""
    ready = tmp_path / "ready"
    ready.mkdir()

    def start(part, parts, others=1):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        config = json.dumps(dataclasses.asdict(backbone_config))
        arguments = [folder, tmp_path / "cache", config, part, parts, ready, others]
        command = [sys.executable, "-c", WORKER, *map(str, arguments)]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    return start


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors


def test_two_processes_at_once_and_a_third_killed_on_its_way(start, encode, folder, tmp_path, whole):
    (folder / "bad.png").write_bytes(b"")
    (folder / "worse.png").write_bytes(b"no picture")
    names = sorted(os.listdir(folder))
    cache = tmp_path / "cache"
    finish(*[start(part, 3, others=2) for part in (0, 1)])
    held = open_cache(str(cache))
    assert {name.rsplit("-", 2)[0] for name in held.shards} == {"shard-1of3", "shard-2of3"}
    assert held.images | set(held.failed) == {name for place, name in enumerate(names) if place % 3 < 2}

    (tmp_path / "ready" / "slow").touch()
    third = start(2, 3)
    while not list(cache.glob("shard-3of3*.tmp")) and third.poll() is None:
        time.sleep(0.01)
    third.send_signal(signal.SIGKILL)
    third.communicate(timeout=180)
    assert third.returncode == -signal.SIGKILL
    assert list(cache.glob("*.tmp"))
    (tmp_path / "ready" / "slow").unlink()

    joined = merge_cache(str(cache), names)
    assert len(joined.missing) > 0
    assert joined.images | set(joined.missing) | set(joined.failed) == set(names)
    assert not list(cache.glob("*.tmp"))

    finish(start(2, 3))
    joined = merge_cache(str(cache), names)
    assert_holds(joined, whole)
    assert joined.missing == ()
    assert joined.notes == ()
    assert sorted(joined.failed) == ["bad.png", "worse.png"]
    assert [path.name for path in cache.glob("failed*")] == ["failed.json"]
    assert_holds(encode(), whole)


def test_a_sound_cache_stays_as_it_is(encode, whole, tmp_path):
    encode()
    before = contents(tmp_path / "cache")
    seen = []

    def progress(stream, total):
        seen.append(total)
        yield from stream

    joined = merge_cache(str(tmp_path / "cache"), [*whole, "other.png", "other.png"], progress)
    assert contents(tmp_path / "cache") == before
    assert joined.notes == ()
    assert joined.missing == ("other.png",)
    assert seen == [4]
    assert_holds(joined, whole)


def test_images_held_twice_stay_in_the_first_shard(encode, tmp_path, whole):
    """Two runs of the same share at once: the second starts and ends in the middle of the first."""

    def meanwhile(stream, total):
        for number, item in enumerate(stream):
            if number == 7:
                encode()
            yield item

    cache = encode(progress=meanwhile)
    assert sum(map(len, cache.duplicates.values())) > 4
    size = sum(path.stat().st_size for path in paths(cache.folder))
    kept = {shard for shard in cache.shards if shard not in cache.duplicates}
    joined = merge_cache(cache.folder)
    assert_holds(joined, whole)
    assert kept <= joined.shards.keys()
    assert len(joined.notes) == len(cache.duplicates)
    assert all("another shard" in note for note in joined.notes)
    assert sum(path.stat().st_size for path in paths(joined.folder)) < 0.75 * size
    assert_holds(encode(), whole)
    assert merge_cache(cache.folder).notes == ()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_changed_byte_is_found_and_costs_the_records_behind_it_only(encode, whole, compression):
    cache = encode(compression=compression)
    shard = paths(cache.folder)[1]
    flip_byte(shard)
    joined = merge_cache(cache.folder, whole)
    assert len(joined.notes) == 1
    assert str(shard) in joined.notes[0]
    assert "caption-tx features" in joined.notes[0]
    assert 0 < len(joined.missing) <= 2
    assert set(joined.missing) <= set(cache.shards[shard.stem])
    assert_holds(joined, whole, set(whole) - set(joined.missing))
    assert not shard.exists()
    assert_holds(encode(), whole)
    assert merge_cache(cache.folder, whole).notes == ()


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
        for number, (name, _) in enumerate(records):
            data = shards.compress(bytes(7)) if number == 1 else records[number][1]
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
def test_damage_is_told_and_mended_by_the_next_run(encode, whole, damage, lost):
    cache = encode()
    shard = paths(cache.folder)[2]
    damage(shard)
    joined = merge_cache(cache.folder, whole)
    assert len(joined.notes) == 1
    assert shard.stem in joined.notes[0]
    assert len(joined.missing) == lost
    assert_holds(joined, whole, set(whole) - set(joined.missing))
    assert_holds(encode(), whole)
    assert merge_cache(cache.folder, whole).notes == ()
    assert len(paths(cache.folder)) == len(paths(cache.folder, "json"))


def test_a_join_that_is_killed_on_its_way_is_repeated(encode, whole, monkeypatch):
    cache = encode()
    shard = paths(cache.folder)[1]
    flip_byte(shard)

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(joining, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        merge_cache(cache.folder)
    monkeypatch.undo()
    assert len(paths(cache.folder)) == 5
    joined = merge_cache(cache.folder, whole)
    assert_holds(joined, whole, set(whole) - set(joined.missing))
    assert_holds(encode(), whole)


def test_leftovers_go_unless_somebody_may_be_writing_them(encode, tmp_path, whole):
    cache = tmp_path / "cache"
    encode()
    old = time.time() - 2 * shards.ABANDONED_SECONDS
    left, kept = [], []
    for number, age in enumerate((0, old)):
        for name in (f"shard-1of9-0000{number}-ab.tfrecord", f"shard-1of9-0000{number}-ab.json.host.7.cd.tmp"):
            path = cache / name
            path.write_bytes(b"half")
            (left if age else kept).append(path)
            if age:
                os.utime(path, (age, age))
    joined = merge_cache(str(cache))
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert len(joined.notes) == 2
    assert all(any(str(path) in note for note in joined.notes) for path in kept)
    assert_holds(joined, whole)


def test_join_works_on_a_remote_store(encode, whole):
    location = f"ram://{uuid.uuid4().hex}/cache"
    for part in (1, 0):
        encode(cache=location, shard=(part, 2))
    [first, *_] = sorted(name for name in tf.io.gfile.listdir(location) if name.endswith(".tfrecord"))
    with tf.io.gfile.GFile(f"{location}/{first}", "rb") as file:
        data = file.read()
    tf.io.gfile.remove(f"{location}/{first}")  # this store would write behind what is there
    with tf.io.gfile.GFile(f"{location}/{first}", "wb") as file:
        file.write(data[:-7])
    with tf.io.gfile.GFile(f"{location}/x.json.host.1.ab.tmp", "wb") as file:
        file.write(b"half")
    joined = merge_cache(location, whole)
    assert len(joined.notes) == len(joined.missing) == 1
    assert "x.json.host.1.ab.tmp" not in tf.io.gfile.listdir(location)
    assert_holds(joined, whole, set(whole) - set(joined.missing))
    assert_holds(encode(cache=location), whole)


def test_a_folder_without_a_cache_is_refused(tmp_path):
    with pytest.raises(CacheError, match="No feature cache"):
        merge_cache(str(tmp_path))
