"""Motions of two joints over time: made within speed and acceleration, and followed as a controller follows them.

Angles are in rad, times in s, speeds in rad/s, accelerations in rad/s². Each joint moves with constant acceleration
between two points, and that is exactly what a cubic Hermite spline through positions and velocities gives: a
joint_trajectory_controller that gets the points moves within the same bounds, however far apart the points are.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lfm_voice_ros.core.errors import VoiceError

#: A value for each of the two joints.
Pair = tuple[float, float]

#: s; points closer than this are one point, which also keeps their times apart in whole nanoseconds.
_SAME_TIME = 1e-6
#: s that a motion takes at least, so that its end still lies ahead when a controller receives it.
_SHORTEST = 0.02
#: rad and rad/s that no head can show.
_NO_DISTANCE = 1e-9
_NO_SPEED = 1e-3


class TrajectoryError(VoiceError):
    """A trajectory can't be followed."""


@dataclass(frozen=True)
class Bounds:
    """What each joint may do."""

    speed: float  # rad/s
    acceleration: float  # rad/s²


@dataclass(frozen=True)
class Point:
    """Where the joints are at a time since the start; without velocities the way there is straight."""

    time: float
    positions: Pair
    velocities: Pair | None


@dataclass(frozen=True)
class Trajectory:
    """Points in order of time; the first is the state at time 0 from which it starts."""

    points: tuple[Point, ...]

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return self.points[-1].time

    @property
    def end(self) -> Pair:
        """The positions at the end."""
        return self.points[-1].positions

    def sample(self, time: float) -> tuple[Pair, Pair]:
        """Positions and velocities at a time since the start; at rest after the end."""
        following = bisect.bisect_right(self.points, time, key=lambda point: point.time)
        if following == len(self.points):
            return self.end, (0.0, 0.0)
        if following == 0:
            return self.points[0].positions, self.points[0].velocities or (0.0, 0.0)
        before, after = self.points[following - 1], self.points[following]
        pan, tilt = (_interpolate(before, after, joint, time) for joint in (0, 1))
        return (pan[0], tilt[0]), (pan[1], tilt[1])


def _interpolate(before: Point, after: Point, joint: int, time: float) -> Pair:
    """Position and velocity of a joint between two points."""
    span = after.time - before.time
    part = (time - before.time) / span
    start, end = before.positions[joint], after.positions[joint]
    if before.velocities is None or after.velocities is None:
        return start + (end - start) * part, (end - start) / span
    # Hermite in the form start + part * (…), with the slopes as distances over the span.
    leaving, arriving = before.velocities[joint] * span, after.velocities[joint] * span
    square = 3.0 * (end - start) - 2.0 * leaving - arriving
    cube = leaving + arriving - 2.0 * (end - start)
    position = start + part * (leaving + part * (square + part * cube))
    return position, (leaving + part * (2.0 * square + part * 3.0 * cube)) / span


@dataclass(frozen=True)
class _Phase:
    """A stretch of constant acceleration."""

    duration: float
    acceleration: float


def move_through(
    positions: Pair, velocities: Pair, waypoints: Sequence[Pair], bounds: Bounds
) -> tuple[Trajectory, tuple[float, ...]]:
    """Move from a state through waypoints, at rest at each, both joints arriving at the same time.

    Gives the trajectory and the times of arrival at the waypoints. From a state in which a joint is too fast to stop
    where it should, it brakes and comes back. A speed beyond the bounds is braked first.
    """
    # What a sensor's noise reports as speed would ask for points microseconds apart.
    pan, tilt = (0.0 if abs(velocity) < _NO_SPEED else velocity for velocity in velocities)
    points = [Point(0.0, positions, (pan, tilt))]
    arrivals: list[float] = []
    for waypoint in waypoints:
        _append_leg(points, waypoint, bounds)
        arrivals.append(points[-1].time)
    _lengthen(points)
    return Trajectory(tuple(points)), tuple(arrivals)


def brake(positions: Pair, velocities: Pair, bounds: Bounds) -> Pair:
    """Where the joints come to rest when both brake at once."""
    pan, tilt = (
        position + velocity * abs(velocity) / (2.0 * bounds.acceleration)
        for position, velocity in zip(positions, velocities, strict=True)
    )
    return pan, tilt


