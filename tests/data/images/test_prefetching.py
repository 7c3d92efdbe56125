import signal
import threading
import time

import pytest

from caption_tx.data.images.prefetching import parallel_map, prefetch


def test_prefetch_computes_at_most_depth_items_ahead():
    computed = []
    release = threading.Semaphore(0)

    def items():
        for index in range(20):
            computed.append(index)
            release.release()
            yield index

    prefetched = prefetch(items(), depth=3)
    assert next(prefetched) == 0
    for _ in range(5):  # the consumed item, three in the queue, and one that the thread is about to put there
        assert release.acquire(timeout=20)
    assert not release.acquire(timeout=0.3)
    assert list(prefetched) == list(range(1, 20))
    assert computed == list(range(20))


def test_prefetch_raises_an_error_after_the_items_before_it():
    def items():
        yield 1
        raise ValueError("no more items")

    prefetched = prefetch(items(), depth=3)
    assert next(prefetched) == 1
    with pytest.raises(ValueError, match="no more items"):
        next(prefetched)


def test_parallel_map_raises_an_error_after_the_results_before_it():
    def items():
        yield from range(3)
        raise ValueError("no more items")

    results = []
    with pytest.raises(ValueError, match="no more items"):
        for pair in parallel_map(lambda item: -item, items(), workers=2, depth=8):
            results.append(pair)
    assert results == [(0, 0), (1, -1), (2, -2)]


@pytest.fixture
def interrupts():
    """SIGINT raises KeyboardInterrupt, also in processes that were started in the background, which ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_parallel_map_is_interrupted_after_the_submitted_items(interrupts):
    def slow(item):
        if item == 2:
            time.sleep(0.3)  # by then the main thread waits for this item
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)
        return -item

    results = []
    with pytest.raises(KeyboardInterrupt):
        for pair in parallel_map(slow, range(100), workers=2, depth=4):
            results.append(pair)
    assert results == [(item, -item) for item in range(len(results))]
    assert 4 <= len(results) < 8
