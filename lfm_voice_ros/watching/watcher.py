"""The node that watches a running assistant for `lfm-voice doctor` and `lfm-voice monitor`, and looks at its graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import JointState

from lfm_voice_ros.core.tool_calls import call_text
from lfm_voice_ros.msg import (
    HeadState,
    Reply,
    ToolDecision,
    ToolResult,
    Transcript,
    TurnMetrics,
    Utterance,
    VoiceActivity,
)
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import to_seconds
from lfm_voice_ros.nodes.conversions import call_from_msg
from lfm_voice_ros.watching.graph import Endpoint, Graph, Mismatch
from lfm_voice_ros.watching.node import WatchingNode, level_of
from lfm_voice_ros.watching.seen import LATENCIES, Head, Limits, Seen, Status

#: Parameters that are asked for, by node.
_PARAMETERS = {
    "audio_capture": ("source",),
    "audio_player": ("sink",),
    "dialogue": ("engine",),
    "pan_tilt": ("pan_joint", "tilt_joint", "pan_min", "pan_max", "tilt_min", "tilt_max"),
    "recorder": ("enabled", "folder"),
}
_TOPICS = {
    "voice_activity": VoiceActivity,
    "utterance": Utterance,
    "transcript": Transcript,
    "tool_decision": ToolDecision,
    "tool_result": ToolResult,
    "reply": Reply,
    "turn_metrics": TurnMetrics,
    "head/state": HeadState,
}
#: Topics whose two ends are compared, beside the watched ones; relative to the namespace.
_WIRES = ("interrupt", "playback", "audio/input", "audio/output", "joint_states", "head_controller/joint_trajectory")
#: How the names of watchers begin; they are no part of what is watched.
_OWN = "lfm_voice_watching_"
_ASK_PERIOD = 1.0  # s between questions to nodes that have not answered


class Watcher(WatchingNode):
    """Fills a :class:`Seen`; read it with ``news`` held. Asks the nodes for a few parameters and for their states."""

    def __init__(self, purpose: str, namespace: str) -> None:
        """``purpose`` names the node; ``namespace`` is that of the assistant, without slashes at its ends."""
        super().__init__(f"{_OWN}{purpose}", namespace)
        self.seen = Seen(namespace)
        self.parameters: dict[str, dict[str, Any]] = {}  # of each node that has answered
        self.states: dict[str, str] = {}  # of each managed node that has answered
        self._asked: dict[str, Any] = {}  # clients by service
        for topic, message_type in _TOPICS.items():
            react = getattr(self, f"_on_{topic.replace('/', '_')}")
            # Not as a late-comer: states come again within a second, and this profile fits every publisher.
            self.watch(message_type, topic, react, qos.EVENT)
        self.watch(JointState, "joint_states", self._on_joint_states, qos.JOINT_STATES)
        self.watch(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.EVENT)
        self.create_timer(_ASK_PERIOD, self._ask)

    def parameter(self, node: str, name: str) -> str:
        """A parameter as text; empty while the node has not answered."""
        return str(self.parameters.get(node, {}).get(name, ""))

    def rmw(self) -> str:
        """The middleware that is in use."""
        return str(get_rmw_implementation_identifier())

    def limits(self) -> Limits:
        """Between which angles pan_tilt turns the head, as far as it has said so."""
        values = self.parameters.get("pan_tilt", {})

        def between(joint: str) -> tuple[float, float]:
            low, high = values.get(f"{joint}_min"), values.get(f"{joint}_max")
            if isinstance(low, float) and isinstance(high, float) and low < high:
                return low, high
            return -math.inf, math.inf

        return Limits(between("pan"), between("tilt"))

    def graph(self) -> Graph:
        """The nodes and the ends of our topics as they are known now; watchers are left out."""
        ends: dict[str, tuple[Endpoint, ...]] = {}
        mismatches: list[Mismatch] = []
        for topic in (*_TOPICS, *_WIRES, "/diagnostics"):
            name = self.resolve_topic_name(topic)
            publishers = [end for end in self.get_publishers_info_by_topic(name) if not end.node_name.startswith(_OWN)]
            subscriptions = [
                end for end in self.get_subscriptions_info_by_topic(name) if not end.node_name.startswith(_OWN)
            ]
            ends[topic] = tuple(
                _endpoint(end, publishes)
                for publishes, group in ((True, publishers), (False, subscriptions))
                for end in group
            )
            mismatches += _mismatches(name, publishers, subscriptions)
        return replace(self.nodes(), ends=ends, mismatches=tuple(mismatches))

    def nodes(self) -> Graph:
        """Only the nodes; that is quicker."""
        names = self.get_node_names_and_namespaces()
        # Those that begin with _ are the hidden ones of tools.
        nodes = [(namespace.strip("/"), name) for name, namespace in names if not name.startswith((_OWN, "_"))]
        return Graph(self.seen.namespace, tuple(nodes))

    def meets(self, other: str) -> bool:
        """Whether a node of this name is seen."""
        return any(name == other for name, _ in self.get_node_names_and_namespaces())

    def _ask(self) -> None:
        """Ask the nodes that have not answered yet; the answers come in later callbacks."""
        services = dict(self.get_service_names_and_types())
        for node, names in _PARAMETERS.items():
            service = self.resolve_service_name(f"{node}/get_parameters")
            if service in services and node not in self.parameters:
                self._call(service, GetParameters, GetParameters.Request(names=names), self._noter(node, names))
        for service, types in services.items():
            managed = self.seen.own_name(service.removesuffix("/get_state"))
            if managed and service.endswith("/get_state") and "lifecycle_msgs/srv/GetState" in types:
                self._ask_state(service, managed)

    def _ask_state(self, service: str, node: str) -> None:
        try:
            from lifecycle_msgs.srv import GetState
        except ImportError:
            return  # then no node of this machine is a managed one

        def note(response: Any) -> None:
            self.states[node] = response.current_state.label

        self._call(service, GetState, GetState.Request(), note)

    def _call(self, service: str, service_type: type, request: Any, note: Any) -> None:
        client = self._asked.get(service)
        if client is None:
            client = self._asked[service] = self.create_client(service_type, service)
        if not client.service_is_ready():
            return

        def answered(future: Any) -> None:
            if future.exception() is None and future.result() is not None:
                with self.news:
                    note(future.result())
                    self.news.notify_all()

        client.call_async(request).add_done_callback(answered)

    def _noter(self, node: str, names: Sequence[str]) -> Any:
        def note(response: Any) -> None:
            pairs = zip(names, response.values, strict=False)
            self.parameters[node] = {name: _value(value) for name, value in pairs if _value(value) is not None}
            self.seen.limits = self.limits()

        return note

    def _on_voice_activity(self, msg: VoiceActivity) -> None:
        self.seen.voice_activity(msg.speaking, float(msg.level_dbfs), self.now())

    def _on_utterance(self, msg: Utterance) -> None:
        self.seen.utterance(msg.utterance_id, self.now())

    def _on_transcript(self, msg: Transcript) -> None:
        self.seen.transcript(msg.utterance_id, msg.text, float(msg.confidence), msg.rejection, self.now())

    def _on_tool_decision(self, msg: ToolDecision) -> None:
        calls = []
        for call in msg.calls:
            try:
                calls.append(call_text(call.name, call_from_msg(call).arguments))
            except ValueError:
                calls.append(f"{call.name}(?)")
        self.seen.decision(msg.utterance_id, tuple(calls), msg.detector, self.now())

    def _on_tool_result(self, msg: ToolResult) -> None:
        what = msg.error or msg.speech
        self.seen.result(msg.utterance_id, msg.index, msg.call.name, msg.status, what, self.now())

    def _on_reply(self, msg: Reply) -> None:
        self.seen.reply(msg.utterance_id, msg.text, msg.source, self.now())

    def _on_turn_metrics(self, msg: TurnMetrics) -> None:
        latency = {name: float(getattr(msg, name)) for name in LATENCIES}
        self.seen.metrics(msg.utterance_id, latency, msg.interrupted, self.now())

    def _on_head_state(self, msg: HeadState) -> None:
        self.seen.head_state(Head(msg.pan, msg.tilt, msg.target_pan, msg.target_tilt, msg.moving, msg.stale))

    def _on_joint_states(self, msg: JointState) -> None:
        self.seen.joint_states(list(msg.name))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        now = self.now()
        stamp = to_seconds(msg.header.stamp)
        for status in msg.status:
            values = {pair.key: pair.value for pair in status.values}
            lag = now - stamp if stamp else 0.0
            self.seen.status(
                status.name, status.hardware_id, Status(level_of(status), status.message, values, now, lag)
            )


class Neighbour:
    """A node in a ROS context of its own, to see whether discovery works on this machine. A context manager."""

    name = f"{_OWN}neighbour"

    def __enter__(self) -> Neighbour:
        self._context = Context()
        self._context.init(args=[])
        self._node = Node(self.name, context=self._context, start_parameter_services=False, enable_rosout=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()

    def meets(self, other: str) -> bool:
        """Whether a node of this name is seen."""
        return other in self._node.get_node_names()


def _endpoint(end: TopicEndpointInfo, publishes: bool) -> Endpoint:
    return Endpoint(end.node_namespace.strip("/"), end.node_name, end.topic_type, publishes)


def _mismatches(
    topic: str, publishers: Sequence[TopicEndpointInfo], subscriptions: Sequence[TopicEndpointInfo]
) -> list[Mismatch]:
    return [
        Mismatch(topic, publisher.node_name, subscription.node_name, reasons)
        for publisher, subscription, reasons in qos.mismatches(publishers, subscriptions)
    ]


def _value(value: Any) -> Any:
    fields: Mapping[int, str] = {
        ParameterType.PARAMETER_BOOL: "bool_value",
        ParameterType.PARAMETER_INTEGER: "integer_value",
        ParameterType.PARAMETER_DOUBLE: "double_value",
        ParameterType.PARAMETER_STRING: "string_value",
    }
    return getattr(value, fields[value.type]) if value.type in fields else None
