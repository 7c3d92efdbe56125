"""What tests of feature caches record and look up."""

import json
from pathlib import Path

import tensorflow as tf

from caption_tx.data.features import shards
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.sources import open_images


def counting(encoded: list[str]):
    """A `progress` that records the number of images, and their names."""

    def progress(stream, total):
        encoded.append(total)
        for name, result in stream:
            encoded.append(name)
            yield name, result

    return progress


def shard_paths(folder, kind="tfrecord") -> list[Path]:
    return sorted(Path(folder).glob(f"shard-*.{kind}"))


class CountedReads(ImageSource):
    """Images of a folder; records the names that are read."""

    def __init__(self, folder):
        super().__init__(str(folder))
        self.files = open_images(str(folder))
        self.read = []
        self.stamp = self.files.stamp

    def read_bytes(self, name):
        self.read.append(name)
        return self.files.read_bytes(name)


def write_duplicates(cache, names=None):
    """Writes a second shard with images of the first one, as a concurrent run does; returns its name."""
    first = shard_paths(cache.folder)[0].stem
    manifest = json.loads(Path(cache.folder, f"{first}.json").read_text())
    writer = shards.ShardWriter(cache.folder, shards.with_new_token("shard-1of1-00009"), cache.digest)
    for record in tf.data.TFRecordDataset(str(Path(cache.folder, f"{first}.tfrecord"))):
        name, features = shards.read_record(record.numpy())
        if names is None or name in names:
            writer.add(name, *manifest["images"][name], features)
    writer.close()
    return writer.shard
