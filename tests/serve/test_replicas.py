"""Replicas on a Ray cluster: one is killed under load, and errors at the start are one line."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from caption_tx.cli import main
from caption_tx.config import ServingOptions
from caption_tx.errors import BundleError, ConfigError, ImageError
from caption_tx.serve.problems import HttpError
from caption_tx.serve.replicas import Replicas, check_digests, reason_of

PNG = {"Content-Type": "image/png"}

COMMAND = """
import sys
from caption_tx.cli import main

sys.exit(main(["serve", *sys.argv[1:]]))
"""


def processes(name, ancestor):
    """The processes of this name that descend from another, or were started by one of its descendants."""
    found, parents = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue

    def descends(pid):
        while pid and pid != ancestor:
            pid = parents.get(pid, 0)
        return bool(pid)

    return [pid for pid, command in found.items() if name in command and descends(pid)]


def wait_until(condition, seconds, process=None):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, process and (process._read("stdout"), process._read("stderr"))
        time.sleep(0.05)
    return result


@pytest.mark.slow
def test_a_replica_that_is_killed_loses_no_request(start_forked, cluster, one_layer_bundle, picture):
    """Two replicas on two nodes; one is killed while both hold a batch. The command ends, and the cluster stays."""
    import caption_tx

    process = start_forked(
        COMMAND, "--bundle", one_layer_bundle, "--port", 0, "--max-batch", 1, "--ray", cluster, "--replicas", 2
    )
    captioner, pictures = caption_tx.load(one_layer_bundle), [picture(seed) for seed in range(8)]
    expected = [captioner.caption(data).log_probability for data in pictures]
    assert len(np.unique(np.round(expected, 3))) == len(pictures)
    wait_until(lambda: "Listening on" in process._read("stdout") or process._read("stderr"), 90, process)
    address = process._read("stdout").split("Listening on ")[1].split()[0]
    ended, wrong, answers = threading.Event(), [], []

    def ask(number, search=""):
        response = httpx.post(f"{address}v1/captions{search}", content=pictures[number], headers=PNG, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()["images"][0]["captions"][0]["log_probability"]

    def ask_often(number):
        while not ended.is_set():
            number = (number + 3) % len(pictures)
            found = ask(number)
            (answers if found == pytest.approx(expected[number], abs=2e-3) else wrong).append(found)

    with ThreadPoolExecutor(6) as clients, contextlib.ExitStack() as stack:
        stack.callback(ended.set)  # also after an error: leaving the pool waits for its threads
        asking = [clients.submit(ask_often, number) for number in range(4)]
        wait_until(lambda: len(answers) > 20, 60)
        # Each replica compiles another search meanwhile, so that the requests of all others wait.
        held = [clients.submit(ask, number, "?beam_width=3") for number in range(2)]
        wait_until(lambda: httpx.get(f"{address}healthz").json()["waiting"] == len(asking), 60)
        killed, other = processes("ray::ServeReplica", os.getpid())
        time.sleep(0.3)
        os.kill(killed, signal.SIGKILL)
        first = [future.result() for future in held]
        wait_until(lambda: set(processes("ray::ServeReplica", os.getpid())) - {killed, other}, 30)
        wait_until(lambda: httpx.get(f"{address}healthz").json()["replicas"] == 2, 60)
        assert [ask(number, "?beam_width=3") for number in range(2)] == pytest.approx(first, abs=2e-3)
        ended.set()
        for future in asking:
            future.result()
    metrics = httpx.get(f"{address}metrics").text
    assert not wrong and first[0] != pytest.approx(first[1], abs=2e-3)
    assert "caption_tx_retried_images_total 1.0" in metrics and "caption_tx_replicas 2.0" in metrics
    os.kill(int((process._folder / "pid").read_text()), signal.SIGTERM)
    finished = process.wait(60)
    assert finished.returncode == 0 and "All requests are answered" in finished.stdout, finished.stderr
    assert "A replica was lost with 1 image" in finished.stdout and "2 of 2 replicas are running." in finished.stdout
    assert not processes("ray::ServeReplica", os.getpid())
    assert len(processes("raylet/raylet", os.getpid())) == 2


def rejected(arguments, capsys):
    assert main(["serve", "--port", "0", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_cluster_that_cannot_be_reached_is_a_clear_error(capsys):
    with socket.socket() as unused:  # bound, but not listening
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        message = f"Cannot connect to the Ray cluster '{address}': [Errno"
        assert message in rejected(["--ray", address, "--replicas", "2"], capsys)
    assert "'somewhere' is not the address of" in rejected(["--ray", "somewhere", "--replicas", "2"], capsys)


@pytest.mark.parametrize("missing", ["ray", "ray.serve"])
def test_without_the_extra(missing, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    assert 'pip install "caption_tx[ray]"' in rejected(["--ray", "local", "--replicas", "1"], capsys)


def test_ray_and_replicas_belong_together(capsys):
    assert "replicas requires ray" in rejected(["--replicas", "2"], capsys)
    assert "ray requires replicas" in rejected(["--ray", "local"], capsys)
    assert "start the server on a machine of the" in rejected(["--ray", "ray://head:10001", "--replicas", "2"], capsys)
    with pytest.raises(ConfigError, match="replicas must be at least 1, got 0"):
        ServingOptions(ray="local", replicas=0)


class FakeHandle:
    """Answers calls with what is given, or raises it."""

    def __init__(self, *outcomes):
        self.outcomes, self.calls, self.cancelled = list(outcomes), [], 0

    def remote(self, bundle, questions):
        self.calls.append((bundle, questions))
        return SimpleNamespace(result=self.result, cancel=self.cancel)

    def result(self, timeout_s):
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def cancel(self):
        self.cancelled += 1


@pytest.fixture
def replicas_with():
    """Replicas whose calls have given outcomes; with their handle, the lines of their log, and the retried images."""

    def make(*outcomes):
        replicas = Replicas.__new__(Replicas)  # without a cluster
        handle, lines, retried = FakeHandle(*outcomes), [], []
        replicas._ask, replicas._log, replicas._retried = handle, lines.append, retried.append
        return replicas, handle, lines, retried

    return make


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # Ray Serve 2.60
def test_a_batch_is_sent_to_another_replica_once(replicas_with):
    errors = pytest.importorskip("ray.exceptions")
    lost = errors.ActorDiedError()
    replicas, handle, lines, retried = replicas_with(lost, ["a", "b"])
    assert replicas.answer("mine", [1, 2]) == ["a", "b"]
    assert handle.calls == [("mine", [1, 2])] * 2 and retried == [2]
    assert len(lines) == 1 and lines[0].startswith("A replica was lost with 2 images; another one answers them: ")

    replicas, handle, lines, retried = replicas_with(lost, errors.ActorUnavailableError("gone\nat once", None), ["a"])
    [problem] = replicas.answer("mine", [1])
    assert isinstance(problem, HttpError) and problem.status == 503 and problem.headers["Retry-After"]
    assert "Two replicas were lost" in str(problem) and "\n" not in str(problem)
    assert len(handle.calls) == 2 and retried == [1]


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # Ray Serve 2.60
def test_other_failures_are_not_retried(replicas_with):
    errors = pytest.importorskip("ray.exceptions")
    replicas, handle, *_ = replicas_with(errors.RayTaskError("answer", "a whole traceback", ImageError("damaged")))
    with pytest.raises(ImageError, match=r"^damaged$"):
        replicas.answer("mine", [1])
    assert len(handle.calls) == 1

    replicas, handle, *_ = replicas_with(TimeoutError())
    problems = replicas.answer("mine", [1, 2])
    assert [problem.status for problem in problems] == [503, 503] and handle.cancelled == 1


def test_why_a_replica_cannot_start():
    message = (
        "A replica failed to start with exception. Retrying 1 more time(s). Error:\nray::ServeReplica() (pid=1)\n"
        "  raise\ncaption_tx.errors.BundleError: No bundle in /mine\x1b: there is no such folder.\nmore\n"
    )
    assert reason_of(message) == "No bundle in /mine\\x1b: there is no such folder."
    assert reason_of("Error:\nModuleNotFoundError: No module named 'caption_tx'\n").startswith("ModuleNotFoundError")
    assert reason_of("") == "unknown"


def test_another_bundle_under_the_same_path_is_rejected():
    check_digests({"mine": "a", "zh": "b"}, {"mine": "a", "zh": "b"})
    with pytest.raises(BundleError, match=r"The bundle 'zh' on .* differs from that of the server"):
        check_digests({"mine": "a", "zh": "c"}, {"mine": "a", "zh": "b"})
