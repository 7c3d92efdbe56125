"""What the processor can do, and how TensorFlow shares its cores: operations side by side, or each divided.

The operations of a decoder of this size are so small that dividing each among cores gives a fifth of the time away
(experiments/benchmark_training.py). Where the work itself can be divided, each part had better have one core.
"""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

MAX_CHUNKS = 4
"""Parts of a batch at most: each part needs a gradient of its own, and its products must stay large."""

MAX_CORES = 2 * MAX_CHUNKS
"""More cores are left to TensorFlow, as lanes would not occupy them. Nobody has measured lanes on more than two."""

_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

_lanes = 1


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def configure_threads(cores: int | None = None) -> int:
    """Gives each operation of this process one core, if nobody chose otherwise, and returns `lanes()`.

    The command line does so before it trains or encodes. It holds for all that TensorFlow does in the process, and must
    come before it computes anything; later, or where there is one core, or more than `MAX_CORES`, or a GPU, or where
    its threads were set in the environment (`TF_NUM_INTRAOP_THREADS`, `TF_NUM_INTEROP_THREADS`) or by
    `tf.config.threading`, nothing changes.

    Args:
        cores: how many of the cores are for this process, 1 or more; None: all that it may use.
    """
    global _lanes
    threading, cores = tf.config.threading, count_cores() if cores is None else cores
    chosen = threading.get_intra_op_parallelism_threads() or threading.get_inter_op_parallelism_threads()
    chosen = chosen or any(os.environ.get(name) for name in _VARIABLES)
    if chosen or not 1 < cores <= MAX_CORES or tf.config.list_physical_devices("GPU"):
        return _lanes
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(cores)
    except RuntimeError:  # TensorFlow has begun
        return _lanes
    _lanes = min(cores, MAX_CHUNKS)
    return _lanes


def parallel_chunks() -> int:
    """Into how many parts, side by side, work of this process is best divided: 1 unless cores were shared."""
    return _lanes


def without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset, whose parallelism is what was asked for and is not tuned on the way.

    TensorFlow tunes in a thread that looks less and less often, at most every minute, and whoever lets go of an
    iterator may have to wait, idle, until it looks again: a third of each epoch of 20 seconds here.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def has_fast_bfloat16(flags: str | None = None) -> bool:
    """Whether matrices of bfloat16 are multiplied faster than those of float32: by every GPU, or else the processor.

    GPUs of NVIDIA do from compute capability 8.0 on, processors with AVX512_BF16 or AMX_BF16. Where a processor does
    not tell (Linux tells in /proc/cpuinfo), it is taken not to.

    Args:
        flags: what the processor says it has, words between blanks; None asks it.
    """
    if gpus := tf.config.list_physical_devices("GPU"):
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(found.get("compute_capability", (0, 0)) >= (8, 0) for found in details)
    if flags is None:
        try:
            flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags.split())
