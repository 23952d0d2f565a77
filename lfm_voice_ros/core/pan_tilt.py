"""The head: what it knows about its joints, and how a command becomes a trajectory.

Angles are in rad with the signs of REP-103 (pan positive to the left, tilt positive down); only the positions that
:meth:`PanTilt.observe` takes and :meth:`PanTilt.to_joints` gives count as the joints do. Times are seconds on one clock
of the caller's. Called from one thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lfm_voice_ros.core.errors import ConfigurationError, VoiceError
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.trajectory import Bounds, Pair, Trajectory, brake, move_through, stop_at

MOTIONS = ("absolute", "relative", "center", "look_around", "nod", "shake_head", "stop")

#: rad; two turns. More is no angle of a head, and most likely was meant in degrees.
_LARGEST_ANGLE = 4.0 * math.pi
#: rad/s; no head is as fast.
_LARGEST_SPEED = 100.0
#: rad; a head at rest as near as this to its target counts as being there, so that what a servo falls short of it
#: doesn't add up over relative moves.
_SETTLED = 0.05
#: rad/s; slower than this is standing still.
_STANDING = 0.02
#: s for which a measured velocity is believed to go on.
_LONGEST_GUESS = 0.1
#: s; a motion that is asked to be slow takes no longer.
_LONGEST_MOTION = 60.0
#: rad/s of the slowest cruise.
_SLOWEST = 0.001
_HALVINGS = 30  # until the duration is exact to a millisecond
#: rad to each side.
_LOOK_AROUND = 1.05
_NOD = 0.2
_SHAKE = 0.3


class Refused(VoiceError):
    """A command can't be carried out; the text says why and what to do."""


@dataclass(frozen=True)
class Leg:
    """A part of a motion, from rest to rest but for its beginning."""

    begins: float  # s since the motion began
    ends: float
    end: Pair


@dataclass(frozen=True)
class Move:
    """A motion to send to the controller."""

    trajectory: Trajectory
    legs: tuple[Leg, ...]  # the places at which it rests, for a head that takes places and no trajectory
    target: Pair  # where it ends
    change: Pair  # from where the newest command before it ended
    limited: tuple[bool, bool]  # whether more was asked for than the limits allow


@dataclass(frozen=True)
class HeadStatus:
    """Where the head is and where it goes; NaN for what was never known."""

    position: Pair
    target: Pair
    moving: bool
    stale: bool


@dataclass(frozen=True)
class _Observation:
    """The joints as they were reported last."""

    at: float  # when it came
    stamp: float  # when it was measured; differences of it give velocities
    position: Pair
    velocity: Pair


@dataclass(frozen=True)
class _Plan:
    """The newest command on its way."""

    began: float
    trajectory: Trajectory
    waypoints: tuple[Pair, ...]
    arrivals: tuple[float, ...]  # s since it began


