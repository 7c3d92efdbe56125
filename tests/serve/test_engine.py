"""The engine with models that record their batches, and the plan of batches."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from caption_tx.serve.engine import Engine, Job


class Recorder:
    """Answers a question with itself, once `gate` is open; fails for negative numbers."""

    def __init__(self):
        self.gate, self.batches = threading.Event(), []

    def answer(self, jobs):
        self.gate.wait(5)
        questions = [job.question for job in jobs]
        self.batches.append(questions)
        if "batch" in questions and len(questions) > 1:
            raise RuntimeError("the whole batch fails")
        return [ValueError(str(value)) if value == -1 else value for value in questions]


@pytest.fixture
def engine():
    engines = []

    def make(**options):
        engines.append(Engine(**options))
        return engines[-1]

    yield make
    for item in engines:
        item.close(5)


def test_what_waits_is_answered_in_one_batch_up_to_the_limit(engine):
    model, sizes = Recorder(), []
    running = engine(workers=1, max_batch=4, on_batch=sizes.append)
    first = running.submit(Job(model, 0))
    while running.waiting:
        time.sleep(0.001)
    futures = [running.submit(Job(model, number)) for number in range(1, 8)]
    model.gate.set()
    assert [future.result(5) for future in (first, *futures)] == list(range(8))
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6, 7]] and sizes == [1, 4, 3]


def test_idle_workers_share_what_waits(engine):
    model = Recorder()
    running = engine(workers=2, max_batch=16)
    while running._idle < 2:
        time.sleep(0.001)
    with running._changed:  # no worker takes a job before all have arrived
        futures = [running.submit(Job(model, number)) for number in range(8)]
    while running.waiting:
        time.sleep(0.001)
    model.gate.set()
    assert [future.result(5) for future in futures] == list(range(8))
    assert sorted(map(len, model.batches)) == [4, 4]


def test_a_batch_has_one_model_and_keeps_the_order(engine):
    models = [Recorder(), Recorder()]
    running = engine(workers=1)
    with running._changed:
        futures = [running.submit(Job(models[number % 2], number)) for number in range(6)]
    for model in models:
        model.gate.set()
    assert [future.result(5) for future in futures] == list(range(6))
    assert models[0].batches == [[0, 2, 4]] and models[1].batches == [[1, 3, 5]]


def test_errors_reach_their_own_job_only(engine):
    model = Recorder()
    model.gate.set()
    running = engine(workers=1)
    with running._changed:
        futures = [running.submit(Job(model, question)) for question in (1, "batch", -1, 2)]
    assert [futures[index].result(5) for index in (0, 1, 3)] == [1, "batch", 2]
    with pytest.raises(ValueError, match="-1"):
        futures[2].result(5)


def test_a_cancelled_job_is_not_computed(engine):
    model = Recorder()
    running = engine(workers=1)
    running.submit(Job(model, 0))
    while running.waiting:
        time.sleep(0.001)
    futures = [running.submit(Job(model, number)) for number in (1, 2)]
    assert futures[0].cancel()
    model.gate.set()
    assert futures[1].result(5) == 2 and model.batches == [[0], [2]]
    with pytest.raises(CancelledError):
        futures[0].result(5)


def test_closing_answers_what_waits(engine):
    model = Recorder()
    running = engine(workers=1, max_batch=1)
    futures = [running.submit(Job(model, number)) for number in range(3)]
    model.gate.set()
    running.close(5)
    assert [future.result(0) for future in futures] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="closed"):
        running.submit(Job(model, 3))


def test_batches_take_the_least_time():
    from caption_tx.serve.models import plan_batches

    greedy, beam = {1: 1.0, 4: 1.5, 16: 5.0}, {1: 1.0, 4: 4.1, 16: 17.0}
    assert plan_batches(6, greedy) == [4, 2]
    assert plan_batches(16, greedy) == [16] and plan_batches(13, greedy) == [13]
    assert plan_batches(5, beam) == [1] * 5 and plan_batches(0, beam) == []
    assert sum(plan_batches(37, greedy)) == 37
