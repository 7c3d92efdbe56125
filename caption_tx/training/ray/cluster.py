"""A Ray cluster: joining it, what is asked of it, and what its errors mean (extra `ray`)."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from caption_tx.config import Config
from caption_tx.errors import CaptionTxError, ConfigError

TASK_CPUS = 4
"""CPUs of a share of the images; where a node has more, it encodes several shares at once."""

TASK_IMAGES = 512
"""Fewest images of a share, where the corpus has so many; also those of a whole shard of the cache."""

TASKS_EACH = 4
"""Shares for each place that encodes, so that the others need not wait long for the slowest."""

TRAINING_CPUS = 8
"""Most CPUs that are asked for a training worker: more hardly speed up a small decoder."""

_SECONDS_TO_CONNECT = 10


@contextlib.contextmanager
def joined(address: str, what: str, cpus: int = 1) -> Iterator[Any]:
    """The module `ray`, joined to the cluster to do `what`; one that "local" starts here has at least so many CPUs.

    Raises:
        ConfigError: it is no address, or Ray is not installed.
        CaptionTxError: nobody is there, or Ray could not do it; or the mistake that a worker found.
    """
    _knock(address)
    try:
        import ray
        import ray.train
    except ImportError as error:
        raise ConfigError(f'--ray needs Ray: pip install "caption_tx[ray]" ({error}).') from error
    options: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a person's own machine reports to nobody
        options = {"num_cpus": max(os.cpu_count() or 1, cpus), "include_dashboard": False}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise CaptionTxError(f"Cannot join the Ray cluster '{address}': {reason(error)}.") from error
    try:
        yield ray
    except (ray.exceptions.RayError, ray.train.TrainingFailedError) as error:
        raise plain(error, what) from error
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Finds out in seconds whether anybody is there; Ray itself tries for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(
            f"'{address}' is no address of a Ray cluster; expected host:6379, ray://host:10001, 'auto' for the one on "
            "this machine, or 'local' to start one."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise CaptionTxError(f"Cannot join the Ray cluster '{address}': {error}.") from error


def reason(error: BaseException) -> str:
    """The first of the lines that an error of Ray's says, without a full stop."""
    error = getattr(error, "health_check_failure", error)
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def plain(error: Exception, what: str) -> CaptionTxError:
    """What Ray raised when it was to do `what`, in one line; the mistake itself, where a worker found one."""
    failures = getattr(error, "worker_failures", {}).values()
    # What a task raised is of the class of its cause too, but says it with a whole traceback.
    causes = [getattr(error, "cause", None), getattr(error, "controller_failure", None), *failures, error]
    cause = next(cause for cause in causes if cause is not None)
    if isinstance(cause, CaptionTxError):
        return cause
    return CaptionTxError(
        f"Ray could not {what}: {reason(cause)} ({type(cause).__name__}; Ray's logs on that machine tell more). The "
        "same command goes on with what is there."
    )


def nodes_of(ray: Any) -> list[dict[str, float]]:
    """The resources of each node that is alive, as Ray names them: {"CPU": 16.0, "GPU": 1.0, ..}."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def plan_tasks(images: int, nodes: Sequence[Mapping[str, float]]) -> tuple[int, int, int]:
    """How a corpus is divided: (shares, CPUs of each, GPUs of each). Nodes with fewer CPUs than that stay idle."""
    sizes = [int(node.get("CPU", 0)) for node in nodes]
    cpus = max(1, min(TASK_CPUS, max(sizes, default=0)))
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    places = gpus or sum(size // cpus for size in sizes) or 1
    return max(1, min(TASKS_EACH * places, math.ceil(images / TASK_IMAGES))), cpus, int(gpus > 0)


def plan_workers(workers: int, nodes: Sequence[Mapping[str, float]]) -> tuple[int, int]:
    """(CPUs, GPUs of each worker): as many CPUs as all can have at once, 1 at least; a GPU if there is one for each."""
    sizes = [int(node.get("CPU", 0)) for node in nodes]
    fitting = [cpus for cpus in range(1, TRAINING_CPUS + 1) if sum(size // cpus for size in sizes) >= workers]
    return max(fitting, default=1), int(sum(node.get("GPU", 0) for node in nodes) >= workers)


def describe(cpus: int, gpus: int) -> str:
    """`4 CPUs and a GPU`."""
    return f"{cpus} CPU{'s' * (cpus > 1)}{' and a GPU' * gpus}"


def absolute_paths(config: Config) -> Config:
    """The settings with every relative path made absolute: workers have a working folder of their own."""

    def absolute(path: str) -> str:
        # Not normalized: behind a source's path there may be more, e.g. `:images=../photos`.
        return path if not path or "://" in path else os.path.join(os.getcwd(), path)

    corpus, text, backbone, training = config.corpus, config.text, config.backbone, config.training
    weights = backbone.weights if backbone.weights in ("imagenet", "scenes") else absolute(backbone.weights)
    return dataclasses.replace(
        config,
        corpus=dataclasses.replace(
            corpus, sources=tuple(map(absolute, corpus.sources)), images=absolute(corpus.images)
        ),
        text=dataclasses.replace(
            text,
            user_dictionary=text.user_dictionary and absolute(text.user_dictionary),
            word_vectors=text.word_vectors and absolute(text.word_vectors),
        ),
        backbone=dataclasses.replace(backbone, weights=weights),
        training=dataclasses.replace(training, cache=training.cache and absolute(training.cache)),
    )


def environment_for_workers() -> dict[str, str]:
    """What workers take over of this process's environment."""
    from caption_tx.data.features.backbone import WEIGHTS_ENV_VAR

    weights = os.environ.get(WEIGHTS_ENV_VAR)
    return {WEIGHTS_ENV_VAR: os.path.abspath(weights)} if weights else {}


def prepare_worker(environment: Mapping[str, str], cpus: int) -> None:
    """Before anything else that a worker does with TensorFlow: no more threads than Ray gave it CPUs."""
    # Ray Train sets it for the Keras of old; this package has one Keras, which is not that one.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.update(environment)
    import tensorflow as tf

    from caption_tx.threads import configure_threads

    if configure_threads(cpus) == 1:
        tf.config.threading.set_intra_op_parallelism_threads(cpus)