class PanTilt:
    """Follows the joints and plans the head's motions within its limits.

    The target is that of the newest command, also while the head is still on its way. A joint that somebody else has
    moved, or whose joint states were missing in between, has no target but the position where it is. A joint beyond its
    limit is moved back to the limit by any command.
    """

    def __init__(self, settings: PanTiltSettings) -> None:
        """Take the settings. Raises ConfigurationError when they contradict each other."""
        self.adopt(settings)
        self._seen: _Observation | None = None
        self._plan: _Plan | None = None

    def adopt(self, settings: PanTiltSettings) -> None:
        """Plan within other limits from the next command on. Raises ConfigurationError as the constructor does."""
        _check(settings)
        self._settings = settings
        self._signs = (settings.pan_sign, settings.tilt_sign)
        self._limits = ((settings.pan_min, settings.pan_max), (settings.tilt_min, settings.tilt_max))
        self._bounds = Bounds(settings.max_speed, settings.max_acceleration)
        self._stop_bounds = Bounds(settings.max_speed, max(settings.stop_acceleration, settings.max_acceleration))

    @property
    def unknown(self) -> str:
        """The sentence that says that joint states are missing."""
        settings = self._settings
        return (
            f"the head's position is unknown: no joint_states with {settings.pan_joint} and {settings.tilt_joint} "
            f"for {settings.joint_states_timeout:g} s; is the controller running?"
        )

    def observe(
        self, names: Sequence[str], positions: Sequence[float], velocities: Sequence[float], stamp: float, now: float
    ) -> bool:
        """Take joint states that came at ``now`` and were measured at ``stamp`` (0 when that is not known).

        Gives False for those that lack one of the head's joints or have a position for it that no head can have; these
        change nothing. Velocities that are missing, or that no head can have, are computed from the positions.
        """
        settings = self._settings
        values: list[float] = []
        rates: list[float] = []
        for name, sign in zip((settings.pan_joint, settings.tilt_joint), self._signs, strict=True):
            index = list(names).index(name) if name in names else len(positions)
            if index >= len(positions) or not abs(positions[index]) <= _LARGEST_ANGLE:
                return False
            values.append(sign * positions[index])
            rate = velocities[index] if index < len(velocities) else math.nan
            rates.append(sign * rate if abs(rate) <= _LARGEST_SPEED else math.nan)
        position = (values[0], values[1])
        if self.stale(now):
            # The controller may have been away, and with it what it was told.
            self._plan = None
        computed = self._computed_velocity(position, stamp or now, now)
        velocity = (
            rates[0] if math.isfinite(rates[0]) else computed[0],
            rates[1] if math.isfinite(rates[1]) else computed[1],
        )
        self._seen = _Observation(now, stamp or now, position, velocity)
        return True

    def stale(self, now: float) -> bool:
        """Whether joint states are missing or too old."""
        # An age below zero: the clock was set back, and nobody knows how old they are.
        return self._seen is None or not 0.0 <= now - self._seen.at <= self._settings.joint_states_timeout

    def status(self, now: float) -> HeadStatus:
        """Where the head is and where it goes."""
        if self._seen is None:
            nowhere = (math.nan, math.nan)
            return HeadStatus(nowhere, nowhere, moving=False, stale=True)
        stale = self.stale(now)
        under_way = self._under_way(now)
        return HeadStatus(
            position=self._seen.position,
            target=self._base(now),
            moving=under_way or (not stale and max(map(abs, self._seen.velocity)) > _STANDING),
            stale=stale,
        )

    def move(
        self,
        motion: str,
        pan: float,
        tilt: float,
        append: bool,
        now: float,
        *,
        speed: float = math.inf,
        duration: float = 0.0,
    ) -> Move:
        """Plan a motion of srv/MoveHead from where the head is now, and take it for begun.

        Gestures go around the target and end there; ``look_around`` looks to the left, to the right, and ends there
        as well. ``speed`` (rad/s) and the least ``duration`` (s) may make it slower than the settings do. Raises
        Refused for an unknown motion, an angle that is none, and while joint states are stale.
        """
        if motion not in MOTIONS:
            raise Refused(f"there is no motion '{motion}'; there are: {', '.join(MOTIONS)}")
        if motion == "stop":
            return self.stop(now)
        if motion in ("absolute", "relative"):
            _check_angles(motion, pan, tilt)
        if self.stale(now):
            raise Refused(self.unknown)
        base = self._base(now)
        wanted, waypoints = self._waypoints(motion, (pan, tilt), base)
        remaining = self._remaining(now) if append else ()
        position, velocity = self._expected(now)
        waypoints = (*remaining, *waypoints)
        bounds = Bounds(min(speed, self._bounds.speed), self._bounds.acceleration)
        trajectory, arrivals = _move_slowly(position, velocity, waypoints, bounds, duration)
        self._plan = _Plan(now, trajectory, waypoints, arrivals)
        target = waypoints[-1]
        return Move(trajectory, _legs(waypoints, arrivals), target, _difference(target, base), self._limited(wanted))

    def stop(self, now: float) -> Move:
        """Brake both joints at once with ``stop_acceleration``, and forget where they were to go.

        While joint states are stale it brakes from where the newest command must have brought the head by now, or
        holds the last known position; the caller must not tell that the head stands. Raises Refused when the joints
        were never seen.
        """
        base = self._base(now)
        position, velocity = self._expected(now)
        target = self._clamped(brake(position, velocity, self._stop_bounds))
        trajectory = stop_at(position, velocity, target, self._stop_bounds)
        self._plan = _Plan(now, trajectory, (target,), (trajectory.duration,))
        legs = (Leg(0.0, trajectory.duration, target),)
        return Move(trajectory, legs, target, _difference(target, base), (False, False))

    def abandon(self) -> None:
        """The controller doesn't carry the newest command out: the head is where its joints say, and goes nowhere."""
        self._plan = None

    def to_joints(self, pair: Pair) -> Pair:
        """Angles or velocities of the head as its joints count them."""
        return self._signs[0] * pair[0], self._signs[1] * pair[1]

    def _computed_velocity(self, position: Pair, stamp: float, now: float) -> Pair:
        before = self._seen
        if before is None or self.stale(now) or not 0.0 < stamp - before.stamp <= self._settings.joint_states_timeout:
            return (0.0, 0.0)
        span = stamp - before.stamp
        return (position[0] - before.position[0]) / span, (position[1] - before.position[1]) / span

    def _under_way(self, now: float) -> bool:
        return self._plan is not None and 0.0 <= now - self._plan.began < self._plan.trajectory.duration

    def _remaining(self, now: float) -> tuple[Pair, ...]:
        if self._plan is None:
            return ()
        elapsed = now - self._plan.began
        return tuple(
            waypoint
            for waypoint, arrival in zip(self._plan.waypoints, self._plan.arrivals, strict=True)
            if arrival > elapsed
        )

    def _base(self, now: float) -> Pair:
        """From where relative moves and gestures count: the newest target, or the position when that is elsewhere."""
        if self._seen is None:
            raise Refused(self.unknown)
        position = self._seen.position
        if self._plan is None:
            return position
        target = self._plan.trajectory.end
        if self._under_way(now) or self.stale(now):
            return target
        if max(map(abs, self._seen.velocity)) > _STANDING:
            return target
        pan, tilt = (
            end if abs(end - is_at) <= _SETTLED else is_at for end, is_at in zip(target, position, strict=True)
        )
        return pan, tilt

    def _expected(self, now: float) -> tuple[Pair, Pair]:
        """The state at ``now``: measured a moment ago, or where the plan must have brought the head."""
        if self._seen is None:
            raise Refused(self.unknown)
        if self.stale(now):
            if self._plan is None:
                return self._seen.position, (0.0, 0.0)
            return self._plan.trajectory.sample(now - self._plan.began)
        if self._plan is not None and self._under_way(now):
            planned, _ = self._plan.trajectory.sample(self._seen.at - self._plan.began)
            if max(map(abs, _difference(planned, self._seen.position))) <= _SETTLED:
                # On its way as planned: the plan knows the speed better than the last report, which is a moment old.
                return self._plan.trajectory.sample(now - self._plan.began)
        age = min(max(0.0, now - self._seen.at), _LONGEST_GUESS)
        (pan, tilt), (pan_speed, tilt_speed) = self._seen.position, self._seen.velocity
        return (pan + pan_speed * age, tilt + tilt_speed * age), self._seen.velocity

    def _waypoints(self, motion: str, angles: Pair, base: Pair) -> tuple[Pair, tuple[Pair, ...]]:
        """Where the motion was asked to end, and the places within the limits that it goes through."""
        base = wanted = self._clamped(base)
        offsets: tuple[Pair, ...] = ()
        if motion == "center":
            wanted = (0.0, 0.0)
        elif motion == "absolute":
            wanted = _where_given(angles, angles, base)
        elif motion == "relative":
            wanted = _where_given(angles, (base[0] + angles[0], base[1] + angles[1]), base)
        elif motion == "look_around":
            offsets = ((_LOOK_AROUND - base[0], 0.0), (-_LOOK_AROUND - base[0], 0.0))
        elif motion == "nod":
            offsets = ((0.0, _NOD), (0.0, -_NOD), (0.0, _NOD))
        else:
            offsets = ((_SHAKE, 0.0), (-_SHAKE, 0.0), (_SHAKE, 0.0))
        places = [self._clamped((base[0] + pan, base[1] + tilt)) for pan, tilt in offsets]
        return wanted, (*places, self._clamped(wanted))

    def _clamped(self, pair: Pair) -> Pair:
        (pan_min, pan_max), (tilt_min, tilt_max) = self._limits
        return min(max(pair[0], pan_min), pan_max), min(max(pair[1], tilt_min), tilt_max)

    def _limited(self, wanted: Pair) -> tuple[bool, bool]:
        pan, tilt = _difference(self._clamped(wanted), wanted)
        # Degrees that were converted to radians may exceed a limit by a rounding error.
        return abs(pan) > 1e-6, abs(tilt) > 1e-6


