"""The last step after encoding, above all after several processes did: check a cache, and make it one."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from caption_tx.data.features.cache import FeatureCache, open_cache, open_header, read_manifest
from caption_tx.data.features.shards import (
    Files,
    ShardWriter,
    is_of_dead_process,
    is_old,
    read_json,
    read_record,
    remove,
    renamed,
    write_file,
)
from caption_tx.errors import CacheError
from caption_tx.threads import without_tuning

Progress = Callable[[Iterable, int], Iterable]


def merge_cache(folder: str, names: Iterable[str] | None = None, progress: Progress | None = None) -> FeatureCache:
    """Checks every record of a cache, and removes what is damaged, double, or left behind.

    No other process may be at work on the cache meanwhile, encoding or training. A damaged shard is
    replaced by one with the records before the damage; the images that are lost with it are encoded
    again by the next run of `caption-tx features`. An image that several shards hold stays in the
    first of them. The lists of unreadable images become one.

    Args:
        names: the images of the corpus; those neither held nor failed become `missing` of the result.
        progress: wraps an iterable of shards and its length, e.g. `tqdm`.

    Returns:
        The cache; its `notes` tell, a line each, what was changed.

    Raises:
        CacheError: there is no cache, or its header is damaged.
    """
    cache = open_header(folder)
    files = Files(folder)
    notes: list[str] = []
    owned: set[str] = set()
    stream: Iterable = _check_all(cache, files.shards)
    for shard, sound, images, problem in stream if progress is None else progress(stream, len(files.shards)):
        keep = [name for name in sound if name not in owned]
        owned.update(keep)
        if problem is None and len(keep) == len(images):
            continue
        double = len(sound) - len(keep)
        rewrite_shard(cache, shard, keep, images)
        if problem is not None:
            kept = f"kept {len(sound)} of its {len(images)} images" if sound else "removed it"
            notes.append(f"{problem}; {kept}. Run `caption-tx features` again to encode those that are lost.")
        if double:
            notes.append(f"{cache.path(shard)}: removed {double} images that another shard holds too.")
    notes += remove_leftovers(folder, every=True)
    _merge_failures(folder, owned)
    joined = open_cache(folder)
    missing = tuple(name for name in dict.fromkeys(names or ()) if name not in owned and name not in joined.failed)
    return replace(joined, notes=tuple(notes), missing=missing)


def _check_all(cache: FeatureCache, shards: list[str]) -> Iterator[tuple[str, list[str], dict[str, Any], str | None]]:
    """(shard, names of its sound records, images of its manifest, what is wrong with it) of each shard, in order."""

    def check(shard: str) -> tuple[str, list[str], dict[str, Any], str | None]:
        return shard, *_check(cache, shard)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(check, shards)


def _check(cache: FeatureCache, shard: str) -> tuple[list[str], dict[str, Any], str | None]:
    problem = None
    try:
        images = read_manifest(cache, shard)["images"]
    except CacheError as error:
        problem, _, _ = str(error).partition(";")  # without what to do about it, which follows here
        images = _images_despite(cache, shard)
    sound: dict[str, None] = {}
    records = 0
    for name, features in _records(cache, shard):
        records += 1
        if name in images and _is_whole(cache, features):
            sound[name] = None
    if problem is None and not len(sound) == len(images) == records:
        problem = f"{cache.path(shard)} is damaged"
    return list(sound), images, problem


def _images_despite(cache: FeatureCache, shard: str) -> dict[str, Any]:
    """The images of a manifest that its shard does not fit, as long as both are of this cache."""
    try:
        manifest = read_json(cache.path(shard, "json"))
    except CacheError:
        return {}
    images = manifest.get("images")
    return images if isinstance(images, dict) and manifest.get("cache", cache.digest) == cache.digest else {}


def _records(cache: FeatureCache, shard: str) -> Iterator[tuple[str, bytes]]:
    """(name, features as stored) of the records before the first one that cannot be read."""
    try:
        for record in without_tuning(tf.data.TFRecordDataset(cache.path(shard))):  # checks each record's CRC
            yield read_record(record.numpy())
    except (tf.errors.OpError, DecodeError, ValueError, IndexError):
        return


def _is_whole(cache: FeatureCache, features: bytes) -> bool:
    try:
        return len(zlib.decompress(features) if cache.compression == "zlib" else features) == cache.record_bytes
    except zlib.error:
        return False


def rewrite_shard(cache: FeatureCache, shard: str, keep: list[str], images: dict[str, Any]) -> None:
    """Replaces a shard by one that holds `keep` only; killed in between, it leaves both, which is no harm."""
    if wanted := set(keep):
        writer = ShardWriter(cache.folder, renamed(shard), cache.digest)
        try:
            for name, features in _records(cache, shard):
                if name in wanted and _is_whole(cache, features):
                    wanted.remove(name)
                    entry = images[name]
                    content, stamp = entry if isinstance(entry, list) else (entry, None)
                    writer.add(name, content, stamp, features)
            writer.close()
        finally:
            writer.abort()
    remove(cache.path(shard, "json"))
    remove(cache.path(shard))


def _merge_failures(folder: str, owned: set[str]) -> None:
    failed: dict[str, str] = {}
    for name in (found := Files(folder).failed):
        failed |= read_json(os.path.join(folder, name))
    failed = {name: reason for name, reason in failed.items() if name not in owned}
    if failed:
        write_file(os.path.join(folder, "failed.json"), failed)
    for name in found:
        if name != "failed.json" or not failed:
            remove(os.path.join(folder, name))


def remove_leftovers(folder: str, every: bool = False) -> list[str]:
    """Removes temporary files of dead processes of this machine.

    With `every`, also those that are old, and records without a manifest; then returns a line on each
    file that stays, because its process may be at work.
    """
    files = Files(folder)
    notes = []
    for name in files.temporary + (files.orphans if every else []):
        path = os.path.join(folder, name)
        if is_of_dead_process(path) or (every and is_old(path)):
            remove(path)
        elif every:
            notes.append(f"{path} was left where it is, since a process may still be writing it.")
    return notes
