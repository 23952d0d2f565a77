"""What calls would say if they were run now and all went well. Nothing here can act.

The bindings are those that really run, but the head that they move is a planner without a head behind it, and the
robot's own skills aren't there: :class:`Foreteller` is given nothing with which it could move or call anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from lfm_voice_ros.core.errors import ToolError
from lfm_voice_ros.core.pan_tilt import PanTilt, Refused
from lfm_voice_ros.core.settings import PanTiltSettings
from lfm_voice_ros.core.types import HeadMove, Json, ToolCall, ToolResult, ToolStatus
from lfm_voice_ros.tools.clock import Now, Places
from lfm_voice_ros.tools.clock import now as system_time
from lfm_voice_ros.tools.executor import ToolExecutor
from lfm_voice_ros.tools.registry import Registry, Tool
from lfm_voice_ros.tools.skill import argument_words

#: rad; the limit of a head of which none is known. A real one may say something else then, and that counts.
_TURN = 2.0 * math.pi
#: The bindings to the robot's own skills.
_SKILLS = ("service", "action", "topic")


class Foreteller:
    """Tells what calls would say. For one thread."""

    def __init__(self, registry: Registry, places: Places, now: Now, missing: Collection[str] = ()) -> None:
        """Take what ToolExecutor takes, but nothing that acts. Raises ConfigurationError as that does.

        ``missing`` are the tools that can't work, as SkillBook knows them.
        """
        self._tools = {tool.name: tool for tool in registry if tool.name not in missing}
        self._head = _Imagined()
        self._executor = ToolExecutor(registry, self._head, places, now)

    def limits(self, pan: tuple[float, float], tilt: tuple[float, float]) -> None:
        """Between which angles (rad) the head can turn, as far as its parameters say."""
        self._head.limits = pan, tilt

    def look(self, pan: float, tilt: float) -> None:
        """The head's newest command ends there (rad), or it is there; NaN where nobody knows."""
        self._head.place = pan, tilt

    def foretell(self, calls: tuple[ToolCall, ...]) -> Iterator[ToolResult]:
        """Give the results of those calls of one sentence of which it can be told; index and total are those of all."""
        self._head.begin()
        for performed in self._executor.perform(calls, lambda: False):
            result = performed.result
            tool = self._tools.get(result.call.name)
            if result.status is ToolStatus.FAILED:
                speech = _fixed_sentence(tool, result.call.arguments) if tool else ""
                if speech:
                    yield replace(result, status=ToolStatus.SUCCEEDED, speech=speech, error="")
            else:
                yield result


def usual_sentences(registry: Registry) -> list[str]:
    """What the tools say when they are called as they mostly are, without arguments, and all goes well.

    Without what the clock tells, which is another sentence each time.
    """
    tools = [tool for tool in registry if "clock" not in tool.binding]
    foreteller = Foreteller(Registry(tools), Places({}), system_time)
    foreteller.look(0.0, 0.0)
    results = [result for tool in tools for result in foreteller.foretell((ToolCall(tool.name),))]
    return [result.speech for result in results if result.status is ToolStatus.SUCCEEDED and result.speech]


class _Imagined:
    """The port Head without a head: it plans from where the real one is, and the plan goes nowhere."""

    def __init__(self) -> None:
        self.limits = (-_TURN, _TURN), (-_TURN, _TURN)
        self.place = math.nan, math.nan
        self._planner: PanTilt | None = None

    def begin(self) -> None:
        """Begin at where the real one is."""
        (pan_min, pan_max), (tilt_min, tilt_max) = self.limits
        settings = PanTiltSettings(pan_min=pan_min, pan_max=pan_max, tilt_min=tilt_min, tilt_max=tilt_max)
        planner = PanTilt(settings)
        seen = planner.observe([settings.pan_joint, settings.tilt_joint], self.place, (0.0, 0.0), 0.0, 0.0)
        self._planner = planner if seen else None

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        """See the port."""
        try:
            move = self._known().move(motion, pan, tilt, append, 0.0)
        except Refused as exc:
            raise ToolError(str(exc)) from exc
        return HeadMove(*move.target, *move.change, *move.limited, duration=move.trajectory.duration)

    def position(self) -> tuple[float, float]:
        """See the port."""
        return self._known().status(0.0).position

    def _known(self) -> PanTilt:
        if self._planner is None:
            raise ToolError("nobody knows where the head is")
        return self._planner


def _fixed_sentence(tool: Tool, arguments: Mapping[str, Json]) -> str:
    """What a tool of the robot's own says when all goes well; empty where that depends on what it will answer."""
    if not any(kind in tool.binding for kind in _SKILLS):
        return ""
    outcome = "accepted" if tool.binding.get("wait") is False else "done"
    words = argument_words(tool)(arguments)
    return tool.sentence(outcome, words) if tool.fields(outcome) <= set(words) else ""
