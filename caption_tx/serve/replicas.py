"""Captions computed by replicas of the bundles on a Ray cluster, through Ray Serve (extra `ray`).

This process listens, checks, decodes images and forms batches as without Ray; a worker of its engine sends its batch to
a replica instead of computing it. Ray Serve places the replicas, checks them, and replaces those that are lost. Its own
HTTP proxy is off: it reads whole bodies of any size, and answers 500 for a lost replica.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from caption_tx.config import ServingOptions
from caption_tx.errors import BundleError, CaptionTxError
from caption_tx.escaping import one_line
from caption_tx.inference.captioner import ImageCaptioner
from caption_tx.serve.engine import MAX_WORKERS, Job
from caption_tx.serve.models import Answer, Question, ServedBundle, load_bundles, load_captioners, name_bundles
from caption_tx.serve.problems import HttpError
from caption_tx.startup import start_tensorflow_without_gpus
from caption_tx.training.ray import cluster as ray_cluster

ANSWER_SECONDS = 120
"""Longest time of a batch, which may include the start of a replica."""

DRAIN_SECONDS = 30
"""How long a replica may take for its batches when it is told to end."""

_ADVICE = "Run the same command again."
_HEALTH_SECONDS = 5
_POLL_SECONDS = 0.5
_DEPLOYMENT = "captions"
_EXPECTED_ERROR = re.compile(r"caption_tx\.errors\.\w+: (.+)")


@dataclass(frozen=True)
class ReplicaSettings:
    """What a replica needs to know.

    Attributes:
        bundles: names and paths of bundles, as for `load_bundles`.
        digests: of each bundle of the server, by the name that clients use.
        backbone_weights: as for `caption_tx.load`.
        max_batch: most images in a batch.
        cpus: which Ray reserves for the replica.
        gpus: the same.
        environment: variables to set.
    """

    bundles: tuple[str, ...]
    digests: Mapping[str, str]
    backbone_weights: str | None
    max_batch: int
    cpus: int
    gpus: int
    environment: Mapping[str, str]

    @property
    def workers(self) -> int:
        """Batches to compute at the same time: one per CPU, or one on a GPU."""
        return 1 if self.gpus else min(self.cpus, MAX_WORKERS)


class Replica:
    """A process with the bundles, which Ray Serve starts on a node.

    Raises:
        BundleError: a bundle is missing, damaged, or differs from that of the server.
    """

    def __init__(self, settings: ReplicaSettings) -> None:
        ray_cluster.prepare_worker(settings.environment, settings.cpus)
        self._bundles = load_bundles(settings.bundles, settings.backbone_weights)
        check_digests({name: bundle.captioner.digest for name, bundle in self._bundles.items()}, settings.digests)
        for bundle in self._bundles.values():
            bundle.warm_up(settings.max_batch, print)
        self._workers = ThreadPoolExecutor(settings.workers, "caption-tx-replica")
        self._begun: dict[object, float] = {}

    async def answer(self, bundle: str, questions: Sequence[Question]) -> list[Answer | Exception]:
        """The answers of a batch."""
        served, key = self._bundles[bundle], object()
        self._begun[key] = time.monotonic()
        jobs = [Job(served, question) for question in questions]
        try:
            return await asyncio.get_running_loop().run_in_executor(self._workers, served.answer, jobs)
        finally:
            del self._begun[key]

    async def check_health(self) -> None:
        """Ray Serve calls this, and replaces a replica that fails or does not answer."""
        if self._begun and time.monotonic() - min(self._begun.values()) > ANSWER_SECONDS:
            raise RuntimeError(f"A batch takes more than {ANSWER_SECONDS} seconds.")


def check_digests(own: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Reject bundles that differ from those of the server, such as an older copy on another machine.

    Raises:
        BundleError: one differs.
    """
    for name, digest in expected.items():
        if own[name] != digest:
            raise BundleError(
                f"The bundle '{name}' on {socket.gethostname()} differs from that of the server; copy it there."
            )


