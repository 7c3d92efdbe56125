"""Connects to a Ray cluster, plans its resources and translates its errors (extra `ray`)."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from caption_tx.assets import SHIPPED_BUNDLES
from caption_tx.config import NAMED_WEIGHTS, Config
from caption_tx.errors import CaptionTxError, ConfigError

TASK_CPUS = 4
"""CPUs of an encoding task; a node with more encodes several tasks at once."""

TASK_IMAGES = 512
"""Fewest images of a task, if the corpus has that many; also the images of a complete shard of the cache."""

TASKS_PER_SLOT = 4
"""Tasks per slot (CPUs or GPU of one task), so that slots wait only briefly for the slowest."""

TRAINING_CPUS = 8
"""Most CPUs of a training worker: more hardly speed up a small decoder."""

_CONNECT_TIMEOUT = 10
_RESUME = "Run the same command again to resume."


@contextlib.contextmanager
def connect(address: str, what: str, cpus: int = 1, library: str = "ray.train", advice: str = _RESUME) -> Iterator[Any]:
    """Connects to a cluster for the length of the block; yields the module `ray`.

    Args:
        address: "host:6379", "ray://host:10001", "auto" for the cluster of this machine, or "local" to start one.
        what: names the work in errors, e.g. "train".
        cpus: a cluster that "local" starts has at least this many CPUs.
        library: the part of Ray that is used.
        advice: what to do if Ray fails.

    Raises:
        ConfigError: the address is invalid, or Ray is not installed.
        CaptionTxError: the cluster cannot be reached, Ray failed, or a worker raised this error.
    """
    _check_reachable(address)
    try:
        import ray

        failed = getattr(importlib.import_module(library), "TrainingFailedError", ray.exceptions.RayError)
    except ImportError as error:
        raise ConfigError(f'--ray needs Ray: pip install "caption_tx[ray]" ({error}).') from error
    options: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a local cluster sends no usage reports
        options = {"num_cpus": max(os.cpu_count() or 1, cpus), "include_dashboard": False}
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise CaptionTxError(f"Cannot connect to the Ray cluster '{address}': {first_line(error)}.") from error
    try:
        yield ray
    except (ray.exceptions.RayError, failed) as error:
        raise translate_error(error, what, advice) from error
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Fails within seconds if the cluster cannot be reached; Ray itself retries for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(
            f"'{address}' is not the address of a Ray cluster; expected host:6379, ray://host:10001, 'auto' for the "
            "one on this machine, or 'local' to start one."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise CaptionTxError(f"Cannot connect to the Ray cluster '{address}': {error}.") from error


def first_line(error: BaseException) -> str:
    """The first line of one of Ray's errors, without the final period."""
    error = getattr(error, "health_check_failure", error)
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def translate_error(error: Exception, what: str, advice: str = _RESUME) -> CaptionTxError:
    """Turns an error of Ray into one line; the original error, if a worker raised a CaptionTxError."""
    failures = getattr(error, "worker_failures", {}).values()
    # The error of a task is an instance of its cause's class too, but its message is a whole traceback.
    causes = [getattr(error, "cause", None), getattr(error, "controller_failure", None), *failures, error]
    cause = next(cause for cause in causes if cause is not None)
    if isinstance(cause, CaptionTxError):
        return cause
    return CaptionTxError(
        f"Ray could not {what}: {first_line(cause)} ({type(cause).__name__}; see Ray's logs on that machine). {advice}"
    )


def live_nodes(ray: Any) -> list[dict[str, float]]:
    """The resources of each live node, by Ray's names: {"CPU": 16.0, "GPU": 1.0, ..}."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def plan_tasks(images: int, nodes: Sequence[Mapping[str, float]]) -> tuple[int, int, int]:
    """Divides a corpus into tasks: (tasks, CPUs per task, GPUs per task). Nodes with fewer CPUs than a task stay idle.

    Args:
        images: number of images.
        nodes: resources of each node.
    """
    node_cpus = [int(node.get("CPU", 0)) for node in nodes]
    cpus = max(1, min(TASK_CPUS, max(node_cpus, default=0)))
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    slots = gpus or sum(count // cpus for count in node_cpus) or 1
    return max(1, min(TASKS_PER_SLOT * slots, math.ceil(images / TASK_IMAGES))), cpus, int(gpus > 0)


def plan_workers(workers: int, nodes: Sequence[Mapping[str, float]], max_cpus: int = TRAINING_CPUS) -> tuple[int, int]:
    """(CPUs, GPUs) per worker: as many CPUs as fit all workers at once, and a GPU if there is one for each."""
    node_cpus = [int(node.get("CPU", 0)) for node in nodes]
    fitting = [cpus for cpus in range(1, max_cpus + 1) if sum(count // cpus for count in node_cpus) >= workers]
    return max(fitting, default=1), int(sum(node.get("GPU", 0) for node in nodes) >= workers)


def format_resources(cpus: int, gpus: int) -> str:
    """For example "4 CPUs and a GPU"."""
    return f"{cpus} CPU{'s' * (cpus > 1)}{' and a GPU' * gpus}"


def absolute(path: str) -> str:
    """A path for workers, which run in another working folder. Addresses such as gs://bucket do not change."""
    # Not normalized: options may follow a source's path, e.g. `:images=../photos`.
    return path if not path or "://" in path else os.path.join(os.getcwd(), path)


def absolute_bundle(bundle: str) -> str:
    """The same for a bundle; the name of a shipped one does not change."""
    return bundle if bundle in SHIPPED_BUNDLES else absolute(bundle)


def absolute_paths(config: Config) -> Config:
    """The settings with absolute paths."""
    corpus, text, backbone, training = config.corpus, config.text, config.backbone, config.training
    weights = backbone.weights if backbone.weights in NAMED_WEIGHTS else absolute(backbone.weights)
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
        training=dataclasses.replace(
            training,
            cache=training.cache and absolute(training.cache),
            init=training.init and absolute_bundle(training.init),
        ),
    )


def environment_for_workers() -> dict[str, str]:
    """The environment variables that workers need from this process."""
    from caption_tx.data.features.downloads import WEIGHTS_ENV_VAR, weights_variable

    weights = weights_variable()
    return {WEIGHTS_ENV_VAR: os.path.abspath(weights)} if weights else {}


def prepare_worker(environment: Mapping[str, str], cpus: int) -> None:
    """Limits TensorFlow to the CPUs that Ray gave this worker; call it before other uses of TensorFlow."""
    # Ray Train sets this variable for Keras 2, which this package does not use.
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.update(environment)
    import tensorflow as tf

    from caption_tx.threads import configure_threads

    if configure_threads(cpus) == 1:
        tf.config.threading.set_intra_op_parallelism_threads(cpus)
