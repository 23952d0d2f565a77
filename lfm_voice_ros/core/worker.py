"""One thread with a bounded queue for work that blocks; callbacks only hand over."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_WAKE_UP = object()  # no item: a worker that waits without a time-out costs nothing at rest


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
        self._items: queue.Queue[Any] = queue.Queue(capacity)
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
                if self._ending.is_set():
                    self.end()  # what wakes it up was among them
                return [item for item in items if item is not _WAKE_UP]

    def waiting(self) -> int:
        """How many items have not begun."""
        return self._items.qsize()

    def end(self) -> None:
        """Begin no more items."""
        self._ending.set()
        with suppress(queue.Full):  # where it is full nobody waits
            self._items.put_nowait(_WAKE_UP)

    def stop(self, timeout: float = 1.0) -> bool:
        """End after the item in hand; False when it is still busy after ``timeout`` seconds."""
        self.end()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ending.is_set():
            item = self._items.get()
            if self._ending.is_set():
                return
            try:
                self._work(item)
            except Exception as exc:  # the worker outlives any single item
                self._failed(exc)
