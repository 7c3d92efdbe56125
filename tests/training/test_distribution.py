"""Two devices, and two real processes on this machine: the loss curve of one, and what happens when one is killed."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from caption_tx import demo
from caption_tx.bundle import load_bundle
from caption_tx.config import dump_config
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training import distribution
from caption_tx.training.distribution import Distribution, rank_and_world_size
from caption_tx.training.fit import train
from caption_tx.training.optimizer import FusedAdam

ROOT = Path(__file__).resolve().parents[2]
CURVES = ["loss", "token_loss", "accuracy", "val_loss", "val_token_loss", "val_accuracy"]

TWO_DEVICES = """
import sys
import tensorflow as tf
from caption_tx.training import distribution
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
distribution.DEVICES = "CPU"
"""

WORKER = """
import os, signal, sys
from caption_tx.cli import main, train as train_command
victim, epochs = int(sys.argv[2]), int(sys.argv[3])
join = train_command.join_workers

def join_and_prepare():
    join()
    from caption_tx.data import batches
    from caption_tx.training import distribution
    from caption_tx.training.callbacks import RunCheckpoint
    batches.SHARDS_PER_WORKER = 1

    def die(self, batch, logs=None):
        if len(self.history) == epochs and batch == 1 and distribution.rank_and_world_size()[0] == victim:
            os.kill(os.getpid(), signal.SIGKILL)

    RunCheckpoint.on_train_batch_end = die

train_command.join_workers = join_and_prepare
sys.exit(main(["train", "--config", sys.argv[1], "--workdir", sys.argv[4]]))
"""


def tf_config(index, cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}


def test_place_among_the_workers():
    assert rank_and_world_size({}) == rank_and_world_size({"TF_CONFIG": " "}) == (0, 1)
    assert rank_and_world_size(tf_config(0, {"worker": ["a:1"]})) == (0, 1)
    assert rank_and_world_size(tf_config(1, {"worker": ["a:1", "b:1", "c:1"]})) == (1, 3)
    assert rank_and_world_size(tf_config(1, {"chief": ["a:1"], "worker": ["b:1", "c:1"]})) == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        (tf_config(2, {"worker": ["a:1", "b:1"]})["TF_CONFIG"], r"\('worker', 2\)"),
    ],
)
def test_a_wrong_tf_config_is_a_clear_error(text, message):
    with pytest.raises(ConfigError, match=message):
        rank_and_world_size({"TF_CONFIG": text})


def test_one_device_is_left_to_itself():
    chosen = distribution.choose()
    assert not chosen.is_divided
    assert chosen.is_chief
    assert distribution.patched(keras.Model, chosen) is keras.Model
    assert type(distribution.make_adam(0.1, 1.0, chosen)) is FusedAdam
    chosen.wait()
    chosen.assert_same("settings", "x")


def test_errors_of_tensorflow_are_told_of_only_where_there_are_others():
    import tensorflow as tf

    chosen = distribution.choose()
    error = tf.errors.UnavailableError(None, None, "Graph execution error:\n\nConnection reset by peer")
    with pytest.raises(tf.errors.UnavailableError), chosen.watched():
        raise error
    others = Distribution(chosen.strategy, 1, 2)
    with pytest.raises(CaptionTxError, match=r"worker is gone.*Connection reset by peer") as told, others.watched():
        raise error
    assert "\n" not in str(told.value)


MENDING = """
import keras
from keras.src.backend.tensorflow import trainer
chosen = distribution.choose()
assert chosen.devices == 2 and type(chosen.strategy) is tf.distribute.MirroredStrategy
several = distribution.Distribution(chosen.strategy, 0, 2)
reduce, build = trainer.reduce_per_replica, keras.Model._maybe_symbolic_build

def wrong(values, strategy, reduction):
    raise ValueError("Invalid reduction dimension 0")

def right(self, iterator=None, data_batch=None):
    for _, _, batches in iterator:
        local = self.distribute_strategy.experimental_local_results
        self._symbolic_build(data_batch=keras.tree.map_structure(lambda value: local(value)[0], next(batches)))
        break

if keras.__version__.startswith("3.15"):
    assert distribution.build_needs_mending(chosen.strategy)
    assert distribution.LocalBuild in distribution.mended(keras.Model, several).__mro__
trainer.reduce_per_replica = wrong
assert distribution.metrics_need_mending(chosen.strategy)
trainer.reduce_per_replica = reduce
assert not distribution.metrics_need_mending(chosen.strategy)
keras.Model._maybe_symbolic_build = right
assert not distribution.build_needs_mending(chosen.strategy)
assert distribution.mended(keras.Model, several) is keras.Model
del trainer.reduce_per_replica
assert not distribution.metrics_need_mending(chosen.strategy)
"""


def test_a_keras_without_the_faults_is_left_alone(run_python):
    process = run_python(TWO_DEVICES + MENDING)
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A run on a few scenes that does not draw lots: without dropout, and with batches that do not come out even."""
    folder = tmp_path_factory.mktemp("scenes")
    base = demo.demo_config(write_scenes(folder, {"train": 42, "val": 9}), "zh")
    return dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, dropout=0.0, hidden_dim=64, num_layers=1),
        training=dataclasses.replace(
            base.training,
            epochs=3,
            batch_size=8,
            sample_count=1,
            score_every=1,
            score_images=4,
            tensorboard=False,
            cache=str(folder / "cache"),
        ),
    )


