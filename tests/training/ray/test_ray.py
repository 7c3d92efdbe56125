"""A local Ray cluster of two nodes: encoding and training on it, each with a process killed half-way."""

import contextlib
import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
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
from caption_tx.config import Config, from_dict
from caption_tx.config import dump_config as dump
from caption_tx.data.features.cache import open_cache
from caption_tx.data.features.corpus_features import encode_corpus
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training.fit import train
from caption_tx.training.ray import cluster as ray_cluster
from caption_tx.training.ray.cluster import absolute_paths, plan_tasks, plan_workers

ROOT = Path(__file__).resolve().parents[3]
CURVES = ["loss", "token_loss", "accuracy", "val_loss", "val_token_loss", "val_accuracy"]

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""

COMMAND = """
import sys
from caption_tx.cli import main
from caption_tx.training.ray import cluster as ray_cluster
ray_cluster.TASK_IMAGES = 100
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two nodes with a CPU each; it ends with the process that holds it."""
    # Not in tmp_path: paths of sockets may have 107 bytes.
    folder = tempfile.mkdtemp(prefix="ray")
    # A person's own cluster is found through a file in Ray's folder, which is another here.
    environment = os.environ | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    environment["RAY_worker_niceness"] = "0"  # else its workers starve beside other tests
    command = [sys.executable, "-c", CLUSTER]
    holder = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = holder.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address
    finally:
        holder.stdin.close()
        try:
            holder.wait(60)
        except subprocess.TimeoutExpired:
            holder.kill()  # Ray's own watchman ends the rest
            holder.wait()
        holder.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(*arguments):
    """The command line in a process of its own, which ends with the block, or after four minutes."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watch = threading.Timer(240, process.kill)
    watch.start()
    try:
        yield process
    finally:
        watch.cancel()
        process.kill()
        process.communicate()


def scenes(folder, counts, **training):
    """Settings for so many scenes, and the file that holds them; without dropout, so that nothing is drawn by lot."""
    base = demo.demo_config(write_scenes(folder, counts), "zh")
    config = dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, dropout=0.0, hidden_dim=64, num_layers=1),
        training=dataclasses.replace(base.training, sample_count=1, tensorboard=False, **training),
    )
    recipe = folder / "recipe.toml"
    recipe.write_text(dump(config), encoding="utf-8")
    return config, recipe


def kill_in_the_midst_of_a_shard(folder, command):
    """Kills a process that writes a shard for the command, and returns the part that it leaves behind."""
    while command.poll() is None:
        for path in folder.glob("shard-*.tmp"):
            found = re.search(r"\.tfrecord\.[^.]+\.(\d+)\.[0-9a-f]+\.tmp$", path.name)
            os.kill(int(found[1]), signal.SIGKILL)
            time.sleep(0.1)
            if path.exists():  # else it was whole a moment before
                return path
        time.sleep(0.001)
    raise AssertionError(f"no shard was seen in the making: {command.communicate()}")


@pytest.mark.slow
def test_a_killed_process_does_not_lose_an_image(cluster, tmp_path):
    config, recipe = scenes(tmp_path / "scenes", {"train": 380, "val": 20})
    (tmp_path / "scenes" / "images" / "train-000003.png").write_bytes(b"no picture")
    cache = tmp_path / "cache"
    cache.mkdir()
    with running("features", "--config", recipe, "--cache", cache, "--ray", cluster) as process:
        left = kill_in_the_midst_of_a_shard(cache, process)
        output, error = process.communicate()
    assert process.returncode == 0, error[-2000:]
    assert not left.exists()
    assert "400 images; shares: 4, 1 CPU each." in output
    assert "contains 399 images" in output and "1 could not be read" in output

    found = open_cache(str(cache))
    assert {path.name for path in cache.iterdir() if path.suffix not in (".tfrecord", ".json")} == set()
    assert {shard.split("-")[1] for shard in found.shards} == {f"{share}of4" for share in range(1, 5)}
    records = [
        found.identify(record)[0].numpy().decode()
        for shard in found.shards
        for record in tf.data.TFRecordDataset(found.path(shard))
    ]
    assert len(records) == len(set(records)) == 399
    assert list(found.failed) == ["train-000003.png"]
    alone = encode_corpus(config, tmp_path / "alone", lambda text: None)
    assert set(records) == alone.images
    assert found.key == alone.key
    names = sorted(records)
    np.testing.assert_allclose(found.load(names).astype(int), alone.load(names).astype(int), atol=1)


def curves(workdir):
    return pd.read_csv(workdir / "log.csv")[CURVES].to_numpy()


@pytest.mark.slow
def test_training_goes_on_after_a_worker_is_killed(cluster, tmp_path):
    config, recipe = scenes(
        tmp_path / "scenes", {"train": 42, "val": 9}, epochs=3, batch_size=8, cache=str(tmp_path / "cache")
    )
    workdir, before = tmp_path / "run", tmp_path / "before"
    command = ["train", "--config", recipe, "--workdir", workdir, "--ray", cluster, "--workers", 2]
    victim, done, killed, lines = None, 0, False, []
    with running(*command) as process:
        for line in process.stdout:
            lines.append(line)
            if found := re.match(r"Worker 1 of 2 is on .*, process (\d+)\.", line):
                victim = int(found[1])
            elif line.startswith("Epoch 2/3") and not killed:
                os.kill(victim, signal.SIGKILL)
                killed = True
            elif found := re.match(r"Going on after epoch (\d) of the run", line):
                done = int(found[1])
                shutil.copytree(workdir, before)  # the next epoch takes a while: it is compiled first
        _, error = process.communicate()
    output = "".join(lines)
    assert process.returncode == 0, output[-2000:] + error[-2000:]
    assert "Worker 1 ended: " in output or "Worker 0 ended: another is gone." in output
    assert killed and 1 <= done < 3, output[-6000:]
    assert len(pd.read_csv(before / "log.csv")) == done
    assert "Best epoch" in lines[-1]
    assert {path.name.partition("-")[0] for path in workdir.iterdir()} == {
        "bundle", "checkpoint.npz", "config.toml", "curves.png", "log.csv", "samples.txt",
    }  # fmt: skip

    # Batches come in another order after a restart, so one process starts again at the same epoch.
    train(config, tmp_path / "one", lambda text: None)
    train(config, before, lambda text: None)
    np.testing.assert_allclose(curves(workdir)[:done], curves(tmp_path / "one")[:done], atol=1e-3)
    assert len(curves(workdir)) == 3
    np.testing.assert_allclose(curves(workdir), curves(before), atol=1e-3)
    ours, theirs = (load_bundle(path / "bundle").captioner.get_weights() for path in (workdir, before))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)

    # Worker 0 finds a mistake while worker 1 waits for it; Ray does not start them again.
    with running(*command, "--seed", 5) as process:
        output, error = process.communicate()
    assert process.returncode == 1
    (line,) = [line for line in error.splitlines() if line.startswith("caption-tx: ")]
    assert f"{workdir} holds a run with other settings" in line and line == error.splitlines()[-1]
    assert output.count("Worker 1 of 2 is on ") == 1


def test_shares_of_a_corpus():
    node = {"CPU": 16.0, "memory": 1e9}
    assert plan_tasks(1_000_000, [node, node]) == (32, 4, 0)
    assert plan_tasks(1_300, [node, node]) == (3, 4, 0)
    assert plan_tasks(1, [node]) == (1, 4, 0)
    assert plan_tasks(1_000_000, [{"CPU": 1.0}, {"CPU": 2.0}]) == (4, 2, 0)
    assert plan_tasks(1_000_000, [{"memory": 1e9}]) == (4, 1, 0)  # a head that only waits for nodes to come
    assert plan_tasks(1_000_000, [node, node | {"GPU": 2.0}]) == (8, 4, 1)


def test_what_a_worker_is_given():
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
    """Options that name a caption file and its pictures."""
    (name,) = write_pictures(tmp_path / "photos", 1)
    (tmp_path / "captions.txt").write_text(f"{name}\t一张图片\n", encoding="utf-8")
    return [str(tmp_path / "captions.txt"), "--images", str(tmp_path / "photos")]


def refused(arguments, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_nobody_is_at_the_address(corpus, tmp_path, capsys):
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            command = ["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", address]
            assert f"Cannot join the Ray cluster '{address}': [Errno" in refused(command, capsys)
        command = ["train", *corpus, "--workdir", str(tmp_path / "run"), "--ray", address, "--workers", "2"]
        assert f"Cannot join the Ray cluster '{address}'" in refused(command, capsys)


def test_without_the_extra(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", "local"]
    assert 'pip install "caption_tx[ray]"' in refused(command, capsys)


def test_a_bad_corpus_is_said_before_anything_is_started(corpus, tmp_path, capsys):
    captions = tmp_path / "captions.txt"
    captions.write_text("neither name nor caption\n" * 5, encoding="utf-8")
    message = refused(["features", *corpus, "--cache", str(tmp_path / "cache"), "--ray", "local"], capsys)
    assert str(captions) in message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["features", "--cache", "c", "--ray", "auto", "--shard", "1/2"], "leave out --shard or --ray"),
        (["features", "--cache", "c", "--ray", "auto", "--merge"], "leave out --merge or --ray"),
        (["features", "--cache", "c", "--ray", "auto", "--refresh"], "leave out --refresh or --ray"),
        (["features", "--cache", "c", "--ray", "somewhere"], "'somewhere' is no address of a Ray cluster"),
        (["features", "--cache", "c", "--ray", "ray://host"], "'ray://host' is no address of a Ray cluster"),
        (["train", "--workdir", "w", "--workers", "2"], "--workers requires --ray"),
        (["train", "--workdir", "w", "--ray", "auto"], "--ray requires --workers N with N of at least 1, got None"),
        (["train", "--workdir", "w", "--ray", "auto", "--workers", "0"], "N of at least 1, got 0"),
    ],
)
def test_options_that_do_not_fit_together(command, message, corpus, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused([*command, *corpus], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["captions.txt", "photos"]


def test_workers_are_named_by_ray_or_by_a_person(corpus, capsys, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}}')
    message = refused(["train", *corpus, "--workdir", "w", "--ray", "auto", "--workers", "2"], capsys)
    assert "unset the environment variable TF_CONFIG" in message


def test_what_ray_raised_in_one_line():
    task = CaptionTxError("a whole traceback")
    task.cause = ConfigError("no such layer")
    assert ray_cluster.plain(task, "encode") is task.cause
    lost = RuntimeError("Training failed\n...")
    lost.worker_failures = {1: OSError("disk full.\nand more")}
    expected = (
        r"^Ray could not train: disk full \(OSError; Ray's logs .*\)\. The same command goes on with what is there\.$"
    )
    assert re.search(expected, str(ray_cluster.plain(lost, "train")))
    assert str(ray_cluster.plain(KeyError(), "train")).startswith("Ray could not train: KeyError (KeyError")