def _legs(waypoints: Sequence[Pair], arrivals: Sequence[float]) -> tuple[Leg, ...]:
    begins = (0.0, *arrivals)
    return tuple(
        Leg(begin, arrival, waypoint) for begin, arrival, waypoint in zip(begins, arrivals, waypoints, strict=False)
    )


def _move_slowly(
    positions: Pair, velocities: Pair, waypoints: Sequence[Pair], bounds: Bounds, duration: float
) -> tuple[Trajectory, tuple[float, ...]]:
    """Move through waypoints in no less than ``duration``, as far as a slower cruise can do that."""
    trajectory, arrivals = move_through(positions, velocities, waypoints, bounds)
    if trajectory.duration >= min(duration, _LONGEST_MOTION):
        return trajectory, arrivals
    slow, fast = _SLOWEST, bounds.speed
    for _ in range(_HALVINGS):
        middle = 0.5 * (slow + fast)
        tried, reached = move_through(positions, velocities, waypoints, Bounds(middle, bounds.acceleration))
        if tried.duration >= min(duration, _LONGEST_MOTION):
            slow, trajectory, arrivals = middle, tried, reached
        else:
            fast = middle
    return trajectory, arrivals


def _difference(to: Pair, start: Pair) -> Pair:
    return to[0] - start[0], to[1] - start[1]


