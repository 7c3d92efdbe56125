"""Speed of training steps and searches on a GPU, and whether its captions equal those of the processor.

COMMAND
    python experiments/benchmark_gpu.py steps
    CUDA_VISIBLE_DEVICES=-1 python experiments/benchmark_gpu.py search --data DIR --features f.npz --out cpu.json
    python experiments/benchmark_gpu.py search --data DIR --features f.npz --out gpu.json [--exact]
    python experiments/benchmark_gpu.py compare cpu.json gpu.json

"steps" trains four layers on random rows of 48 tokens (six captions) with a vocabulary of 1,722. "search" captions the
first 256 validation photographs of Flickr8k with the bundle flickr8k-zh, in batches of 64. The process that runs first
encodes them, and the others read its features and say how their own differ. `--exact` turns off TensorFloat-32, in
which TensorFlow multiplies float32 matrices on a GPU. `flickr8k.py` describes DIR.

HARDWARE  NVIDIA H100 80GB HBM3 (driver 580), 16 cores of an Intel Xeon with AMX; TensorFlow 2.21 (cuDNN 9.19)
TIME      steps 4 minutes, of which XLA takes 2; search 2 minutes

RESULT    other work ran on the card and the cores at the same time: speeds are lower bounds

                 ms/step  images/s
    batch 32
      bfloat16        34       936     first step after 12 s
      float32         33       967
      float16         38       837
      bfloat16, XLA   19     1,671     first step after 124 s, for one shape
    batch 256
      bfloat16        40     6,342
      float32         32     7,987     (40 ms in another run)
      float16         43     5,921
    batch 1,024
      bfloat16        81    12,611
      float32        102    10,063

A step of 32 images is bound by starting operations, not by arithmetic: one thread per operation, fewer threads or a
thread of the GPU's own (`TF_GPU_THREAD_MODE=gpu_private`) change it by less than a tenth (36 to 38 ms).

                                   images/s   first batch   captions equal to the processor's (exact / TensorFloat-32)
    greedy                            1,934          11 s   256 / 256
    temperature 1                     2,125          12 s   256 / 256
    temperature 1, top_p 0.9, best of 5  1,027       15 s   256 / 255
    beam 3                            1,000           9 s   256 / 256
    beam 6 in three groups              910           9 s   256 / 256
    beam 20, consensus 0.4              169           8 s   256 / 256
    beam 3 with a prefix                745           2 s   256 / 255

images/s is the better of the runs with and without `--exact`; the first batch, which XLA compiles for, is from the
former. On a busier machine it took up to 47 s; the processor took 3 to 10 s. Of the stored 8-bit features of 64
photographs, 3.2% differ from the processor's, by at most 5 levels of 255; with `--exact` 0.003%, by one level. The
greedy captions of features encoded with TensorFloat-32 were those of the processor for all 256 photographs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from caption_tx.config import DecodingOptions, ModelConfig
from caption_tx.model.captioner import Captioner
from caption_tx.model.settings import CaptionerSettings
from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
from caption_tx.training.optimizer import FusedAdam
from caption_tx.training.training_model import TrainingModel

VOCABULARY, CAPTIONS, TOKENS = 1722, 6, 8
WARMUP, STEPS = 8, 40
BATCH_SIZE, IMAGES = 64, 256
SEARCHES = {
    "greedy": DecodingOptions(),
    "temperature 1": DecodingOptions(temperature=1.0, seed=3),
    "temperature 1, top_p 0.9, best of 5": DecodingOptions(temperature=1.0, top_p=0.9, samples=5, seed=3),
    "beam 3": DecodingOptions(beam_width=3),
    "beam 6 in three groups": DecodingOptions(beam_width=6, beam_groups=3, diversity_penalty=0.5),
    "beam 20, consensus 0.4": DecodingOptions(beam_width=20, consensus=0.4),
    "beam 3 with a prefix": DecodingOptions(beam_width=3, prefix="一个"),
}


class Clock(keras.callbacks.Callback):
    """Measures the seconds per step after the warm-up."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch + 1 == WARMUP:
            self.start = time.perf_counter()
        elif batch + 1 > WARMUP:
            self.seconds = (time.perf_counter() - self.start) / (batch + 1 - WARMUP)


