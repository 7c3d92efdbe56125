"""The service behind the API: decodes images in threads, queues them for the engine, and gives up with the client."""

from __future__ import annotations

import asyncio
import functools
import io
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import tensorflow as tf
from fastapi import Request
from PIL import Image

from caption_tx.config import ServingOptions
from caption_tx.cores import count_cores
from caption_tx.data.images.decoding import claimed_size
from caption_tx.data.images.suffixes import FORMATS
from caption_tx.errors import CaptionTxError, TooManyPixelsError
from caption_tx.inference.explanations import LoadedImage, load_image
from caption_tx.serve.drawing import PageFont
from caption_tx.serve.engine import MAX_WORKERS, Engine, Job
from caption_tx.serve.metrics import Metrics
from caption_tx.serve.models import Answer, Question, ServedBundle
from caption_tx.serve.problems import HttpError
from caption_tx.serve.replicas import Replicas
from caption_tx.serve.runs import TrainingRun

MAX_PIXELS = 50_000_000
"""An image whose header claims more pixels is rejected before it is decoded."""

DECODE_SECONDS = 20
"""An image that takes longer to decode, or to wait for it, is given up."""

T = TypeVar("T")


def count_workers() -> int:
    """Batches to compute at the same time: one per core, or one if there is a GPU."""
    return 1 if tf.config.list_physical_devices("GPU") else min(count_cores(), MAX_WORKERS)


class Service:
    """Answers images with bundles.

    Attributes:
        bundles: by name; the first is the default.
        options: the settings of the server.
        run: the training run that it shows, or None.
        replicas: what computes the answers if this process does not, or None.
        metrics: of its requests.
        engine: forms the batches, and computes or awaits their answers.
        font: of its pages.

    Example:
        >>> service = Service(load_bundles(["flickr8k-zh-small"]), ServingOptions())
        >>> service.close()
    """

    def __init__(
        self,
        bundles: Mapping[str, ServedBundle],
        options: ServingOptions,
        workers: int | None = None,
        run: TrainingRun | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self.bundles, self.options, self.run, self.replicas = bundles, options, run, replicas
        self.metrics = Metrics(lambda: self.engine.waiting)
        if replicas is not None:
            replicas.measure(self.metrics.registry)
        self.engine = Engine(workers or count_workers(), options.max_batch, self.metrics.batches.observe)
        self._decoders = ThreadPoolExecutor(count_cores(), "caption-tx-decoder")
        self._renderer = ThreadPoolExecutor(1, "caption-tx-renderer")  # matplotlib draws one figure at a time
        self.font = PageFont(bundle.captioner.tokenizer.vocabulary for bundle in bundles.values())
        self._in_progress = 0

    @property
    def max_bytes(self) -> int:
        """The most bytes of an image file."""
        return self.options.max_image_mb * 2**20

    def bundle(self, name: str) -> ServedBundle:
        """A bundle by its name; the default one for "".

        Raises:
            HttpError: there is none.
        """
        if not self.bundles:
            raise HttpError("no_bundle", "This server has no bundle yet: the run that it shows has not saved one.")
        if name and name not in self.bundles:
            known = ", ".join(self.bundles)
            raise HttpError("unknown_bundle", f"There is no bundle '{name[:80]}' here; there are {known}.")
        return self.bundles[name or next(iter(self.bundles))]

    @contextmanager
    def admitted(self, images: int) -> Iterator[None]:
        """Counts images while they are in progress.

        Raises:
            HttpError: there is no room for them.
        """
        if self._in_progress + images > self.options.queue:
            raise HttpError("queue_full", f"The queue of {self.options.queue} images is full; try again later.")
        self._in_progress += images
        try:
            yield
        finally:
            self._in_progress -= images

    async def answer(
        self,
        images: Sequence[tuple[str, bytes]],
        bundle: ServedBundle,
        ask: Callable[[LoadedImage], Question],
        with_photo: bool = False,
    ) -> list[Answer | CaptionTxError]:
        """The answer about each image, or why it cannot be read or explained.

        Args:
            images: name and bytes of image files.
            ask: makes the question about an image.
            with_photo: whether its maps are drawn.
        """
        answers = [self._answer_one(name, data, bundle, ask, with_photo) for name, data in images]
        results = await asyncio.gather(*answers, return_exceptions=True)
        for result in results:
            outcome = "answered" if isinstance(result, Answer) else "failed"
            self.metrics.images.labels(outcome).inc()
            if isinstance(result, BaseException) and not isinstance(result, CaptionTxError):
                raise result
        if all(isinstance(result, CaptionTxError) for result in results):
            raise results[0]
        return results

    async def _answer_one(
        self, name: str, data: bytes, bundle: ServedBundle, ask: Callable[[LoadedImage], Question], with_photo: bool
    ) -> Answer:
        load = functools.partial(load_upload, name, data, bundle.captioner.image_size, with_photo)
        try:
            decoded = asyncio.get_running_loop().run_in_executor(self._decoders, load)
            image = await asyncio.wait_for(decoded, DECODE_SECONDS)
        except TimeoutError:
            raise HttpError("decoding_timeout", f"{name} was not decoded within {DECODE_SECONDS} seconds.") from None
        answer = await asyncio.wrap_future(self.engine.submit(Job(bundle, ask(image))))
        return replace(answer, found=image.found)

    async def render(self, draw: Callable[[], T]) -> T:
        """Draw a figure in the thread that does so."""
        return await asyncio.get_running_loop().run_in_executor(self._renderer, draw)

    def close(self) -> None:
        """Answer what waits, and end all threads."""
        self.engine.close()
        self._decoders.shutdown(cancel_futures=True)
        self._renderer.shutdown(cancel_futures=True)


def load_upload(name: str, data: bytes, size: int, with_photo: bool) -> LoadedImage:
    """Decode an uploaded image for a backbone with inputs of `size` pixels.

    Raises:
        ImageError: it is damaged.
        TooManyPixelsError: its header claims more than `MAX_PIXELS`.
    """
    if claimed := _excessive_size(data):
        raise TooManyPixelsError(f"{name} is too large: {claimed}; the limit is {MAX_PIXELS:,} pixels.")
    return load_image((name, data), size, with_photo)


def _excessive_size(data: bytes) -> str | None:
    """The size in the header of an image above `MAX_PIXELS`; None for others, and if decoding explains the problem."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            pixels = image.width * image.height
            return f"{pixels:,} pixels" if pixels > MAX_PIXELS else None
    except Image.DecompressionBombError as error:
        return claimed_size(error)
    except Exception:  # the decoders raise errors of almost any type for damaged files
        return None


async def or_disconnected(request: Request, work: Coroutine[None, None, T]) -> T:
    """The result of some work, which is cancelled if the client goes away.

    Raises:
        HttpError: 499, the client disconnected.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HttpError("client_disconnected", "The client disconnected.")
        return task.result()
    finally:
        for item in (task, gone):
            item.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
