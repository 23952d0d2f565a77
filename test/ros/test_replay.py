"""Several assistants on one domain, and recorded sound: each hears its own, and hears it again as it did live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bag import BagClock, play
from diagnostic_msgs.msg import DiagnosticArray
from harness import NodeProcess, Probe, activate
from sound import spoken

from lfm_voice_ros.backends.wav_file import write_wav
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.msg import Audio, ToolDecision, ToolResult, Utterance
from lfm_voice_ros.nodes.base import to_seconds

Start = Callable[..., NodeProcess]

LEAD = 1.0  # s of silence before the first sentence
PAUSE = 5.0  # s between the sentences
AGE = 3600.0  # s since the sound was recorded


@pytest.mark.timeout(400)  # three assistants load, and all that is said is heard twice
def test_assistants_in_namespaces_hear_their_own_and_a_replayed_bag_is_decided_as_it_was_live(
    start: Start, probe: Probe, tmp_path: Path
) -> None:
    """One assistant hears a file; then two others hear what was recorded of it; none is deaf while it speaks.

    The one, without the bag's clock, on a remapped topic; the other with ``use_sim_time`` and the bag's clock.
    """
    live, again, clocked = "live", "again", "clocked"
    said = [spoken("Turn left thirty degrees."), spoken("What time is it in Tokyo?")]
    silences = [np.zeros(round(seconds * SAMPLE_RATE), np.float32) for seconds in (LEAD, PAUSE, 1.0)]
    write_wav(
        tmp_path / "said.wav",
        np.concatenate((silences[0], said[0], silences[1], said[1], silences[2])),
        SAMPLE_RATE,
    )
    names = (live, again, clocked)
    recorded: list[Audio] = probe.subscribe("live/audio/input", Audio)
    utterances: dict[str, list[Utterance]] = {n: probe.subscribe(f"{n}/utterance", Utterance) for n in names}
    decisions: dict[str, list[ToolDecision]] = {n: probe.subscribe(f"{n}/tool_decision", ToolDecision) for n in names}
    results: dict[str, list[ToolResult]] = {n: probe.subscribe(f"{n}/tool_result", ToolResult) for n in names}
    diagnostics = probe.subscribe("/diagnostics", DiagnosticArray)

    def assistant(name: str, source: str, *remaps: str, sim_time: bool = False) -> NodeProcess:
        parameters = tmp_path / f"{name}.yaml"
        parameters.write_text(
            f"/**/audio_capture:\n  ros__parameters:\n    source: '{source}'\n    barge_in: true\n"
            f"    autostart: {str(source == 'topic').lower()}\n"
            "/**/audio_player:\n  ros__parameters:\n    sink: none\n"
        )
        arguments = ["--ros-args", "--params-file", str(parameters), "-r", f"__ns:=/{name}"]
        arguments += ["-p", "use_sim_time:=true"] if sim_time else []
        return start("assistant", arguments=[*arguments, *(part for remap in remaps for part in ("-r", remap))])

    with BagClock(probe, behind=AGE) as clock:
        all_three = (
            assistant(again, "topic", "audio/external:=/bag/audio/input"),
            assistant(clocked, "topic", sim_time=True),
            assistant(live, f"wav:{tmp_path / 'said.wav'}"),
        )
        for each in all_three:
            each.wait_for_output("is ready")
        activate(probe, f"{live}/audio_capture")
        probe.wait_for(lambda: len(results[live]) == 2, what="two results live")
        probe.wait_for(
            lambda: (
                {f"{name}/tool_server" for name in names}
                <= {status.name for message in diagnostics for status in message.status}
            ),
            what="the diagnostics of all three under their own names",
        )
        assert [len(utterances[name]) for name in names] == [2, 0, 0], "another assistant has heard it too"
        # What is silent at the beginning needs no replaying.
        bag = [m for m in recorded if to_seconds(m.header.stamp) > to_seconds(utterances[live][0].speech_start) - 1.5]
        play(probe, ["/bag/audio/input", "clocked/audio/external"], bag, clock.now())
        probe.wait_for(lambda: len(results[again]) == 2, what="two results without the clock")
        probe.wait_for(lambda: len(results[clocked]) == 2, what="two results with the clock")

    for name in names:
        probe.wait_for(lambda name=name: len(decisions[name]) == 2, what=f"the decisions of {name}")  # type: ignore[misc]
        assert [[(c.name, c.arguments_json) for c in d.calls] for d in decisions[name]] == [
            [("pan_left", '{"degrees": 30.0}')],
            [("get_time", '{"location": "Tokyo"}')],
        ], name
        assert [result.status for result in results[name]] == [ToolResult.SUCCEEDED] * 2, name
    for name, behind in ((again, 0.0), (clocked, AGE)):
        for heard, before in zip(utterances[name], utterances[live], strict=True):
            lengths = [to_seconds(each.speech_end) - to_seconds(each.speech_start) for each in (heard, before)]
            assert lengths[0] == pytest.approx(lengths[1], abs=0.1)
            assert abs(probe.now() - behind - to_seconds(heard.speech_end)) < 60.0
    assert len(utterances[live]) == 2, "the first assistant has heard the replay"
