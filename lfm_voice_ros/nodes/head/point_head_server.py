"""The action head_controller/point_head for any two-joint head: look at a point in a frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node

from lfm_voice_ros.core.pan_tilt import HeadStatus, Move, Refused
from lfm_voice_ros.core.pointing import HeadGeometry, PointingError, Vector
from lfm_voice_ros.nodes.head.frames import Frames

NAME = "head_controller/point_head"

_TICK = 0.1  # s between feedbacks
_FRAME_TIMEOUT = 2.0  # s to wait for a frame, which is known some time after listening has begun
_SETTLING = 1.0  # s after the planned end in which a head may still come nearer
_LATEST = 5.0  # s after the planned end at which a head that still moves is given up
_NEAR = 0.05  # rad; looking past a point by less is looking at it


class Pointer(Protocol):
    """The head that is pointed. Called in the thread of the callbacks."""

    geometry: HeadGeometry | None
    #: Counts the motions, whoever asked for them: a goal whose motion is not the newest was replaced.
    motions: int

    def no_motion(self) -> str:
        """Why no motion can begin now, and what to do; empty when one can."""

    def look(self, pan: float, tilt: float, speed: float, duration: float) -> Move:
        """Begin to turn to pan and tilt (rad), with at most ``speed`` rad/s in at least ``duration`` s; or Refused."""

    def halt(self) -> None:
        """Stop."""

    def where(self) -> HeadStatus:
        """Where the head is."""

    def now(self) -> float:
        """ROS time in seconds."""


@dataclass
class _Goal:
    """A goal that was accepted and isn't over."""

    handle: Any
    point: Vector
    frame: str
    speed: float
    duration: float  # s, at least
    accepted: float
    began: float = math.inf
    planned: float = 0.0  # s
    motion: int = -1
    limited: bool = False
    target: Vector = (math.nan, math.nan, math.nan)  # the point in the head's frame


class PointHeadServer:
    """Offers ``head_controller/point_head``.

    The head looks along the x axis of its tilt joint, whatever ``pointing_frame`` and ``pointing_axis`` say. A goal is
    refused while the head can't move, and for a point that never can be looked at. A point beyond the limits turns the
    head to the limit, and the goal is aborted there, as it is where another command came in between. A newer goal
    replaces the one that runs.
    """

    def __init__(self, node: Node, action: Any, head: Pointer, told: Callable[[str], None]) -> None:
        self._action = action
        self._head = head
        self._told = told
        self._frames = Frames(node)
        self._goal: _Goal | None = None
        self.name: str = node.resolve_topic_name(NAME)
        self._server = ActionServer(
            node,
            action,
            self.name,
            execute_callback=self._unused,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )
        self._timer = node.create_timer(_TICK, self._on_timer)
        self._timer.cancel()

    def close(self) -> None:
        """End the goal that runs."""
        self._end(aborted="the head is being switched off")

    def _on_goal(self, request: Any) -> GoalResponse:
        try:
            geometry = self._geometry()
            if problem := self._head.no_motion():
                raise PointingError(problem)
            point = _vector(request.target.point)
            if not all(map(math.isfinite, point)) or math.isnan(request.max_velocity):
                raise PointingError("the point or the speed is not a finite number")
            self._frames.check(geometry.frame, request.target.header.frame_id)
            if request.target.header.frame_id.strip("/") == geometry.frame.strip("/"):
                geometry.angles(point)
        except PointingError as exc:
            self._told(f"{NAME} was refused: {exc}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, handle: Any) -> None:
        self._end(aborted="a newer goal has come")
        request = handle.request
        least = request.min_duration
        self._goal = _Goal(
            handle=handle,
            point=_vector(request.target.point),
            frame=request.target.header.frame_id,
            speed=request.max_velocity if request.max_velocity > 0.0 else math.inf,
            duration=max(0.0, least.sec + least.nanosec * 1e-9),
            accepted=self._head.now(),
        )
        self._timer.reset()
        self._on_timer()

    def _on_cancel(self, handle: Any) -> CancelResponse:
        if self._goal is not None and handle is self._goal.handle and self._goal.motion == self._head.motions:
            self._head.halt()
        return CancelResponse.ACCEPT

    def _on_timer(self) -> None:
        goal = self._goal
        if goal is None:
            self._timer.cancel()
        elif goal.handle.is_cancel_requested:
            self._end()
        elif goal.motion < 0:
            self._begin(goal)
        else:
            self._follow(goal)

    def _begin(self, goal: _Goal) -> None:
        try:
            geometry = self._geometry()
            goal.target = self._frames.point(geometry.frame, goal.frame, goal.point)
        except PointingError as exc:
            if self._head.now() - goal.accepted > _FRAME_TIMEOUT:
                self._end(aborted=str(exc))
            return
        try:
            move = self._head.look(*geometry.angles(goal.target), goal.speed, goal.duration)
        except (PointingError, Refused) as exc:
            self._end(aborted=str(exc))
            return
        goal.began, goal.planned, goal.motion = self._head.now(), move.trajectory.duration, self._head.motions
        goal.limited = any(move.limited)

    def _follow(self, goal: _Goal) -> None:
        status, geometry = self._head.where(), self._head.geometry
        if geometry is None:
            self._end(aborted="where the head's axes are is not known any more")
            return
        past = geometry.off(status.position, goal.target)
        goal.handle.publish_feedback(self._action.Feedback(pointing_angle_error=past))
        over = self._head.now() - goal.began - goal.planned
        if goal.motion != self._head.motions:
            self._end(aborted="another command moves the head")
        elif status.stale:
            self._end(aborted="joint_states are missing")
        elif over < 0.0 or (status.moving and over < _LATEST):
            return
        elif past <= _NEAR:
            self._end()
        elif goal.limited:
            self._end(aborted=f"the point lies beyond the limits; the head looks {math.degrees(past):.0f}° past it")
        elif over > _SETTLING:
            self._end(aborted=f"the head came to rest {math.degrees(past):.0f}° beside the point")

    def _end(self, aborted: str = "") -> None:
        goal, self._goal = self._goal, None
        self._timer.cancel()
        if goal is None:
            return
        if aborted:
            self._told(f"{NAME} was aborted: {aborted}")

        def finish(handle: Any) -> Any:
            if handle.is_cancel_requested:
                handle.canceled()
            elif aborted:
                handle.abort()
            else:
                handle.succeed()
            return self._action.Result()

        # Only now: what executes for as long as the head moves would keep the executor busy all the time.
        goal.handle.execute(finish)

    def _geometry(self) -> HeadGeometry:
        if self._head.geometry is None:
            raise PointingError(
                "where the head's axes are is not known; set head_frame and the axes, or set joints_from to "
                "robot_description"
            )
        return self._head.geometry

    def _unused(self, _handle: Any) -> Any:
        return self._action.Result()


def _vector(point: Any) -> Vector:
    return point.x, point.y, point.z
