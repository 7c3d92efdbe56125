"""Read images in batches with tf.data: in parallel, in order, ahead of the consumer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from caption_tx.cores import count_cores
from caption_tx.data.images.forms import ImageLike, NamedImage, image_name, name_images, read_named_image
from caption_tx.data.images.image_source import ImageSource
from caption_tx.data.images.prefetching import prefetch
from caption_tx.data.images.stores import is_remote
from caption_tx.errors import ImageError
from caption_tx.threads import without_tuning

REMOTE_READERS = 32
"""Threads that read from a remote store. More than the cores, because they mostly wait."""


def reader_threads(source: ImageSource) -> int:
    """Number of threads to read a source with."""
    return REMOTE_READERS if is_remote(source.location) else count_cores()


@dataclass(frozen=True)
class ImageBatch:
    """A batch of images, including those that cannot be read.

    Attributes:
        names: of all images, in order.
        errors: index in `names` -> why the image cannot be read.
        contents: hex content hashes of the readable images, in order.
        pixels: the readable images, uint8 (B, size, size, 3).
    """

    names: list[str]
    errors: dict[int, ImageError]
    contents: list[str]
    pixels: np.ndarray


def _make_batch(
    names: list[str], errors: dict[int, ImageError], contents: np.ndarray, pixels: np.ndarray
) -> ImageBatch:
    """The batch of `names` from the hashes and pixels (B, size, size, 3) of all its images, readable or not."""
    readable = [row for row in range(len(names)) if row not in errors]
    hashes = [contents[row].decode() for row in readable]
    return ImageBatch(names, errors, hashes, pixels[readable] if errors else pixels)


def _count_while(more: Callable[[np.int64], bool]) -> tf.data.Dataset:
    """The indices 0, 1, .. as long as `more(index)` is true; one call at a time, in order.

    `Dataset.from_generator` would lower the trim threshold of malloc for the whole process: each training step after
    it would take half as long again.
    """
    return tf.data.Dataset.counter().take_while(
        lambda index: tf.ensure_shape(tf.numpy_function(more, [index], tf.bool), ())
    )


def read_image_batches(
    images: Iterable[ImageLike],
    source: ImageSource,
    size: int,
    batch_size: int,
    stop: threading.Event | None = None,
) -> Iterator[ImageBatch]:
    """Yields batches of `batch_size` images, the last one smaller, and reads a few batches ahead.

    An error that `images` raises is raised after the batches of the images before it.

    Args:
        images: names in `source`, or images in another form of `ImageLike`. Any number.
        size: height and width that every image is resized to.
        stop: once set, no more images are read, even while `images` blocks.
    """
    named = name_images(images)
    pending: dict[int, NamedImage] = {}
    errors: dict[int, ImageError] = {}
    failures: list[Exception] = []
    ahead = prefetch(named, batch_size, stop=stop)

    def more(index: np.int64) -> bool:
        # Names stay in Python because they may not be UTF-8. tf.data would change the type of an error.
        try:
            image = next(ahead, None)
        except Exception as error:
            failures.append(error)
            return False
        if image is not None:
            pending[int(index)] = image
        return image is not None

    def read(index: int) -> tuple[bytes, np.ndarray]:
        try:
            content, pixels = read_named_image(pending[index], source, size)
            return content.encode(), pixels
        except ImageError as error:
            errors[index] = error
            return b"", np.zeros((size, size, 3), np.uint8)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        content, pixels = tf.numpy_function(read, [index], (tf.string, tf.uint8))
        return index, tf.ensure_shape(content, ()), tf.ensure_shape(pixels, (size, size, 3))

    dataset = _count_while(more).map(load, num_parallel_calls=reader_threads(source)).batch(batch_size).prefetch(1)
    batches = without_tuning(dataset).as_numpy_iterator()
    try:
        for rows, contents, pixels in batches:
            batch = rows.tolist()
            failed = {row: errors.pop(index) for row, index in enumerate(batch) if index in errors}
            yield _make_batch([image_name(pending.pop(index)) for index in batch], failed, contents, pixels)
    finally:
        del batches  # Waits for tf.data's threads, one of which may be in `ahead`.
        ahead.close()
    if failures:
        raise failures[0]
