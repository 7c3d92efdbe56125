"""Starts TensorFlow without the lines that its C++ code writes to standard error."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VERBOSE_ENV_VAR = "CAPTION_TX_VERBOSE"
"""Environment variable; if it is set, TensorFlow writes its log lines to standard error."""

_lock = threading.RLock()


def is_verbose() -> bool:
    """Whether the user asked for the log lines of TensorFlow."""
    return os.environ.get(VERBOSE_ENV_VAR, "0") not in ("", "0")


def silence_tensorflow() -> None:
    """Turns the log lines of TensorFlow off, unless the user asked for them. It reads this when it is imported."""
    if not is_verbose():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def silence_tqdm() -> None:
    """Turns off the advice of tqdm to install ipywidgets: without them, its bars in notebooks are text."""
    warnings.filterwarnings("ignore", "IProgress not found")


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discards what C++ code writes to file descriptor 2, unless the user asked for it. Python errors are still raised.

    What other threads write to the descriptor meanwhile is lost too.
    """
    if is_verbose():
        yield
        return
    with _lock:
        with suppress(AttributeError, OSError, ValueError):  # a notebook without standard error
            sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # the descriptor is closed
            yield
            return
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(null)


def start_tensorflow(parallel_chunks: bool = False) -> None:
    """Starts TensorFlow; a later call has no effect.

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
