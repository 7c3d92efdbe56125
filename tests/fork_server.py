"""A Python process that imports TensorFlow once and forks a child for each request, which saves seconds per process.

Requests are JSON lines on stdin: {"code", "arguments", "environment", "folder"}. The child writes `stdout` and `stderr`
into the folder; `pid` and, at the end, `returncode` appear there too.
"""

import json
import os
import signal
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


def serve() -> dict | None:
    """Forks for each request; returns the request in a child, and None in the server at the end of stdin."""
    import tensorflow  # noqa: F401

    import caption_tx.cli
    import caption_tx.training.fit
    import caption_tx.training.tuning.tune  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors leave no zombies
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if os.fork() == 0 and supervise(request):
            return request
    return None


if __name__ == "__main__":
    request = serve()
    if request is not None:
        run(request)
