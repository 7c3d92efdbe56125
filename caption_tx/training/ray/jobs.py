"""Encoding and training on a Ray cluster, with what this package does on one machine (extra `ray`).

Ray carries the work to the machines, and starts again what was lost with one of them. What is done
lies in the cache and in the workdir, which all machines share; nothing is kept in Ray.
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

MAX_LOST = 3
"""How often Ray starts a lost share, or training, again."""

_SECONDS_BETWEEN_LINES = 0.5


def encode_on_ray(config: Config, address: str, folder: str | Path, log: Callable[[str], None] = print) -> FeatureCache:
    """Encodes every image of the corpus that the cache in `folder` does not hold, share by share as Ray tasks.

    Ray starts a share again whose machine is lost; it goes on after its last whole shard. At the end all records
    are checked, and removed where two machines wrote them (one was taken for lost, and was not).

    Args:
        address: what `ray.init` takes: "host:6379", "ray://host:10001", "auto", or "local" to start Ray here.
        folder: of the cache, on a disk or a store that all machines share.

    Raises:
        ConfigError: Ray is not installed, or the address is none.
        CorpusError, CacheError: as `encode_corpus`.
        CaptionTxError: there is no such cluster, or it lost a share more than `MAX_LOST` times.
    """
    from tqdm import tqdm

    from caption_tx.data.corpus.table import read_table
    from caption_tx.data.features.corpus_features import merge_corpus

    config = ray_cluster.absolute_paths(config)
    folder = str(folder) if "://" in str(folder) else os.path.abspath(folder)
    environment = ray_cluster.environment_for_workers()
    images = read_table(config.corpus)["image"].nunique()
    with ray_cluster.joined(address, "encode") as ray:
        shares, cpus, gpus = ray_cluster.plan_tasks(images, ray_cluster.nodes_of(ray))
        each = ray_cluster.describe(cpus, gpus)
        log(f"Ray encodes what is missing of {images:,} images; shares: {shares:,}, {each} each.")
        # "SPREAD": side by side on one node, shares would wait for its disk.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": MAX_LOST, "scheduling_strategy": "SPREAD"}
        encode = ray.remote(**options)(_encode_share)
        pending = {
            encode.remote(config, folder, (share, shares), cpus, environment): len(range(share, images, shares))
            for share in range(shares)
        }
        with tqdm(total=images, unit="image", desc="features") as bar:
            while pending:
                done, _ = ray.wait(list(pending))
                ray.get(done)
                bar.update(sum(map(pending.pop, done)))
    return merge_corpus(config, folder, log)


def _encode_share(
    config: Config, folder: str, share: tuple[int, int], cpus: int, environment: Mapping[str, str]
) -> None:
    """Runs on a node."""
    ray_cluster.prepare_worker(environment, cpus)
    from caption_tx.data.features.corpus_features import encode_splits, encoding_options

    rank, world_size = share
    options = encoding_options(config, rank=rank, world_size=world_size)
    encode_splits(config, folder, *_backbone_and_table(config), SPLITS, lambda text: None, options)


@functools.lru_cache(maxsize=1)
def _backbone_and_table(config: Config) -> tuple[Backbone, pd.DataFrame]:
    """Kept, since a process of Ray's encodes one share after another."""
    from caption_tx.data.corpus.table import read_table
    from caption_tx.data.features.backbone import Backbone

    return Backbone(config.backbone), read_table(config.corpus)


def train_on_ray(
    config: Config, workdir: str | Path, address: str, workers: int, log: Callable[[str], None] = print
) -> Bundle:
    """Trains, or goes on, in `workers` processes that Ray places, as `train` does where `TF_CONFIG` names so many.

    When a worker is lost, Ray starts all of them again, and they go on after the last whole epoch.

    Args:
        workdir: folder of the run, on a disk that all machines share.
        address: as for `encode_on_ray`.
        log: gets what worker 0 prints, line by line, and what becomes of the workers.

    Raises:
        ConfigError: Ray is not installed, the address is none, or as `train`.
        CorpusError, CacheError: as `train`; Ray does not try again then.
        CaptionTxError: there is no such cluster, or it lost workers more than `MAX_LOST` times.
    """
    from caption_tx.bundle import load_bundle

    workdir = Path(workdir).absolute()
    folder = f"ray-{secrets.token_hex(4)}"  # Ray Train wants one of its own, though it has nothing to keep
    settings = {"config": ray_cluster.absolute_paths(config), "workdir": workdir, "ray_folder": folder}
    settings["environment"] = ray_cluster.environment_for_workers()
    with ray_cluster.joined(address, "train", workers) as ray:
        cpus, gpus = ray_cluster.plan_workers(workers, nodes := ray_cluster.nodes_of(ray))
        log(f"Ray starts training; workers: {workers}, {ray_cluster.describe(cpus, gpus)} each.")
        if sum(int(node.get("CPU", 0)) for node in nodes) < workers:
            log("The cluster has not so many CPUs now; training begins when it has.")
        board = _pin_board(ray)
        trainer = _make_trainer(settings | {"board": board, "cpus": cpus}, workers, gpus)
        failures: list[Exception] = []

        def fit() -> None:
            try:
                trainer.fit()
            except Exception as error:
                failures.append(error)

        # In a thread: Ray Train's own answer to Ctrl-C is to end the process as if all were well.
        thread = threading.Thread(target=fit, daemon=True, name="Ray Train")
        thread.start()
        running = True
        try:
            while running:
                thread.join(_SECONDS_BETWEEN_LINES)
                running = thread.is_alive()
                for line in ray.get(board.take.remote()):
                    log(line)
        finally:
            shutil.rmtree(workdir / folder, ignore_errors=True)
        if failures:
            raise failures[0]
    return load_bundle(workdir / "bundle")


class _Board:
    """Where workers leave lines for the person who waits; an actor on the node that the run was started from."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def tell(self, line: str) -> None:
        self._lines.append(line)

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


def _pin_board(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(_Board).remote()


class _Told(io.TextIOBase):
    """A text stream whose whole lines go to the board."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._board.tell.remote(line)
        return len(text)


def _make_trainer(settings: Mapping[str, Any], workers: int, gpus: int) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.tensorflow import TensorflowTrainer

    board = settings["board"]

    class Watch(UserCallback):
        """Ends the run where a worker found a mistake, which would be there in the next try too."""

        def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
            from caption_tx.training.distribution import LostWorkerError

            for index, error in sorted(worker_exceptions.items()):
                if isinstance(error, CaptionTxError) and not isinstance(error, LostWorkerError):
                    raise error
                gone = "another is gone" if isinstance(error, LostWorkerError) else ray_cluster.reason(error)
                board.tell.remote(f"Worker {index} ended: {gone}.")

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
            failure_config=FailureConfig(max_failures=MAX_LOST),
            callbacks=[Watch()],
        ),
    )


def _train_worker(settings: Mapping[str, Any]) -> None:
    """Runs in each worker; Ray Train has set `TF_CONFIG`."""
    ray_cluster.prepare_worker(settings["environment"], settings["cpus"])
    import ray

    from caption_tx.training.fit import train

    context, board = ray.train.get_context(), settings["board"]
    index, host = context.get_world_rank(), socket.gethostname()
    ray.get(board.tell.remote(f"Worker {index} of {context.get_world_size()} is on {host}, process {os.getpid()}."))
    try:
        with contextlib.redirect_stdout(_Told(board)) if index == 0 else contextlib.nullcontext():
            train(settings["config"], settings["workdir"], print)
    finally:
        ray.get(board.__ray_ready__.remote())  # no line is on its way any more
