"""The worker: in order, bounded, alive after errors, and health that tells."""

from __future__ import annotations

import threading

import pytest

from lfm_voice_ros.core.health import Health, Level
from lfm_voice_ros.core.worker import Worker

TIMEOUT = 10.0


class Gate:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()
        self.done: list[int] = []
        self.finished = threading.Semaphore(0)

    def work(self, item: int) -> None:
        self.begun.set()
        assert self.open.wait(TIMEOUT)
        if item < 0:
            raise ValueError("negative")
        self.done.append(item)
        self.finished.release()


def unexpected(error: Exception) -> None:
    raise error


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_items_are_worked_on_in_order(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 10)
    gate.open.set()

    for item in range(5):
        assert worker.put(item)
    for _ in range(5):
        assert gate.finished.acquire(timeout=TIMEOUT)

    assert gate.done == [0, 1, 2, 3, 4]
    assert worker.stop()


def test_a_full_queue_drops_and_counts(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 2)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)

    assert [worker.put(item) for item in (1, 2, 3, 4)] == [True, True, False, False]

    assert (worker.dropped, worker.waiting()) == (2, 2)
    gate.open.set()
    assert worker.stop()


def test_what_has_not_begun_can_be_taken_back(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 5)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)
    worker.put(1)
    worker.put(2)

    assert worker.clear() == [1, 2]

    gate.open.set()
    assert worker.stop()
    assert gate.done == [0]


def test_what_is_put_behind_is_begun_when_nothing_else_waits(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 5)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)
    worker.put_behind(9)
    worker.put(1)
    worker.put(2)
    assert worker.waiting() == 3

    gate.open.set()
    for _ in range(4):
        assert gate.finished.acquire(timeout=TIMEOUT)

    assert gate.done == [0, 1, 2, 9]
    assert worker.stop()


def test_of_what_is_put_behind_only_the_newest_waits(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 1)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)

    assert [worker.put_behind(item) for item in (7, 8, 9)] == [[], [7], [8]]

    assert worker.put(1)  # it takes no room in the queue
    assert worker.clear() == [1, 9]
    gate.open.set()
    assert worker.stop()
    assert gate.done == [0]


def test_of_each_kind_that_is_put_behind_one_waits(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 1)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)

    assert [worker.put_behind(*put) for put in ((6, "a"), (7, "b"), (8, "a"))] == [[], [], [6]]
    assert worker.clear() == [7, 8]

    gate.open.set()
    assert worker.stop()


def test_what_is_put_back_waits_unless_something_newer_of_its_kind_does(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 1)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)

    worker.put_back(6, "a")
    worker.put_behind(8, "b")
    worker.put_back(7, "b")
    assert worker.clear() == [6, 8]

    gate.open.set()
    assert worker.stop()


def test_an_idle_worker_ends_at_once(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 1)

    assert worker.stop(TIMEOUT)


def test_an_error_is_told_and_the_next_item_is_worked_on(gate: Gate) -> None:
    errors: list[Exception] = []
    worker = Worker("test", gate.work, errors.append, 5)
    gate.open.set()

    worker.put(-1)
    worker.put(7)

    assert gate.finished.acquire(timeout=TIMEOUT)
    assert gate.done == [7]
    assert [str(error) for error in errors] == ["negative"]
    assert worker.stop()


def test_a_worker_in_the_middle_of_its_work_is_not_waited_for_longer_than_asked(gate: Gate) -> None:
    worker = Worker("test", gate.work, unexpected, 5)
    worker.put(0)
    assert gate.begun.wait(TIMEOUT)

    assert not worker.stop(timeout=0.01)

    gate.open.set()
    assert worker.stop(TIMEOUT)


def test_health_is_ok_until_something_is_wrong_and_again_after_it() -> None:
    health = Health()
    assert (health.report().level, health.report().message) == (Level.OK, "ok")

    assert health.set("device", Level.WARN, "no microphone")
    assert not health.set("device", Level.WARN, "no microphone")
    health.set("model", Level.ERROR, "no model")

    assert health.report().level is Level.ERROR
    assert health.report().message == "no model; no microphone"
    assert health.clear("model")
    assert not health.clear("model")
    health.clear("device")
    assert health.report().level is Level.OK


def test_health_shows_values() -> None:
    health = Health()

    health.value("dropped", 3)

    assert health.report().values == {"dropped": "3"}