def stop_at(positions: Pair, velocities: Pair, ends: Pair, bounds: Bounds) -> Trajectory:
    """Come to rest at ``ends``, each joint as soon as it can, without waiting for the other."""
    points = [Point(0.0, positions, velocities)]
    phases = [
        _phases(end - position, velocity, bounds, None)
        for end, position, velocity in zip(ends, positions, velocities, strict=True)
    ]
    _append_points(points, phases, ends)
    _lengthen(points)
    return Trajectory(tuple(points))


def _append_leg(points: list[Point], waypoint: Pair, bounds: Bounds) -> None:
    positions, velocities = points[-1].positions, points[-1].velocities or (0.0, 0.0)
    distances = (waypoint[0] - positions[0], waypoint[1] - positions[1])
    shortest = max(
        _duration(_phases(distance, velocity, bounds, None))
        for distance, velocity in zip(distances, velocities, strict=True)
    )
    phases = [
        _phases(distance, velocity, bounds, shortest) for distance, velocity in zip(distances, velocities, strict=True)
    ]
    _append_points(points, phases, waypoint)


def _append_points(points: list[Point], phases: Sequence[Sequence[_Phase]], end: Pair) -> None:
    """Add a point wherever the acceleration of a joint changes, and the end, at rest."""
    begin = points[-1]
    velocities = begin.velocities or (0.0, 0.0)
    duration = max(_duration(joint) for joint in phases)
    if duration < _SAME_TIME:
        return
    changes: set[float] = set()
    for joint in phases:
        elapsed = 0.0
        for phase in joint:
            elapsed += phase.duration
            changes.add(elapsed)
    last = 0.0
    for time in sorted(changes):
        if time - last < _SAME_TIME or duration - time < _SAME_TIME:
            continue
        last = time
        pan = _after(phases[0], begin.positions[0], velocities[0], time)
        tilt = _after(phases[1], begin.positions[1], velocities[1], time)
        points.append(Point(begin.time + time, (pan[0], tilt[0]), (pan[1], tilt[1])))
    points.append(Point(begin.time + duration, end, (0.0, 0.0)))


def _lengthen(points: list[Point]) -> None:
    """Hold the end until the shortest duration is over."""
    if points[-1].time < _SHORTEST:
        points.append(Point(_SHORTEST, points[-1].positions, (0.0, 0.0)))


def _after(phases: Sequence[_Phase], position: float, velocity: float, time: float) -> Pair:
    """Position and velocity of a joint after a time in its phases."""
    for phase in phases:
        span = min(phase.duration, time)
        position += span * (velocity + 0.5 * phase.acceleration * span)
        velocity += phase.acceleration * span
        time -= span
    return position, velocity


def _duration(phases: Sequence[_Phase]) -> float:
    return sum(phase.duration for phase in phases)


def _phases(distance: float, velocity: float, bounds: Bounds, duration: float | None) -> list[_Phase]:
    """Move a joint by a distance to rest: reach a cruising speed, keep it, brake.

    As fast as the bounds allow, or in ``duration``, which must not be shorter than that.
    """
    acceleration = bounds.acceleration
    left = distance - velocity * abs(velocity) / (2.0 * acceleration)
    if abs(left) < _NO_DISTANCE:
        return [_Phase(abs(velocity) / acceleration, -math.copysign(acceleration, velocity))]
    side = math.copysign(1.0, left)
    cruise = _cruise(side * distance, side * velocity, bounds, duration)
    change = cruise - side * velocity
    ramp = _Phase(abs(change) / acceleration, side * math.copysign(acceleration, change))
    stop = _Phase(cruise / acceleration, -side * acceleration)
    ramps = 0.5 * (side * velocity + cruise) * ramp.duration + 0.5 * cruise * stop.duration
    return [ramp, _Phase(max(0.0, (side * distance - ramps) / cruise), 0.0), stop]


