"""From what was seen of a running assistant to what `lfm-voice doctor` says about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.watching.findings import Finding, counted
from lfm_voice_ros.watching.graph import WIRING, Graph
from lfm_voice_ros.watching.seen import NEEDED, OPTIONAL, SILENCE_DBFS, Seen, Status

_CLOCKS = 1.0  # s by which stamps of other nodes may lie beside our clock
_LONGEST_VALUE = 60  # characters
_LAUNCH = "ros2 launch lfm_voice_ros assistant.launch.py"
#: What a turn leaves behind, in its order: the topic, the node that publishes it, and what it is called.
_CHAIN = (
    ("utterance", "audio_capture", "an utterance"),
    ("transcript", "transcriber", "a transcript"),
    ("tool_decision", "tool_detector", "a decision"),
)


def assistant(
    graph: Graph, seen: Seen, parameters: Mapping[str, Mapping[str, Any]], states: Mapping[str, str], watched: float
) -> list[Finding]:
    """The findings about an assistant that was watched for ``watched`` seconds.

    ``parameters`` and ``states`` are the nodes' answers; a node that isn't there has not answered.
    """
    own = graph.own()
    if not any(own[node] for node in NEEDED):
        return [_nobody(graph)]
    return [
        *_nodes(graph, own, states),
        *_statuses(graph, seen),
        *_connections(graph, own),
        *_sound(graph, seen, own, str(parameters.get("audio_capture", {}).get("source", "")), watched),
        *_turns(seen, own, watched),
        *_head(graph, seen, own, parameters.get("pan_tilt", {})),
    ]


def _nobody(graph: Graph) -> Finding:
    where = f"the namespace /{graph.namespace}"
    others = graph.elsewhere(NEEDED)
    if others:
        spaces = ", ".join(f"/{namespace}" for namespace in others)
        option = f" --namespace {others[0]}" if others[0] else " without --namespace"
        return Finding(
            Level.ERROR,
            "assistant",
            f"no node of the assistant is in {where}; there is one in {spaces}",
            f"look there: lfm-voice doctor{option}",
        )
    known = f"{len(set(graph.nodes))} other ROS nodes are seen" if graph.nodes else "no ROS node at all is seen"
    return Finding(
        Level.ERROR,
        "assistant",
        f"no node of the assistant is in {where}; {known}",
        f"start it: {_LAUNCH}. If it runs: give its shell and this one the same ROS_DOMAIN_ID, RMW_IMPLEMENTATION and "
        "discovery range; in a container use the host's network and IPC",
    )


def _nodes(graph: Graph, own: Mapping[str, int], states: Mapping[str, str]) -> list[Finding]:
    findings = []
    present = [node for node in (*NEEDED, *OPTIONAL) if own[node]]
    twice = [node for node in present if own[node] > 1]
    missing = [node for node in NEEDED if not own[node]]
    if twice:
        findings.append(
            Finding(
                Level.ERROR,
                "nodes",
                f"there more than once: {', '.join(twice)}; every sentence is answered as often",
                "two assistants share a namespace and a ROS_DOMAIN_ID: end one, or give it a namespace:= or a "
                "ROS_DOMAIN_ID of its own",
            )
        )
    remap = f" -r __ns:=/{graph.namespace}" if graph.namespace else ""
    findings += [
        Finding(
            Level.ERROR,
            "nodes",
            f"{node} is not running{_CONSEQUENCES[node]}",
            f"start it: ros2 run lfm_voice_ros {node}{f' --ros-args{remap}' if remap else ''}; if it ends at once, its "
            "last line says why",
        )
        for node in missing
    ]
    for node, state in sorted(states.items()):
        if node in present and state != "active":
            full = _full(graph, node)
            steps = ("configure", "activate") if state == "unconfigured" else ("activate",)
            findings.append(
                Finding(
                    Level.ERROR,
                    "nodes",
                    f"{node} is {state}: it takes nothing and gives nothing",
                    " && ".join(f"ros2 lifecycle set {full} {step}" for step in steps),
                )
            )
    if not findings:
        findings.append(Finding(Level.OK, "nodes", f"all are there: {', '.join(present)}"))
    return findings


_CONSEQUENCES = {
    "audio_capture": ": nobody listens",
    "transcriber": ": nothing is understood",
    "tool_detector": ": nothing is decided, and every answer is an apology",
    "tool_server": ": no tool acts",
    "pan_tilt": ": the head doesn't move",
    "dialogue": ": nobody answers",
    "audio_player": ": answers aren't heard",
}


def _statuses(graph: Graph, seen: Seen) -> list[Finding]:
    own = graph.own()
    findings = []
    for name in sorted(seen.statuses, key=_rank):
        status = seen.statuses[name]
        level = status.level
        if name == "recorder" and level is Level.OK:
            continue
        remedy = "its message says what to do" if level is Level.ERROR and ";" not in status.message else ""
        findings.append(Finding(level, name, _told(status), remedy))
    silent = [node for node in (*NEEDED, *OPTIONAL) if own[node] and node not in seen.statuses]
    if silent:
        findings.append(
            Finding(
                Level.ERROR,
                "diagnostics",
                f"nothing arrives from: {', '.join(silent)}, though discovery sees them",
                "they were killed moments ago, hang, or run as another user or in a container with a /dev/shm of its "
                "own: run all as one user, use the host's IPC, or in every shell export "
                "FASTDDS_BUILTIN_TRANSPORTS=UDPv4",
            )
        )
    late = {name: status.clock_lag for name, status in seen.statuses.items() if abs(status.clock_lag) > _CLOCKS}
    if late:
        name, lag = max(late.items(), key=lambda item: abs(item[1]))
        findings.append(
            Finding(
                Level.WARN,
                "clocks",
                f"the clock of {name} is {abs(lag):.1f} s {'behind' if lag > 0 else 'ahead of'} ours",
                "synchronize the machines (chrony), or set use_sim_time alike on all nodes; old decisions aren't run",
            )
        )
    return findings


def _told(status: Status) -> str:
    values = "; ".join(
        f"{key} {value[:_LONGEST_VALUE]}{'…' if len(value) > _LONGEST_VALUE else ''}"
        for key, value in status.telling().items()
    )
    return f"{status.message} ({values})" if values else status.message


def _rank(name: str) -> tuple[int, str]:
    order = (*NEEDED, *OPTIONAL)
    return (order.index(name) if name in order else len(order), name)


def _connections(graph: Graph, own: Mapping[str, int]) -> list[Finding]:
    findings = [
        Finding(
            Level.ERROR,
            "QoS",
            f"{one.topic}: {one.publisher} and {one.subscriber} can't be joined: {one.reason}",
            f"change the QoS of whichever isn't ours of {one.publisher} and {one.subscriber}; ours are in nodes/qos.py",
        )
        for one in graph.mismatches
    ]
    for topic, (publisher, subscribers) in WIRING.items():
        ends = [(publisher, True), *((node, False) for node in subscribers)]
        for node, publishes in ends:
            if own[node] and topic in graph.ends and not graph.joins(topic, node, publishes):
                verb = "doesn't publish" if publishes else "doesn't listen to"
                findings.append(
                    Finding(
                        Level.WARN,
                        "topics",
                        f"{node} {verb} {topic}",
                        f"it may be remapped: ros2 node info {_full(graph, node)} shows it",
                    )
                )
    for topic, ends_of in graph.ends.items():
        types = {end.message_type for end in ends_of}
        if len(types) > 1:
            findings.append(
                Finding(
                    Level.ERROR,
                    "topics",
                    f"{topic} is used with different types: {', '.join(sorted(types))}",
                    "remap one of the nodes (ros2 topic info --verbose tells which)",
                )
            )
    return findings or [Finding(Level.OK, "topics", "publishers and subscribers fit, in types and QoS")]


def _sound(graph: Graph, seen: Seen, own: Mapping[str, int], source: str, watched: float) -> list[Finding]:
    about = "voice_activity"
    if not own["audio_capture"]:
        return []
    if not seen.counts["voice_activity"]:
        why = "" if graph.count("voice_activity", publishes=True) else "; nobody publishes it"
        return [
            Finding(
                Level.ERROR,
                about,
                f"nothing came in {watched:.0f} s{why}",
                "audio_capture is inactive or hangs: see its own line, and start it again",
            )
        ]
    speech = "somebody spoke" if seen.ever_speaking else "nobody spoke"
    status = seen.statuses.get("audio_capture")
    if status and status.level is Level.ERROR:
        return []  # it has said itself why it hears nothing
    if seen.loudest_dbfs <= SILENCE_DBFS and source and not source.startswith("sound_card"):
        return [
            Finding(
                Level.OK, about, f"digital silence in {watched:.0f} s; {source} gives nothing, or its sound is over"
            )
        ]
    if seen.loudest_dbfs <= SILENCE_DBFS:
        return [
            Finding(
                Level.WARN,
                about,
                "nothing but digital silence reaches audio_capture",
                "unless the robot spoke all the time, the microphone is muted or another than you think; choose one "
                "with audio_source:=sound_card:NAME (lfm-voice devices lists them)",
            )
        ]
    what = f"up to {seen.loudest_dbfs:.0f} dBFS in {watched:.0f} s; {speech}"
    if not seen.ever_speaking and seen.loudest_dbfs > -40.0:
        return [
            Finding(
                Level.WARN,
                about,
                f"{what}, though it was loud",
                "if somebody did speak: noise hides the voice (motors, fans, music), or speech_threshold is too high",
            )
        ]
    hint = (
        "" if seen.ever_speaking else "to check the way of a sentence, speak while lfm-voice doctor --timeout 20 runs"
    )
    return [Finding(Level.OK, about, what, hint)]


def _turns(seen: Seen, own: Mapping[str, int], watched: float) -> list[Finding]:
    findings = []
    if seen.ever_speaking and not seen.counts["utterance"] and not seen.speaking:
        findings.append(
            Finding(
                Level.WARN,
                "turn",
                "speech was heard, but it was too short for an utterance",
                "lower audio_capture.min_speech, or speak closer",
            )
        )
    before = ""
    for topic, node, what in _CHAIN:
        if before and own[node] and seen.counts[before] and not seen.counts[topic]:
            findings.append(
                Finding(
                    Level.WARN,
                    "turn",
                    f"a person was heard, but {node} has not given {what} in {watched:.0f} s",
                    f"watch longer (--timeout 20); if it stays so, {node} hangs or lacks its model: see its own line",
                )
            )
        before = topic
    rejections = {turn.rejection for turn in seen.turns.values() if turn.rejection}
    if rejections:
        findings.append(
            Finding(
                Level.WARN,
                "turn",
                f"what was heard was not understood: {'; '.join(sorted(rejections))}",
                "speak closer, or try a bigger model: transcriber.model base.en",
            )
        )
    findings += [
        Finding(Level.WARN, "tools", f"{tool} has failed: {error}", "the error says what to do")
        for tool, error in seen.failures.items()
    ]
    if seen.counts["reply"] and not findings:
        half, most, number = seen.latencies.quantiles("first_audio")
        took = f"; first sound after {half:.1f} s (p95 {most:.1f} s)" if number else ""
        findings.append(
            Finding(Level.OK, "turn", f"{counted(seen.counts['reply'], 'sentence')} went all the way to a reply{took}")
        )
    return findings


def _head(graph: Graph, seen: Seen, own: Mapping[str, int], parameters: Mapping[str, Any]) -> list[Finding]:
    if not own["pan_tilt"]:
        return []
    findings = []
    wanted = [str(parameters[name]) for name in ("pan_joint", "tilt_joint") if parameters.get(name)]
    absent = [joint for joint in wanted if joint not in seen.joints]
    if not graph.count("joint_states", publishes=True):
        findings.append(
            Finding(
                Level.ERROR,
                "head",
                "nobody publishes joint_states, so no motion is begun",
                "start the robot's joint_state_broadcaster, or a simulated head (ros2 run lfm_voice_ros pan_tilt_sim); "
                "if they are on another topic, remap joint_states",
            )
        )
    elif not seen.joints:
        findings.append(
            Finding(
                Level.ERROR,
                "head",
                "joint_states has a publisher, but nothing comes",
                "is the joint_state_broadcaster active? ros2 control list_controllers",
            )
        )
    elif absent:
        findings.append(
            Finding(
                Level.ERROR,
                "head",
                f"joint_states has {_some(seen.joints)}, but not {' and '.join(absent)}",
                "set pan_tilt.pan_joint and pan_tilt.tilt_joint to two of them",
            )
        )
    if graph.joins("head_controller/joint_trajectory", "pan_tilt", publishes=True) and not graph.count(
        "head_controller/joint_trajectory", publishes=False
    ):
        findings.append(
            Finding(
                Level.ERROR,
                "head",
                "no controller listens to head_controller/joint_trajectory",
                "start the joint_trajectory_controller, or remap head_controller/joint_trajectory to its topic",
            )
        )
    if findings:
        return findings
    if seen.head is None:
        return [
            Finding(Level.ERROR, "head", "pan_tilt gives no head/state", "it is inactive or hangs: see its own line")
        ]
    ranges = "".join(
        f"; {joint} {math.degrees(low):+.0f}° to {math.degrees(high):+.0f}°"
        for joint, (low, high) in (("pan", seen.limits.pan), ("tilt", seen.limits.tilt))
        if math.isfinite(low)
    )
    what = f"{' and '.join(wanted) or 'its joints'} are known, and a controller listens{ranges}"
    return [Finding(Level.OK, "head", what)]


def _some(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")


def _full(graph: Graph, node: str) -> str:
    return f"/{graph.namespace}/{node}" if graph.namespace else f"/{node}"
