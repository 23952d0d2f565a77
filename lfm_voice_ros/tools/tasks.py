"""What the robot has been told to do and is still doing: its tasks, how they end, and how they are cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lfm_voice_ros.core.errors import ToolCanceled
from lfm_voice_ros.core.ports import Clock
from lfm_voice_ros.tools.interface import End, Message, Remote

_GONE_AFTER = 3.0  # s without a server after which a task counts as lost


@dataclass(frozen=True)
class Ending:
    """How a task has ended."""

    end: End
    answer: Message | None = None  # the response or the result


@dataclass(frozen=True)
class Manner:
    """How a task is told."""

    ending: Callable[[Ending], str]  # the sentence for its end
    progress: Callable[[Message], str] | None = None  # the sentence for feedback
    report_every: float = 20.0  # s between two of them at least
    limit: float = 600.0  # s after which it is given up, once nobody waits for it


@dataclass(frozen=True)
class Canceled:
    """What became of tasks that were to end."""

    names: tuple[str, ...] = ()  # of the tools whose tasks are over
    sentences: tuple[str, ...] = ()  # for each of them
    problems: tuple[str, ...] = ()  # of those that go on: a phrase, and behind a colon what the console says


class Tasks:
    """The tasks that are running, oldest first. May be used from any thread."""

    def __init__(self, report: Callable[[str, bool], None], clock: Clock) -> None:
        """``report`` speaks a sentence about a task that nobody waits for; True says that it is its end."""
        self.report = report
        self.clock = clock
        self._lock = threading.Lock()
        self._running: list[Task] = []

    def begin(self, name: str, remote: Remote, message: Message, manner: Manner, canceled: Callable[[], bool]) -> Task:
        """Send a request or a goal as a task. Raises ToolCanceled when that was ``canceled()`` before."""
        task = Task(self, name, remote, manner)
        with self._lock:
            self._running.append(task)
        # In this order: who cancels sets `canceled` first and then looks at the list.
        if canceled():
            self.remove(task)
            raise ToolCanceled("stop came first")
        remote.begin(message, task)
        return task

    def names(self) -> list[str]:
        """The tools whose tasks are running."""
        return [task.name for task in self._list()]

    def cancel(self, newest: bool) -> tuple[Task, ...]:
        """Ask the newest task, or all, to end; returns at once with those that were asked.

        What becomes of them is told by :meth:`collect`, or after :meth:`leave` by a report.
        """
        able = [task for task in self._list() if task.remote.cancelable]
        asked = able[-1:] if newest else able
        return tuple(task for task in asked if task.cancel())

    def collect(self, tasks: Iterable[Task], timeout: float) -> Canceled:
        """Wait until tasks from :meth:`cancel` have ended, at most ``timeout`` s after they were asked to."""
        told = [task.collect(timeout) for task in tasks]
        return Canceled(
            tuple(name for one in told for name in one.names),
            tuple(text for one in told for text in one.sentences),
            tuple(text for one in told for text in one.problems),
        )

    def leave(self, tasks: Iterable[Task]) -> None:
        """Nobody will collect these after all: their ends are reported."""
        for task in tasks:
            task.leave()

    def supersede(self, newer: Task) -> None:
        """A new goal has taken the place of earlier ones for the same server: that they fail is not worth telling."""
        for task in self._list():
            if task.remote is newer.remote and task is not newer:
                task.superseded = True

    def check(self) -> None:
        """Give up what takes too long, and whose server is gone. To be called about once a second."""
        for task in self._list():
            task.check()

    def remove(self, task: Task) -> None:
        """It has ended."""
        with self._lock:
            if task in self._running:
                self._running.remove(task)

    def _list(self) -> list[Task]:
        with self._lock:
            return list(self._running)


@dataclass(eq=False)
class Task:
    """A request or a goal from its beginning to its end; the Listener of a Remote.

    Somebody waits for its end, or after :meth:`detach` it is reported. Methods may be called from any thread.
    """

    tasks: Tasks
    name: str  # of the tool
    remote: Remote
    manner: Manner
    superseded: bool = False
    ending: Ending | None = None
    _news: threading.Condition = field(default_factory=threading.Condition)
    _accepted: bool = False
    _detached: bool = False
    _claimed: bool = False  # whoever cancels it tells its end
    _cancel: Callable[[], None] | None = None
    _asked_at: float | None = None  # to end
    _refusal: str = ""
    _began: float = 0.0
    _last_report: float = 0.0
    _seen: float = 0.0  # its server

    def __post_init__(self) -> None:
        self._began = self._seen = self._last_report = self.tasks.clock()

    # The Listener.

    def accepted(self, cancel: Callable[[], None] | None) -> None:
        """See the port."""
        with self._news:
            self._accepted = True
            self._cancel = cancel
            unwanted = self._asked_at is not None or self.ending is not None
            self._news.notify_all()
        if unwanted and cancel:
            cancel()

    def progress(self, feedback: Message) -> None:
        """See the port: a report, but not more often than the tool wants."""
        now = self.tasks.clock()
        sentence = self.manner.progress
        with self._news:
            silent = not self._detached or self._claimed or self.superseded or self.ending is not None
            if sentence is None or silent or now - self._last_report < self.manner.report_every:
                return
            self._last_report = now
        self.tasks.report(sentence(feedback), False)

    def uncancelable(self, reason: str) -> None:
        """See the port."""
        with self._news:
            self._refusal = reason
            self._news.notify_all()

    def ended(self, end: End, answer: Message | None = None) -> None:
        """See the port; only the first end counts."""
        with self._news:
            if self.ending is not None:
                return
            self.ending = ending = Ending(end, answer)
            reported = self._detached and not self._claimed
            self._news.notify_all()
        self.tasks.remove(self)
        if reported:
            self._report(ending)

    # For who has begun it.

    def wait_accepted(self, timeout: float) -> bool:
        """Whether it was taken, or is over, within so many s."""
        with self._news:
            return self._news.wait_for(lambda: self._accepted or self.ending is not None, max(0.0, timeout))

    def wait_ended(self, timeout: float) -> Ending | None:
        """Its end, if it comes within so many s."""
        with self._news:
            self._news.wait_for(lambda: self.ending is not None, max(0.0, timeout))
            return self.ending

    def detach(self) -> Ending | None:
        """Nobody waits any more: its progress and its end are reported. Gives the end when that came before."""
        with self._news:
            self._detached = self.ending is None
            self._last_report = self.tasks.clock()
            return self.ending

    def give_up(self) -> None:
        """Nobody waits any more, and it shall not go on; if it is taken later it is cancelled then."""
        with self._news:
            cancel = self._cancel if self.ending is None else None
        self.ended(End.OVERDUE)
        if cancel:
            cancel()

    def was_canceled(self) -> bool:
        """Whether a person has asked for its end."""
        return self._asked_at is not None

    # For who cancels it.

    def cancel(self) -> bool:
        """Ask for its end. False when it has ended, or somebody waits for that already."""
        with self._news:
            if self.ending is not None or (self._asked_at is not None and self._claimed):
                return False
            self._asked_at = self.tasks.clock()
            self._claimed = True
            self._refusal = ""
            cancel = self._cancel
        if cancel:
            cancel()
        return True

    def collect(self, timeout: float) -> Canceled:
        """What became of it, at most ``timeout`` s after it was asked to end."""
        with self._news:
            since = self._asked_at if self._asked_at is not None else self.tasks.clock()
            left = max(0.0, since + timeout - self.tasks.clock())
            self._news.wait_for(lambda: self.ending is not None or bool(self._refusal), left)
            if ending := self.ending:
                self._claimed = False
                # Many servers abort a goal that is cancelled.
                end = End.CANCELED if ending.end is End.ABORTED else ending.end
                return Canceled((self.name,), (self.manner.ending(Ending(end, ending.answer)),))
            self._claimed = False
            self._asked_at = None  # it may be asked again
            if self._refusal:
                return Canceled(problems=(f"what I am doing can't be cancelled: {self.name}: {self._refusal}",))
        return Canceled(
            problems=(f"it doesn't answer: {self.name} was asked to end, and nothing came of it in {timeout} s",)
        )

    def leave(self) -> None:
        """Nobody collects it."""
        with self._news:
            self._claimed = False
            ending = self.ending if self._detached else None
        if ending is not None:
            self._report(ending)

    def check(self) -> None:
        """Give it up when it takes too long or its server is gone."""
        now = self.tasks.clock()
        if self.remote.there():
            self._seen = now
        if not self._detached:
            return
        if now - self._seen > _GONE_AFTER:
            self.ended(End.LOST)
        elif now - self._began > self.manner.limit:
            cancel = self._cancel
            self.ended(End.OVERDUE)
            if cancel:
                cancel()

    def _report(self, ending: Ending) -> None:
        if not self.superseded or ending.end is End.DONE:
            self.tasks.report(self.manner.ending(ending), True)
