"""What a node can know of the head without asking it for anything that acts."""

from __future__ import annotations

import math
import time
from typing import Any, Protocol

from rcl_interfaces.srv import GetParameters
from rclpy.task import Future

from lfm_voice_ros.msg import HeadState
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode

_LIMITS = ("pan_min", "pan_max", "tilt_min", "tilt_max")
_PERIOD = 2.0  # s between two questions for the limits, until they were answered


class KnowsHead(Protocol):
    """Wants to know where the head is and how far it can turn; angles in rad."""

    def look(self, pan: float, tilt: float) -> None:
        """The head's newest command ends there, or it is there; NaN where nobody knows."""

    def limits(self, pan: tuple[float, float], tilt: tuple[float, float]) -> None:
        """It can turn between these angles."""


class HeadKnowledge:
    """Hears ``head/state``, and asks pan_tilt for the limits among its parameters once; in the callbacks' thread.

    Limits that a robot's description narrows, or that are changed later, aren't known: whoever uses them must be able
    to be wrong.
    """

    def __init__(self, node: VoiceNode[Any], told: KnowsHead) -> None:
        self._node = node
        self._told = told
        self._known = False
        self._asked = -math.inf  # s, monotonic
        self._question: Future | None = None
        self._client = node.create_client(GetParameters, "pan_tilt/get_parameters")
        # A state, which must not be missed while the node isn't active.
        node.create_subscription(HeadState, "head/state", self._on_state, qos.STATE)

    def _on_state(self, msg: HeadState) -> None:
        place = (math.nan, math.nan) if msg.stale else (msg.target_pan, msg.target_tilt)
        self._told.look(*place)
        if not self._known and time.monotonic() - self._asked > _PERIOD and self._client.service_is_ready():
            self._asked = time.monotonic()
            if self._question is not None:
                self._client.remove_pending_request(self._question)
            self._question = self._client.call_async(GetParameters.Request(names=list(_LIMITS)))
            self._question.add_done_callback(self._on_limits)

    def _on_limits(self, future: Future) -> None:
        response = future.result()
        values = [value.double_value for value in response.values] if response is not None else []
        if len(values) == len(_LIMITS) and values[0] < values[1] and values[2] < values[3]:
            self._known = True
            pan_min, pan_max, tilt_min, tilt_max = values
            self._told.limits((pan_min, pan_max), (tilt_min, tilt_max))
            self._node.health.value(
                "head limits", f"pan {pan_min:.3g} to {pan_max:.3g} rad, tilt {tilt_min:.3g} to {tilt_max:.3g} rad"
            )
