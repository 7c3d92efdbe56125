"""The files of a feature cache. Each is written atomically, on the local disk or on a remote store.

    cache.json                        the key, the number of augmentations, the compression
    shard-1of4-00007-3fa9c1.tfrecord  records of a few hundred images, encoded by worker 1 of 4
    shard-1of4-00007-3fa9c1.json      its manifest: size, and for each image its content hash and stamp
    failed.json, failed-1of4.json     images that could not be read, and why

A shard without a manifest, which is written last, is ignored. Its name ends in a random token, so that no two runs
write the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import time
import zlib
from typing import Any

import tensorflow as tf

from caption_tx.errors import CacheError
from caption_tx.files import is_alive

ABANDONED_SECONDS = 3600
"""A temporary file that was not written to for so long is assumed to belong to a killed run."""

HEADER = "cache.json"

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
_SHARD = re.compile(r"(shard-(?:\d+of\d+-)?(\d+))(-[0-9a-f]+)?")
_FAILED = re.compile(r"failed(?:-\d+of\d+)?\.json")
_TEMPORARY = re.compile(r".*\.([A-Za-z0-9-]+)\.(\d+)\.[0-9a-f]+\.tmp")


def compress(features: bytes) -> bytes:
    """Compresses features as a zlib stream of Huffman codes: smaller than level 1 on features, and twice as fast."""
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return stream.compress(features) + stream.flush()


def make_record(name: str, shard: str, features: bytes) -> bytes:
    """Serializes an image as a `tf.train.Example`. `features` have the compression of the cache."""
    values = {"image": name.encode(), "shard": shard.encode(), "features": features}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def records_of(paths: Any) -> tf.data.Dataset:
    """The serialized records of one file or several, also in a graph. Their checksums are verified.

    `tf.data.TFRecordDataset` would trace a graph in every call, which takes longer than reading a small shard.
    """
    records = tf.raw_ops.TFRecordDataset(filenames=paths, compression_type="", buffer_size=-1)
    return tf.data.experimental.from_variant(records, tf.TensorSpec((), tf.string))


def read_record(record: bytes) -> tuple[str, bytes]:
    """(image name, features as stored) of a serialized record."""
    feature = tf.train.Example.FromString(record).features.feature
    return feature["image"].bytes_list.value[0].decode(), feature["features"].bytes_list.value[0]


def parse_entry(entry: Any) -> tuple[str, str | None]:
    """(content hash, stamp) of an image in a manifest. Manifests of older caches contain only the hash."""
    content, stamp = entry if isinstance(entry, list) else (entry, None)
    return content, stamp


def header_digest(header: dict[str, Any]) -> str:
    """A hash of a cache's settings, 16 hex digits."""
    settings = [header["key"], header["views"], header.get("compression", "none")]
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


def new_token() -> str:
    """A random end for the names of a run's shards."""
    return secrets.token_hex(4)


def _parse_name(shard: str) -> tuple[str, str, str | None]:
    match = _SHARD.fullmatch(shard)
    assert match is not None, shard
    return match.groups()


def shard_number(shard: str) -> int:
    """7 for `shard-1of4-00007-3fa9c1`, and for `shard-00007` of an older cache."""
    return int(_parse_name(shard)[1])


def with_new_token(shard: str) -> str:
    """The same name with another token: the same position in the order of shards."""
    return f"{_parse_name(shard)[0]}-{new_token()}"


def records_name_shard(shard: str) -> bool:
    """Whether the records of this shard contain its name. Those of older caches do not."""
    return _parse_name(shard)[2] is not None


def temporary_path(path: str) -> str:
    """A temporary name to write `path` under. It contains the host and the process."""
    return f"{path}.{_HOST}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


def is_of_dead_process(path: str) -> bool:
    """Whether a temporary file belongs to a process of this machine that has ended."""
    match = _TEMPORARY.fullmatch(os.path.basename(path))
    return match is not None and match.group(1) == _HOST and not is_alive(int(match.group(2)))


def is_abandoned(path: str) -> bool:
    """Whether a file was not written to for `ABANDONED_SECONDS`."""
    try:
        return time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9 > ABANDONED_SECONDS
    except tf.errors.OpError:
        return False


def write_json(path: str, content: Any) -> None:
    """Writes JSON atomically, also on a remote store."""
    temporary = temporary_path(path)
    # A lone surrogate, from a file name that is not UTF-8, becomes the JSON escape that is read back as the same.
    data = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    try:
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(data)
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        remove(temporary)
        raise


def read_json(path: str) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        CacheError: the file cannot be read or is not a JSON object.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            value = json.loads(file.read())
        if not isinstance(value, dict):
            raise ValueError("not a JSON object")
    except (ValueError, UnicodeDecodeError, tf.errors.OpError) as error:
        raise CacheError(
            f"{path} is damaged ({error or type(error).__name__}); delete it and run `caption-tx features` again."
        ) from error
    return value


def remove(path: str) -> None:
    """Removes a file if it exists."""
    with contextlib.suppress(tf.errors.OpError):
        tf.io.gfile.remove(path)


def file_size(path: str) -> int | None:
    """The size of a file in bytes, or None if it does not exist."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError:
        return None


class CacheFiles:
    """The files in a cache's folder, by kind, without the folder.

    Attributes:
        shards: names of the shards with a manifest, without suffix, in order.
        failed: lists of unreadable images.
        temporary: temporary files.
        orphans: records without a manifest.
    """

    def __init__(self, folder: str) -> None:
        names = sorted(tf.io.gfile.listdir(folder))
        manifests = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        records = [name.removesuffix(".tfrecord") for name in names if name.endswith(".tfrecord")]
        self.shards = sorted(filter(_SHARD.fullmatch, manifests))
        self.failed = [name for name in names if _FAILED.fullmatch(name)]
        self.temporary = [name for name in names if name.endswith(".tmp")]
        self.orphans = [f"{shard}.tfrecord" for shard in records if _SHARD.fullmatch(shard) and shard not in manifests]


class ShardWriter:
    """Writes a shard under a temporary name until it is complete.

    Attributes:
        shard: its name.
        images: image name -> (content hash, stamp) of the images written so far.
    """

    def __init__(self, folder: str, shard: str, digest: str) -> None:
        self.shard = shard
        self.images: dict[str, tuple[str, str | None]] = {}
        self._path = os.path.join(folder, shard)
        self._digest = digest
        self._temporary = temporary_path(f"{self._path}.tfrecord")
        self._writer: tf.io.TFRecordWriter | None = None

    def add(self, name: str, content: str, stamp: str | None, features: bytes) -> None:
        """Writes an image: its name, content hash and stamp, and its features as they are stored."""
        if self._writer is None:
            self._writer = tf.io.TFRecordWriter(self._temporary)
        self._writer.write(make_record(name, self.shard, features))
        self.images[name] = (content, stamp)

    def close(self) -> None:
        """Publishes the shard. Does nothing if no image was written."""
        if self._writer is None:
            return
        self._writer.close()
        size = tf.io.gfile.stat(self._temporary).length
        tf.io.gfile.rename(self._temporary, f"{self._path}.tfrecord", overwrite=True)
        write_json(f"{self._path}.json", {"bytes": size, "cache": self._digest, "images": self.images})
        self._writer = None

    def abort(self) -> None:
        """Removes what was written, unless the shard was closed."""
        if self._writer is not None:
            self._writer.close()
            remove(self._temporary)
            self._writer = None
