"""Training on several devices of one machine, and on several machines that `TF_CONFIG` names.

Each machine runs the same command in one process, a worker. The first worker, the chief, writes the files of the run.
Keras 3 `fit` fails with several workers (keras-team/keras#20585); `keras_patches` contains the overrides.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from caption_tx.errors import CaptionTxError, ConfigError

DEVICES = "GPU"
"""Kind of the devices that training is divided among, if the machine has several."""

_LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What a collective operation raises in the remaining workers after one is lost."""

_UNINFORMATIVE_LINES = ("Graph execution error", "Detected at node", "<stack traces")


class LostWorkerError(CaptionTxError):
    """Another worker ended or cannot be reached; the run can be resumed."""


def rank_and_world_size(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """The index of this process, from 0, and the number of workers in `TF_CONFIG`; (0, 1) without it.

    Raises:
        ConfigError: `TF_CONFIG` is invalid, or does not contain this process.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return 0, 1
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        settings = json.loads(text)
        cluster, task = settings.get("cluster") or {}, settings.get("task") or {}
        tasks = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
        own_task = (task.get("type", "worker"), int(task.get("index", 0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"TF_CONFIG is invalid ({error}); expected {example}.") from error
    if len(tasks) <= 1:
        return 0, 1
    if own_task not in tasks:
        raise ConfigError(f"TF_CONFIG sets the task {own_task}, which is not in its cluster; expected {example}.")
    return tasks.index(own_task), len(tasks)


@dataclass(frozen=True)
class Distribution:
    """How a run is divided among devices and workers.

    Attributes:
        strategy: TensorFlow's strategy.
        rank: index of this worker.
        world_size: number of workers.
    """

    strategy: tf.distribute.Strategy
    rank: int = 0
    world_size: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the files of the run: checkpoints, logs, bundle."""
        return self.rank == 0

    @property
    def num_devices(self) -> int:
        """Devices of this worker that training is divided among."""
        return self.strategy.num_replicas_in_sync // self.world_size

    @property
    def is_distributed(self) -> bool:
        """Whether batches are divided."""
        return self.strategy.num_replicas_in_sync > 1

    def distribute(self, batches: tf.data.Dataset) -> Any:
        """Makes the dataset that `fit` takes.

        Args:
            batches: this worker's parts of every batch, one part for each of its devices in turn.
        """
        if not self.is_distributed:
            return batches
        distributed = self.strategy.distribute_datasets_from_function(lambda _: batches)
        # The number of steps, not of parts. Without it Keras warns that the data ended too early.
        distributed._cardinality = batches.cardinality().numpy() // self.num_devices
        return distributed

    def barrier(self) -> None:
        """Returns once every worker has called it."""
        self._sum(tf.zeros(()))

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """Returns the chief's values in all workers, which must call it together."""
        mine = tf.constant(values if self.is_chief else [0.0] * len(values), tf.float64)
        return self._sum(mine).numpy().tolist()

    def assert_same(self, what: str, text: str) -> None:
        """Checks that all workers have the same text; all must call it together.

        Args:
            what: names the text in the error.
            text: of this worker.

        Raises:
            ConfigError: another worker has another text.
        """
        if self.world_size == 1:
            return
        value = zlib.crc32(text.encode())
        mine = tf.tensor_scatter_nd_update(tf.zeros(self.world_size, tf.int64), [[self.rank]], [value])
        checksums = self._sum(mine).numpy().tolist()
        if others := [rank for rank, checksum in enumerate(checksums) if checksum != value]:
            raise ConfigError(
                f"Worker {self.rank} and worker {others[0]} have different {what}. Start all workers with the same "
                "command, and with a workdir, cache, captions and images that they share."
            )

    def _sum(self, value: tf.Tensor) -> tf.Tensor:
        return value if self.world_size == 1 else self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)

    @contextlib.contextmanager
    def report_lost_workers(self) -> Iterator[None]:
        """Turns TensorFlow's errors about other workers into an error of one line.

        Raises:
            LostWorkerError: another worker ended or cannot be reached.
        """
        try:
            yield
        except _LOST_WORKER_ERRORS as error:
            if self.world_size == 1:
                raise
            lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
            informative = (line for line in lines if not line.startswith(_UNINFORMATIVE_LINES))
            reason = next(informative, type(error).__name__)[:200]
            raise LostWorkerError(
                f"Another worker was lost, so worker {self.rank} of {self.world_size} stops too. Start all workers "
                f"again with the same command to resume after the last complete epoch. (TensorFlow: {reason})"
            ) from error


@functools.cache
def _join_workers(tf_config: str) -> Distribution:
    """Joins the other workers, once per `TF_CONFIG`: a process cannot join twice."""
    rank, world_size = rank_and_world_size({"TF_CONFIG": tf_config})
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(
            f"TF_CONFIG names several workers, but this process has used TensorFlow before: {error}"
        ) from error
    except (*_LOST_WORKER_ERRORS, tf.errors.UnknownError) as error:
        raise LostWorkerError(f"Worker {rank} of {world_size} could not join the others: {error.message}") from error
    return Distribution(strategy, rank, world_size)


def make_distribution() -> Distribution:
    """Returns all workers of `TF_CONFIG` if it names several, else all GPUs if there are several, else one device.

    With several workers, call it before TensorFlow computes anything in this process. It returns once all workers
    have started.

    Raises:
        ConfigError: `TF_CONFIG` is invalid, or TensorFlow was used before.
        LostWorkerError: the other workers cannot be reached.
    """
    if rank_and_world_size()[1] > 1:
        return _join_workers(os.environ["TF_CONFIG"])
    devices = tf.config.list_logical_devices(DEVICES)
    if len(devices) > 1:
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    return Distribution(tf.distribute.get_strategy())
