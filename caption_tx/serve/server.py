"""Runs the server: loads bundles, compiles their searches, listens, and drains when it is told to end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from caption_tx.config import ServingOptions
from caption_tx.errors import CaptionTxError
from caption_tx.serve.app import make_app
from caption_tx.serve.guard import BODY_SECONDS
from caption_tx.serve.models import load_bundles, name_bundles
from caption_tx.serve.replicas import start_replicas
from caption_tx.serve.runs import TrainingRun
from caption_tx.serve.service import Service
from caption_tx.startup import start_tensorflow

MAX_CONNECTIONS = 256
"""Connections beyond these are told to try again."""

DRAIN_SECONDS = 30
"""How long requests in progress may take after SIGTERM."""

_IDLE_SECONDS = 15


def serve(
    bundles: Sequence[str] | None = None,
    options: ServingOptions | None = None,
    log: Callable[[str], None] = print,
    backbone_weights: str | None = None,
    run: str | Path | None = None,
) -> None:
    """Serve bundles, and a training run, over HTTP until the process gets SIGTERM or SIGINT.

    Requests in progress are then answered, and new ones are not accepted.

    Args:
        bundles: folders of bundles or runs, or names of shipped ones; the first is the default. None serves the bundle
            that `caption_tx.load` chooses, or that of the run alone.
        options: where to listen, who may use the server, and its limits.
        log: gets lines of text.
        backbone_weights: as for `caption_tx.load`.
        run: workdir of a run to show, which may be training. Its bundle is served too, if it has one.

    Raises:
        BundleError: a bundle is missing or damaged.
        ConfigError: the options do not fit the bundles, or Ray is not installed.
        CaptionTxError: the address cannot be listened on, the Ray cluster cannot be reached, or its replicas cannot
            start.

    Example:
        >>> serve(["flickr8k-zh"], ServingOptions(port=8000))  # doctest: +SKIP
    """
    options = options or ServingOptions()
    shown = None if run is None else TrainingRun(run, backbone_weights)
    if shown is not None:
        bundles = [*([str(shown.folder)] if shown.has_bundle else []), *(bundles or ())]
    with _listen(options) as listening:  # before the bundles are loaded, which takes a while
        if options.ray is None:
            start_tensorflow(parallel_chunks=True)
            served = load_bundles(name_bundles(bundles, backbone_weights, log), backbone_weights)
            for bundle in served.values():
                bundle.warm_up(options.max_batch, log)
            _answer_requests(Service(served, options, run=shown), listening, log)
        else:
            with start_replicas(bundles, options, listening.getsockname()[1], log, backbone_weights) as replicas:
                service = Service(replicas.bundles, options, replicas.workers, shown, replicas)
                _answer_requests(service, listening, log)
        log("All requests are answered; the server has ended.")


def _answer_requests(service: Service, listening: socket.socket, log: Callable[[str], None]) -> None:
    """Answer requests until the process is told to end."""
    if service.font.problem:
        log(service.font.problem)
    log(f"Listening on {address(service.options, listening)}{'' if service.run is None else 'run'} (Ctrl+C ends it).")
    try:
        with _signals_end_the_server():
            uvicorn.Server(server_config(service)).run(sockets=[listening])
    finally:
        service.close()


def server_config(service: Service) -> uvicorn.Config:
    """How the app of a service runs."""
    return uvicorn.Config(
        make_app(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(DRAIN_SECONDS, BODY_SECONDS),
    )


@contextmanager
def _signals_end_the_server() -> Iterator[None]:
    """uvicorn drains on a signal and then raises it again, which would end the process before it has closed."""
    is_main = threading.current_thread() is threading.main_thread()  # others get no signals
    numbers = (signal.SIGTERM, signal.SIGINT) if is_main else ()
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _listen(options: ServingOptions) -> socket.socket:
    """A listening socket.

    Raises:
        CaptionTxError: the address is taken, or not one of this machine.
    """
    host = options.host.strip("[]")
    try:
        family, *_, where = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
        return listening
    except OSError as error:
        raise CaptionTxError(
            f"Cannot listen on {options.host} port {options.port}: {error.strerror or error}; choose another with "
            "host or port (--host, --port)."
        ) from error


def address(options: ServingOptions, listening: socket.socket) -> str:
    """The address of the page."""
    host = options.host.strip("[]")
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
