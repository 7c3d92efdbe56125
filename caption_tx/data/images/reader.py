"""Images -> pictures by tf.data, in parallel and in order; and a thread that works ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from caption_tx.data.features.encoding import REMOTE_READERS
from caption_tx.data.images.decoding import decode_picture, resize
from caption_tx.data.images.inputs import NamedImage
from caption_tx.data.images.sources import Images, is_remote
from caption_tx.errors import ImageError
from caption_tx.threads import count_cores, without_tuning

Item = TypeVar("Item")

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Pictures:
    """A batch of images, those that cannot be read among them.

    Attributes:
        names: of all, in order.
        errors: by place in `names`.
        contents: hex content hashes of the others, in order.
        pixels: of the same, uint8 (B, size, size, 3).
    """

    names: list[str]
    errors: dict[int, ImageError]
    contents: list[str]
    pixels: np.ndarray


def read_pictures(
    items: Iterable[NamedImage],
    images: Images,
    size: int,
    batch_size: int,
    stopped: threading.Event | None = None,
) -> Iterator[Pictures]:
    """Batches of `batch_size` images, fewer in the last; read ahead by some batches, whatever their number.

    An error that `items` raises comes after the images before it.

    Args:
        images: where those without bytes of their own lie.
        stopped: once it is set no more are read, even while `items` waits for its next.
    """
    named: dict[int, tuple[str, bytes | None]] = {}
    errors: dict[int, ImageError] = {}
    failures: list[Exception] = []

    def numbers() -> Iterator[int]:
        # Names stay in Python, since they may be no UTF-8. An error would come out of tf.data as another one.
        try:
            for number, item in enumerate(prefetch(items, batch_size, stopped=stopped)):
                named[number] = item if isinstance(item, tuple) else (str(item), None)
                yield number
        except Exception as error:
            failures.append(error)

    def read(number: int) -> tuple[bytes, np.ndarray]:
        name, data = named[number]
        try:
            if data is None:
                content, picture = images.read_image(name, size)
            else:
                content, upright = decode_picture(data, name, size)
                picture = resize(upright, size)
            return content.encode(), picture
        except ImageError as error:
            errors[number] = error
            return b"", np.zeros((size, size, 3), np.uint8)

    def load(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        content, picture = tf.numpy_function(read, [number], (tf.string, tf.uint8))
        return number, tf.ensure_shape(content, ()), tf.ensure_shape(picture, (size, size, 3))

    readers = REMOTE_READERS if is_remote(images.location) else count_cores()
    dataset = tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((), tf.int64))
    dataset = dataset.map(load, num_parallel_calls=readers).batch(batch_size).prefetch(1)
    for rows, contents, pixels in without_tuning(dataset).as_numpy_iterator():
        batch = rows.tolist()
        bad = {place: errors.pop(number) for place, number in enumerate(batch) if number in errors}
        readable = [place for place in range(len(batch)) if place not in bad]
        yield Pictures(
            names=[named.pop(number)[0] for number in batch],
            errors=bad,
            contents=[contents[place].decode() for place in readable],
            pixels=pixels[readable] if bad else pixels,
        )
    if failures:
        raise failures[0]


def prefetch(
    items: Iterable[Item], depth: int, left: threading.Event | None = None, stopped: threading.Event | None = None
) -> Iterator[Item]:
    """The same items, computed in a thread of their own, up to `depth` before they are asked for.

    Args:
        left: is set when nobody asks any more; the thread is then waited for.
        stopped: ends it from outside, for `items` that may wait for what never comes; the thread is then
            not waited for.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    left = threading.Event() if left is None else left

    def is_over() -> bool:
        return left.is_set() or (stopped is not None and stopped.is_set())

    def hand_over(item: Any, error: BaseException | None) -> None:
        while not is_over():
            with suppress(queue.Full):
                return ready.put((item, error), timeout=_POLL_SECONDS)

    def run() -> None:
        try:
            for item in items:
                hand_over(item, None)
                if is_over():
                    return
            hand_over(None, StopIteration())
        except BaseException as error:
            hand_over(None, error)

    thread = threading.Thread(target=run, name="works ahead", daemon=True)
    thread.start()
    try:
        while not is_over():
            try:
                item, error = ready.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        left.set()
        if stopped is None:
            thread.join()
