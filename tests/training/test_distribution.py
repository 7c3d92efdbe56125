"""Two devices, and two worker processes on this machine: they learn as one device does, and resume after a loss."""

import dataclasses
import json
import shutil
import signal
import socket
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from caption_tx import demo
from caption_tx.bundle import load_bundle
from caption_tx.config import dump_config
from caption_tx.data.scenes.corpus import write_scenes
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training.distribution import Distribution, make_distribution, rank_and_world_size
from caption_tx.training.fit import train
from caption_tx.training.keras_patches import patched
from caption_tx.training.optimizer import FusedAdam, make_adam

CURVES = ["loss", "token_loss", "accuracy", "val_loss", "val_token_loss", "val_accuracy"]

TWO_DEVICES = """
import sys
import tensorflow as tf
from caption_tx.config import load_config
from caption_tx.training import distribution
from caption_tx.training.fit import train
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
distribution.DEVICES = "CPU"
"""

WORKER = """
import os, signal, sys
from caption_tx.cli import main
from caption_tx.data.batches import rows
from caption_tx.training import distribution
from caption_tx.training.checkpoint import RunCheckpoint
victim, epochs = int(sys.argv[2]), int(sys.argv[3])
rows.SHARDS_PER_WORKER = 1

def die(self, batch, logs=None):
    if len(self.history.epochs) == epochs and batch == 1 and distribution.rank_and_world_size()[0] == victim:
        os.kill(os.getpid(), signal.SIGKILL)

RunCheckpoint.on_train_batch_end = die
sys.exit(main(["train", "--config", sys.argv[1], "--workdir", sys.argv[4]]))
"""


def tf_config(index, cluster):
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def test_rank_and_world_size():
    assert rank_and_world_size({}) == rank_and_world_size({"TF_CONFIG": " "}) == (0, 1)
    for index, cluster, expected in (
        (0, {"worker": ["a:1"]}, (0, 1)),
        (1, {"worker": ["a:1", "b:1", "c:1"]}, (1, 3)),
        (1, {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, (2, 3)),
    ):
        assert rank_and_world_size({"TF_CONFIG": tf_config(index, cluster)}) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG is invalid"),
        ("[]", "TF_CONFIG is invalid"),
        (tf_config(2, {"worker": ["a:1", "b:1"]}), r"\('worker', 2\)"),
    ],
)
def test_an_invalid_tf_config_is_a_clear_error(text, message):
    with pytest.raises(ConfigError, match=message):
        rank_and_world_size({"TF_CONFIG": text})


def test_a_single_device_needs_no_patches():
    distribution = make_distribution()
    assert not distribution.is_distributed
    assert distribution.is_chief
    assert patched(keras.Model, distribution) is keras.Model
    assert type(make_adam(0.1, 1.0, distribution)) is FusedAdam
    distribution.barrier()
    distribution.assert_same("settings", "x")


def test_errors_of_tensorflow_mean_a_lost_worker_only_if_there_are_several():
    strategy = make_distribution().strategy
    error = tf.errors.UnavailableError(None, None, "Graph execution error:\n\nConnection reset by peer")
    with pytest.raises(tf.errors.UnavailableError), Distribution(strategy).report_lost_workers():
        raise error
    with (
        pytest.raises(CaptionTxError, match=r"worker was lost.*Connection reset by peer") as raised,
        Distribution(strategy, 1, 2).report_lost_workers(),
    ):
        raise error
    assert "\n" not in str(raised.value)


PATCHES = """
import keras
from keras.src.backend.tensorflow import trainer
from caption_tx.training import keras_patches
devices = distribution.make_distribution()
assert devices.num_devices == 2 and type(devices.strategy) is tf.distribute.MirroredStrategy
workers = distribution.Distribution(devices.strategy, 0, 2)
reduce, build = trainer.reduce_per_replica, keras.Model._maybe_symbolic_build

def failing_reduce(values, strategy, reduction):
    raise ValueError("Invalid reduction dimension 0")

def correct_build(self, iterator=None, data_batch=None):
    for _, _, batches in iterator:
        local = self.distribute_strategy.experimental_local_results
        self._symbolic_build(data_batch=keras.tree.map_structure(lambda value: local(value)[0], next(batches)))
        break

if keras.__version__.startswith("3.15"):
    assert keras_patches.build_needs_patch(devices.strategy)
    assert keras_patches.BuildFromSpec in keras_patches.patched(keras.Model, workers).__mro__
trainer.reduce_per_replica = failing_reduce
assert keras_patches.metrics_need_patch(devices.strategy)
trainer.reduce_per_replica = reduce
assert not keras_patches.metrics_need_patch(devices.strategy)
keras.Model._maybe_symbolic_build = correct_build
assert not keras_patches.build_needs_patch(devices.strategy)
assert keras_patches.patched(keras.Model, workers) is keras.Model
del trainer.reduce_per_replica
assert not keras_patches.metrics_need_patch(devices.strategy)
"""