def start_workers(config, workdir, victim, epochs):
    """Starts both; each gets its number, and worker `victim` kills itself after so many whole epochs."""
    ports = []
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
        ports.append(each.getsockname()[1])
    for each in sockets:
        each.close()
    recipe = workdir.parent / "recipe.toml"
    recipe.write_text(dump_config(config), encoding="utf-8")
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, recipe, str(victim), str(epochs), workdir],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | tf_config(index, cluster),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        return [(*process.communicate(timeout=240), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def curves(workdir):
    return pd.read_csv(workdir / "log.csv")[CURVES].to_numpy()


@pytest.mark.slow
def test_two_processes_learn_as_one_does_and_go_on_after_one_is_killed(config, tmp_path, parallel_chunks):
    one, two = tmp_path / "one", tmp_path / "two"
    (first, first_error, code), (_, _, victim_code) = start_workers(config, two, victim=1, epochs=2)
    assert victim_code == -signal.SIGKILL
    assert code == 1, first_error[-2000:]
    assert "2 workers with 1 devices each" in first
    assert parallel_chunks == 1 or f"float32, each batch in {parallel_chunks} lanes" in first
    (line,) = [line for line in first_error.splitlines() if line.startswith("caption-tx: ")]
    assert "Another worker is gone" in line and "Start all workers again" in line
    assert not list(tmp_path.glob("two/*.tmp"))

    # The cache is of both; the workdir is of the first alone.
    shards = {path.name.split("-")[1] for path in Path(config.training.cache).glob("shard-*.tfrecord")}
    assert shards == {"1of2", "2of2"}
    train(config, one, lambda text: None)
    assert len(curves(two)) == 2
    assert pd.read_csv(two / "log.csv")["val_cider"].notna().all()
    np.testing.assert_allclose(curves(two), curves(one)[:2], atol=1e-3)

    alone = shutil.copytree(two, tmp_path / "alone")  # one process goes on with what two began
    train(config, alone, lambda text: None)
    (first, error, code), (second, second_error, second_code) = start_workers(config, two, victim=-1, epochs=-1)
    assert (code, second_code) == (0, 0), (error + second_error)[-2000:]
    assert "Going on after epoch 2" in first and "Best epoch 3" in first
    assert second.splitlines() == ["Worker 1 of 2 is waiting for the others."]
    assert len(curves(two)) == 3
    np.testing.assert_allclose(curves(two), curves(alone), atol=1e-3)
    for ours, theirs in zip(
        *(load_bundle(path / "bundle").captioner.get_weights() for path in (two, alone)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("cached", "accumulation_steps"), [(True, 3), (False, 1)])
def test_two_devices_learn_as_one_does(config, tmp_path, run_python, cached, accumulation_steps):
    training = dataclasses.replace(config.training, epochs=1, cached=cached)
    if not cached:
        training = dataclasses.replace(training, sample_count=0, score_every=0)
    config = dataclasses.replace(config, training=training)
    in_parts = dataclasses.replace(training, accumulation_steps=accumulation_steps)
    (tmp_path / "recipe.toml").write_text(dump_config(dataclasses.replace(config, training=in_parts)), encoding="utf-8")
    run = "from caption_tx.config import load_config\nfrom caption_tx.training.fit import train\n"
    run += "train(load_config(sys.argv[1]), sys.argv[2])"
    process = run_python(TWO_DEVICES + run, tmp_path / "recipe.toml", tmp_path / "two")
    assert process.returncode == 0, process.stderr[-2000:]
    assert "1 workers with 2 devices each" in process.stdout
    assert "ran out of data" not in process.stderr
    train(config, tmp_path / "one", lambda text: None)
    np.testing.assert_allclose(curves(tmp_path / "two"), curves(tmp_path / "one"), atol=1e-3)


def test_loss_scaling_is_refused_on_several_devices(config, tmp_path, run_python):
    training = dataclasses.replace(config.training, precision="mixed_float16")
    (tmp_path / "recipe.toml").write_text(dump_config(dataclasses.replace(config, training=training)), encoding="utf-8")
    run = "from caption_tx.config import load_config\nfrom caption_tx.training.fit import train\n"
    process = run_python(
        TWO_DEVICES + run + "train(load_config(sys.argv[1]), sys.argv[2])", tmp_path / "recipe.toml", tmp_path
    )
    assert process.returncode == 1
    assert "mixed_float16" in process.stderr.splitlines()[-1] and "take mixed_bfloat16" in process.stderr
