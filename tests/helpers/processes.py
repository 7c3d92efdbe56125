"""Fixtures that run code in processes of their own, and a Ray cluster; `tests/conftest.py` makes them available."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run_python():
    """Runs code in a new Python process that finds the package; returns the finished process."""

    def run(code: str, *arguments: object, timeout: float = 180) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


class ForkedPython:
    """A process forked from one that has imported TensorFlow; see `fork_server.py`."""

    def __init__(self, server: socket.socket, folder: Path, code: str, arguments: tuple) -> None:
        self._folder, self.arguments = folder, [code, *map(str, arguments)]
        request = {
            "code": code,
            "arguments": self.arguments[1:],
            "environment": dict(os.environ),
            "folder": str(folder),
        }
        server.sendall(f"{json.dumps(request)}\n".encode())

    def wait(self, timeout: float = 180) -> subprocess.CompletedProcess:
        """Waits for the end of the process, which is killed at the timeout."""
        end = time.monotonic() + timeout
        while not (self._folder / "returncode").exists():
            if time.monotonic() > end:
                self.kill()
                raise subprocess.TimeoutExpired(self.arguments, timeout, self._read("stdout"), self._read("stderr"))
            time.sleep(0.02)
        code = int((self._folder / "returncode").read_text())
        return subprocess.CompletedProcess(self.arguments, code, self._read("stdout"), self._read("stderr"))

    def kill(self) -> None:
        """Kills the process if it still runs."""
        if (self._folder / "pid").exists() and not (self._folder / "returncode").exists():
            os.kill(int((self._folder / "pid").read_text()), signal.SIGKILL)

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


@pytest.fixture(scope="session")
def fork_server():
    """The connection to the process that forks others for all test processes; it is started at first use."""
    name = os.environ.get("PYTEST_XDIST_TESTRUNUID", os.getpid())
    address = Path(tempfile.gettempdir(), f"fork-server-{name}")  # not in tmp_path: at most 107 bytes
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, str(Path(__file__).with_name("fork_server.py")), str(address)]
    with socket.socket(socket.AF_UNIX) as connection:
        with FileLock(f"{address}.lock"):
            try:
                connection.connect(str(address))
            except OSError:  # not started, or all that were connected have ended
                address.unlink(missing_ok=True)
                subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
                connection.connect(str(address))
        yield connection


@pytest.fixture(scope="session")
def start_forked(fork_server, tmp_path_factory):
    """Starts code as `run_forked` does; returns the running process."""
    processes = []

    def start(code: str, *arguments: object) -> ForkedPython:
        processes.append(ForkedPython(fork_server, tmp_path_factory.mktemp("process"), code, arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(scope="session")
def run_forked(start_forked):
    """Runs code in a process of its own, in which TensorFlow is imported but has not started; seconds faster than
    `run_python`."""

    def run(code: str, *arguments: object, timeout: float = 180) -> subprocess.CompletedProcess:
        return start_forked(code, *arguments).wait(timeout)

    return run


RAY_CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster of two nodes with one CPU each; it ends with the process that started it."""
    # Not in tmp_path: the path of a socket has at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ray")
    # Ray finds the user's own cluster through a file in its folder, so this test uses another folder.
    environment = os.environ | {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    environment["RAY_worker_niceness"] = "0"  # else its workers starve while other tests run
    command = [sys.executable, "-c", RAY_CLUSTER]
    owner = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        address = owner.stdout.readline().strip()
        assert address, "the cluster did not start"
        yield address
    finally:
        owner.stdin.close()
        try:
            owner.wait(60)
        except subprocess.TimeoutExpired:
            owner.kill()  # Ray ends its other processes
            owner.wait()
        owner.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)
