"""Training on several devices of one machine, and on several machines that `TF_CONFIG` names.

Several machines run one process each ("workers"), the same command on all; the first writes the run, the
others only compute. Keras 3 `fit` fails there (keras-team/keras#20585): `mended` mends the model, and only
where the Keras at hand needs it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf

from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.training.optimizer import FusedAdam

DEVICES = "GPU"
"""Kind of the devices of one machine that training is divided among, where there are several."""

_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What a collective operation raises in the workers that are left."""


_NOTHING_SAID = ("Graph execution error", "Detected at node", "<stack traces")


class LostWorkerError(CaptionTxError):
    """Another worker ended, or cannot be reached: the same run can be gone on with."""


def rank_and_world_size(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """(i, n): this process is the i-th, from 0, of the n workers in `TF_CONFIG`; (0, 1) without it.

    Raises:
        ConfigError: `TF_CONFIG` cannot be understood, or this process has no place in it.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return 0, 1
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        found = json.loads(text)
        cluster, task = found.get("cluster") or {}, found.get("task") or {}
        places = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))]
        place = (task.get("type", "worker"), int(task.get("index", 0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"TF_CONFIG cannot be understood ({error}); expected {example}.") from error
    if len(places) <= 1:
        return 0, 1
    if place not in places:
        raise ConfigError(f"TF_CONFIG gives this process the task {place}, not of its cluster; expected {example}.")
    return places.index(place), len(places)


@dataclass(frozen=True)
class Distribution:
    """How a run is divided: `strategy` is TensorFlow's, this process the worker `index` of `workers`."""

    strategy: tf.distribute.Strategy
    index: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run: checkpoints, logs, bundle."""
        return self.index == 0

    @property
    def share(self) -> tuple[int, int]:
        """(i, n), as the input pipeline takes it."""
        return self.index, self.workers

    @property
    def devices(self) -> int:
        """Devices of this process that training is divided among."""
        return self.strategy.num_replicas_in_sync // self.workers

    @property
    def is_divided(self) -> bool:
        """Whether a batch is divided at all."""
        return self.strategy.num_replicas_in_sync > 1

    def dataset(self, batches: tf.data.Dataset) -> Any:
        """What `fit` takes: this worker's parts of every batch, one for each of its devices in turn."""
        if not self.is_divided:
            return batches
        divided = self.strategy.distribute_datasets_from_function(lambda _: batches)
        # Steps, not parts; without it Keras would warn that the data ended too early.
        divided._cardinality = batches.cardinality().numpy() // self.devices
        return divided

    def wait(self) -> None:
        """Returns when every worker has called it."""
        self._sum(tf.zeros(()))

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """The first worker's numbers, in all workers, which call it together; the others' own do not count."""
        mine = tf.constant(values if self.is_chief else [0.0] * len(values), tf.float64)
        return self._sum(mine).numpy().tolist()

    def assert_same(self, what: str, text: str) -> None:
        """Compares a text among the workers.

        Raises:
            ConfigError: theirs is not that of this one.
        """
        if self.workers == 1:
            return
        value = zlib.crc32(text.encode())
        mine = tf.tensor_scatter_nd_update(tf.zeros(self.workers, tf.int64), [[self.index]], [value])
        theirs = self._sum(mine).numpy().tolist()
        if others := [index for index, other in enumerate(theirs) if other != value]:
            raise ConfigError(
                f"Worker {self.index} and worker {others[0]} do not have the same {what}. Start all with the same "
                "command, on a workdir, a cache, captions and images that all of them share."
            )

    def _sum(self, value: tf.Tensor) -> tf.Tensor:
        return value if self.workers == 1 else self.strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Says in one line that another worker is gone, where TensorFlow's errors mean that.

        Raises:
            LostWorkerError: another worker ended, or cannot be reached.
        """
        try:
            yield
        except _GONE as error:
            if self.workers == 1:
                raise
            lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
            reason = next((line for line in lines if not line.startswith(_NOTHING_SAID)), type(error).__name__)[:200]
            raise LostWorkerError(
                f"Another worker is gone, so worker {self.index} of {self.workers} stops too. Start all workers again "
                f"with the same command: they go on after the last whole epoch. (TensorFlow says: {reason})"
            ) from error


@functools.cache
def _join(config: str) -> Distribution:
    """Once for each `TF_CONFIG`: a process cannot join twice."""
    index, workers = rank_and_world_size({"TF_CONFIG": config})
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(f"TF_CONFIG names several workers, but TensorFlow was in use already: {error}") from error
    except (*_GONE, tf.errors.UnknownError) as error:
        raise LostWorkerError(f"Worker {index} of {workers} could not join the others: {error.message}") from error
    return Distribution(strategy, index, workers)


def choose() -> Distribution:
    """Several workers in `TF_CONFIG`: all of them; several GPUs: all of them; else the one device there is.

    With several workers it must come before anything else that TensorFlow computes in this process, and
    returns when all of them have been started.

    Raises:
        ConfigError: `TF_CONFIG` is wrong, or this came too late.
        LostWorkerError: the other workers cannot be reached.
    """
    if rank_and_world_size()[1] > 1:
        return _join(os.environ["TF_CONFIG"])
    devices = tf.config.list_logical_devices(DEVICES)
    if len(devices) > 1:
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    return Distribution(tf.distribute.get_strategy())


class ClippedAdam(FusedAdam):
    """Adam that clips the gradient of the whole batch, where Keras would clip that of each replica's part.

    All gradients travel as one vector: between machines the number of messages costs more than their size.
    """

    def __init__(self, learning_rate: Any, clip_norm: float) -> None:
        super().__init__(learning_rate)
        self._clip_norm = clip_norm

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Keras calls this between its own clipping, which is off, and the update; all gradients are there."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)
        flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [variable.shape.num_elements() for variable in variables])
        norm = tf.norm(flat)
        scale = self._clip_norm / tf.maximum(norm, self._clip_norm)
        return [
            (tf.reshape(part * scale, variable.shape), variable)
            for part, variable in zip(parts, variables, strict=True)
        ]


def make_adam(learning_rate: Any, clip_norm: float, distribution: Distribution) -> keras.optimizers.Optimizer:
    """Adam with the norm of the gradient clipped; call it in the strategy's scope."""
    if not distribution.is_divided:
        return FusedAdam(learning_rate, global_clipnorm=clip_norm)
    if not hasattr(keras.optimizers.Adam, "_all_reduce_sum_gradients"):
        raise CaptionTxError(
            f"Training on several devices was made for Keras 3.15; Keras {keras.__version__} sums gradients otherwise."
        )
    return ClippedAdam(learning_rate, clip_norm)


class LocalBuild:
    """Builds a model from what a batch is said to be.

    Keras takes a first batch and averages its parts, which need not be of one shape, and makes floats of
    token_ids. Taking one would also shuffle once more, so that epochs had another order than in one process.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None:
            spec = iterator.data_adapter.get_tf_dataset().element_spec
            # Of a batch in parts, the first part.
            data_batch = keras.tree.map_structure(lambda part: getattr(part, "_value_specs", [part])[0], spec)
        super()._maybe_symbolic_build(data_batch=data_batch)


class OneMetricEach:
    """Gives metrics of a step the shape (1,): the mean over workers that Keras takes needs an axis.

    What is logged after an epoch comes from the metrics themselves, whose sums run over all workers.
    """

    def train_step(self, data: Any) -> Any:
        return keras.tree.map_structure(lambda value: keras.ops.reshape(value, (1,)), super().train_step(data))

    def test_step(self, data: Any) -> Any:
        return keras.tree.map_structure(lambda value: keras.ops.reshape(value, (1,)), super().test_step(data))


def build_needs_mending(strategy: tf.distribute.Strategy) -> bool:
    """Whether this Keras averages the parts of a batch only to see its shapes."""
    reduced = []

    class Watched:
        scope = contextlib.nullcontext
        experimental_local_results = strategy.experimental_local_results

        def reduce(self, operation: Any, value: Any, axis: int | None) -> Any:
            reduced.append(value)

    batch = (strategy.experimental_distribute_values_from_function(lambda _: tf.zeros((1, 1))),)
    model = SimpleNamespace(
        _distribute_strategy=Watched(), distribute_strategy=Watched(), _symbolic_build=lambda data_batch=None: None
    )
    build = getattr(keras.Model, "_maybe_symbolic_build", None)
    if build is None:
        return False
    # A Keras that is another altogether is left alone.
    with contextlib.suppress(AttributeError, TypeError):
        build(model, iterator=iter([(0, 0, iter([batch]))]))
    return bool(reduced)


def metrics_need_mending(strategy: tf.distribute.Strategy) -> bool:
    """Whether this Keras reduces a step's metrics over an axis that scalars lack.

    Every worker must call it: where Keras does it right, it is a reduction over all of them.
    """
    reduce: Callable | None = None
    with contextlib.suppress(ImportError):
        from keras.src.backend.tensorflow import trainer

        reduce = getattr(trainer, "reduce_per_replica", None)
    if reduce is None:
        return False
    try:
        reduce(tf.ones(()), strategy, "auto")
    except ValueError:
        return True
    return False


def patched(model_class: type, distribution: Distribution) -> type:
    """The model's class, with what this Keras needs where batches are divided, and nothing that it does not need."""
    mixins: list[type] = []
    if distribution.is_divided and build_needs_mending(distribution.strategy):
        mixins.append(LocalBuild)
    if distribution.workers > 1 and metrics_need_mending(distribution.strategy):
        mixins.append(OneMetricEach)
    return type(model_class.__name__, (*mixins, model_class), {}) if mixins else model_class
