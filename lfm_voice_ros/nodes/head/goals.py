"""What the outputs that are clients of an action share: one goal at a time, and places one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from action_msgs.msg import GoalInfo, GoalStatus
from action_msgs.srv import CancelGoal
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from lfm_voice_ros.core.head_motion import Legs
from lfm_voice_ros.core.pan_tilt import Leg, Move

_ANSWER_TIMEOUT = 2.0  # s that a server may take to accept a goal
_TICK = 0.02  # s between looks whether the next place is due


@dataclass(eq=False)
class _Goal:
    """A goal on its way."""

    id: UUID
    sent: float
    answered: bool = False


class Goals:
    """A client of an action with at most one goal that counts: the newest.

    A newer goal replaces the one before, which is canceled when the new one was accepted, for servers that don't do
    that themselves. What the server says about the newest goal is given to ``told``: an empty text when it accepts it,
    and a sentence when it refuses or aborts it. ``verdict`` makes the sentence of a result, empty for success.
    """

    def __init__(
        self,
        node: Node,
        action_type: Any,
        name: str,
        told: Callable[[str], None],
        verdict: Callable[[Any], str],
    ) -> None:
        # Remapping goes by the names of topics and services, and those inside an action are other names.
        self.name: str = node.resolve_topic_name(name)
        self._node = node
        self._asked = name
        self._told = told
        self._verdict = verdict
        self._client = ActionClient(node, action_type, self.name)
        self._canceling = node.create_client(CancelGoal, f"{self.name}/_action/cancel_goal")
        self._newest: _Goal | None = None
        self._running: list[_Goal] = []  # all that were sent and have no result yet
        self._watch = node.create_timer(_ANSWER_TIMEOUT / 4.0, self._on_watch)

    def unready(self) -> str:
        """Why a goal would reach nobody, and what to do."""
        if self._client.server_is_ready():
            return ""
        return f"no controller offers the action {self.name}; start it, or remap {self._asked} to its action"

    def send(self, goal: Any, *, cancel: bool = False) -> None:
        """Send a goal; those before are canceled, with ``cancel`` at once, otherwise when this one was accepted."""
        self._newest = None
        if not self._client.server_is_ready():
            # With the server its goals have gone.
            self._running.clear()
            self._told(self.unready())
            return
        newest = _Goal(UUID(uuid=list(uuid.uuid4().bytes)), self._now())
        self._client.send_goal_async(goal, goal_uuid=newest.id).add_done_callback(
            lambda answer: self._on_answer(newest, answer)
        )
        if cancel:
            self._cancel_replaced()
        self._newest = newest
        self._running.append(newest)

    def close(self) -> None:
        """Cancel what runs, and hear no more of it."""
        self._newest = None
        self._cancel_replaced()

    def _on_answer(self, goal: _Goal, answer: Future) -> None:
        handle = answer.result()
        goal.answered = True
        if handle.accepted:
            handle.get_result_async().add_done_callback(lambda result: self._on_result(goal, result))
            # Also this one, where it was replaced while it waited: its cancellation may have come before it.
            self._cancel_replaced()
            if goal is self._newest:
                self._told("")
            return
        self._forget(goal)
        if goal is self._newest:
            self._newest = None
            self._cancel_replaced()
            self._told(
                f"{self.name} has rejected the motion, and the head stops; the names of the joints must be the "
                "controller's, and the controller must be active"
            )

    def _on_result(self, goal: _Goal, future: Future) -> None:
        self._forget(goal)
        if goal is not self._newest:
            return
        self._newest = None
        answer = future.result()
        if answer.status == GoalStatus.STATUS_CANCELED:
            self._told(f"the motion was canceled at {self.name} by somebody else")
            return
        problem = self._verdict(answer.result)
        if answer.status == GoalStatus.STATUS_ABORTED:
            problem = problem or "it gave no reason; the controller's own log may have one"
        if problem:
            self._told(f"{self.name} has not finished the motion: {problem}")

    def _on_watch(self) -> None:
        goal = self._newest
        if goal is not None and not goal.answered and self._now() - goal.sent > _ANSWER_TIMEOUT:
            self._newest = None
            self._cancel_replaced()
            # It is kept: a server that takes it later, before the cancellation has reached it, is told once more.
            self._told(f"{self.name} has not answered for {_ANSWER_TIMEOUT:g} s; is the controller active?")

    def _cancel_replaced(self) -> None:
        """Cancel every goal but the newest."""
        for goal in self._running:
            if goal is not self._newest:
                self._cancel(goal)

    def _forget(self, goal: _Goal) -> None:
        self._running = [other for other in self._running if other is not goal]

    def _cancel(self, goal: _Goal) -> None:
        # By its id and not through the goal's handle, which is there only after the answer.
        self._canceling.call_async(CancelGoal.Request(goal_info=GoalInfo(goal_id=goal.id)))

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9


class PlaceByPlace:
    """Part of a HeadOutput for controllers that take no trajectory: each place of a motion becomes a goal.

    A place is sent when the one before should be reached. ``goal`` makes it; None where it can't be made now.
    """

    def __init__(
        self,
        node: Node,
        goals: Callable[[Callable[[str], None]], Goals],
        goal: Callable[[Leg], Any | None],
        told: Callable[[str], None],
    ) -> None:
        """``goals`` makes the client, whose news it is given where to bring."""
        self._node = node
        self._goals = goals(self._on_told)
        self._goal = goal
        self._told = told
        self._legs = Legs()
        self._stopping = False
        self._timer = node.create_timer(_TICK, self._on_timer)
        self._timer.cancel()

    @property
    def name(self) -> str:
        """The action's name."""
        return self._goals.name

    def unready(self) -> str:
        """Why a goal would reach nobody, and what to do."""
        return self._goals.unready()

    def send(self, move: Move) -> None:
        """Send the places one after the other, the first at once."""
        self._begin(move, stopping=False)

    def stop(self, move: Move) -> None:
        """Send the place at which it comes to rest, and cancel what ran in any case."""
        self._begin(move, stopping=True)

    def close(self) -> None:
        """Cancel what runs."""
        self._end()
        self._goals.close()

    def _begin(self, move: Move, *, stopping: bool) -> None:
        self._stopping = stopping
        self._legs.begin(move, self._now())
        self._on_timer()
        if not self._legs.over:
            self._timer.reset()

    def _end(self) -> None:
        self._legs.end()
        self._timer.cancel()

    def _on_timer(self) -> None:
        if (leg := self._legs.due(self._now())) is not None:
            goal = self._goal(leg)
            if goal is None:
                self._goals.close()
            else:
                self._goals.send(goal, cancel=self._stopping)
        if self._legs.over:
            self._timer.cancel()

    def _on_told(self, problem: str) -> None:
        if problem:
            self._end()
        self._told(problem)

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9