class Replicas:
    """The replicas of one server.

    Attributes:
        bundles: what the server needs to know of each bundle; their answers are those of replicas.
        workers: batches that all replicas compute at the same time.
        running: number of replicas that can answer.

    Args:
        count: number of replicas.
        name: of the application of Ray Serve.
        settings: of each replica.
        captioners: the loaded bundles by name; their backbones are not used.
        log: gets lines of text.
    """

    def __init__(
        self,
        count: int,
        name: str,
        settings: ReplicaSettings,
        captioners: Mapping[str, ImageCaptioner],
        log: Callable[[str], None],
    ) -> None:
        from ray import serve

        self.workers, self.running = count * settings.workers, 0
        self.bundles = {name: _RemoteBundle(name, captioner, self) for name, captioner in captioners.items()}
        self._serve, self._name, self._count, self._log = serve, name, count, log
        self._retried: Callable[[int], None] = lambda images: None
        self._closed = threading.Event()
        deployment = serve.deployment(
            Replica,
            name=_DEPLOYMENT,
            num_replicas=count,
            max_ongoing_requests=settings.workers,
            ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
            health_check_period_s=_HEALTH_SECONDS,
            graceful_shutdown_timeout_s=DRAIN_SECONDS,
            graceful_shutdown_wait_loop_s=0.2,
        )
        target = serve.RunTarget(deployment.bind(settings), name, route_prefix=None)
        [handle] = serve.run_many([target], wait_for_applications_running=False)
        self._ask = handle.answer
        self._watcher = threading.Thread(target=self._watch, name="caption-tx-replicas", daemon=True)

    def measure(self, registry: CollectorRegistry) -> None:
        """Adds the metrics of the replicas."""
        gauge = Gauge("caption_tx_replicas", "Replicas that can answer.", registry=registry)
        gauge.set_function(lambda: self.running)
        retried = Counter("caption_tx_retried_images", "Images whose replica was lost.", registry=registry)
        self._retried = retried.inc

    def answer(self, bundle: str, questions: Sequence[Question]) -> list[Answer | Exception]:
        """The answers of one replica; of a second one if the first is lost.

        Raises:
            Exception: what the replica raised.
        """
        from ray.exceptions import RayError, RayTaskError
        from ray.serve.exceptions import RayServeException

        for is_retry in (False, True):
            response = self._ask.remote(bundle, questions)
            try:
                return response.result(timeout_s=ANSWER_SECONDS)
            except RayTaskError as error:
                raise error.cause from None  # its own message is a whole traceback
            except TimeoutError:
                response.cancel()
                problem = HttpError(
                    "no_answer", f"No replica answered within {ANSWER_SECONDS} seconds; try again later."
                )
                break
            except (RayError, RayServeException) as error:
                reason = one_line(ray_cluster.first_line(error))
                if not is_retry:
                    images = f"{len(questions)} image{'s' * (len(questions) > 1)}"
                    self._log(f"A replica was lost with {images}; another one answers them: {reason}.")
                    self._retried(len(questions))
                problem = HttpError(
                    "no_answer", f"Two replicas were lost, one after the other: {reason}; try again later."
                )
        return [problem] * len(questions)

    def wait(self) -> None:
        """Wait until all replicas have started, then watch them.

        Raises:
            CaptionTxError: a replica cannot start.
        """
        reported = ""
        while self.running < self._count:
            self.running, status, message = self._status()
            failed = "failed to start" in message
            if failed or status in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise CaptionTxError(f"A replica cannot start: {reason_of(message)}")
            if message and message != reported:
                self._log(one_line(message.splitlines()[0]))
                reported = message
            time.sleep(_POLL_SECONDS)
        self._watcher.start()

    def _status(self) -> tuple[int, str, str]:
        """Running replicas, status, and a message for people."""
        application = self._serve.status().applications[self._name]
        deployment = application.deployments.get(_DEPLOYMENT)
        if deployment is None:
            return 0, application.status.value, application.message
        running = sum(count for state, count in deployment.replica_states.items() if state == "RUNNING")
        return running, deployment.status.value, deployment.message

    def _watch(self) -> None:
        """Reports replicas that are lost and that return."""
        while not self._closed.wait(_POLL_SECONDS):
            with suppress(Exception):  # Ray Serve itself may be restarting
                running, *_ = self._status()
                if running != self.running:
                    self.running = running
                    self._log(f"{running} of {self._count} replicas are running.")

    def close(self) -> None:
        """End the replicas, once they have answered."""
        self._closed.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self._serve.delete(self._name)


