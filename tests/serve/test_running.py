"""A running server: clients that go away, and the end of the process."""

import os
import signal
import socket
import threading
import time
import urllib.request
from urllib.parse import urlsplit

import httpx
import pytest


@pytest.fixture
def slow(service, monkeypatch):
    """Batches wait until the returned event is set."""
    [bundle] = service.bundles.values()
    gate, answer = threading.Event(), bundle.answer

    def wait(jobs):
        gate.wait(10)
        return answer(jobs)

    monkeypatch.setattr(bundle, "answer", wait)
    yield gate
    gate.set()


def wait_until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_client_that_goes_away_frees_its_slot(address, service, picture, slow):
    data, where = picture(), urlsplit(address)
    head = (
        f"POST /v1/captions HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: image/png\r\nContent-Length: {len(data)}"
    )
    connections = [socket.create_connection((where.hostname, where.port)) for _ in range(4)]
    for connection in connections:
        connection.sendall(head.encode() + b"\r\n\r\n" + data)
    wait_until(lambda: service._in_progress == 4)
    for connection in connections:
        connection.close()
    wait_until(lambda: service._in_progress == 0)
    assert not slow.is_set()  # no answer was waited for
    assert all(job.future.cancelled() for job in service.engine._waiting)


def test_the_server_drains(service, run_server, picture, slow):
    answers = []
    with run_server(service) as address:
        url = f"{address}/v1/captions"
        files = {"image": ("a.png", picture(), "image/png")}
        thread = threading.Thread(target=lambda: answers.append(httpx.post(url, files=files, timeout=20)))
        thread.start()
        wait_until(lambda: service._in_progress == 1)
        threading.Timer(0.3, slow.set).start()
    thread.join(10)
    assert [answer.status_code for answer in answers] == [200]


COMMAND = """
import sys
from caption_tx.cli import main

sys.exit(main(["serve", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_the_command_listens_and_ends_with_a_signal(start_forked, one_layer_bundle):
    process = start_forked(COMMAND, "--bundle", one_layer_bundle, "--port", 0, "--max-batch", 1)
    wait_until(lambda: "Listening on" in process._read("stdout") or process._read("stderr"), 90)
    text = process._read("stdout")
    assert "searches compiled for batches of up to 1 in" in text
    address = text.split("Listening on ")[1].split()[0]
    with urllib.request.urlopen(f"{address}healthz", timeout=10) as response:
        assert response.status == 200
    os.kill(int((process._folder / "pid").read_text()), signal.SIGTERM)
    finished = process.wait(30)
    assert finished.returncode == 0 and "All requests are answered" in finished.stdout, finished.stderr
