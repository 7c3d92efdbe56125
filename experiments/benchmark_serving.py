"""Requests per second and latency of `caption-tx serve`, against a server that answers one image at a time.

COMMAND
    python experiments/benchmark_serving.py --images photos/
    python experiments/benchmark_serving.py --images photos/ --replicas 2

Two servers with the same bundle run in processes of their own: the engine as `caption-tx serve` starts it, and one
worker with batches of one image. Clients are threads of a third process on the same cores; each posts photographs, one
after another, over a connection that stays open. Every level of load is bounded in requests and in time, and the
servers take turns. Afterwards 2,000 more greedy requests from 8 clients measure the memory of the engine's process:
after the first 200 of them, and after all.

HARDWARE  2 cores (AMD EPYC), no GPU, clients included; TensorFlow 2.21.0, uvicorn 0.54.0
TIME      2 minutes

RESULT    flickr8k-zh-small, photographs of Flickr8k

    search                clients   engine                        one at a time                 ratio
                                    requests/s    p50      p95    requests/s    p50      p95
    greedy                      1         27.2     36 ms    41 ms       27.7     36 ms    39 ms   0.99
    greedy                      8         78.7     92 ms   148 ms       29.7    268 ms   288 ms   2.65
    greedy                     32        110.2    284 ms   376 ms       29.6   1064 ms  1120 ms   3.73
    beam 20, consensus 0.4      1         13.0     77 ms    85 ms       13.3     75 ms    83 ms   0.98
    beam 20, consensus 0.4      8         21.6    432 ms   536 ms       14.0    560 ms   627 ms   1.54
    beam 20, consensus 0.4     32         21.2   1499 ms  1793 ms       13.3   2401 ms  2433 ms   1.60

Memory: 1,516 MB after 200 requests, 1,518 MB after 2,000.

A beam of 20 gains little: an image alone is a batch of 20 hypotheses already, so that only its encoding and the second
core become faster.

Replicas on a local Ray cluster, each against the engine in the same run (`--replicas 1`, `--replicas 2`; 2.5 minutes
each, Ray 2.60). Requests/s:

    search                clients   engine   1 replica     engine   2 replicas
                                             of 2 CPUs              of 1 CPU
    greedy                      1     23.9        20.1       23.3         20.0
    greedy                      8     77.2        53.4       73.7         51.9
    greedy                     32     56.9        53.4       93.5         90.0
    beam 20, consensus 0.4      1     11.5        10.5       12.6         11.4
    beam 20, consensus 0.4      8     16.0        14.1       21.9         22.8
    beam 20, consensus 0.4     32     15.9        13.1       19.6         28.3

All share two cores with the clients, so that replicas can gain little here, and the engine's own rates vary by up to
40% between the runs. A batch takes 7 ms longer through Ray. More machines were not measured.
"""

from __future__ import annotations

import argparse
import http.client
import io
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

CLIENTS = (1, 8, 32)
SEARCHES = {"greedy": "?beam_width=1", "the bundle's own": ""}


def run_server(bundle: str, max_batch: int, workers: int | None, replicas: int, connection: Connection) -> None:
    """Serves a bundle on a free port, which it sends through the connection; with replicas, from a Ray cluster."""
    import uvicorn

    from caption_tx.config import ServingOptions
    from caption_tx.serve.models import load_bundles
    from caption_tx.serve.replicas import start_replicas
    from caption_tx.serve.server import server_config
    from caption_tx.serve.service import Service
    from caption_tx.startup import start_tensorflow

    if replicas:
        options = ServingOptions(max_batch=max_batch, ray="local", replicas=replicas)
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            start_replicas([bundle], options, port := listening.getsockname()[1], print) as running,
        ):
            connection.send(port)
            service = Service(running.bundles, options, running.workers, replicas=running)
            uvicorn.Server(server_config(service)).run(sockets=[listening])
        return
    start_tensorflow(parallel_chunks=True)
    options = ServingOptions(max_batch=max_batch)
    bundles = load_bundles([bundle])
    for served in bundles.values():
        served.warm_up(max_batch, lambda text: print(f"  {text}", flush=True))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection.send(listening.getsockname()[1])
        uvicorn.Server(server_config(Service(bundles, options, workers))).run(sockets=[listening])


