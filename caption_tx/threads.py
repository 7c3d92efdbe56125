"""How TensorFlow uses the cores of the processor: operations side by side, or each operation divided.

The operations of a small decoder are so short that dividing each of them among cores wastes a fifth of the time
(experiments/benchmark_training.py). If the work itself can be divided into parallel chunks, one core per
chunk is faster.
"""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from caption_tx.cores import count_cores

MAX_CHUNKS = 4
"""Most parallel chunks of a batch: each needs gradients of its own, and its matrix products must stay large."""

MAX_CORES = 2 * MAX_CHUNKS
"""With more cores than this TensorFlow keeps its own threads, since the chunks would not occupy them.

Parallel chunks were measured on two cores only.
"""

_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

_chunks = 1


def choose_chunks(cores: int, threads_are_set: bool = False, has_gpu: bool = False) -> int:
    """Into how many parallel chunks to divide work; 1 leaves TensorFlow's threads unchanged.

    Args:
        cores: cores of this process.
        threads_are_set: whether the user configured TensorFlow's threads.
        has_gpu: whether TensorFlow sees a GPU.
    """
    if threads_are_set or has_gpu or not 1 < cores <= MAX_CORES:
        return 1
    return min(cores, MAX_CHUNKS)


def configure_threads(cores: int | None = None) -> int:
    """Gives each TensorFlow operation one core, if work can be divided instead; returns `parallel_chunks()`.

    Call it before TensorFlow computes anything; a later call has no effect. The command line calls it before it
    trains or encodes. TensorFlow's threads do not change on a machine with a GPU, one core, or more than `MAX_CORES`,
    or if they were set in the environment (`TF_NUM_INTRAOP_THREADS`, `TF_NUM_INTEROP_THREADS`) or by
    `tf.config.threading`.

    Args:
        cores: cores of this process, at least 1; by default all that it may use.
    """
    global _chunks
    threading = tf.config.threading
    threads_are_set = bool(
        threading.get_intra_op_parallelism_threads()
        or threading.get_inter_op_parallelism_threads()
        or any(os.environ.get(name) for name in _VARIABLES)
    )
    cores = count_cores() if cores is None else cores
    chunks = choose_chunks(cores, threads_are_set, bool(tf.config.list_physical_devices("GPU")))
    if chunks == 1:
        return _chunks
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(cores)
    except RuntimeError:  # TensorFlow has already started
        return _chunks
    _chunks = chunks
    return _chunks


def parallel_chunks() -> int:
    """Into how many parallel chunks this process should divide its work: 1 unless `configure_threads` raised it."""
    return _chunks


def without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset with autotuning off, so that it keeps the parallelism it was built with.

    TensorFlow tunes in a thread that wakes up ever less often, down to once a minute. Releasing an iterator may have
    to wait for that thread, which took a third of each epoch of 20 seconds.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def has_fast_bfloat16(flags: str | None = None) -> bool:
    """Whether matrix products are faster in bfloat16 than in float32, on every GPU or else on the processor.

    This is true of NVIDIA GPUs from compute capability 8.0 on, and of processors with AVX512_BF16 or AMX_BF16. False
    if the processor's features are unknown; Linux lists them in /proc/cpuinfo.

    Args:
        flags: features of the processor, separated by spaces; None reads /proc/cpuinfo.
    """
    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(facts.get("compute_capability", (0, 0)) >= (8, 0) for facts in details)
    if flags is None:
        try:
            flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags.split())
