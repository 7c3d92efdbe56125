"""Starts TensorFlow without its log lines, with the threads that a command needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from caption_tx.cli.output import echo


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discards what C++ code writes to stderr while TensorFlow starts; Python errors are still raised."""
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


def start_tensorflow(parallel_chunks: bool = False) -> None:
    """Starts TensorFlow.

    Args:
        parallel_chunks: give each operation one core, for work that is divided into parallel chunks.
    """
    with silenced_stderr():
        import tensorflow as tf

        from caption_tx.threads import configure_threads

        tf.config.list_physical_devices()
        if parallel_chunks:
            configure_threads()
        tf.zeros(())


def start_tensorflow_without_gpus() -> None:
    """Starts TensorFlow in a process that only waits for others, which may need the GPUs of this machine."""
    with silenced_stderr():
        import tensorflow as tf

        with suppress(RuntimeError):  # TensorFlow was already initialized.
            tf.config.set_visible_devices([], "GPU")


def join_workers() -> None:
    """Starts TensorFlow as one of several workers, which must precede any other use of it."""
    with silenced_stderr():
        from caption_tx.threads import configure_threads
        from caption_tx.training.distribution import make_distribution, rank_and_world_size
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        start_tensorflow(parallel_chunks=True)
        return
    echo(f"Worker {rank} of {world_size} is waiting for the others.")
    with silenced_stderr():
        configure_threads()
        make_distribution()
