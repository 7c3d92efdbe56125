"""Locks on workdirs and caches, held by a second process."""

import os
import re
import shutil
import signal
import socket

import pytest

from caption_tx.config import Config, CorpusConfig, TuningConfig
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.features.merging import merge_cache
from caption_tx.errors import CaptionTxError
from caption_tx.locks import LOCK, lock_folder
from caption_tx.training.fit import train
from caption_tx.training.tuning import tune as tuning

HOLD = """
import sys, time
from pathlib import Path
from caption_tx.locks import lock_folder, lock_to_change, lock_to_extend

folder, kind = sys.argv[1:]
lock = {"use": lambda: lock_folder(folder, "uses"), "change": lambda: lock_to_change(folder)}
with lock.get(kind, lambda: lock_to_extend(folder))():
    Path(folder, "held").touch()
    while Path(folder, "held").exists():
        time.sleep(0.01)
"""


@pytest.fixture
def hold(start_forked, wait_for):
    """Holds a lock in another process, which this returns with its message."""

    def hold(folder, kind="use"):
        process = start_forked(HOLD, folder, kind)
        wait_for(folder / "held")
        return process

    return hold


@pytest.fixture
def wait_for():
    import time

    def wait(path):
        end = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.01)

    return wait


def test_the_holder_is_named_and_a_killed_one_frees_the_lock(hold, tmp_path):
    process = hold(tmp_path / "run")
    pid = (process._folder / "pid").read_text()
    expected = f"Process {pid} on {socket.gethostname()} uses {tmp_path / 'run'}; "
    for _ in range(2):  # a rejected process leaves the description
        with pytest.raises(CaptionTxError, match=re.escape(expected)), lock_folder(tmp_path / "run", "uses"):
            pass
    process.kill()
    assert process.wait().returncode == -signal.SIGKILL
    with lock_folder(tmp_path / "run", "uses"):
        assert (tmp_path / "run" / LOCK).read_text().startswith(f"Process {os.getpid()} ")


def test_a_second_training_in_a_workdir_is_rejected(hold, tmp_path):
    hold(tmp_path / "run")
    before = sorted(os.listdir(tmp_path / "run"))
    with pytest.raises(CaptionTxError, match=r"^Process \d+ on .* uses "):
        train(Config(CorpusConfig(("missing.csv",))), tmp_path / "run")
    assert sorted(os.listdir(tmp_path / "run")) == before


def test_a_second_tuning_in_a_workdir_is_rejected(hold, tmp_path, monkeypatch):
    hold(tmp_path / "tuned")
    monkeypatch.setattr(tuning, "require_scorers", lambda: None)
    monkeypatch.setattr(tuning, "load_config", lambda path: Config())
    monkeypatch.setattr(tuning, "load_bundle", lambda path: None)
    with pytest.raises(CaptionTxError, match=r"^Process \d+ on .* uses "):
        tuning.tune(tmp_path / "run", tmp_path / "tuned", TuningConfig())


@pytest.fixture
def cache(tmp_path, write_pictures, backbone):
    """A function that encodes the first pictures, and the folder of the cache, which contains two of four."""
    names = write_pictures(tmp_path / "photos", 4)

    def encode(count=4, **options):
        return encode_images(
            names[:count], str(tmp_path / "photos"), str(tmp_path / "cache"), backbone, EncodingOptions(**options)
        )

    encode(2)
    return encode, tmp_path / "cache"


def test_a_cache_is_not_merged_or_refreshed_while_another_process_extends_it(cache, hold):
    encode, folder = cache
    process = hold(folder, "extend")
    assert len(encode(3).images) == 3
    for change in (lambda: merge_cache(str(folder)), lambda: encode(refresh=True)):
        with pytest.raises(CaptionTxError, match=r"^Process \d+ on .* extends "):
            change()
    process.kill()
    process.wait()
    assert len(merge_cache(str(folder)).images) == 3
    assert not list(folder.glob(".extending*"))


def test_nothing_is_encoded_while_another_process_merges_the_cache(cache, hold):
    encode, folder = cache
    hold(folder, "change")
    with pytest.raises(CaptionTxError, match=r"^Process \d+ on .* changes "):
        encode()
    assert len(encode(2).images) == 2  # a complete cache is only read


def test_a_folder_without_locks_is_used_without_one(tmp_path, monkeypatch):
    from filelock import FileLock

    def fail(self):
        raise OSError("locks are not supported")

    monkeypatch.setattr(FileLock, "_acquire", fail)
    with lock_folder(tmp_path, "uses"):
        shutil.copy(__file__, tmp_path)
