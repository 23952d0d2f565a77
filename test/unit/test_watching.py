"""What a watcher keeps of an assistant, and how `lfm-voice monitor` draws it."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from lfm_voice_ros.core.health import Level
from lfm_voice_ros.watching.frame import frame
from lfm_voice_ros.watching.graph import Graph
from lfm_voice_ros.watching.seen import LATENCIES, NEEDED, Head, Limits, Seen, Status

NOW = 1_000.0
ALL = Graph("", tuple(("", node) for node in NEEDED))


def status(level: Level = Level.OK, message: str = "ok", at: float = NOW, **values: str) -> Status:
    return Status(level, message, values, at)


def alive(namespace: str = "") -> Seen:
    """An assistant of which every node has reported just now."""
    seen = Seen(namespace)
    for node in NEEDED:
        seen.status(f"{namespace}/{node}".lstrip("/"), "lfm_voice_ros", status())
    return seen


def answered(seen: Seen, utterance_id: str = "u1", **latency: float) -> None:
    seen.utterance(utterance_id, NOW)
    seen.transcript(utterance_id, "Turn left.", 0.93, "", NOW)
    seen.decision(utterance_id, ("pan_left()",), "keywords", NOW)
    seen.result(utterance_id, 0, "pan_left", 0, "Looking left, thirty degrees.", NOW)
    seen.reply(utterance_id, "Looking left, thirty degrees.", "tools", NOW)
    seen.metrics(utterance_id, {name: latency.get(name, math.nan) for name in LATENCIES}, False, NOW)


def drawn(seen: Seen, now: float = NOW, graph: Graph = ALL, width: int = 140, turns: int = 6) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(frame(seen, now, graph, turns))
    return console.export_text()


def test_turns_statuses_and_joints_are_bounded() -> None:
    seen = Seen()
    for number in range(5_000):
        answered(seen, f"u{number}", playback=1.0)
        seen.status(f"node{number}", "lfm_voice_ros", status())
        seen.joint_states([f"joint{number}"])
        seen.result("", 0, f"tool{number}", 1, "it broke", NOW)

    assert list(seen.turns)[-1] == "u4999"
    assert len(seen.turns) == 50
    assert len(seen.statuses) == 100
    assert len(seen.joints) <= 1_000
    assert len(seen.failures) <= 100
    assert seen.latencies.quantiles("playback")[2] == 100
    assert seen.counts["reply"] == 5_000


@pytest.mark.parametrize(
    ("namespace", "name", "own"),
    [
        ("", "audio_capture", "audio_capture"),
        ("", "robot/audio_capture", None),
        ("robot", "robot/audio_capture", "audio_capture"),
        ("robot", "/robot/audio_capture", "audio_capture"),
        ("robot", "audio_capture", None),
        ("robot", "robot/arm/audio_capture", None),
        ("", "audio_capture: USB/mic", "audio_capture: USB/mic"),
    ],
)
def test_names_belong_to_the_namespace_that_is_watched(namespace: str, name: str, own: str | None) -> None:
    assert Seen(namespace).own_name(name) == own


def test_statuses_of_other_hardware_and_other_namespaces_are_left_out() -> None:
    seen = Seen("robot")

    seen.status("robot/battery", "bms", status())
    seen.status("audio_capture", "lfm_voice_ros", status())
    seen.status("robot/transcriber", "something else", status())
    seen.status("robot/skill_server", "lfm_voice_ros", status())

    assert set(seen.statuses) == {"transcriber", "skill_server"}


def test_a_turn_shows_what_was_heard_decided_done_and_answered() -> None:
    seen = alive()
    answered(seen, endpoint=0.5, playback=1.25)

    text = drawn(seen)

    for part in ("Turn left. 0.93", "pan_left() by keywords", "✓ Looking left", "1.25 s", "1250"):
        assert part in text
    assert "ERROR" not in text


def test_a_turn_that_was_not_understood_or_failed_says_why() -> None:
    seen = alive()
    seen.transcript("u1", "", math.nan, "no speech", NOW)
    seen.transcript("u2", "Turn left.", 0.9, "", NOW)
    seen.decision("u2", ("pan_left()",), "keywords", NOW)
    seen.result("u2", 0, "pan_left", 3, "my head doesn't answer", NOW)
    seen.utterance("u3", NOW)
    seen.metrics("u3", {}, False, NOW)

    text = drawn(seen)

    assert "(no speech)" in text
    assert "✗ my head doesn't answer" in text
    assert "(no transcript came)" in text


def test_latencies_have_the_last_turn_and_quantiles() -> None:
    seen = alive()
    for number in range(1, 21):
        answered(seen, f"u{number}", transcript=number / 10)

    lines = {line.split("  ")[0].strip(): line.split() for line in drawn(seen).splitlines() if line.strip()}

    assert "2000" in lines["last turn"]
    assert "1050" in lines["p50"]
    assert "1905" in lines["p95 of 20"]


def test_troubles_are_on_top_and_the_worst_is_first() -> None:
    seen = alive()
    seen.status("dialogue", "lfm_voice_ros", status(Level.WARN, "loading the voice"))
    seen.status("audio_capture", "lfm_voice_ros", status(Level.ERROR, "no microphone was found; plug one in"))

    lines = drawn(seen).splitlines()

    assert lines[1].startswith("ERROR audio_capture: no microphone was found; plug one in")
    assert lines[2].startswith("WARN  dialogue: loading the voice")


def test_a_node_that_has_died_never_came_or_is_there_twice_is_named() -> None:
    seen = alive()
    del seen.statuses["dialogue"]
    for node in ("audio_capture", "tool_detector", "tool_server", "pan_tilt", "audio_player"):
        seen.status(node, "lfm_voice_ros", status(at=NOW + 9.0))

    text = drawn(seen, NOW + 10.0, Graph("", (*ALL.nodes, ("", "pan_tilt"))))

    assert "ERROR transcriber: no sign of life for 10 s" in text
    assert "ERROR dialogue: no sign of life" in text
    assert "ERROR pan_tilt: is there 2 times" in text
    assert text.count("ERROR") == 4  # the transcriber's line among the nodes too


def test_the_level_is_a_bar_and_speech_is_told() -> None:
    seen = alive()
    seen.status("audio_capture", "lfm_voice_ros", status(source="microphone USB"))
    bars = []
    for level in (-120.0, -35.0, 0.0):
        seen.voice_activity(False, level, NOW)
        bars.append(drawn(seen).count("█"))
    assert bars == [0, 15, 30]
    assert "nobody has spoken yet" in drawn(seen)
    assert "microphone USB" in drawn(seen)

    seen.voice_activity(True, -20.0, NOW)
    assert "a person speaks" in drawn(seen)
    seen.voice_activity(False, -60.0, NOW)
    assert "last speech 3 s ago" in drawn(seen, NOW + 3.0)


def test_the_head_is_drawn_between_its_limits_with_its_target() -> None:
    seen = alive()
    seen.limits = Limits((-math.radians(90), math.radians(90)), (-math.radians(45), math.radians(45)))
    seen.head_state(Head(math.radians(45), -math.radians(45), math.radians(90), -math.radians(45), True, False))

    pan, tilt = (line for line in drawn(seen).splitlines() if line.startswith("head "))

    assert pan.index("●") < pan.index("○")
    assert pan[pan.index("○") + 1 :].split()[0] == "+90°"
    assert "+45° left → +90°" in pan
    assert tilt.split()[3].startswith("●")
    assert "-45° up" in tilt


@pytest.mark.parametrize("angle", [math.nan, math.inf, 99.0])
def test_a_head_beyond_its_limits_or_without_them_is_drawn_all_the_same(angle: float) -> None:
    seen = alive()
    seen.head_state(Head(angle, 0.0, angle, 0.0, False, False))
    assert "limits unknown" in drawn(seen)
    seen.limits = Limits((-1.0, 1.0), (-1.0, 1.0))
    assert "limits unknown" not in drawn(seen)


def test_a_stale_head_and_an_empty_assistant_are_told() -> None:
    seen = alive()
    seen.head_state(Head(0.0, 0.0, 0.0, 0.0, False, True))
    assert "joint_states are missing" in drawn(seen)

    text = drawn(Seen("robot"), graph=Graph("robot", (("", "camera"),)))
    assert "Nothing heard yet in /robot (1 other ROS nodes are seen); is the assistant running?" in text
    assert "no level yet" in text


def test_what_people_and_nodes_say_is_shown_as_it_is() -> None:
    seen = alive()
    seen.transcript("u1", "[red]stop[/red] [/]", 0.9, "", NOW)
    seen.status("dialogue", "lfm_voice_ros", status(Level.ERROR, "[bold] [/nothing] failed"))

    text = drawn(seen)

    assert "[red]stop[/red] [/]" in text
    assert "[bold] [/nothing] failed" in text


def test_only_the_newest_turns_are_shown() -> None:
    seen = alive()
    for number in range(9):
        seen.transcript(f"u{number}", f"sentence {number}", 0.9, "", NOW)

    text = drawn(seen, turns=2)

    assert [number for number in range(9) if f"sentence {number}" in text] == [7, 8]


def test_it_fits_into_eighty_columns() -> None:
    seen = alive()
    answered(seen, playback=1.0)
    seen.head_state(Head(0.3, 0.1, 0.3, 0.1, False, False))
    seen.voice_activity(True, -20.0, NOW)

    assert max(map(len, drawn(seen, width=80).splitlines())) <= 80
