"""A local Ray cluster of two nodes: encoding and training on it, each with a killed process."""

import contextlib
import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from caption_tx import demo
from caption_tx.bundle import load_bundle
from caption_tx.cli import main
from caption_tx.config import Config, dump_config, from_dict
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.corpus_features import encode_corpus
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training.distribution import LostWorkerError
from caption_tx.training.ray import cluster as ray_cluster
from caption_tx.training.ray.cluster import absolute_paths, plan_tasks, plan_workers
from caption_tx.training.ray.jobs import check_worker_errors

ROOT = Path(__file__).resolve().parents[3]

COMMAND = """
import sys
from caption_tx.cli import main
from caption_tx.training.ray import cluster as ray_cluster
ray_cluster.TASK_IMAGES = 100
sys.exit(main(sys.argv[1:]))
"""


@contextlib.contextmanager
def running(*arguments):
    """Runs the command line in a process of its own, which ends with the block or after four minutes."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(240, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        process.kill()
        process.communicate()


def scenes(folder, counts, **training):
    """Settings of a run on a few scenes, and the file that contains them."""
    base = demo.demo_config(write_scenes(folder, counts), "zh")
    config = dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, dropout=0.0, hidden_dim=64, num_layers=1),
        training=dataclasses.replace(
            base.training, sample_count=1, sample_temperatures=(0.0,), tensorboard=False, **training
        ),
    )
    config_file = folder / "config.toml"
    config_file.write_text(dump_config(config), encoding="utf-8")
    return config, config_file


def kill_while_a_shard_is_written(folder, command):
    """Kills a process that writes a shard for the command; returns the unfinished file."""
    while command.poll() is None:
        for path in folder.glob("shard-*.tmp"):
            match = re.search(r"\.tfrecord\.[^.]+\.(\d+)\.[0-9a-f]+\.tmp$", path.name)
            os.kill(int(match[1]), signal.SIGKILL)
            time.sleep(0.1)
            if path.exists():  # else it was complete a moment before
                return path
        time.sleep(0.001)
    raise AssertionError(f"no shard was seen while it was written: {command.communicate()}")


@pytest.mark.slow
def test_a_killed_task_loses_no_image(cluster, tmp_path):
    config, config_file = scenes(tmp_path / "scenes", {"train": 380, "val": 20})
    (tmp_path / "scenes" / "images" / "train-000003.png").write_bytes(b"no picture")
    cache = tmp_path / "cache"
    cache.mkdir()
    with running("features", "--config", config_file, "--cache", cache, "--ray", cluster) as process:
        left = kill_while_a_shard_is_written(cache, process)
        output, error = process.communicate()
    assert process.returncode == 0, error[-2000:]
    assert not left.exists()
    assert "400 images; tasks: 4, 1 CPU each." in output
    assert "contains 399 images" in output and "1 could not be read" in output

    encoded = open_cache(str(cache))
    assert {path.name for path in cache.iterdir() if path.suffix not in (".tfrecord", ".json")} == {".lock"}
    assert {shard.split("-")[1] for shard in encoded.shards} == {f"{task}of4" for task in range(1, 5)}
    records = [
        encoded.identify(record)[0].numpy().decode()
        for shard in encoded.shards
        for record in tf.data.TFRecordDataset(encoded.path(shard))
    ]
    assert len(records) == len(set(records)) == 399
    assert list(encoded.failed) == ["train-000003.png"]
    alone = encode_corpus(config, tmp_path / "alone", lambda text: None)
    assert set(records) == alone.images
    assert encoded.key == alone.key
    names = sorted(records)
    np.testing.assert_allclose(encoded.load(names).astype(int), alone.load(names).astype(int), atol=1)


@pytest.mark.slow
def test_training_resumes_after_a_worker_is_killed(cluster, tmp_path):
    """That workers learn as one process does is tested in test_distribution."""
    _, config_file = scenes(
        tmp_path / "scenes", {"train": 42, "val": 9}, epochs=2, batch_size=8, cache=str(tmp_path / "cache")
    )
    workdir = tmp_path / "run"
    victim, epochs_done, lines = None, 0, []
    with running("train", "--config", config_file, "--workdir", workdir, "--ray", cluster, "--workers", 2) as process:
        for line in process.stdout:
            lines.append(line)
            if match := re.match(r"Worker 1 of 2 is on .*, process (\d+)\.", line):
                victim = int(match[1])
            elif line.startswith("Epoch 2/2") and not epochs_done:
                os.kill(victim, signal.SIGKILL)
            elif match := re.match(r"Resuming after epoch (\d) of the run", line):
                epochs_done = int(match[1])
        _, error = process.communicate()
    output = "".join(lines)
    assert process.returncode == 0, output[-2000:] + error[-2000:]
    assert "Worker 1 ended: " in output or "Worker 0 ended: another worker was lost." in output
    assert epochs_done == 1, output[-6000:]
    assert "Best epoch" in lines[-1]
    assert {path.name.partition("-")[0] for path in workdir.iterdir()} == {
        ".lock", "bundle", "checkpoint.npz", "config.toml", "curves.png", "log.csv", "samples.txt",
    }  # fmt: skip
    assert pd.read_csv(workdir / "log.csv")["epoch"].tolist() == [1, 2]
    load_bundle(workdir / "bundle")


def test_ray_retries_lost_workers_but_no_other_errors():
    lines = []
    check_worker_errors({1: LostWorkerError("Connection reset"), 0: OSError("disk full.\nand more")}, lines.append)
    assert lines == ["Worker 0 ended: disk full.", "Worker 1 ended: another worker was lost."]
    error = ConfigError("the workdir contains a run with other settings")
    with pytest.raises(ConfigError) as raised:
        check_worker_errors({0: error, 1: LostWorkerError("Connection reset")}, lines.append)
    assert raised.value is error


def test_tasks_of_a_corpus():
    node = {"CPU": 16.0, "memory": 1e9}
    assert plan_tasks(1_000_000, [node, node]) == (32, 4, 0)
    assert plan_tasks(1_300, [node, node]) == (3, 4, 0)
    assert plan_tasks(1, [node]) == (1, 4, 0)
    assert plan_tasks(1_000_000, [{"CPU": 1.0}, {"CPU": 2.0}]) == (4, 2, 0)
    assert plan_tasks(1_000_000, [{"memory": 1e9}]) == (4, 1, 0)  # a head node that waits for others
    assert plan_tasks(1_000_000, [node, node | {"GPU": 2.0}]) == (8, 4, 1)


def test_resources_of_a_training_worker():
    node = {"CPU": 6.0}
    assert plan_workers(2, [node, node]) == (6, 0)
    assert plan_workers(3, [node, node]) == (3, 0)
    assert plan_workers(20, [node, node]) == (1, 0)
    assert plan_workers(2, [{"CPU": 64.0}]) == (8, 0)
    assert plan_workers(2, [{"CPU": 4.0, "GPU": 1.0}] * 2) == (4, 1)
    assert plan_workers(3, [{"CPU": 4.0, "GPU": 1.0}] * 2) == (2, 0)


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {
        "corpus": {"sources": ["a.txt:stage=1,images=../b", "/c.txt"], "images": "gs://bucket/photos"},
        "text": {"user_dictionary": "words.txt"},
        "training": {"cache": "cache"},
    }
    config = absolute_paths(from_dict(Config, values))
    assert config.corpus.sources == (f"{tmp_path}/a.txt:stage=1,images=../b", "/c.txt")
    assert config.corpus.images == "gs://bucket/photos"
    assert config.text.user_dictionary == f"{tmp_path}/words.txt"
    assert config.training.cache == f"{tmp_path}/cache"
    assert config.backbone.weights == "imagenet"
    named = absolute_paths(from_dict(Config, {"backbone": {"weights": "w.h5"}}))
    assert named.backbone.weights == f"{tmp_path}/w.h5"
    assert absolute_paths(Config()) == Config()


@pytest.fixture
def corpus(tmp_path, write_pictures):
    """Options that name a caption file and its images."""
    (name,) = write_pictures(tmp_path / "photos", 1)
    (tmp_path / "captions.txt").write_text(f"{name}\t一张图片\n", encoding="utf-8")
    return [str(tmp_path / "captions.txt"), "--images", str(tmp_path / "photos")]


def rejected(arguments, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_cluster_that_cannot_be_reached_is_a_clear_error(corpus, tmp_path, capsys):
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            command = ["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", address]
            assert f"Cannot connect to the Ray cluster '{address}': [Errno" in rejected(command, capsys)
        command = ["train", *corpus, "--workdir", str(tmp_path / "run"), "--ray", address, "--workers", "2"]
        assert f"Cannot connect to the Ray cluster '{address}'" in rejected(command, capsys)


def test_without_the_extra(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", "local"]
    assert 'pip install "caption_tx[ray]"' in rejected(command, capsys)


def test_a_bad_corpus_is_reported_before_ray_starts(corpus, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("neither name nor caption\n" * 5, encoding="utf-8")
    message = rejected(["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", "local"], capsys)
    assert str(captions) in message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["features", "--cache", "c", "--ray", "auto", "--shard", "1/2"], "leave out --shard or --ray"),
        (["features", "--cache", "c", "--ray", "auto", "--merge"], "leave out --merge or --ray"),
        (["features", "--cache", "c", "--ray", "auto", "--refresh"], "leave out --refresh or --ray"),
        (["features", "--cache", "c", "--ray", "somewhere"], "'somewhere' is not the address of a Ray cluster"),
        (["features", "--cache", "c", "--ray", "ray://host"], "'ray://host' is not the address of a Ray cluster"),
        (["train", "--workdir", "w", "--workers", "2"], "--workers requires --ray"),
        (["train", "--workdir", "w", "--ray", "auto"], "--ray requires --workers N with N of at least 1, got None"),
        (["train", "--workdir", "w", "--ray", "auto", "--workers", "0"], "N of at least 1, got 0"),
    ],
)
def test_incompatible_options_are_rejected(command, message, corpus, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in rejected([*command, *corpus], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.txt", "photos"]


def test_ray_and_tf_config_cannot_be_combined(corpus, capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}}')
    message = rejected(["train", *corpus, "--workdir", "w", "--ray", "auto", "--workers", "2"], capsys)
    assert "unset the environment variable TF_CONFIG" in message


def test_errors_of_ray_become_one_line():
    task = CaptionTxError("a whole traceback")
    task.cause = ConfigError("no such layer")
    assert ray_cluster.translate_error(task, "encode") is task.cause
    lost = RuntimeError("Training failed\n...")
    lost.worker_failures = {1: OSError("disk full.\nand more")}
    expected = (
        r"^Ray could not train: disk full \(OSError; see Ray's logs .*\)\. Run the same command again to resume\.$"
    )
    assert re.search(expected, str(ray_cluster.translate_error(lost, "train")))
    assert str(ray_cluster.translate_error(KeyError(), "train")).startswith("Ray could not train: KeyError (KeyError")
