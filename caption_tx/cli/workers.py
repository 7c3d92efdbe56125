"""Starts TensorFlow in one of several workers."""

from __future__ import annotations

from caption_tx.cli.output import echo
from caption_tx.startup import silenced_stderr, start_tensorflow


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
