"""Find images whose file changed since they were encoded, and remove their features from the cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from caption_tx.data.features.cache import FeatureCache, open_cache, read_manifest
from caption_tx.data.features.merging import rewrite_shard
from caption_tx.data.features.shards import parse_entry, write_json
from caption_tx.data.images.decoding import content_hash
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.reader import reader_threads
from caption_tx.errors import CacheError, ImageError


def remove_changed(cache: FeatureCache, images: ImageSource, names: Iterable[str], refresh: bool) -> FeatureCache:
    """The cache without the features of images that changed.

    Args:
        names: the images to check. Missing ones did not change.
        refresh: remove the features. Otherwise a changed image is an error.

    Raises:
        CacheError: images changed and `refresh` is False, or the cache contains duplicates.
    """
    changed = _changed_images(cache, images, names)
    if not changed:
        return cache
    if not refresh:
        first, *others = [name for names_of_shard in changed.values() for name in names_of_shard]
        more = f" (and {len(others):,} more)" if others else ""
        raise CacheError(
            f"{images.label(first)}{more} is not the image '{first}' in the feature cache {cache.folder}; encode "
            "changed images again with `caption-tx features --refresh`, or choose another folder with cache (--cache)."
        )
    if cache.duplicates:
        raise CacheError(
            f"Several shards of {cache.folder} contain the same images; run `caption-tx features --merge` first."
        )
    for shard, names_of_shard in changed.items():
        keep = [name for name in cache.shards[shard] if name not in set(names_of_shard)]
        rewrite_shard(cache, shard, keep, read_manifest(cache, shard)["images"])
    return open_cache(cache.folder, cache.key)


def _changed_images(cache: FeatureCache, images: ImageSource, names: Iterable[str]) -> dict[str, list[str]]:
    """Shard -> its images that changed. Reads only images whose stamp is not the one in the manifest."""
    names = cache.images.intersection(names)

    def changed_in(shard: str) -> list[str]:
        return _changed_in_shard(cache, shard, images, [name for name in cache.shards[shard] if name in names])

    with ThreadPoolExecutor(reader_threads(images)) as pool:
        results = zip(cache.shards, pool.map(changed_in, cache.shards), strict=True)
        return {shard: changed for shard, changed in results if changed}


def _changed_in_shard(cache: FeatureCache, shard: str, images: ImageSource, names: list[str]) -> list[str]:
    """The changed images of a shard. Updates the stamps of the others in the manifest."""
    manifest = read_manifest(cache, shard) if names else {}
    changed, new_entries = [], {}
    for name in names:
        content, old_stamp = parse_entry(manifest["images"][name])
        stamp = images.stamp(name)
        if stamp is None or stamp == old_stamp:
            continue
        try:
            if content_hash(images.read_bytes(name)) != content:
                changed.append(name)
                continue
        except ImageError:
            continue
        new_entries[name] = (content, stamp)
    if new_entries:
        with contextlib.suppress(tf.errors.OpError):  # stamps only save time; the cache may be read-only
            write_json(cache.path(shard, "json"), manifest | {"images": manifest["images"] | new_entries})
    return changed
