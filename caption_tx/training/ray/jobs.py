"""Encodes and trains on a Ray cluster, with the same functions as on one machine (extra `ray`).

Ray distributes the work, and restarts what is lost with a machine. Results are in the cache and in the workdir, which
all machines share; Ray stores nothing.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.config import SPLITS, Config
from caption_tx.errors import CaptionTxError
from caption_tx.training.ray import cluster as ray_cluster

if TYPE_CHECKING:
    import pandas as pd

    from caption_tx.bundle import Bundle
    from caption_tx.data.features.backbone import Backbone
    from caption_tx.data.features.cache import FeatureCache

MAX_RETRIES = 3
"""How often Ray restarts a lost task, or training."""

_LOG_INTERVAL = 0.5
"""Seconds between two looks at the workers' log."""


def encode_on_ray(config: Config, address: str, folder: str | Path, log: Callable[[str], None] = print) -> FeatureCache:
    """Encodes all images of the corpus that the cache lacks, in Ray tasks; returns the cache.

    If a machine is lost, Ray restarts its task, which resumes after its last complete shard. At the end all records
    are checked, and duplicates are removed (a machine that Ray considered lost may have continued).

    Args:
        config: the settings.
        address: "host:6379", "ray://host:10001", "auto", or "local" to start Ray here.
        folder: of the cache, on a disk or a store that all machines share.
        log: gets lines of text about the progress.

    Raises:
        ConfigError: Ray is not installed, or the address is invalid.
        CorpusError, CacheError: as `encode_corpus`.
        CaptionTxError: the cluster cannot be reached, or a task was lost more than `MAX_RETRIES` times.
    """
    from tqdm.auto import tqdm

    from caption_tx.data.corpus.table import read_table
    from caption_tx.data.features.corpus_features import merge_corpus

    config = ray_cluster.absolute_paths(config)
    folder = str(folder) if "://" in str(folder) else os.path.abspath(folder)
    environment = ray_cluster.environment_for_workers()
    images = read_table(config.corpus, config.text.language)["image"].nunique()
    with ray_cluster.connect(address, "encode") as ray:
        tasks, cpus, gpus = ray_cluster.plan_tasks(images, ray_cluster.live_nodes(ray))
        resources = ray_cluster.format_resources(cpus, gpus)
        log(f"Ray encodes what the cache lacks of {images:,} images; tasks: {tasks:,}, {resources} each.")
        # "SPREAD": tasks on one node would compete for its disk.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": MAX_RETRIES, "scheduling_strategy": "SPREAD"}
        encode = ray.remote(**options)(_encode_task)
        pending = {
            encode.remote(config, folder, (task, tasks), cpus, environment): len(range(task, images, tasks))
            for task in range(tasks)
        }
        with tqdm(total=images, unit="image", desc="features") as bar:
            while pending:
                done, _ = ray.wait(list(pending))
                ray.get(done)
                bar.update(sum(map(pending.pop, done)))
    return merge_corpus(config, folder, log)


def _encode_task(config: Config, folder: str, task: tuple[int, int], cpus: int, environment: Mapping[str, str]) -> None:
    """Encodes the images of one task (index, number of tasks); runs on a node."""
    ray_cluster.prepare_worker(environment, cpus)
    from caption_tx.data.features.corpus_features import encode_splits, encoding_options

    rank, world_size = task
    options = encoding_options(config, rank=rank, world_size=world_size)
    encode_splits(config, folder, *_backbone_and_table(config), SPLITS, lambda text: None, options)


@functools.lru_cache(maxsize=1)
def _backbone_and_table(config: Config) -> tuple[Backbone, pd.DataFrame]:
    """Cached, since a Ray process encodes one task after another."""
    from caption_tx.data.corpus.table import read_table
    from caption_tx.data.features.backbone import Backbone

    return Backbone(config.backbone), read_table(config.corpus, config.text.language)


