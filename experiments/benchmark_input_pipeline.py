"""Memory and speed from a caption file to training, with 7,000 and with 210,000 images.

COMMAND
    python experiments/benchmark_input_pipeline.py --captions flickr8kzhc.caption.txt --workdir DIR

Makes two corpora in AI Challenger's layout with five captions per image: captions of the file in turn, made-up image
names, and features drawn once for 512 images (64% zeros, like MobileNet's), written by the cache's own writer. DIR
needs 6 GB. First, `corpus --check` runs on the captions of the larger corpus. Then each corpus runs in its own
process: it reads, segments, tokenizes and packs the captions, draws `--rows` rows in batches, shuffled as in training
(the shuffle buffer is filled again in every epoch, nine times for the smaller corpus), and trains the default
captioner for `--steps` steps. "TensorFlow alone" is the process after importing TensorFlow.

HARDWARE  2 cores (AMD EPYC), no GPU, 24 GB of memory, shared with much other work, so times are upper bounds
TIME      not recorded

RESULT    float32, one chunk
    corpus --check, 210,000 images, 1,050,000 captions: 101 s (43 s with less other work), peak 0.97 GB
      7,000 images: TensorFlow alone 0.63 GB; captions read, segmented and packed in 11 s, peak 0.73 GB; batches
        17,639 images/s (in memory), peak 1.24 GB; training peak 1.88 GB
    210,000 images: TensorFlow alone 0.63 GB; captions read, segmented and packed in 27 s, peak 1.20 GB; batches
        1,032 images/s (30,739 tokens/s), peak 1.65 GB; training peak 2.56 GB

With the defaults, bfloat16 and two parallel chunks (`--rows 20000 --steps 200`), the training peak is 2.05 GB with
7,000 images and 2.45 GB with 210,000.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SIZES = (7_000, 210_000)
GRID = (7, 7, 1024)


def make_corpus(folder: Path, captions: list[str], count: int) -> None:
    """Writes `captions.json` and a feature cache of `count` images."""
    import numpy as np
    import tensorflow as tf

    from caption_tx.data.features.encoding import encode_images
    from caption_tx.data.images.image_source import ImageSource

    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{index:06d}.jpg" for index in range(count)]
    texts = cycle(captions)
    entries = [{"url": "", "image_id": name, "caption": list(islice(texts, 5))} for name in names]
    (folder / "captions.json").write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")

    random = np.random.default_rng(0)
    drawn = random.integers(1, 256, (512, *GRID), np.uint8) * (random.random((512, *GRID)) > 0.64)
    drawn = drawn.astype(np.uint8)

    class DrawnImages(ImageSource):
        """Stands in for a folder: the only pixel of image i is i modulo the number of drawn features."""

        def read_image(self, name: str, size: int) -> tuple[str, np.ndarray]:
            return name, np.full((1,), int(name[:6]) % len(drawn))

        def stamp(self, name: str) -> str:
            return name

    backbone = SimpleNamespace(
        key={"backbone": "drawn", "feature_shape": list(GRID), "storage": "uint8, scale 6/255"},
        config=SimpleNamespace(image_size=1, storage="uint8"),
        feature_shape=GRID,
        encode=lambda numbers: tf.constant(drawn[numbers[:, 0]]),
    )
    encode_images(names, DrawnImages("drawn"), str(folder / "features"), backbone)


def peak_gigabytes() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(folder: Path, rows: int, steps: int) -> dict[str, float]:
    """Preparation time, rows per second and peak memory of one corpus, in this process."""
    import keras
    import tensorflow as tf

    from caption_tx.threads import configure_threads, parallel_chunks

    configure_threads()  # as `caption-tx train` does
    tf.zeros(())
    baseline = peak_gigabytes()
    from caption_tx.config import Config, CorpusConfig
    from caption_tx.data.batches.batching import packed_batches
    from caption_tx.data.batches.rows import RowOptions, cached_rows
    from caption_tx.data.corpus.table import read_corpus
    from caption_tx.data.features.cache import open_cache
    from caption_tx.data.preparation import release_memory, segment_corpus, tokenize_corpus
    from caption_tx.data.text.segmentation import Segmenter
    from caption_tx.training.objective import MaskedLoss, TokenAccuracy, TokenLoss
    from caption_tx.training.optimizer import FusedAdam
    from caption_tx.training.training_model import TrainingModel, make_captioner, resolve_precision

    start = time.perf_counter()
    config = Config(CorpusConfig(sources=(str(folder / "captions.json"),)))
    table = read_corpus(config.corpus.sources)
    cache = open_cache(str(folder / "features"))
    words = segment_corpus(table, Segmenter(config.text), {})
    del table
    prepared = tokenize_corpus(config, words, lambda text: None)
    packed = prepared.train[1]
    del words
    release_memory()
    ready, peak_ready = time.perf_counter() - start, peak_gigabytes()
    dataset = packed_batches(cached_rows(cache, packed, RowOptions(0)), packed, config.training.batch_size, (0, 1), 0)
    drawn = tokens = 0
    first = None
    for inputs, _, weights in dataset.repeat():
        if first is None:
            first = time.perf_counter()  # the shuffle buffer is full
        drawn += len(inputs["features"])
        tokens += int(tf.math.count_nonzero(weights))
        if drawn >= rows:
            break
    seconds = time.perf_counter() - first
    peak_batches = peak_gigabytes()
    captioner = make_captioner(prepared.tokenizer.vocabulary_size, GRID, config.model, resolve_precision())
    model = TrainingModel(captioner, parallel_chunks=parallel_chunks())
    model.compile(
        FusedAdam(5e-4, global_clipnorm=1.0), MaskedLoss(0.1), weighted_metrics=[TokenLoss(), TokenAccuracy()]
    )
    start = time.perf_counter()
    keras.utils.set_random_seed(0)
    model.fit(dataset.repeat(), steps_per_epoch=steps, verbose=0, shuffle=False)
    return {
        "baseline_gb": baseline,
        "ready_s": ready,
        "ready_gb": peak_ready,
        "rows_per_s": drawn / seconds,
        "tokens_per_s": tokens / seconds,
        "batches_gb": peak_batches,
        "trained_per_s": steps * config.training.batch_size / (time.perf_counter() - start),
        "peak_gb": peak_gigabytes(),
    }


def run_check(captions: Path) -> tuple[float, float]:
    """Seconds and peak memory of `corpus --check` on the captions."""
    before = time.perf_counter()
    command = [sys.executable, "-m", "caption_tx", "corpus", str(captions), "--check", "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def make_corpora(captions: Path, workdir: Path) -> None:
    """Writes the corpora that are missing, each in a process of its own."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from benchmark_input_pipeline import make_corpus;"
        "from caption_tx.data.corpus.table import read_corpus;"
        "make_corpus(Path(sys.argv[2]), list(read_corpus(sys.argv[3])['caption']), int(sys.argv[4]))"
    )
    for size in SIZES:
        folder = workdir / str(size)
        if not (folder / "done").exists():
            options = [str(Path(__file__).parent), str(folder), str(captions), str(size)]
            subprocess.run([sys.executable, "-c", code, *options], check=True)
            (folder / "done").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="caption file of any layout")
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=60_000, help="rows to draw (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="training steps after that (default: %(default)s)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.rows, arguments.steps)))
        return
    if not arguments.captions:
        parser.error("--captions is required")
    make_corpora(arguments.captions, arguments.workdir)
    seconds, gigabytes = run_check(arguments.workdir / str(SIZES[-1]) / "captions.json")
    print(f"corpus --check, {SIZES[-1]:,} images, {5 * SIZES[-1]:,} captions: {seconds:.0f} s, peak {gigabytes:.2f} GB")

    results = {}
    for size in SIZES:
        command = [sys.executable, __file__, "--workdir", str(arguments.workdir), "--rows", str(arguments.rows)]
        command += ["--steps", str(arguments.steps), "--measure", str(arguments.workdir / str(size))]
        process = subprocess.run(command, check=True, capture_output=True, text=True)
        results[size] = result = json.loads(process.stdout.splitlines()[-1])
        print(
            f"{size:>7,} images: TensorFlow alone {result['baseline_gb']:.2f} GB; captions read, segmented and packed "
            f"in {result['ready_s']:.0f} s, peak {result['ready_gb']:.2f} GB; batches {result['rows_per_s']:,.0f} "
            f"images/s ({result['tokens_per_s']:,.0f} tokens/s), peak {result['batches_gb']:.2f} GB; training "
            f"{result['trained_per_s']:,.0f} images/s including filling the shuffle buffer, peak "
            f"{result['peak_gb']:.2f} GB"
        )
    small, large = (results[size] for size in SIZES)
    print(
        f"ratio of peak memory {large['peak_gb'] / small['peak_gb']:.2f}, of speed "
        f"{large['rows_per_s'] / small['rows_per_s']:.2f}"
    )


if __name__ == "__main__":
    main()
