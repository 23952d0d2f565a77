"""One thread with a bounded queue for work that blocks; callbacks only hand over."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """Calls ``work(item)`` for each item handed to :meth:`put`, in order, in a thread of its own.

    When the queue is full the new item is dropped and counted in ``dropped``. Beside the queue items of less importance
    may wait, one of each kind, :meth:`put_behind`. An error that ``work`` lets out is given to ``failed`` and the
    worker goes on. ``put``, ``put_behind``, ``put_back``, ``clear`` and ``stop`` may be called from any thread.
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
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._behind: dict[str, Item] = {}  # by kind
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand an item over; False when the queue was full and the item was dropped."""
        with self._changed:
            if len(self._items) >= self._capacity:
                self.dropped += 1
                return False
            self._items.append(item)
            self._changed.notify()
        return True

    def put_behind(self, item: Item, kind: str = "") -> list[Item]:
        """Hand over what is begun only when the queue is empty.

        Of each ``kind`` one such item waits: it takes the place of an older one that has not begun;
        that is given back.
        """
        with self._changed:
            replaced = [self._behind.pop(kind)] if kind in self._behind else []
            self._behind[kind] = item
            self._changed.notify()
        return replaced

    def put_back(self, item: Item, kind: str = "") -> None:
        """Hand over again, behind, what was begun and left; where a newer one of its kind waits it is dropped."""
        with self._changed:
            self._behind.setdefault(kind, item)
            self._changed.notify()

    def clear(self) -> list[Item]:
        """Take back, in order, the items that have not begun."""
        with self._changed:
            items = [*self._items, *self._behind.values()]
            self._items.clear()
            self._behind.clear()
        return items

    def waiting(self) -> int:
        """How many items have not begun."""
        with self._changed:
            return len(self._items) + len(self._behind)

    def end(self) -> None:
        """Begin no more items."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def stop(self, timeout: float = 1.0) -> bool:
        """End after the item in hand; False when it is still busy after ``timeout`` seconds."""
        self.end()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._items or self._behind)
                if self._ending:
                    return
                item = self._items.popleft() if self._items else self._behind.pop(next(iter(self._behind)))
            try:
                self._work(item)
            except Exception as exc:  # the worker outlives any single item
                self._failed(exc)
            del item  # it may hold what is large or private until the next one comes