@pytest.mark.slow
def test_a_keras_without_the_bugs_is_not_patched(run_forked):
    process = run_forked(TWO_DEVICES + PATCHES)
    assert process.returncode == 0, process.stderr[-2000:]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A run on a few scenes without random numbers, that is without dropout, and with batches of different sizes."""
    folder = tmp_path_factory.mktemp("scenes")
    base = demo.demo_config(write_scenes(folder, {"train": 42, "val": 9}), "zh")
    return dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, dropout=0.0, hidden_dim=64, num_layers=1),
        training=dataclasses.replace(
            base.training,
            epochs=2,
            batch_size=8,
            sample_count=1,
            sample_temperatures=(0.0,),
            score_every=1,
            score_images=4,
            tensorboard=False,
            cache=str(folder / "cache"),
        ),
    )


@pytest.fixture(scope="module")
def run_workers(config, tmp_path_factory, start_forked):
    """Runs two workers; worker `victim` kills itself after so many complete epochs."""
    settings = tmp_path_factory.mktemp("workers") / "config.toml"
    settings.write_text(dump_config(config), encoding="utf-8")

    def run(workdir, victim=-1, epochs=-1):
        sockets = [socket.socket() for _ in range(2)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
        for one in sockets:
            one.close()
        processes = []
        for index in range(2):
            with pytest.MonkeyPatch.context() as patch:
                for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
                    patch.delenv(name, raising=False)
                patch.setenv("TF_CONFIG", tf_config(index, cluster))
                processes.append(start_forked(WORKER, settings, victim, epochs, workdir))
        try:
            return [process.wait(240) for process in processes]
        finally:
            for process in processes:
                process.kill()

    return run


@pytest.fixture(scope="module")
def interrupted(run_workers, tmp_path_factory):
    """The workdir of a run whose second worker was killed after an epoch, and both processes."""
    workdir = tmp_path_factory.mktemp("interrupted") / "run"
    return workdir, run_workers(workdir, victim=1, epochs=1)


@pytest.fixture(scope="module")
def reference(interrupted, config, tmp_path_factory):
    """The curves of a run on one device, with the cache that the workers wrote."""
    workdir = tmp_path_factory.mktemp("reference")
    train(config, workdir, lambda text: None)
    return curves(workdir)


def curves(workdir):
    return pd.read_csv(workdir / "log.csv")[CURVES].to_numpy()


@pytest.mark.slow
def test_a_lost_worker_ends_the_other_with_one_line(interrupted, config, parallel_chunks):
    workdir, (chief, victim) = interrupted
    assert victim.returncode == -signal.SIGKILL
    assert chief.returncode == 1, chief.stderr[-2000:]
    assert "workers: 2, devices per worker: 1." in chief.stdout
    assert parallel_chunks == 1 or f"float32, each batch in {parallel_chunks} parallel chunks." in chief.stdout
    (line,) = [line for line in chief.stderr.splitlines() if line.startswith("caption-tx: ")]
    assert "Another worker was lost" in line and "Start all workers again" in line
    assert not list(workdir.glob("*.tmp"))
    # Both workers write the cache; only the chief writes the workdir.
    shards = {path.name.split("-")[1] for path in Path(config.training.cache).glob("shard-*.tfrecord")}
    assert shards == {"1of2", "2of2"}


@pytest.mark.slow
def test_two_workers_learn_as_one_does_and_resume(interrupted, reference, config, tmp_path, run_workers):
    workdir = interrupted[0]
    assert len(curves(workdir)) == 1
    assert pd.read_csv(workdir / "log.csv")["val_cider"].notna().all()
    np.testing.assert_allclose(curves(workdir), reference[:1], atol=1e-3)

    alone = shutil.copytree(workdir, tmp_path / "alone")  # one process resumes what two began
    train(config, alone, lambda text: None)
    chief, other = run_workers(workdir)
    assert (chief.returncode, other.returncode) == (0, 0), (chief.stderr + other.stderr)[-2000:]
    assert "Resuming after epoch 1" in chief.stdout and "Best epoch 2" in chief.stdout
    assert other.stdout.count("\n") == 1 and "Worker 1 of 2" in other.stdout
    assert len(curves(workdir)) == 2
    np.testing.assert_allclose(curves(workdir), curves(alone), atol=1e-3)
    bundles = [load_bundle(path / "bundle") for path in (workdir, alone)]
    for ours, theirs in zip(*(bundle.captioner.get_weights() for bundle in bundles), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@pytest.mark.slow
def test_two_devices_learn_as_one_does(reference, config, tmp_path, run_forked):
    """With a cache and accumulated steps, and without a cache."""
    cached = dataclasses.replace(config, training=dataclasses.replace(config.training, accumulation_steps=3))
    training = dataclasses.replace(config.training, epochs=1, cached=False, sample_count=0, score_every=0)
    uncached = dataclasses.replace(config, training=training)
    for name, settings in (("cached", cached), ("uncached", uncached)):
        (tmp_path / f"{name}.toml").write_text(dump_config(settings), encoding="utf-8")
    code = "for path in sys.argv[1:]: train(load_config(f'{path}.toml'), path)"
    process = run_forked(TWO_DEVICES + code, tmp_path / "cached", tmp_path / "uncached", timeout=300)
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.count("workers: 1, devices per worker: 2.") == 2
    assert "ran out of data" not in process.stderr
    np.testing.assert_allclose(curves(tmp_path / "cached"), reference, atol=1e-3)
    train(uncached, tmp_path / "one", lambda text: None)
    np.testing.assert_allclose(curves(tmp_path / "uncached"), curves(tmp_path / "one"), atol=1e-3)
