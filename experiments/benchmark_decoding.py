"""Decoding speed of caption_tx, of a tutorial's loop, and of transformers' `generate` on PyTorch.

COMMAND
    python -m venv HF && HF/bin/pip install torch==2.13.0 transformers
    python experiments/benchmark_decoding.py --transformers HF/bin/python --rounds 7

All captioners have 2 layers, hidden_dim 256, 4 heads, intermediate_dim 1,024, a vocabulary of 5,000 and random
weights, and get features of 7x7x1024. The end token is suppressed and all generate 20 tokens, so all do the same work.
"Tutorial" is the common loop: one image, eager Keras, the whole prefix computed again for each token. transformers
runs Bart's decoder (post-norm, tied embeddings, like caption_tx) with its caches of self- and cross-attention; its
time includes the projection of the features, as does that of caption_tx. Every round runs each of them three times, in
turn; results are medians. "Arithmetic" is the time of the matrix products of one image's captions at the rate of a
2,048 x 2,048 product in one TensorFlow call, measured in every round.

HARDWARE  2 cores (AMD EPYC), no GPU; TensorFlow 2.21.0, torch 2.13.0, transformers 5.23.0
TIME      not recorded

RESULT    7 rounds, two runs (a / b); matrix product 466 / 467 GFLOP/s; tutorial 551 / 576 ms per caption

                     caption_tx     compiled in   times the arithmetic   tutorial / ours   transformers, times ours
batch  1, greedy    6.1 / 6.8 ms     1.0 s   15.9 / 17.8             91 / 85       27.8, 4.6 / 31.6 ms, 4.7
batch  1, beam 4   16.6 / 17.0 ms    1.0 s   13.8 / 14.2             33 / 34       49.2, 3.0 / 49.4 ms, 2.9
batch 64, greedy   59.0 / 62.6 ms    1.0 s    2.4 / 2.6             598 / 589     136.7, 2.3 / 139.2 ms, 2.2
batch 64, beam 4  177.5 / 178.7 ms   1.3 s    2.3 / 2.3             199 / 206     531.6, 3.0 / 508.2 ms, 2.8

Beam 4 costs 2.7 / 2.5 times as much as greedy search at batch 1, and 3.0 / 2.9 times at batch 64.

A batch of 64 is decoded as two parts of 32 in parallel, one per core. In turn, greedy and beam 4: one part, each
product divided among the cores, 67 and 235 ms; two parts of 32 in parallel 57 and 179; two parts of 32 in sequence 78
and 264; four parts of 16 in parallel 67 and 194. In one part, keys and values of the memory take 11 of 69 ms,
attention to it 13, the output layer 17 and the feed-forward layers 12.

Finished captions stay in the batch until its last caption ends. For a trained captioner on 256 photographs of
Flickr8k-CN in batches of 64: mean tokens per caption, tokens of the longest caption in the batch, and the share of
steps after the end of a caption, which is the most that dropping finished captions could save:

    greedy                      5.9    8.5   31 %
    temperature 1, top_p 0.9    5.7    9.8   42 %
    temperature 1               5.9   10.8   45 %
    temperature 1, 5 samples    5.9   12.5   53 %
    temperature 1.5            11.2   33.2   66 %

So if captions are sampled, the last quarter of the images of a part of 32 continues in a smaller loop: 0.90 of the
time of a single loop at temperature 1 and 0.81 with 5 samples (medians of 15 pairs in turn, batches of 64), with the
same captions. The first call takes twice as long. Greedy search uses one loop, which is as fast as two for 20 tokens.

Without XLA, under load and in turn: 31.8 ms (6.5 with XLA) for one image, 180 (108) for 64; beam 4 49 (18) and 451
(348). It starts a second sooner.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WORDS, DIM, WIDE, LAYERS, HEADS, TOKENS, CELLS, CHANNELS = 5000, 256, 1024, 2, 4, 20, 49, 1024
BATCHES, BEAMS = (1, 64), (1, 4)
PEAK_SIDE = 2048
IN_A_ROW, PAUSE = 3, 0.3
"""Runs of each captioner per round, and seconds between captioners: waiting threads keep a core busy for a while."""


def serve_transformers(threads: int) -> None:
    """Runs in the other environment: answers each line `[batch, beams]` with the seconds it took."""
    import torch
    import transformers
    from transformers import BartConfig, BartForConditionalGeneration
    from transformers.modeling_outputs import BaseModelOutput

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=WORDS, d_model=DIM, decoder_layers=LAYERS, encoder_layers=1, decoder_attention_heads=HEADS,
        encoder_attention_heads=HEADS, decoder_ffn_dim=WIDE, encoder_ffn_dim=WIDE, max_position_embeddings=40,
        activation_function="gelu_new", pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
        forced_eos_token_id=None, forced_bos_token_id=None, scale_embedding=True,
    )  # fmt: skip
    model = BartForConditionalGeneration(config).eval()
    memory = torch.nn.Sequential(torch.nn.Linear(CHANNELS, DIM), torch.nn.LayerNorm(DIM))
    features = torch.rand(max(BATCHES), CELLS, CHANNELS)
    print(json.dumps([f"torch {torch.__version__}", f"transformers {transformers.__version__}"]), flush=True)
    for line in sys.stdin:
        batch, beams = json.loads(line)
        start = time.perf_counter()
        with torch.inference_mode():
            encoded = BaseModelOutput(last_hidden_state=memory(features[:batch]))
            token_ids = model.generate(
                encoder_outputs=encoded, num_beams=beams, do_sample=False, use_cache=True,
                min_new_tokens=TOKENS, max_new_tokens=TOKENS, length_penalty=0.7,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        assert token_ids.shape == (batch, TOKENS + 1), token_ids.shape
        print(seconds, flush=True)


class Transformers:
    """The process in the other environment."""

    def __init__(self, python: str, threads: int) -> None:
        command = [python, __file__, "--serve", "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.versions = json.loads(self.process.stdout.readline())

    def seconds(self, batch: int, beams: int) -> float:
        self.process.stdin.write(json.dumps([batch, beams]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def operations(beams: int) -> int:
    """Multiplications and additions in the matrix products of one image's search."""
    image = CELLS * DIM * (CHANNELS + LAYERS * 2 * DIM)
    dense = LAYERS * (DIM * 6 * DIM + 2 * DIM * WIDE) + DIM * WORDS
    attention = LAYERS * 2 * DIM * sum(CELLS + length for length in range(1, TOKENS + 1))
    return 2 * (image + beams * (TOKENS * dense + attention))


