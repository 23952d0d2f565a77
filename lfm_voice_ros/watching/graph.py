"""The ROS graph around an assistant as plain values: who is there, and what is connected to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

#: The topics of a turn: who publishes each, and who must listen.
WIRING: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "utterance": ("audio_capture", ("transcriber", "dialogue")),
    "transcript": ("transcriber", ("tool_detector", "dialogue")),
    "tool_decision": ("tool_detector", ("tool_server", "dialogue")),
    "tool_result": ("tool_server", ("dialogue",)),
    "audio/output": ("dialogue", ("audio_player",)),
    "playback": ("audio_player", ("audio_capture", "dialogue")),
}


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription."""

    namespace: str
    node: str
    message_type: str
    publishes: bool


@dataclass(frozen=True)
class Mismatch:
    """A publisher and a subscription of one topic that can't be joined."""

    topic: str
    publisher: str
    subscriber: str
    reason: str


@dataclass(frozen=True)
class Graph:
    """What discovery has found. Namespaces are without slashes at their ends."""

    namespace: str = ""  # that of the assistant
    nodes: tuple[tuple[str, str], ...] = ()  # namespace and name of each; one that runs twice is there twice
    ends: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)  # by topic
    mismatches: tuple[Mismatch, ...] = ()

    def own(self) -> Counter[str]:
        """How many nodes of each name are in the assistant's namespace."""
        return Counter(name for namespace, name in self.nodes if namespace == self.namespace)

    def elsewhere(self, names: tuple[str, ...]) -> list[str]:
        """The other namespaces in which at least two of these nodes are."""
        found = Counter(
            namespace for namespace, name in set(self.nodes) if name in names and namespace != self.namespace
        )
        return sorted(namespace for namespace, count in found.items() if count > 1)

    def joins(self, topic: str, node: str, publishes: bool) -> bool:
        """Whether a node of the assistant has this end of a topic."""
        return any(
            end.node == node and end.publishes is publishes and end.namespace == self.namespace
            for end in self.ends.get(topic, ())
        )

    def count(self, topic: str, publishes: bool) -> int:
        """How many publishers or subscriptions a topic has."""
        return sum(end.publishes is publishes for end in self.ends.get(topic, ()))
