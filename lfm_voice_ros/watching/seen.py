"""What was seen of a running assistant, and kept: bounded, without ROS. Times are ROS seconds, angles are rad."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.latencies import Latencies
from lfm_voice_ros.core.types import ToolStatus

#: The nodes without which the assistant doesn't answer, in the order of a turn.
NEEDED = (
    "audio_capture",
    "transcriber",
    "tool_detector",
    "tool_server",
    "pan_tilt",
    "dialogue",
    "audio_player",
)
#: Nodes that an assistant may have.
OPTIONAL = (
    "pan_tilt_sim",
    "recorder",
    "voice",
    "bridge",
    "markers",
    "link_guard",
    "link_beacon",
    "robot_codec",
    "brain_codec",
)
#: The latencies of a turn, as in msg/TurnMetrics.msg.
LATENCIES = ("endpoint", "transcript", "decision", "tools", "reply", "first_audio", "playback", "end")

SILENCE_DBFS = -120.0

_TURNS = 50  # how many of the newest are kept
_JOINTS = 500  # names; twice as many at the most
_FAILURES = 50  # tools whose newest error is kept
_STATUSES = 100  # names in the diagnostics; beyond that the one that was silent for longest is dropped


@dataclass
class Turn:
    """One utterance and what followed."""

    utterance_id: str
    began: float
    text: str | None = None  # None before the transcript, empty when nothing was understood
    confidence: float = math.nan
    rejection: str = ""
    calls: tuple[str, ...] | None = None  # None before the decision
    detector: str = ""
    results: dict[int, tuple[ToolStatus, str]] = field(default_factory=dict)  # by the index of the call: what became
    reply: str | None = None
    source: str = ""
    latency: dict[str, float] = field(default_factory=dict)  # s from the end of speech
    interrupted: bool = False
    closed: bool = False


@dataclass(frozen=True)
class Status:
    """What a node said of itself last."""

    level: Level
    message: str
    values: Mapping[str, str]
    at: float  # when it came
    clock_lag: float = 0.0  # s from the stamp in it to when it came

    def telling(self) -> dict[str, str]:
        """The values but for those that say that nothing waits, was dropped, or has happened yet."""
        return {key: value for key, value in self.values.items() if value not in ("", "0", "nan")}


@dataclass(frozen=True)
class Head:
    """Where the head is, and where it goes to."""

    pan: float
    tilt: float
    target_pan: float
    target_tilt: float
    moving: bool
    stale: bool


@dataclass(frozen=True)
class Limits:
    """Between which angles the head may turn; infinite where that isn't known."""

    pan: tuple[float, float] = (-math.inf, math.inf)
    tilt: tuple[float, float] = (-math.inf, math.inf)


class Seen:
    """Everything that a watcher has seen. For one thread at a time."""

    def __init__(self, namespace: str = "") -> None:
        """``namespace`` without slashes at its ends; only the statuses of its nodes are kept."""
        self.namespace = namespace
        self.counts: Counter[str] = Counter()  # messages by topic
        self.turns: dict[str, Turn] = {}
        self.statuses: dict[str, Status] = {}  # by the name of the node, without the namespace
        self.status_since = math.inf  # when the first of them came
        self.latencies = Latencies()
        self.head: Head | None = None
        self.limits = Limits()
        self.level_dbfs = math.nan  # of the newest frame of sound
        self.loudest_dbfs = -math.inf  # since the beginning
        self.speaking = False
        self.ever_speaking = False
        self.speech_at = math.nan  # when a person was heard last
        self.joints: set[str] = set()  # the names in joint_states
        self.failures: dict[str, str] = {}  # the newest error of each tool

    def voice_activity(self, speaking: bool, level_dbfs: float, now: float) -> None:
        """The microphone's level, and whether a person speaks."""
        self.counts["voice_activity"] += 1
        self.level_dbfs = level_dbfs
        self.loudest_dbfs = max(self.loudest_dbfs, level_dbfs)
        if speaking or self.speaking:
            self.speech_at = now
        self.speaking = speaking
        self.ever_speaking |= speaking

    def utterance(self, utterance_id: str, now: float) -> None:
        """A person has ended a sentence."""
        self.counts["utterance"] += 1
        self._turn(utterance_id, now)

    def transcript(self, utterance_id: str, text: str, confidence: float, rejection: str, now: float) -> None:
        """The words are known."""
        self.counts["transcript"] += 1
        turn = self._turn(utterance_id, now)
        turn.text, turn.confidence, turn.rejection = text, confidence, rejection

    def decision(self, utterance_id: str, calls: tuple[str, ...], detector: str, now: float) -> None:
        """The tools are decided; a call is a text such as ``pan_left(degrees=30)``."""
        self.counts["tool_decision"] += 1
        turn = self._turn(utterance_id, now)
        turn.calls, turn.detector = calls, detector

    def result(self, utterance_id: str, index: int, tool: str, status: int, what: str, now: float) -> None:
        """What became of a call: ``what`` is the sentence that tells it, or the error."""
        self.counts["tool_result"] += 1
        known = ToolStatus(status) if status in set(ToolStatus) else ToolStatus.FAILED
        if known not in (ToolStatus.SUCCEEDED, ToolStatus.CANCELED):
            self.failures[tool] = what
            if len(self.failures) > _FAILURES:
                del self.failures[next(iter(self.failures))]
        if utterance_id:
            self._turn(utterance_id, now).results[index] = (known, what)

    def reply(self, utterance_id: str, text: str, source: str, now: float) -> None:
        """What the robot answers."""
        self.counts["reply"] += 1
        turn = self._turn(utterance_id, now)
        turn.reply, turn.source = text, source

    def metrics(self, utterance_id: str, latency: Mapping[str, float], interrupted: bool, now: float) -> None:
        """A turn is over; ``latency`` by the names of LATENCIES, NaN where that did not happen."""
        self.counts["turn_metrics"] += 1
        turn = self._turn(utterance_id, now)
        turn.latency, turn.interrupted, turn.closed = dict(latency), interrupted, True
        for name, seconds in latency.items():
            self.latencies.add(name, seconds)

    def head_state(self, head: Head) -> None:
        """Where the head is."""
        self.counts["head/state"] += 1
        self.head = head

    def joint_states(self, names: list[str]) -> None:
        """Joint states of these joints came."""
        self.counts["joint_states"] += 1
        if len(self.joints) < _JOINTS:
            self.joints.update(names[:_JOINTS])

    def status(self, name: str, hardware: str, status: Status) -> None:
        """A status of /diagnostics; those that aren't of this assistant are left out."""
        own = self.own_name(name)
        if own is None or (hardware != "lfm_voice_ros" and own not in (*NEEDED, *OPTIONAL)):
            return
        self.counts["/diagnostics"] += 1
        self.status_since = min(self.status_since, status.at)
        self.statuses.pop(own, None)  # so that the order is that of the newest sign of life
        self.statuses[own] = status
        if len(self.statuses) > _STATUSES:
            del self.statuses[next(iter(self.statuses))]

    def own_name(self, full: str) -> str | None:
        """The name of a node or status inside our namespace; None when it belongs to another one."""
        full = full.lstrip("/")
        prefix = f"{self.namespace}/" if self.namespace else ""
        if not full.startswith(prefix):
            return None
        own = full[len(prefix) :]
        return None if "/" in own.partition(":")[0] else own

    def _turn(self, utterance_id: str, now: float) -> Turn:
        turn = self.turns.setdefault(utterance_id, Turn(utterance_id, now))
        if len(self.turns) > _TURNS:
            del self.turns[next(iter(self.turns))]
        return turn
