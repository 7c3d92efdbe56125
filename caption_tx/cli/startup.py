"""Starting TensorFlow quietly, with the threads that a command needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from caption_tx.cli.output import tell


@contextmanager
def silence() -> Iterator[None]:
    """Keeps what C++ writes to stderr while TensorFlow starts from the terminal; errors still raise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def start_tensorflow(in_lanes: bool = False) -> None:
    """In lanes for work that `threads.lanes` divides."""
    with silence():
        import tensorflow as tf

        from caption_tx.threads import configure_threads

        tf.config.list_physical_devices()
        if in_lanes:
            configure_threads()
        tf.zeros(())


def start_tensorflow_without_gpus() -> None:
    """For a process that only waits for others, which may need the GPUs of this machine."""
    with silence():
        import tensorflow as tf

        with suppress(RuntimeError):  # it was in use already
            tf.config.set_visible_devices([], "GPU")


def join_workers() -> None:
    """Starts TensorFlow as one of several workers, which must come before all else that it does."""
    with silence():
        from caption_tx.threads import configure_threads
        from caption_tx.training.distribution import choose, rank_and_world_size
    index, workers = rank_and_world_size()
    if workers == 1:
        start_tensorflow(in_lanes=True)
        return
    tell(f"Worker {index} of {workers} waits until all are started.")
    with silence():
        configure_threads()
        choose()