def train_on_ray(
    config: Config, workdir: str | Path, address: str, workers: int, log: Callable[[str], None] = print
) -> Bundle:
    """Trains or resumes a run in workers that Ray places on the cluster, as `train` does with `TF_CONFIG`.

    If a worker is lost, Ray restarts all workers, which resume after the last complete epoch.

    Args:
        config: the settings.
        workdir: folder of the run, on a disk that all machines share.
        address: as for `encode_on_ray`.
        workers: number of workers.
        log: gets the lines that the first worker prints, and reports about the workers.

    Raises:
        ConfigError: Ray is not installed, the address is invalid, or as `train`.
        CorpusError, CacheError: as `train`; Ray does not retry then.
        CaptionTxError: the cluster cannot be reached, or workers were lost more than `MAX_RETRIES` times.
    """
    from caption_tx.bundle import load_bundle

    workdir = Path(workdir).absolute()
    folder = f"ray-{secrets.token_hex(4)}"  # Ray Train requires a folder of its own
    settings = {"config": ray_cluster.absolute_paths(config), "workdir": workdir, "ray_folder": folder}
    settings["environment"] = ray_cluster.environment_for_workers()
    with ray_cluster.connect(address, "train", workers) as ray:
        cpus, gpus = ray_cluster.plan_workers(workers, nodes := ray_cluster.live_nodes(ray))
        log(f"Ray starts training; workers: {workers}, {ray_cluster.format_resources(cpus, gpus)} each.")
        if sum(int(node.get("CPU", 0)) for node in nodes) < workers:
            log("The cluster has too few CPUs now; training begins once it has enough.")
        worker_log = _start_worker_log(ray)
        trainer = _make_trainer(settings | {"log": worker_log, "cpus": cpus}, workers, gpus)
        try:
            _run_trainer(trainer, lambda: ray.get(worker_log.take.remote()), log)
        finally:
            shutil.rmtree(workdir / folder, ignore_errors=True)
    return load_bundle(workdir / "bundle")


def _run_trainer(trainer: Any, take_lines: Callable[[], list[str]], log: Callable[[str], None]) -> None:
    """Runs Ray Train to its end, and logs the lines of the workers meanwhile."""
    failures: list[Exception] = []

    def fit() -> None:
        try:
            trainer.fit()
        except Exception as error:
            failures.append(error)

    # In a thread, since Ray Train would handle Ctrl-C by ending the process successfully.
    thread = threading.Thread(target=fit, daemon=True, name="Ray Train")
    thread.start()
    running = True
    while running:
        thread.join(_LOG_INTERVAL)
        running = thread.is_alive()
        for line in take_lines():
            log(line)
    if failures:
        raise failures[0]


class _WorkerLog:
    """Collects the lines of the workers; an actor on the node that started the run."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def put(self, line: str) -> None:
        self._lines.append(line)

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


def _start_worker_log(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(_WorkerLog).remote()


class _LogStream(io.TextIOBase):
    """A text stream that sends complete lines to the worker log."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._log.put.remote(line)
        return len(text)


def check_worker_errors(errors: Mapping[int, Exception], report: Callable[[str], None]) -> None:
    """Raises the error that would occur again in a retry, and reports all others.

    Args:
        errors: the error of each worker that ended, by rank.
        report: gets one line per worker.

    Raises:
        CaptionTxError: a worker found a problem that is not the loss of another worker.
    """
    from caption_tx.training.distribution import LostWorkerError

    for rank, error in sorted(errors.items()):
        if isinstance(error, CaptionTxError) and not isinstance(error, LostWorkerError):
            raise error
        reason = "another worker was lost" if isinstance(error, LostWorkerError) else ray_cluster.first_line(error)
        report(f"Worker {rank} ended: {reason}.")


def _make_trainer(settings: Mapping[str, Any], workers: int, gpus: int) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.tensorflow import TensorflowTrainer

    worker_log = settings["log"]

    class StopOnError(UserCallback):
        """Ends the run on an error that would occur again in a retry."""

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
            check_worker_errors(worker_exceptions, worker_log.put.remote)

    return TensorflowTrainer(
        _train_worker,
        train_loop_config=dict(settings),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": settings["cpus"]} | ({"GPU": gpus} if gpus else {}),
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            storage_path=str(settings["workdir"]),
            name=settings["ray_folder"],
            failure_config=FailureConfig(max_failures=MAX_RETRIES),
            callbacks=[StopOnError()],
        ),
    )


def _train_worker(settings: Mapping[str, Any]) -> None:
    """Trains; runs in each worker, for which Ray Train has set `TF_CONFIG`."""
    ray_cluster.prepare_worker(settings["environment"], settings["cpus"])
    import ray

    from caption_tx.training.fit import train

    context, worker_log = ray.train.get_context(), settings["log"]
    rank, host = context.get_world_rank(), socket.gethostname()
    ray.get(worker_log.put.remote(f"Worker {rank} of {context.get_world_size()} is on {host}, process {os.getpid()}."))
    try:
        with contextlib.redirect_stdout(_LogStream(worker_log)) if rank == 0 else contextlib.nullcontext():
            train(settings["config"], settings["workdir"], print)
    finally:
        ray.get(worker_log.__ray_ready__.remote())  # waits for lines that are on their way
