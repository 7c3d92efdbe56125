"""Iterators that compute their items in background threads before they are requested."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")

_POLL_SECONDS = 0.1
_END: Any = object()


def prefetch(
    items: Iterable[Item], depth: int, closed: threading.Event | None = None, stop: threading.Event | None = None
) -> Iterator[Item]:
    """Yields the same items, computed by one background thread up to `depth` items ahead.

    An error that `items` raises is raised after the items before it.

    Args:
        closed: is set when the consumer closes the iterator. The thread is then joined, unless `stop` is given.
        stop: ends the iteration from outside. Use it for `items` that may block forever: the thread is not joined.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    closed = threading.Event() if closed is None else closed

    def is_over() -> bool:
        return closed.is_set() or (stop is not None and stop.is_set())

    def put(item: Any, error: BaseException | None) -> None:
        while not is_over():
            with suppress(queue.Full):
                return ready.put((item, error), timeout=_POLL_SECONDS)

    def run() -> None:
        try:
            for item in items:
                put(item, None)
                if is_over():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=run, name="prefetch", daemon=True)
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
        closed.set()
        if stop is None:
            thread.join()


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, depth: int
) -> Iterator[tuple[Item, Result]]:
    """Yields (item, `function(item)`) in order, computed by `workers` threads up to `depth` items ahead.

    `items` is iterated in the calling thread. An error that it raises, or an interrupt, is raised after the results
    of the items that were already submitted.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()
    errors: list[BaseException] = []
    iterator, exhausted = iter(items), False
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            try:
                while not exhausted and len(pending) < depth:
                    if (item := next(iterator, _END)) is _END:
                        exhausted = True
                    else:
                        pending.append((item, pool.submit(function, item)))
                if pending:
                    pending[0][1].exception()  # waits for the result
            except BaseException as error:
                exhausted = True
                errors.append(error)
                continue
            if not pending:
                break
            item, future = pending.popleft()
            yield item, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    if errors:
        raise errors.pop()