def make_ours() -> tuple[dict[tuple[int, int], Callable], Callable, Callable, dict[tuple[int, int], float]]:
    """Searches by (batch, beams), the tutorial's loop, the matrix product, and the compile time of each search."""
    import keras
    import numpy as np
    import tensorflow as tf

    from caption_tx.config import DecodingOptions
    from caption_tx.data.text.tokenizer import Tokenizer
    from caption_tx.data.text.vocabulary import END, SPECIAL_TOKENS, START
    from caption_tx.inference.search.decode import decode
    from caption_tx.model.captioner import Captioner
    from caption_tx.model.settings import CaptionerSettings

    keras.utils.set_random_seed(0)
    captioner = Captioner(CaptionerSettings(WORDS, (7, 7, CHANNELS), DIM, WIDE, LAYERS, HEADS, TOKENS))
    tokenizer = Tokenizer([*SPECIAL_TOKENS, *(f"word{index}" for index in range(WORDS - len(SPECIAL_TOKENS)))], "en")
    # A tensor, like the output of a backbone.
    features = tf.constant(np.random.default_rng(0).random((max(BATCHES), 7, 7, CHANNELS), np.float32))

    def search(batch: int, beams: int) -> None:
        options = DecodingOptions(beam_width=beams, min_length=TOKENS, max_length=TOKENS)
        captions = decode(captioner, features[:batch], tokenizer, options)
        assert [len(caption.token_ids) for [caption] in captions] == [TOKENS] * batch

    def tutorial() -> None:
        tokens = [START]
        for _ in range(TOKENS):
            count = len(tokens)
            inputs = {
                "features": tf.constant(features[:1]),
                "token_ids": tf.constant([tokens]),
                "positions": tf.range(count)[None],
                "segment_ids": tf.ones((1, count), tf.int32),
            }
            logits = captioner(inputs, training=False).numpy()[0, -1]
            logits[END] = -np.inf
            tokens.append(int(logits.argmax()))

    side = tf.random.normal((PEAK_SIDE, PEAK_SIDE))
    searches, compiled = {}, {}
    for batch in BATCHES:
        for beams in BEAMS:
            searches[batch, beams] = lambda batch=batch, beams=beams: search(batch, beams)
            start = time.perf_counter()
            searches[batch, beams]()
            compiled[batch, beams] = time.perf_counter() - start
    return searches, tutorial, lambda: tf.matmul(side, side).numpy(), compiled


def seconds_of(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transformers", metavar="PYTHON", help="Python of an environment with torch and transformers")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_transformers(arguments.threads)
        return

    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    searches, tutorial, product, compiled = make_ours()
    other = Transformers(arguments.transformers, arguments.threads) if arguments.transformers else None
    times: dict[tuple, list[float]] = {}

    def record(seconds: Callable[[], float], *name: object) -> None:
        times.setdefault(name, []).extend(seconds() for _ in range(IN_A_ROW))
        time.sleep(PAUSE)

    for turn in range(arguments.rounds + 1):
        if turn == 1:
            times.clear()  # the first round warms up
        record(lambda: seconds_of(product), "product")
        record(lambda: seconds_of(tutorial), "tutorial")
        for batch, beams in searches:
            record(lambda run=searches[batch, beams]: seconds_of(run), "ours", batch, beams)
            if other:
                record(lambda size=(batch, beams): other.seconds(*size), "transformers", batch, beams)
    if other:
        other.close()

    median = {name: statistics.median(values) for name, values in times.items()}
    rate = 2 * PEAK_SIDE**3 / median["product",]
    loop = median["tutorial",]
    versions = ", ".join([f"TensorFlow {tf.__version__}", *(other.versions if other else [])])
    print(f"{versions}, {arguments.threads} threads, medians of {arguments.rounds} rounds")
    print(f"matrix product: {rate / 1e9:.0f} GFLOP/s; tutorial: {1e3 * loop:.0f} ms a caption")
    for batch, beams in searches:
        ours, floor = median["ours", batch, beams], batch * operations(beams) / rate
        line = f"batch {batch:2}, {'greedy' if beams == 1 else f'beam {beams}'}: {1e3 * ours:6.1f} ms"
        line += f" ({1e3 * ours / batch:.2f} a caption, compiled in {compiled[batch, beams]:.1f} s)"
        line += f", arithmetic {1e3 * floor:.1f} ms, {ours / floor:.1f} times that"
        line += f"; tutorial / ours {loop * batch / ours:.0f}"
        if other:
            theirs = median["transformers", batch, beams]
            line += f"; transformers {1e3 * theirs:.1f} ms, {theirs / ours:.1f} times ours"
        print(line)
    for batch in BATCHES:
        print(f"batch {batch}: beam 4 costs {median['ours', batch, 4] / median['ours', batch, 1]:.1f} times greedy")


if __name__ == "__main__":
    main()
