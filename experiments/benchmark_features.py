"""What the feature cache costs: disk space per image, encoding time compared with the bare MobileNet, and reading
speed.

COMMAND
    python experiments/benchmark_features.py --images DIR [--backbone-weights FILE] [--count 1024]

HARDWARE  2 cores (AMD EPYC), no GPU, 24 GB of memory, no other work; files in the page cache; TensorFlow 2.21
TIME      3 minutes

RESULT    1,024 photographs of Flickr8k (15 KB each), MobileNet 1.0 at 224 pixels up to conv_pw_12_relu (7x7x1024)

    KB AN IMAGE    none   zlib  level 1  zlib, ms  level 1, ms
    uint8         49.22  21.61    27.05      0.31         0.68
    float16       98.22  42.96    48.74      0.67         1.15
    float32      196.22  86.21    86.37      1.25         1.81

    ENCODING, images a second, batches of 32 (medians of 5), share of the bare network, CPU time an image
    bare MobileNet  221          8.6 ms
    none            206  93.5%   9.0 ms
    zlib            203  92.1%   9.2 ms

    READING               KB  sequential/s  CPU ms  random/s  CPU ms
    TFRecord, none       49.1        42274    0.04     13895    0.10
    TFRecord, zlib       21.4         7625    0.24      4986    0.35
    TFRecord, GZIP file  26.9         3886    0.28      3211    0.33
    ArrayRecord, its own 24.9         6425    0.22      5925    0.24
    ArrayRecord, zlib    21.6         5401    0.34      3207    0.38

So the cache uses TFRecord files with zlib for each record. That takes 44% of the disk space and of the traffic from a
remote store. Its 0.25 ms of CPU time per image are 3% of the 9 ms of a training step (220 images/s on two cores), and
reading is several times faster than training. The column "zlib" is Huffman coding without a search for repeats
(Z_HUFFMAN_ONLY), which is better than level 1 in space and time. ArrayRecord with its own Zstandard is the fastest
compressed format in random order and reads records by index. Training does not need that, because shuffled shards and
a shuffle buffer suffice. ArrayRecord would also run in Python instead of the graph, not support TensorFlow's file
systems, and add a dependency.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from caption_tx.config import COMPRESSIONS, STORAGES, BackboneConfig
from caption_tx.data.features import shards
from caption_tx.data.features.backbone import Backbone
from caption_tx.data.features.cache import FeatureCache
from caption_tx.data.features.encoding import EncodingOptions, encode_images
from caption_tx.data.images.sources import open_images

BATCH = 32
SHARD = 512
READS = 8192
"""Records read for each row of the reading table; smaller caches are read several times."""


TRIES = 4
DISTURBED = 0.1
"""Cores used by other processes above which a measurement is repeated; the least disturbed one counts."""


def busy_seconds() -> float:
    """CPU time of all processes since the machine started (Linux; 0 elsewhere)."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:8]]
    except OSError:
        return 0.0
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """(seconds, CPU seconds) of some work, repeated while other processes disturb it."""
    attempts: list[tuple[float, float, float]] = []
    while len(attempts) < TRIES and not (attempts and min(attempts)[0] < DISTURBED):
        start, cpu, busy = time.perf_counter(), time.process_time(), busy_seconds()
        work()
        seconds, own = time.perf_counter() - start, time.process_time() - cpu
        attempts.append(((busy_seconds() - busy - own) / seconds, seconds, own))
    others, seconds, own = min(attempts)
    if others > 2 * DISTURBED:
        print(f"(other processes used {others:.1f} cores during the least disturbed of {len(attempts)} measurements)")
    return seconds, own


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


def measure_sizes(images: str, names: list[str], weights: str, folder: Path) -> pd.DataFrame:
    """Kilobytes per image in each number format, as `encode_images` writes it and at zlib level 1; compression time."""
    rows = []
    for storage in STORAGES:
        backbone = Backbone(BackboneConfig(weights=weights, storage=storage))
        row: dict[str, object] = {"storage": storage}
        for compression in COMPRESSIONS:
            path = folder / f"size-{storage}-{compression}"
            cache = encode_images(names, images, str(path), backbone, EncodingOptions(compression=compression))
            row[compression] = 1024 * megabytes(path) / len(cache.images)
        features = [item.tobytes() for item in cache.load(names[: 2 * BATCH])]
        row["level 1"] = sum(len(zlib.compress(item, 1)) for item in features) / len(features) / 1024
        for name, compress in (("zlib", shards.compress), ("level 1", lambda data: zlib.compress(data, 1))):
            start = time.process_time()
            for item in features:
                compress(item)
            row[f"{name}, ms"] = 1e3 * (time.process_time() - start) / len(features)
        rows.append(row)
    return pd.DataFrame(rows).set_index("storage")


