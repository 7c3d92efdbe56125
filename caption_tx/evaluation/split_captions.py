"""Captions the images of a split into a resumable file, from cached features where possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caption_tx.config import DecodingOptions
from caption_tx.errors import ConfigError, ImageError
from caption_tx.inference.prediction_file import PredictionFile

if TYPE_CHECKING:
    from caption_tx.data.features.cache import FeatureCache
    from caption_tx.inference.captioner import ImageCaptioner
    from caption_tx.inference.search.caption import Caption

_LOADED_AT_ONCE = 1024
"""Images whose features are loaded from a cache together; each load reads whole shards."""

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Wraps an iterable of a known length, for example in a progress bar."""


def no_progress(items: Iterable[Any], total: int) -> Iterable[Any]:
    """A `Progress` that shows nothing."""
    return items


@dataclass(frozen=True)
class SplitImages:
    """Where the images of a split are found.

    Attributes:
        location: folder or base64 table of the images.
        cache: feature cache of the bundle's backbone; only images that are not in it are read.
        batch_size: images captioned together.
    """

    location: str = ""
    cache: str | None = None
    batch_size: int = 64


@dataclass(frozen=True)
class SplitCounts:
    """Numbers of images captioned now, already in the file, and unreadable."""

    captioned: int
    skipped: int
    failed: int


def caption_split(
    captioner: ImageCaptioner,
    names: Sequence[str],
    path: str | Path,
    decoding: DecodingOptions,
    images: SplitImages,
    retry_failed: bool = False,
    progress: Progress = no_progress,
) -> SplitCounts:
    """Captions the images that are not yet in the file, in the format of `caption --out`.

    Args:
        names: names of the images in `images.location`.
        retry_failed: try again to read images that could not be read before.

    Raises:
        ConfigError: an image is not in the cache and no location is set.
        CacheError: the cache was made with another backbone, or is damaged.
        CaptionTxError: the file was made with another bundle or other options.
    """
    captioned = failed = 0
    run = {"bundle": captioner.digest, **asdict(decoding)}
    with PredictionFile(path, run, decoding.n_best, retry_failed) as file:
        remaining = [str(name) for name in file.remaining(names)]
        with closing(_captions(captioner, remaining, decoding, images)) as results:
            for name, result in progress(results, len(remaining)):
                file.write(name, result)
                failed += isinstance(result, ImageError)
                captioned += not isinstance(result, ImageError)
    return SplitCounts(captioned, file.skipped, failed)


def _captions(
    captioner: ImageCaptioner, names: Sequence[str], decoding: DecodingOptions, images: SplitImages
) -> Iterator[tuple[str, list[Caption] | ImageError]]:
    """Each image with its captions or its error, images in the cache first."""
    if images.cache is not None and names:
        from caption_tx.data.features.cache import open_cache

        cache = open_cache(images.cache, captioner.bundle.backbone_key)
        yield from _captions_from_cache(captioner, [name for name in names if name in cache.images], decoding, cache)
        names = [name for name in names if name not in cache.images]
    if not names:
        return
    if not images.location:
        raise ConfigError(
            f"{len(names):,} images must be read, for example {names[0]!r}; name their folder with images (--images)."
        )
    yield from captioner.captions(names, decoding, images.batch_size, images.location)


def _captions_from_cache(
    captioner: ImageCaptioner, names: Sequence[str], decoding: DecodingOptions, cache: FeatureCache
) -> Iterator[tuple[str, list[Caption]]]:
    from caption_tx.data.features.backbone import dequantize
    from caption_tx.data.features.cache import content_hashes
    from caption_tx.inference.search.decode import FULL_BATCH_SIZE, decode

    bundle, segmenter = captioner.bundle, captioner.segmenter
    hashes = content_hashes(cache) if decoding.temperature > 0 and names else {}
    for start in range(0, len(names), _LOADED_AT_ONCE):
        loaded = names[start : start + _LOADED_AT_ONCE]
        features = cache.load(loaded)
        for first in range(0, len(loaded), FULL_BATCH_SIZE):
            batch = loaded[first : first + FULL_BATCH_SIZE]
            activations = dequantize(features[first : first + FULL_BATCH_SIZE])
            # The content of an image seeds its samples, so they equal those drawn from the image file.
            seeds = [int(hashes[name][:16], 16) for name in batch] if hashes else None
            model = bundle.captioner, activations, bundle.tokenizer
            captions = decode(*model, decoding, seeds, segmenter, bundle.retrieval)
            yield from zip(batch, captions, strict=True)