@dataclass
class Server:
    """A server in a process of its own."""

    process: multiprocessing.process.BaseProcess
    port: int

    @classmethod
    def start(cls, bundle: str, max_batch: int, workers: int | None, replicas: int = 0) -> Server:
        """Starts a server and waits until it listens."""
        context = multiprocessing.get_context("spawn")
        own, other = context.Pipe()
        process = context.Process(target=run_server, args=(bundle, max_batch, workers, replicas, other), daemon=True)
        process.start()
        return cls(process, own.recv())

    def memory(self) -> float:
        """Resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024


def load(
    server: Server, path: str, images: Sequence[bytes], clients: int, requests: int, seconds: float
) -> list[float]:
    """Sends requests from several clients; returns the seconds of each, and the whole time as the last item."""
    lock, numbers, times = threading.Lock(), iter(range(requests)), []
    end = time.perf_counter() + seconds

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while time.perf_counter() < end:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            start = time.perf_counter()
            connection.request("POST", path, images[number % len(images)], {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {body[:200]!r}")
            with lock:
                times.append(time.perf_counter() - start)
        connection.close()

    start = time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [*times, time.perf_counter() - start]


def measure_memory(server: Server, images: Sequence[bytes], requests: int) -> None:
    """Sends greedy requests from 8 clients, and prints the memory after 200 of them and after all."""
    path = f"/v1/captions{SEARCHES['greedy']}"
    load(server, path, images, 8, 200, 60)
    before = server.memory()
    load(server, path, images, 8, requests - 200, 120)
    print(f"memory: {before:.0f} MB after 200 more requests, {server.memory():.0f} MB after {requests:,}")


def read_images(folder: Path | None, count: int = 64) -> list[bytes]:
    """JPEG files of a folder, or rendered scenes of the size of a photograph."""
    if folder is not None:
        return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:count]]
    from caption_tx.serve.examples import example_scenes

    files = []
    for scene in example_scenes().values():
        stream = io.BytesIO()
        scene.resize((500, 375)).save(stream, "jpeg")
        files.append(stream.getvalue())
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="flickr8k-zh-small")
    parser.add_argument("--images", type=Path, help="folder of JPEG files (default: rendered scenes)")
    parser.add_argument("--requests", type=int, default=400, help="most requests of a measurement")
    parser.add_argument("--seconds", type=float, default=6, help="longest time of a measurement")
    parser.add_argument("--memory-requests", type=int, default=2000)
    parser.add_argument("--replicas", type=int, default=0, help="compare with this many replicas on a Ray cluster")
    arguments = parser.parse_args()
    images = read_images(arguments.images)
    servers = {"engine": Server.start(arguments.bundle, 16, None)}
    if count := arguments.replicas:
        other = f"{count} on Ray"
        servers[other] = Server.start(arguments.bundle, 16, None, count)
    else:
        other = "one at a time"
        servers[other] = Server.start(arguments.bundle, 1, 1)
    for name, path in SEARCHES.items():
        print(f"{name}\n{'':10}{'':>16}{'requests/s':>12}{'p50':>10}{'p95':>10}", flush=True)
        for clients in CLIENTS:
            rates = {}
            for label, server in servers.items():
                load(server, f"/v1/captions{path}", images, clients, 2 * clients, 10)
                *times, total = load(
                    server, f"/v1/captions{path}", images, clients, arguments.requests, arguments.seconds
                )
                rates[label] = len(times) / total
                p50, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
                row = f"{clients:>3} clients{label:>16}{rates[label]:>12.1f}{1000 * p50:>7.0f} ms{1000 * p95:>7.0f} ms"
                print(row, flush=True)
            print(f"{'':11}{'ratio':>15}{rates['engine'] / rates[other]:>12.2f}", flush=True)
    if not arguments.replicas:
        measure_memory(servers["engine"], images, arguments.memory_requests)
    for server in servers.values():
        server.process.terminate()
        server.process.join()


if __name__ == "__main__":
    main()