def measure_encoding(images: str, names: list[str], backbone: Backbone, folder: Path, repeats: int) -> pd.DataFrame:
    """Images per second of the bare network on images in memory, and of encoding files into a cache."""
    opened = open_images(images)
    pixels = np.stack([opened.read_image(name, backbone.config.image_size)[1] for name in names])

    @tf.function(input_signature=[tf.TensorSpec((None, *pixels.shape[1:]), tf.uint8)], autograph=False)
    def bare(batch: tf.Tensor) -> tf.Tensor:
        return backbone.network(tf.cast(batch, tf.float32), training=False)

    def run_bare() -> None:
        for start in range(0, len(pixels), BATCH):
            bare(pixels[start : start + BATCH]).numpy()

    bare(pixels[:BATCH])
    backbone.encode(pixels[:BATCH])
    run_ids = itertools.count()

    def run_all(compression: str) -> None:
        path = str(folder / f"encode-{next(run_ids)}")
        options = EncodingOptions(compression=compression, batch_size=BATCH, shard_size=SHARD)
        encode_images(names, images, path, backbone, options)

    works = {"bare MobileNet": run_bare} | {kind: partial(run_all, kind) for kind in COMPRESSIONS}
    rows: list[dict[str, float]] = [{} for _ in range(repeats)]
    for row, (name, work) in itertools.product(rows, works.items()):
        seconds, cpu = measure(work)
        row[name] = len(names) / seconds
        row[f"{name}, CPU ms"] = 1e3 * cpu / len(names)
    return pd.DataFrame(rows)


def read_features(record: tf.Tensor, cache: FeatureCache) -> tf.Tensor:
    return cache.parse(record)[1]


def tfrecords(cache: FeatureCache, paths: list[str], gzip: bool, shuffled: bool) -> tf.data.Dataset:
    """Features in file order, or shuffled as in training."""
    kind = "GZIP" if gzip else ""
    if not shuffled:
        records = tf.data.TFRecordDataset(paths, kind)
        return records.map(lambda record: read_features(record, cache), num_parallel_calls=tf.data.AUTOTUNE)
    files = tf.data.Dataset.from_tensor_slices(paths).shuffle(10_000, seed=0)
    records = files.interleave(lambda path: tf.data.TFRecordDataset(path, kind), cycle_length=8, block_length=4)
    parsed = records.map(lambda record: read_features(record, cache), num_parallel_calls=tf.data.AUTOTUNE)
    return parsed.shuffle(4096, seed=0)


def array_records(cache: FeatureCache, readers: list, shuffled: bool) -> tf.data.Dataset:
    """Features by record index, one batch at a time, in order or shuffled."""
    lengths = np.array([reader.num_records() for reader in readers])
    locations = np.array([(file, row) for file, length in enumerate(lengths) for row in range(length)])
    order = np.random.default_rng(0).permutation(len(locations)) if shuffled else np.arange(len(locations))

    def records() -> Iterator[bytes]:
        for start in range(0, len(order), BATCH):
            batch = locations[order[start : start + BATCH]]
            for file in np.unique(batch[:, 0]):
                yield from readers[file].read(batch[batch[:, 0] == file, 1].tolist())

    dataset = tf.data.Dataset.from_generator(records, output_signature=tf.TensorSpec((), tf.string))
    return dataset.map(lambda record: read_features(record, cache), num_parallel_calls=tf.data.AUTOTUNE)