class _RemoteBundle(ServedBundle):
    """A bundle whose answers are computed by replicas."""

    def __init__(self, name: str, captioner: ImageCaptioner, replicas: Replicas) -> None:
        super().__init__(name, captioner)
        self._replicas = replicas

    def answer(self, jobs: Sequence[Job[Answer]]) -> list[Answer | Exception]:
        """See `Replicas.answer`."""
        return self._replicas.answer(self.name, [job.question for job in jobs])


def reason_of(message: str) -> str:
    """Why a replica cannot start, from a message of Ray Serve that contains a traceback."""
    expected = _EXPECTED_ERROR.findall(message)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return one_line(expected[-1] if expected else (lines or ["unknown"])[-1])


@contextmanager
def start_replicas(
    bundles: Sequence[str] | None,
    options: ServingOptions,
    port: int,
    log: Callable[[str], None],
    backbone_weights: str | None = None,
) -> Iterator[Replicas]:
    """Starts replicas on the cluster of `options.ray`; they end with the block, and so does a cluster that it started.

    Args:
        bundles: as for `name_bundles`; other nodes must find them under the same path.
        port: of the server; with the name of this machine it identifies its application.
        log: gets lines of text.
        backbone_weights: as for `caption_tx.load`.

    Raises:
        BundleError: a bundle is missing or damaged.
        ConfigError: the address is invalid, or Ray is not installed.
        CaptionTxError: the cluster cannot be reached, or a replica cannot start.
    """
    count, start = options.replicas, time.perf_counter()
    weights = backbone_weights and ray_cluster.absolute(backbone_weights)
    with ray_cluster.connect(options.ray, "serve", count, "ray.serve", _ADVICE) as ray:
        start_tensorflow_without_gpus()
        bundles = tuple(map(ray_cluster.absolute_bundle, name_bundles(bundles, weights, log)))
        captioners = load_captioners(bundles, weights)
        nodes = ray_cluster.live_nodes(ray)
        cpus, gpus = ray_cluster.plan_workers(count, nodes, MAX_WORKERS)
        log(f"Ray starts replicas: {count}, {ray_cluster.format_resources(cpus, gpus)} each.")
        if sum(int(node.get("CPU", 0)) for node in nodes) < count:
            log("The cluster has too few CPUs now; serving begins once it has enough.")
        settings = ReplicaSettings(
            bundles,
            {name: captioner.digest for name, captioner in captioners.items()},
            weights,
            options.max_batch,
            cpus,
            gpus,
            ray_cluster.environment_for_workers(),
        )
        name = f"caption-tx-{socket.gethostname()}-{port}"
        _start_ray_serve(name, log)
        replicas = Replicas(count, name, settings, captioners, log)
        try:
            replicas.wait()
            log(f"The replicas loaded the bundles and compiled their searches in {time.perf_counter() - start:.0f} s.")
            yield replicas
        finally:
            replicas.close()


def _start_ray_serve(name: str, log: Callable[[str], None]) -> None:
    """Connects to Ray Serve, or starts it without its HTTP proxy; removes what a killed server left."""
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    serve.start(proxy_location="Disabled")
    if name in serve.status().applications:
        log("Removing the replicas of an earlier server on this port, which was killed.")
        serve.delete(name)
