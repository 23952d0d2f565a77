"""One thread with a bounded queue for work that blocks; callbacks only hand over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Newest(Generic[Item]):
    """Work of which only the newest counts, for a worker that others use too: one item waits at most."""

    def __init__(self, put: Callable[[Callable[[], None]], bool], work: Callable[[Item], None]) -> None:
        """``put`` hands a job to the worker, which then does ``work`` with the newest item."""
        self._put = put
        self._work = work
        self._lock = threading.Lock()
        self._waiting: list[Item] = []

    def offer(self, item: Item) -> None:
        """Have it worked on in the place of one that has not begun; from any thread."""
        with self._lock:
            queued = bool(self._waiting)
            self._waiting = [item]
        if not queued and not self._put(self._begin):
            self._take()

    def _begin(self) -> None:
        for item in self._take():
            self._work(item)

    def _take(self) -> list[Item]:
        with self._lock:
            items, self._waiting = self._waiting, []
        return items


class Worker(Generic[Item]):
    """Calls ``work(item)`` for each item handed to :meth:`put`, in order, in a thread of its own.

    When the queue is full the new item is dropped and counted in ``dropped``. An error that ``work`` lets out is given
    to ``failed`` and the worker goes on. ``put``, ``clear`` and ``stop`` may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[Item], None],
        failed: Callable[[Exception], None],
        capacity: int,
    ) -> None:
        self.name = name
        self.dropped = 0
        self._work = work
        self._failed = failed
        self._items: queue.Queue[Item] = queue.Queue(capacity)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand an item over; False when the queue was full and the item was dropped."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def clear(self) -> list[Item]:
        """Take back, in order, the items that have not begun."""
        items: list[Item] = []
        while True:
            try:
                items.append(self._items.get_nowait())
            except queue.Empty:
                return items

    def waiting(self) -> int:
        """How many items have not begun."""
        return self._items.qsize()

    def end(self) -> None:
        """Begin no more items."""
        self._ending.set()

    def stop(self, timeout: float = 1.0) -> bool:
        """End after the item in hand; False when it is still busy after ``timeout`` seconds."""
        self.end()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                item = self._items.get(timeout=0.1)
            except queue.Empty:
                continue
            try:
                self._work(item)
            except Exception as exc:  # the worker outlives any single item
                self._failed(exc)