def _cruise(distance: float, velocity: float, bounds: Bounds, duration: float | None) -> float:
    """The cruising speed, where braking at once would end before the distance (which may be negative)."""
    acceleration = bounds.acceleration
    reach = distance + velocity * velocity / (2.0 * acceleration)
    if duration is None:
        return min(bounds.speed, math.sqrt(acceleration * reach))
    if velocity > 0.0:
        left = distance - velocity * velocity / (2.0 * acceleration)
        braking = velocity / acceleration
        if duration >= braking + left / velocity:
            return left / (duration - braking)
    span = duration + velocity / acceleration
    return 2.0 * reach / (span + math.sqrt(max(0.0, span * span - 4.0 * reach / acceleration)))


class Follower:
    """Follows trajectories as a joint_trajectory_controller does, with joints that obey at once.

    Times are seconds on one clock of the caller's. Called from one thread.
    """

    def __init__(self, positions: Pair = (0.0, 0.0)) -> None:
        self._running = Trajectory((Point(0.0, positions, (0.0, 0.0)),))
        self._began = 0.0
        self._latest = -math.inf
        self._waiting: tuple[float, tuple[Point, ...]] | None = None

    def follow(self, points: Sequence[Point], start: float, now: float) -> None:
        """Replace what is running at ``start``, from which the times of the points (at least one) count.

        What runs goes on until then; a start in the past joins the points that still lie ahead. Raises TrajectoryError
        when none does.
        """
        if start + points[-1].time <= now:
            raise TrajectoryError("a trajectory was refused; it lies in the past, send header.stamp zero to start now")
        self.state(now)
        self._waiting = None
        if start > now:
            self._waiting = (start, tuple(points))
        else:
            self._begin(points, start, now)

    def hold(self, now: float) -> None:
        """Stay where it is, and forget what is running or waits."""
        positions, _ = self.state(now)
        self._running = Trajectory((Point(0.0, positions, (0.0, 0.0)),))
        self._began = now
        self._waiting = None

    def state(self, now: float) -> tuple[Pair, Pair]:
        """Positions and velocities at ``now``; where the clock was set back, the motion goes on from where it was."""
        if (jump := self._latest - now) > 0.0:
            self._began -= jump
            if self._waiting is not None:
                self._waiting = (self._waiting[0] - jump, self._waiting[1])
        self._latest = now
        if self._waiting is not None and now >= self._waiting[0]:
            start, points = self._waiting
            self._waiting = None
            self._begin(points, start, start)
        return self._running.sample(now - self._began)

    def _begin(self, points: Sequence[Point], start: float, now: float) -> None:
        positions, velocities = self._running.sample(now - self._began)
        gone = now - start
        ahead = (Point(point.time - gone, point.positions, point.velocities) for point in points if point.time > gone)
        self._running = Trajectory((Point(0.0, positions, velocities), *ahead))
        self._began = now


def read_points(
    own_names: Sequence[str],
    names: Sequence[str],
    points: Sequence[tuple[float, Sequence[float], Sequence[float]]],
) -> tuple[Point, ...]:
    """Points of a trajectory message, each (time, positions, velocities or nothing), in our order of the joints.

    Raises TrajectoryError for other joints, wrong counts, NaN or infinity, times that don't increase from above zero,
    and a velocity at the end, as a joint_trajectory_controller refuses them.
    """
    if sorted(names) != sorted(own_names):
        raise TrajectoryError(
            f"a trajectory for the joints {', '.join(names) or '(none)'} was refused; send {' and '.join(own_names)}"
        )
    order = [list(names).index(name) for name in own_names]
    read: list[Point] = []
    for number, (time, positions, velocities) in enumerate(points, 1):
        if len(positions) != 2 or len(velocities) not in (0, 2):
            raise TrajectoryError(
                f"point {number} of a trajectory was refused; it needs 2 positions and 2 or 0 velocities"
            )
        if not all(math.isfinite(value) for value in (time, *positions, *velocities)):
            raise TrajectoryError(f"point {number} of a trajectory was refused; it has NaN or infinite values")
        if time <= (read[-1].time if read else 0.0):
            raise TrajectoryError(
                f"point {number} of a trajectory was refused; time_from_start must be above zero and increase"
            )
        read.append(
            Point(
                time,
                (positions[order[0]], positions[order[1]]),
                (velocities[order[0]], velocities[order[1]]) if len(velocities) else None,
            )
        )
    if read and any(read[-1].velocities or ()):
        raise TrajectoryError("a trajectory was refused; the velocities of its last point must be zero")
    return tuple(read)
