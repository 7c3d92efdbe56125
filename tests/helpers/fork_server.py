"""A Python process that imports TensorFlow once and forks a child for each request, which saves seconds per process.

All test processes connect to it at a Unix socket, and it ends when the last one closes its connection. Requests are
JSON lines: {"code", "arguments", "environment", "folder"}. The child writes `stdout` and `stderr` into the folder;
`pid` and, at the end, `returncode` appear there too.
"""

import json
import os
import select
import signal
import socket
import sys
from pathlib import Path


def run(request: dict) -> None:
    """Runs the code in this process, as `python -c` does."""
    folder = Path(request["folder"])
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, folder / "stdout", os.O_WRONLY | os.O_CREAT),
        (2, folder / "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["-c", *request["arguments"]]
    exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})


def supervise(request: dict) -> bool:
    """Forks the child and writes its return code; returns True in the child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(request["folder"])
    pid = os.fork()
    if pid == 0:
        return True
    (folder / "pid").write_text(str(pid))
    _, status = os.waitpid(pid, 0)
    (folder / "returncode.tmp").write_text(str(os.waitstatus_to_exitcode(status)))
    os.rename(folder / "returncode.tmp", folder / "returncode")
    os._exit(0)


def listen(address: str) -> socket.socket | None:
    """Continues in a process of its own, which listens at a Unix socket; returns None in the first process."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    if os.fork():
        return None
    os.setsid()
    return server


def serve(server: socket.socket) -> dict | None:
    """Forks for each request; returns the request in a child, and None in the server when nobody is connected."""
    import tensorflow  # noqa: F401

    import caption_tx.cli
    import caption_tx.training.fit
    import caption_tx.training.tuning.tune  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors leave no zombies
    unread = {}  # by connection
    while True:
        ready, _, _ = select.select([server, *unread], [], [])
        for connection in ready:
            if connection is server:
                unread[server.accept()[0]] = b""
                continue
            data = connection.recv(2**16)
            *lines, unread[connection] = (unread[connection] + data).split(b"\n")
            for line in lines:
                if os.fork() == 0:
                    for other in (server, *unread):
                        other.close()
                    request = json.loads(line)
                    if supervise(request):
                        return request
            if not data:
                del unread[connection]
                connection.close()
        if not unread:
            return None


if __name__ == "__main__":
    address = sys.argv[1]
    server = listen(address)
    if server is not None:
        request = serve(server)
        if request is not None:
            run(request)
        else:
            os.unlink(address)
            os.unlink(f"{address}.lock")
