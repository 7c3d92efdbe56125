"""The files of a feature cache, each written whole or not at all, here or on a remote store.

    cache.json                        the key, the number of views, the compression
    shard-1of4-00007-3fa9c1.tfrecord  records of some hundred images, encoded by worker 1 of 4
    shard-1of4-00007-3fa9c1.json      its manifest: bytes, and per image the content hash and the stamp
    failed.json, failed-1of4.json     images that could not be read, with the reason

A shard counts only when its manifest is there, which is written last. The letters at the end of its
name are another for every run, so that no two runs ever write the same file.
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

ABANDONED_SECONDS = 3600
"""A temporary file that nobody has written to for so long is taken for a killed run's."""

HEADER = "cache.json"
_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
_SHARD = re.compile(r"(shard-(?:\d+of\d+-)?(\d+))(-[0-9a-f]+)?")
_FAILED = re.compile(r"failed(?:-\d+of\d+)?\.json")
_TEMPORARY = re.compile(r".*\.([A-Za-z0-9-]+)\.(\d+)\.[0-9a-f]+\.tmp")


def compress(features: bytes) -> bytes:
    """As a zlib stream, Huffman codes only: on features, smaller than level 1 finds repeats, and twice as fast."""
    stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return stream.compress(features) + stream.flush()


def make_record(name: str, shard: str, features: bytes) -> bytes:
    """One image as a serialized `tf.train.Example`; `features` compressed as the cache has it."""
    values = {"image": name.encode(), "shard": shard.encode(), "features": features}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def read_record(record: bytes) -> tuple[str, bytes]:
    """(image name, features as stored) of a record."""
    feature = tf.train.Example.FromString(record).features.feature
    return feature["image"].bytes_list.value[0].decode(), feature["features"].bytes_list.value[0]


def header_digest(header: dict[str, Any]) -> str:
    """16 hex digits that tell caches of other settings apart."""
    settings = [header["key"], header["views"], header.get("compression", "none")]
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


def new_token() -> str:
    """What makes the shards of a run its own."""
    return secrets.token_hex(4)


def _parts(shard: str) -> tuple[str, str, str | None]:
    match = _SHARD.fullmatch(shard)
    assert match is not None, shard
    return match.groups()


def shard_number(shard: str) -> int:
    """The 7 of `shard-1of4-00007-3fa9c1` (or, as older caches name it, of `shard-00007`)."""
    return int(_parts(shard)[1])


def renamed(shard: str) -> str:
    """The same place in the order under a name that no other run uses."""
    return f"{_parts(shard)[0]}-{new_token()}"


def names_itself(shard: str) -> bool:
    """Whether the records of this shard hold its name; those of older caches do not."""
    return _parts(shard)[2] is not None


def temporary(path: str) -> str:
    """A name to write `path` under; it tells which process does."""
    return f"{path}.{_HOST}.{os.getpid()}.{secrets.token_hex(4)}.tmp"


def is_of_dead_process(path: str) -> bool:
    """Whether a temporary file is of a process of this machine that is no more."""
    match = _TEMPORARY.fullmatch(os.path.basename(path))
    return match is not None and match.group(1) == _HOST and not _is_alive(int(match.group(2)))


def is_old(path: str) -> bool:
    """Whether nobody has written to a file for `ABANDONED_SECONDS`."""
    try:
        return time.time() - tf.io.gfile.stat(path).mtime_nsec / 1e9 > ABANDONED_SECONDS
    except tf.errors.OpError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def write_file(path: str, content: Any) -> None:
    """Writes JSON as a whole file or not at all."""
    name = temporary(path)
    # A lone surrogate, from a file name that is no UTF-8, becomes the JSON escape that reads back as itself.
    data = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    try:
        with tf.io.gfile.GFile(name, "wb") as file:
            file.write(data)
        tf.io.gfile.rename(name, path, overwrite=True)
    except BaseException:
        remove(name)
        raise


def read_json(path: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CacheError: it cannot be read, or holds something else.
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
    """Removes a file if it is there."""
    with contextlib.suppress(tf.errors.OpError):
        tf.io.gfile.remove(path)


def length_of(path: str) -> int | None:
    """Bytes of a file, or None if it is not there."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError:
        return None


class Files:
    """What lies in a cache's folder, by kind; names without the folder."""

    def __init__(self, folder: str) -> None:
        names = sorted(tf.io.gfile.listdir(folder))
        manifests = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        records = [name.removesuffix(".tfrecord") for name in names if name.endswith(".tfrecord")]
        self.shards = sorted(filter(_SHARD.fullmatch, manifests))
        self.failed = [name for name in names if _FAILED.fullmatch(name)]
        self.temporary = [name for name in names if name.endswith(".tmp")]
        self.orphans = [f"{shard}.tfrecord" for shard in records if _SHARD.fullmatch(shard) and shard not in manifests]


class ShardWriter:
    """One shard, under a temporary name until it is whole."""

    def __init__(self, folder: str, shard: str, digest: str) -> None:
        self.shard = shard
        self.images: dict[str, tuple[str, str | None]] = {}
        self._path = os.path.join(folder, shard)
        self._digest = digest
        self._temporary = temporary(f"{self._path}.tfrecord")
        self._writer: tf.io.TFRecordWriter | None = None

    def add(self, name: str, content: str, stamp: str | None, features: bytes) -> None:
        """One image: name, content hash, stamp, and features as they are stored."""
        if self._writer is None:
            self._writer = tf.io.TFRecordWriter(self._temporary)
        self._writer.write(make_record(name, self.shard, features))
        self.images[name] = (content, stamp)

    def close(self) -> None:
        """Makes the shard count, if it holds any image."""
        if self._writer is None:
            return
        self._writer.close()
        size = tf.io.gfile.stat(self._temporary).length
        tf.io.gfile.rename(self._temporary, f"{self._path}.tfrecord", overwrite=True)
        write_file(f"{self._path}.json", {"bytes": size, "cache": self._digest, "images": self.images})
        self._writer = None

    def abort(self) -> None:
        """Leaves nothing behind."""
        if self._writer is not None:
            self._writer.close()
            remove(self._temporary)
            self._writer = None