def _where_given(angles: Pair, chosen: Pair, otherwise: Pair) -> Pair:
    """For each joint the chosen value, or the other where no angle was given."""
    return (
        otherwise[0] if math.isnan(angles[0]) else chosen[0],
        otherwise[1] if math.isnan(angles[1]) else chosen[1],
    )


def _check_angles(motion: str, pan: float, tilt: float) -> None:
    if math.isnan(pan) and math.isnan(tilt):
        raise Refused(f"'{motion}' moves no joint when pan and tilt are both NaN; give at least one of them in radians")
    for name, angle in (("pan", pan), ("tilt", tilt)):
        if abs(angle) > _LARGEST_ANGLE:
            raise Refused(f"{name} is {angle:g}, which is more than two turns; angles are in radians")


def _check(settings: PanTiltSettings) -> None:
    if settings.pan_joint == settings.tilt_joint:
        raise ConfigurationError(f"pan_joint and tilt_joint are both '{settings.pan_joint}'; name two joints")
    for name in ("pan_joint", "tilt_joint"):
        if not getattr(settings, name):
            raise ConfigurationError(f"{name} is empty; give the name of the joint")
    for name in ("pan_sign", "tilt_sign", "ptz_pan_sign", "ptz_tilt_sign"):
        if abs(getattr(settings, name)) != 1.0:
            raise ConfigurationError(f"{name} is {getattr(settings, name)}; it must be 1.0 or -1.0")
    for low, high in (("pan_min", "pan_max"), ("tilt_min", "tilt_max")):
        if getattr(settings, low) >= getattr(settings, high):
            raise ConfigurationError(
                f"{low} is {getattr(settings, low)} and {high} is {getattr(settings, high)}; {low} must be the smaller"
            )