def random_batch(size: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Packed rows (size, 48) with features (size, 7, 7, 1024), their labels and weights."""
    rng = np.random.default_rng(0)
    token_ids = rng.integers(5, VOCABULARY, (size, CAPTIONS * TOKENS)).astype(np.int32)
    inputs = {
        "features": rng.integers(0, 255, (size, 7, 7, 1024), np.uint8),
        "token_ids": token_ids,
        "positions": np.tile(np.arange(TOKENS, dtype=np.int32), (size, CAPTIONS)),
        "segment_ids": np.tile(np.repeat(np.arange(1, CAPTIONS + 1, dtype=np.int32), TOKENS), (size, 1)),
    }
    return inputs, token_ids, np.ones(token_ids.shape, np.float32)


def measure_steps(size: int, precision: str, jit_compile: bool = False) -> None:
    """Prints the time of a training step."""
    keras.utils.set_random_seed(0)
    settings = CaptionerSettings(VOCABULARY, (7, 7, 1024), **asdict(replace(ModelConfig(), num_layers=4)))
    model = TrainingModel(Captioner(settings, dtype=precision))
    metrics = [TokenLoss(), TokenAccuracy()]
    optimizer = FusedAdam(5e-4, global_clipnorm=1.0)
    model.compile(optimizer, MaskedLoss(0.1), weighted_metrics=metrics, jit_compile=jit_compile)
    batches = tf.data.Dataset.from_tensors(random_batch(size)).cache().repeat()
    clock, start = Clock(), time.perf_counter()
    model.fit(batches, steps_per_epoch=WARMUP + STEPS, verbose=0, callbacks=[clock], shuffle=False)
    first = clock.start - start
    name = f"batch {size}, {precision}{', XLA' if jit_compile else ''}"
    print(
        f"{name:32}{1e3 * clock.seconds:8.1f} ms/step{size / clock.seconds:9,.0f} images/s, first steps {first:.0f} s",
        flush=True,
    )


def encode(captioner: object, data: Path) -> tuple[np.ndarray, list[str]]:
    """Features as stored (256, 7, 7, 1024) and content hashes of the first validation photographs."""
    from caption_tx.data.images.sources import open_images

    names = [f"{name}.jpg" for name in (data / "flickr8kval.txt").read_text().split()[:IMAGES]]
    source, size = open_images(str(data / "images")), captioner.backbone.config.image_size
    hashes, images = zip(*(source.read_image(name, size) for name in names), strict=True)
    batches = [np.stack(images[start : start + BATCH_SIZE]) for start in range(0, len(images), BATCH_SIZE)]
    return np.concatenate([np.asarray(captioner.backbone.encode(batch)) for batch in batches]), list(hashes)


def search(arguments: argparse.Namespace) -> None:
    """Captions the photographs with every search and writes the captions."""
    import caption_tx
    from caption_tx.data.features.backbone import dequantize

    if arguments.exact:
        tf.config.experimental.enable_tensor_float_32_execution(False)
    captioner = caption_tx.load("flickr8k-zh", arguments.backbone_weights)
    stored, hashes = encode(captioner, arguments.data)
    if not arguments.features.exists():
        np.savez(arguments.features, stored=stored)
    reference = np.load(arguments.features)["stored"]
    levels = np.abs(stored.astype(int) - reference.astype(int))
    print(f"features that differ: {np.mean(levels > 0):.3%}, by at most {levels.max()} levels", flush=True)
    features, captions = dequantize(tf.constant(reference)), {}
    for name, options in SEARCHES.items():
        times, captions[name] = [], []
        # The first batch compiles; it comes again.
        for start in (0, *range(0, IMAGES, BATCH_SIZE)):
            rows, begin = slice(start, start + BATCH_SIZE), time.perf_counter()
            found = captioner.decode_features(features[rows], hashes[rows], options)
            times.append(time.perf_counter() - begin)
            captions[name] += [best.text for best, *_ in found] if len(times) > 1 else []
        print(f"{name:40}first batch {times[0]:5.1f} s, then {IMAGES / sum(times[1:]):8,.0f} images/s", flush=True)
    arguments.out.write_text(json.dumps(captions, ensure_ascii=False), encoding="utf-8")


def compare(one: Path, other: Path) -> None:
    """Prints how many captions of two files are equal."""
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
    for name, captions in first.items():
        equal = sum(a == b for a, b in zip(captions, second[name], strict=True))
        print(f"{name:40}{equal} of {len(captions)} equal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("steps")
    options = commands.add_parser("search")
    options.add_argument("--data", type=Path, required=True, help="folder of Flickr8k, see flickr8k.py")
    options.add_argument("--features", type=Path, required=True, help="npz file, written if missing")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--backbone-weights")
    options.add_argument("--exact", action="store_true", help="turn off TensorFloat-32")
    files = commands.add_parser("compare")
    files.add_argument("one", type=Path)
    files.add_argument("other", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "steps":
        for size in (32, 256, 1024):
            for precision in ("mixed_bfloat16", "float32", "mixed_float16"):
                measure_steps(size, precision)
        measure_steps(32, "mixed_bfloat16", jit_compile=True)
    elif arguments.command == "search":
        search(arguments)
    else:
        compare(arguments.one, arguments.other)


if __name__ == "__main__":
    main()
