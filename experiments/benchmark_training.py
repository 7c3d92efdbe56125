"""Training speed against the usual tutorials, the effect of each optimization, and the share of the machine's peak.

COMMAND
    python experiments/benchmark_training.py --data DIR --language zh --workdir DIR [--backbone-weights FILE]

DIR (data) contains `flickr8kzhc.caption.txt` or `flickr8kenc.caption.txt`, the split lists and `images/`. All variants
(`training_variants.py`) have the same sizes (layers, hidden_dim 256, 4 heads, intermediate_dim 1,024) and vocabulary,
and train on the same captions with Keras `fit`. They take turns for `--rounds` rounds, and the median counts. Two
processes measure in turn: one with TensorFlow's default threads, which divide each operation among the cores, and one
with one core per operation and parallel chunks (`caption_tx.threads`). The tutorials run in both, and the better result
counts. A variant has the default settings except for what its name says: as many chunks as cores, and bfloat16 if the
processor multiplies it.

Tokens do not include padding. "Share of peak" is the arithmetic that these tokens and images need, forward and
backward, per second, as a share of the machine's best rate for matrix products of size 2,048 in the same precision,
from the same run. MobileNet's arithmetic does not count. The tutorials follow TensorFlow's image captioning tutorial
(`tutorial.py`):

    uncached   images are decoded, repeated for each caption, and encoded by MobileNet in every step
    cached     features are computed once and stored in float32 for each caption

HARDWARE  2 cores (AMD EPYC with AVX-512 BF16), no GPU; TensorFlow 2.21, Keras 3.15
TIME      3 rounds of all variants: 9 minutes in Chinese, 11 in English

RESULT    3 rounds, 2 layers. `--only "cached,batches held"`; peaks 495 and 486 GFLOP/s in float32, 939 and 906 in
          bfloat16

                                         ms/step  captions/s  tokens/s  share of peak  of caption_tx
Chinese, vocabulary 1,722
tutorial, uncached                           197         163       969           3.6%           0.05
tutorial, cached                              45         711     4,234          15.6%           0.20
tutorial, uncached, no XLA                   194         165       982           3.6%           0.05
tutorial, cached, no XLA                      45         715     4,257          15.7%           0.20
caption_tx                                    46       3,496    20,810          40.5%           1.00
batches held in memory                        45       3,589    21,116          41.2%           1.01
caption_tx, operations divided                55       2,932    17,453          34.0%           0.84
English, vocabulary 2,917
tutorial, uncached                           222         144     1,701           6.3%           0.07
tutorial, cached                              71         450     5,314          19.7%           0.23
tutorial, uncached, no XLA                   219         146     1,728           6.4%           0.07
tutorial, cached, no XLA                      69         466     5,506          20.4%           0.24
caption_tx                                    82       1,954    23,092          45.8%           1.00
batches held in memory                        82       1,956    22,745          45.2%           0.98
caption_tx, operations divided               104       1,538    18,174          36.0%           0.79

One change at a time, in another session; peaks 452 and 458 GFLOP/s in float32, 919 and 934 in bfloat16

                                                  Chinese                           English
                                          ms/step  captions/s  of caption_tx   ms/step  captions/s  of caption_tx
caption_tx                                     48       3,325           1.00        92       1,746           1.00
one chunk                                      55       2,885           0.87       113       1,411           0.81
float32                                        67       2,405           0.72       117       1,362           0.78
float32, one chunk                             78       2,057           0.62       151       1,058           0.61
automatic gradients                            54       2,971           0.89       110       1,453           0.83
8 steps per execution                          46       3,506           1.05        88       1,815           1.04
without bucketing                              57       2,803           0.84       119       1,347           0.77
without packing                               100       1,600           0.48       180         887           0.51
fused cross-entropy                            51       3,166           0.95       104       1,538           0.88
chunked cross-entropy, float32, one chunk      79       2,034           0.61       164         973           0.56
Keras's Adam                                   49       3,271           0.98        90       1,772           1.01
Keras's dropout                                54       2,983           0.90       102       1,571           0.90
one length, without XLA                        43       3,748           1.08        94       1,708           1.06
one length, XLA                               138       1,156           0.33       285         561           0.35

caption_tx is 21.2 and 4.9 times as fast as the uncached and cached tutorial in Chinese, and 13.4 and 4.2 times in
English; in float32 15.1 and 3.4 times, and 9.7 and 3.2 times. Twenty times the uncached tutorial in English would be
2,920 captions/s, 68% of the peak in bfloat16: with the same matrix products, the rest of a step would have to take a
third of its time.

Packing and bucketing matter most. Parallel chunks gain a fifth, bfloat16 a quarter to two fifths, and explicit
gradients and 8-bit dropout a tenth to a fifth each. One core per operation gains a quarter over dividing operations.
XLA is slow in bfloat16, several steps per execution gain less than the noise, and fused or chunked cross-entropy is
slower, so all of them are off. A batch costs the input pipeline 1.9 ms of one core (Chinese), 2% of a step; batches
held in memory are 2% slower to 1% faster.

Profile of a step (TensorFlow's profiler; Chinese, bfloat16, one core, 78 ms): matrix products 58%; attention's small
products, transposes and softmax 8%; dropout 8%; GELU, layer normalization and loss 12%; casts 4%; Adam and clipping 3%;
the rest 7%. The products of a step are a third slower on two cores than divided products of size 2,048, which is what
parallel chunks avoid.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from training_variants import CAPTION_FILES, Setup, make_variants

from caption_tx.config import ModelConfig
from caption_tx.threads import configure_threads


class Workload(NamedTuple):
    """What one step of a variant processes: captions, tokens per caption, and the precision of its products."""

    captions: float
    tokens: float
    precision: str


def measure_peak(dtype: tf.DType, seconds: float = 2.0) -> float:
    """The best GFLOP/s of matrix products of size 2,048."""
    matrix = tf.cast(tf.random.normal((2048, 2048)), dtype)
    weights = tf.Variable(matrix)
    multiply = tf.function(lambda: tf.matmul(matrix, weights))
    multiply()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        best = max(best, 2 * 2048**3 / (time.perf_counter() - start) / 1e9)
    return best


def useful_gflop(captions: float, tokens: float, vocabulary_size: int, model: ModelConfig, per_image: float) -> float:
    """The arithmetic to train on so many captions, forward and backward.

    Multiplications and additions count. Backward costs twice forward, except that the features need no gradient. Keys
    and values of the memory are needed once per image, which has `per_image` captions.
    """
    cells, channels, width = 49, 1024, model.hidden_dim
    layer = 2 * width * (3 * width + width + width + width) + 4 * width * model.intermediate_dim + 4 * cells * width
    token = model.num_layers * layer + 2 * width * vocabulary_size
    image = cells * model.num_layers * 4 * width * width
    project = cells * 2 * channels * width
    images = captions / per_image
    return (3 * (captions * tokens * token + images * image) + 2 * images * project) / 1e9


def serve(arguments: argparse.Namespace, parallel: bool, pipe: Connection) -> None:
    """Runs in a process of its own: measures the variants, or a peak, that it is asked for by name."""
    chunks = configure_threads() if parallel else 1
    setup = Setup(arguments)
    variants = make_variants(setup, chunks)
    workloads = {variant.name: Workload(variant.captions, variant.tokens, variant.precision) for variant in variants}
    pipe.send((workloads, setup.vocabulary_size, setup.model, setup.captions_per_image))
    measures: dict[str, Callable[[], float]] = {variant.name: variant.measure for variant in variants}
    if not parallel:
        measures |= {"float32": lambda: measure_peak(tf.float32), "bfloat16": lambda: measure_peak(tf.bfloat16)}
    while (name := pipe.recv()) is not None:
        pipe.send(measures[name]())


class Process:
    """A measuring process; `workloads` are those of its variants, by name."""

    def __init__(self, arguments: argparse.Namespace, parallel: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(arguments, parallel, other), daemon=True)
        self._process.start()
        other.close()
        self.workloads, self.vocabulary_size, self.model, self.captions_per_image = self._pipe.recv()

    def measure(self, name: str) -> float:
        self._pipe.send(name)
        return self._pipe.recv()

    def end(self) -> None:
        self._pipe.send(None)
        self._process.join()


def parse_arguments() -> argparse.Namespace:
    """The command line of this benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--language", choices=sorted(CAPTION_FILES), default="zh")
    parser.add_argument("--workdir", type=Path, required=True, help="for features, 2 GB of them per caption")
    parser.add_argument("--backbone-weights", default="imagenet")
    parser.add_argument("--layers", type=int, default=2, help="as in the tutorial (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="parts of names, separated by commas: only these variants, and `caption_tx`")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    divided = Process(arguments, parallel=False)  # one after the other: the first writes the features
    parallel = Process(arguments, parallel=True)
    # The tutorials are in both processes and get the threads that suit them better.
    measured = [(process, name) for process in (parallel, divided) for name in process.workloads]
    if arguments.only:
        parts = ["caption_tx", *arguments.only.split(",")]
        measured = [(process, name) for process, name in measured if any(part in name for part in parts)]
    peaks: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    seconds: dict[tuple[Process, str], list[float]] = {key: [] for key in measured}
    for _ in range(arguments.rounds):
        for precision, values in peaks.items():
            values.append(divided.measure(precision))
        for (process, name), values in seconds.items():
            values.append(process.measure(name))
    divided.end()
    parallel.end()
    best: dict[str, float] = {}
    for (_, name), values in seconds.items():
        best[name] = min(best.get(name, float("inf")), float(np.median(values)))
    report(arguments.language, divided.workloads | parallel.workloads, best, peaks, parallel)


def report(
    language: str,
    workloads: dict[str, Workload],
    seconds: dict[str, float],
    peaks: dict[str, list[float]],
    process: Process,
) -> None:
    """Prints the table of all variants, from the seconds per step of each."""
    print(f"{language}: vocabulary {process.vocabulary_size}, {process.model.num_layers} layers; peak of matrix")
    print(f"products {max(peaks['float32']):.0f} GFLOP/s in float32, {max(peaks['bfloat16']):.0f} in bfloat16")
    print(f"{'':41}ms/step  captions/s  tokens/s  share of peak  of caption_tx")
    rates = {name: workloads[name].captions / value for name, value in seconds.items()}  # captions per second
    default = rates["caption_tx"] * workloads["caption_tx"].tokens
    for name, rate in rates.items():
        tokens, precision = workloads[name].tokens, workloads[name].precision
        gflop = useful_gflop(rate, tokens, process.vocabulary_size, process.model, process.captions_per_image)
        print(
            f"{name:41}{1e3 * seconds[name]:7.0f}{rate:12,.0f}{rate * tokens:10,.0f}"
            f"{gflop / max(peaks[precision]):15.1%}{rate * tokens / default:15.2f}"
        )


if __name__ == "__main__":
    main()
