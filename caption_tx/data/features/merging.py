"""Check a cache, above all one that several workers made, and merge it: the last step after encoding."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from caption_tx.data.features.cache import FeatureCache, open_cache, open_header, read_manifest
from caption_tx.data.features.shards import (
    CacheFiles,
    ShardWriter,
    is_abandoned,
    is_of_dead_process,
    parse_entry,
    read_json,
    read_record,
    records_of,
    remove,
    with_new_token,
    write_json,
)
from caption_tx.errors import CacheError
from caption_tx.locks import lock_to_change
from caption_tx.threads import without_tuning

Progress = Callable[[Iterable, int], Iterable]
"""Wraps an iterable, given its length, e.g. with `tqdm`."""


@dataclass(frozen=True)
class _CheckedShard:
    """The result of reading a shard.

    Attributes:
        shard: its name.
        valid: images whose records are valid.
        images: the images of its manifest.
        problem: what is wrong with it, or None.
    """

    shard: str
    valid: list[str]
    images: dict[str, Any]
    problem: str | None


def merge_cache(folder: str, names: Iterable[str] | None = None, progress: Progress | None = None) -> FeatureCache:
    """Checks every record of a cache and removes damaged records, duplicates and files of killed runs.

    No other process may use the cache at the same time. A damaged shard is replaced by one with the records before
    the damage. The next run of `caption-tx features` encodes the lost images again. An image in several shards
    stays in the first one. The lists of unreadable images are merged into one.

    Args:
        names: the images of the corpus. Those that were neither encoded nor failed are `missing` in the result.
        progress: wraps an iterable of shards, given its length, e.g. with `tqdm`.

    Returns:
        The cache. Its `notes` say what was changed, one line each.

    Raises:
        CacheError: there is no cache, or its header is damaged.
        CaptionTxError: another process writes the cache.
    """
    open_header(folder)
    with nullcontext() if "://" in folder else lock_to_change(folder):
        return _merge(folder, names, progress)


def _merge(folder: str, names: Iterable[str] | None, progress: Progress | None) -> FeatureCache:
    """Merges a locked cache."""
    cache = open_header(folder)
    files = CacheFiles(folder)
    notes: list[str] = []
    merged: set[str] = set()
    results: Iterable = _check_shards(cache, files.shards)
    for result in results if progress is None else progress(results, len(files.shards)):
        keep = [name for name in result.valid if name not in merged]
        merged.update(keep)
        if result.problem is None and len(keep) == len(result.images):
            continue
        duplicates = len(result.valid) - len(keep)
        rewrite_shard(cache, result.shard, keep, result.images)
        if result.problem is not None:
            outcome = f"kept {len(result.valid)} of {len(result.images)} images" if result.valid else "removed it"
            notes.append(f"{result.problem}: {outcome}. Run `caption-tx features` again to encode the lost images.")
        if duplicates:
            notes.append(f"{cache.path(result.shard)}: removed {duplicates} images that another shard contains.")
    notes += remove_leftovers(folder, after_all=True)
    _merge_failures(folder, merged)
    cache = open_cache(folder)
    missing = tuple(name for name in dict.fromkeys(names or ()) if name not in merged and name not in cache.failed)
    return replace(cache, notes=tuple(notes), missing=missing)


def _check_shards(cache: FeatureCache, shards: list[str]) -> Iterator[_CheckedShard]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda shard: _check_shard(cache, shard), shards)


def _check_shard(cache: FeatureCache, shard: str) -> _CheckedShard:
    problem = None
    try:
        images = read_manifest(cache, shard)["images"]
    except CacheError as error:
        problem, _, _ = str(error).partition(";")  # without its advice, which `merge_cache` replaces
        images = _images_despite_damage(cache, shard)
    valid: dict[str, None] = {}
    records = 0
    for name, features in _read_records(cache, shard):
        records += 1
        if name in images and _is_complete(cache, features):
            valid[name] = None
    if problem is None and not len(valid) == len(images) == records:
        problem = f"{cache.path(shard)} is damaged"
    return _CheckedShard(shard, list(valid), images, problem)


def _images_despite_damage(cache: FeatureCache, shard: str) -> dict[str, Any]:
    """The images of a manifest that does not fit its records, if it belongs to this cache."""
    try:
        manifest = read_json(cache.path(shard, "json"))
    except CacheError:
        return {}
    images = manifest.get("images")
    return images if isinstance(images, dict) and manifest.get("cache", cache.digest) == cache.digest else {}


def _read_records(cache: FeatureCache, shard: str) -> Iterator[tuple[str, bytes]]:
    """Yields (name, features as stored) of the records before the first one that cannot be read."""
    try:
        for record in without_tuning(records_of(cache.path(shard))):
            yield read_record(record.numpy())
    except (tf.errors.OpError, DecodeError, ValueError, IndexError):
        return


def _is_complete(cache: FeatureCache, features: bytes) -> bool:
    try:
        return len(zlib.decompress(features) if cache.compression == "zlib" else features) == cache.record_bytes
    except zlib.error:
        return False


def rewrite_shard(cache: FeatureCache, shard: str, keep: list[str], images: dict[str, Any]) -> None:
    """Replaces a shard by one with the images `keep`. A process that is killed here leaves both, which is harmless."""
    if remaining := set(keep):
        writer = ShardWriter(cache.folder, with_new_token(shard), cache.digest)
        try:
            for name, features in _read_records(cache, shard):
                if name in remaining and _is_complete(cache, features):
                    remaining.remove(name)
                    writer.add(name, *parse_entry(images[name]), features)
            writer.close()
        finally:
            writer.abort()
    remove(cache.path(shard, "json"))
    remove(cache.path(shard))


def _merge_failures(folder: str, encoded: set[str]) -> None:
    failed: dict[str, str] = {}
    files = CacheFiles(folder).failed
    for file in files:
        failed |= read_json(os.path.join(folder, file))
    failed = {name: reason for name, reason in failed.items() if name not in encoded}
    if failed:
        write_json(os.path.join(folder, "failed.json"), failed)
    for file in files:
        if file != "failed.json" or not failed:
            remove(os.path.join(folder, file))


def remove_leftovers(folder: str, after_all: bool = False) -> list[str]:
    """Removes the temporary files of dead processes of this machine.

    Args:
        after_all: also remove abandoned files, and records without a manifest: all runs have ended.

    Returns:
        With `after_all`, a line for each file that was kept because a process may still be writing it.
    """
    files = CacheFiles(folder)
    notes = []
    for name in files.temporary + (files.orphans if after_all else []):
        path = os.path.join(folder, name)
        if is_of_dead_process(path) or (after_all and is_abandoned(path)):
            remove(path)
        elif after_all:
            notes.append(f"Kept {path}: a process may still be writing it.")
    return notes