def measure_reading(caches: dict[str, FeatureCache], folder: Path, repeats: int) -> pd.DataFrame:
    """Images per second and CPU time per image, through tf.data into batches; the files are in the page cache."""
    plain = caches["none"]
    times = max(1, READS // len(plain.images))
    datasets: dict[str, Callable[[bool], tf.data.Dataset]] = {}
    sizes = {}

    def add_tfrecords(name: str, cache: FeatureCache, paths: list[str], gzip: bool = False) -> None:
        datasets[name] = lambda shuffled: tfrecords(cache, paths * times, gzip, shuffled)
        sizes[name] = sum(Path(path).stat().st_size for path in paths) / len(cache.images) / 1024

    for compression, cache in caches.items():
        add_tfrecords(f"TFRecord, {compression}", cache, cache.paths_holding(cache.images))
    paths = plain.paths_holding(plain.images)
    zipped = [str(folder / f"{index}.gz") for index in range(len(paths))]
    for source, target in zip(paths, zipped, strict=True):
        with tf.io.TFRecordWriter(target, tf.io.TFRecordOptions("GZIP", compression_level=1)) as writer:
            for record in tf.data.TFRecordDataset(source):
                writer.write(record.numpy())
    add_tfrecords("TFRecord, GZIP file", plain, zipped, gzip=True)
    try:
        from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter
    except ImportError:
        print("ArrayRecord is not installed: pip install array_record\n")
    else:
        for compression, cache in caches.items():
            # Its own compression (Zstandard) would follow zlib, so it is only on for uncompressed records.
            options = "group_size:1" + (",uncompressed" if compression == "zlib" else "")
            readers, total = [], 0
            for index, path in enumerate(cache.paths_holding(cache.images)):
                target = str(folder / f"{compression}-{index}.array")
                writer = ArrayRecordWriter(target, options)
                for record in tf.data.TFRecordDataset(path):
                    writer.write(record.numpy())
                writer.close()
                total += Path(target).stat().st_size
                readers.append(ArrayRecordReader(target))
            name = f"ArrayRecord, {'zlib' if compression == 'zlib' else 'its own'}"
            datasets[name] = lambda shuffled, cache=cache, readers=readers: array_records(
                cache, readers * times, shuffled
            )
            sizes[name] = total / len(cache.images) / 1024
    rows = {name: {"KB": size} for name, size in sizes.items()}
    measured: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeats):
        for name, make in datasets.items():
            for order in ("sequential", "random"):
                batches = make(order == "random").batch(BATCH).prefetch(tf.data.AUTOTUNE)
                count = times * len(plain.images)
                seconds, cpu = measure(lambda batches=batches: deque(batches, maxlen=0))
                measured.setdefault((name, f"{order}/s"), []).append(count / seconds)
                measured.setdefault((name, f"{order} CPU ms"), []).append(1e3 * cpu / count)
    for (name, column), values in measured.items():
        rows[name][column] = statistics.median(values)
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of photographs")
    parser.add_argument("--backbone-weights", default="imagenet", metavar="FILE", help="weights of MobileNet")
    parser.add_argument("--count", type=int, default=1024, metavar="N", help="photographs (default: 1024)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="measurements of each speed (default: 5)")
    arguments = parser.parse_args()

    names = open_images(arguments.images).names()[: arguments.count]
    print(f"{len(names)} photographs\n")
    backbone = Backbone(BackboneConfig(weights=arguments.backbone_weights))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        few = names[: max(2 * BATCH, len(names) // 8)]
        print("KB AN IMAGE")
        print(measure_sizes(arguments.images, few, arguments.backbone_weights, folder).to_string(float_format="%.2f"))

        speeds = measure_encoding(arguments.images, names, backbone, folder, arguments.repeats)
        print(f"\nENCODING, images a second, batches of {BATCH}")
        formats = {name: ("{:.2f}" if "ms" in name else "{:.0f}").format for name in speeds.columns}
        print(speeds.to_string(formatters=formats))
        for compression in COMPRESSIONS:
            share = (speeds[compression] / speeds["bare MobileNet"]).median()
            print(f"{compression}: {share:.1%} of the bare MobileNet's speed (median)")

        caches = {
            compression: encode_images(
                names, arguments.images, str(folder / compression), backbone, EncodingOptions(compression=compression)
            )
            for compression in COMPRESSIONS
        }
        print(f"\nREADING into batches of {BATCH}")
        table = measure_reading(caches, folder, arguments.repeats)
        formats = {name: ("{:.2f}" if "ms" in name else "{:.0f}").format for name in table.columns}
        print(table.to_string(formatters=formats | {"KB": "{:.1f}".format}))


if __name__ == "__main__":
    main()
