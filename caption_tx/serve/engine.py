"""The engine: worker threads that answer whatever waits, in batches, without waiting for more."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

MAX_WORKERS = 4
"""Most batches that a process computes at the same time, each on one core."""

Answer = TypeVar("Answer")


class Model(Protocol[Answer]):
    """What answers jobs."""

    def answer(self, jobs: Sequence[Job[Answer]]) -> list[Answer | Exception]:
        """The answer, or the error, of each job."""


@dataclass(eq=False)
class Job(Generic[Answer]):
    """One image to answer.

    Attributes:
        model: answers it, together with other jobs of the same model.
        question: what the model needs to know.
        future: receives the answer. Once it is cancelled, a job that has not begun is dropped.
    """

    model: Model[Answer]
    question: object
    future: Future[Answer] = field(default_factory=Future)


class Engine:
    """Answers jobs in worker threads.

    A free worker takes its share of the jobs that wait for one model, in their order, and answers them as one batch. No
    timer delays it: a batch is as large as the load makes it.

    Args:
        workers: number of threads.
        max_batch: most jobs in a batch.
        on_batch: called with the size of each batch.

    Example:
        >>> engine = Engine(workers=2, max_batch=16)
        >>> engine.submit(Job(model, question)).result()
    """

    def __init__(self, workers: int = 1, max_batch: int = 16, on_batch: Callable[[int], None] | None = None) -> None:
        self.max_batch = max_batch
        self._on_batch = on_batch or (lambda size: None)
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._idle = 0
        names = [f"caption-tx-engine-{index}" for index in range(workers)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs that no worker has taken."""
        return len(self._waiting)

    def submit(self, job: Job[Answer]) -> Future[Answer]:
        """Queue a job; returns its future.

        Raises:
            RuntimeError: the engine is closed.
        """
        with self._changed:
            if self._closed:
                raise RuntimeError("The engine is closed.")
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self, timeout: float | None = None) -> None:
        """Answer what waits, then end the workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout)

    def _work(self) -> None:
        while batch := self._take():
            self._on_batch(len(batch))
            answer_jobs(batch)

    def _take(self) -> list[Job]:
        """Waits for jobs and takes a batch of one model; empty once the engine is closed."""
        with self._changed:
            self._idle += 1
            while True:
                batch = self._next_batch()
                if batch or (self._closed and not self._waiting):
                    self._idle -= 1
                    return batch
                if not self._waiting:
                    self._changed.wait()

    def _next_batch(self) -> list[Job]:
        """The oldest job and others of its model: the share of one idle worker. Drops jobs that were cancelled."""
        waiting = [job for job in self._waiting if not job.future.cancelled()]
        same = [job for job in waiting if job.model is waiting[0].model]
        share = min(self.max_batch, math.ceil(len(same) / self._idle))
        batch = [job for job in same[:share] if job.future.set_running_or_notify_cancel()]
        taken = set(map(id, same[:share]))
        self._waiting = deque(job for job in waiting if id(job) not in taken)
        return batch


def answer_jobs(jobs: Sequence[Job]) -> None:
    """Answer a batch. If it fails as a whole, each job is tried alone, so that one cannot fail the others."""
    try:
        answers = jobs[0].model.answer(jobs)
    except Exception as error:
        if len(jobs) > 1:
            for job in jobs:
                answer_jobs([job])
            return
        answers = [error]
    for job, answer in zip(jobs, answers, strict=True):
        if isinstance(answer, Exception):
            job.future.set_exception(answer)
        else:
            job.future.set_result(answer)
