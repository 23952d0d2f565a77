"""`lfm-voice doctor` and `lfm-voice monitor` as commands, beside a running assistant and without one."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable

from harness import NodeProcess, Probe

from lfm_voice_ros.msg import Transcript, TurnMetrics


def command(*arguments: str) -> subprocess.Popen[str]:
    line = ["lfm-voice", *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")


def test_beside_an_assistant_they_tell_what_it_heard_did_and_said(
    start: Callable[..., NodeProcess], probe: Probe
) -> None:
    parameters = ("-p", "audio_capture:source:=topic", "-p", "audio_player:sink:=none")
    start("assistant", arguments=["--ros-args", *parameters]).wait_for_output("is ready", 60.0)
    closed = probe.subscribe("turn_metrics", TurnMetrics)

    with command("doctor", "--json", "--timeout", "20") as doctor, command("monitor", "--once", "20") as monitor:
        # Discovery joins each of their subscriptions by itself: they see all of a turn only of a later sentence.
        turns = 0
        while doctor.poll() is None or monitor.poll() is None:
            turns += 1
            said = Transcript(utterance_id=f"u{turns}", text="Turn left thirty degrees.", confidence=0.9)
            probe.publish("transcript", said, receivers=3, timeout=40.0)
            probe.wait_for(lambda: len(closed) >= turns, 60.0, "the end of a turn")  # noqa: B023
        told, complaints = doctor.communicate(timeout=60.0)
        picture, other_complaints = monitor.communicate(timeout=60.0)

    assert "Traceback" not in complaints + other_complaints
    report = json.loads(told)
    lines = {(line["about"], line["level"]): line["what"] for line in report["findings"]}
    assert report["ok"], told
    assert doctor.returncode == 0
    assert "all are there" in lines["nodes", "OK"]
    assert "went all the way to a reply" in lines["turn", "OK"]
    assert "head_pan_joint and head_tilt_joint are known" in lines["head", "OK"]
    assert "fit" in lines["topics", "OK"]
    assert ("transcriber", "OK") in lines
    assert "left" not in told.replace("pan_left", ""), "what people say belongs into no report"
    assert monitor.returncode == 0
    assert "Turn left thirty" in picture
    assert "0.90" in picture
    assert "pan_left(degrees=30)" in picture
    assert "° left" in picture
    assert "-90°" in picture


def test_without_an_assistant_they_say_how_to_start_it_and_end(domain: int) -> None:
    with command("doctor", "--timeout", "2", "--namespace", "/robot/") as doctor, command("monitor") as unseen:
        told, complaints = doctor.communicate(timeout=60.0)
        _, refused = unseen.communicate(timeout=60.0)
    assert doctor.returncode == 1, complaints
    assert "ERROR  assistant: no node of the assistant is in the namespace /robot" in told
    assert "ros2 launch lfm_voice_ros assistant.launch.py" in told
    assert "model: Silero VAD is there" in told
    assert unseen.returncode == 2
    assert "--once" in refused
    with command("doctor", "--namespace", "no name", "--timeout", "1") as wrong:
        _, refused = wrong.communicate(timeout=60.0)
    assert wrong.returncode == 2
    assert "namespace" in refused
    assert "Traceback" not in complaints + refused


def test_the_live_view_ends_cleanly_by_an_interrupt(domain: int) -> None:
    screen, terminal = pty.openpty()
    line = ["lfm-voice", "monitor"]
    view = subprocess.Popen(
        line,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(terminal)
    try:
        shown = read_until(screen, b"is the assistant running?", 40.0)
        view.send_signal(signal.SIGINT)
        shown += read_until(screen, None, 10.0)
        assert view.wait(10.0) == 0, shown
    finally:
        view.kill()
        view.wait()
        os.close(screen)
    assert b"Traceback" not in shown
    assert b"\x1b[?1049l" in shown, "the terminal was not given back"


def read_until(screen: int, text: bytes | None, timeout: float) -> bytes:
    """What is written until ``text``, or without one until the writer has ended."""
    shown = b""
    deadline = time.monotonic() + timeout
    while text is None or text not in shown:
        ready, _, _ = select.select([screen], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"within {timeout} s there was only: {shown!r}"
        try:
            shown += os.read(screen, 65_536)
        except OSError:  # nobody writes any more
            assert text is None, shown
            break
    return shown
