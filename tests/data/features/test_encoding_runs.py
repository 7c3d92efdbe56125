"""Several workers, batches and runs encode into one cache; interrupted runs lose little."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from feature_caches import counting

from caption_tx.data.features import encoding as features
from caption_tx.data.features.cache import open_cache

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
