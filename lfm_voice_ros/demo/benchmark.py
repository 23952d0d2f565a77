"""`lfm-voice benchmark` of the whole graph: a scripted person talks to a running assistant, and everything is timed."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import SAMPLE_RATE
from lfm_voice_ros.demo.cast import Room, Take, record
from lfm_voice_ros.demo.person import Person
from lfm_voice_ros.demo.processes import Processes
from lfm_voice_ros.demo.starting import await_ready, own_domain
from lfm_voice_ros.demo.witness import Witness
from lfm_voice_ros.evaluation.process_load import cpu_seconds, memory_mb
from lfm_voice_ros.evaluation.sound_times import first_motion, overlap
from lfm_voice_ros.evaluation.turn_script import read_script, shortened
from lfm_voice_ros.evaluation.turn_times import AtRest, Heard, Results, Said, Turn, matching, measure
from lfm_voice_ros.evaluation.yardstick import Plain, PlainPipeline
from lfm_voice_ros.watching.node import interruptible, watching

#: How the person is heard while the robot speaks.
_WITH_ECHO = {"audio_capture:echo_cancellation": "on"}
_WITHOUT_ECHO = {"audio_capture:barge_in": "true"}

_REST = 6.0  # s of silence in which the assistant is measured at rest
_LOOK, _LOOKS = 2.0, 10  # s, and how often it is looked before that whether the nodes still prepare something
_BUSY = 0.5  # of one core: they do
_BREATH = 0.3  # s of silence before the person speaks
_MARGIN = 3.0  # s that handing over a recording may take longer than the recording
_HEARING_TIMEOUT = 5.0  # s from the end of a recording to its utterance
_UNMEANT = 2.0  # s in which what isn't said to the robot may become an utterance
_ACT_TIMEOUT = 10.0  # s until the robot speaks or moves, where a line waits for that
_TURN_TIMEOUT = 25.0  # s until a turn is over
_QUIET = 0.5  # s of silence after which the robot has ended
_AGAIN = 3.0  # s after a backchannel in which a paused reply goes on


@dataclass(frozen=True)
class Plan:
    """What is run."""

    parameters: Mapping[str, str]  # of the assistant, by NODE:NAME, above those of the file
    params_file: Path | None = None
    turns: int | None = None  # of the script; None for all
    seed: int = 1
    echo: bool = False  # the microphone hears the robot, and its echo is cancelled


def run(plan: Plan, progress: Callable[[str], None]) -> Results | None:
    """Run it; None when ^C has ended it. Raises ConfigurationError, ResourceError."""
    lines = shortened(read_script(config_file("benchmark.yaml")), plan.turns)
    progress(f"speaking {len(lines)} lines, and loading the plain pipeline")
    takes = record(lines, plan.seed)
    plain = PlainPipeline()
    params_file = plan.params_file or config_file("assistant.yaml")
    parameters = {
        "audio_capture:source": "topic",
        "audio_player:sink": "none",
        **(_WITH_ECHO if plan.echo else _WITHOUT_ECHO),
        **plan.parameters,
    }
    with (
        interruptible() as interrupted,
        tempfile.TemporaryDirectory(prefix="lfm_voice_benchmark_") as logs,
        own_domain(),
        Processes(params_file.absolute(), Path(logs)) as processes,
    ):
        progress("starting the assistant")
        processes.start("assistant", parameters)
        problems: list[str] = []
        room: Room | None = None

        def tell(_at: float, kind: str, text: str) -> None:
            if kind == "error":
                problems.append(text)

        with watching(lambda: Witness(tell, lambda *piece: room.play(*piece) if room else None)) as witness:
            room = Room(witness.moves, plan.echo, plan.seed)
            try:
                await_ready(witness, processes, interrupted)
            except ResourceError:
                if interrupted.is_set():
                    return None
                raise
            if plan.echo and not witness.tapped:
                raise ResourceError("nobody publishes audio/played, so that there is nothing to echo; leave out --echo")
            person = Person(lambda sound, at: witness.speak(room.mixed(sound, at), at), witness.now)
            conversation = _Conversation(witness, processes, person, plain, interrupted, progress)
            person.start()
            try:
                return conversation.hold(takes, problems)
            except _Interrupted:
                return None
            finally:
                person.stop()


class _Interrupted(Exception):
    """^C."""


class _Conversation:
    """Goes through the script with a running assistant."""

    def __init__(
        self,
        witness: Witness,
        processes: Processes,
        person: Person,
        plain: PlainPipeline,
        interrupted: threading.Event,
        progress: Callable[[str], None],
    ) -> None:
        self._witness = witness
        self._processes = processes
        self._person = person
        self._plain = plain
        self._interrupted = interrupted
        self._progress = progress
        self._said: list[Said] = []
        self._plains: dict[int, Plain] = {}

    def hold(self, takes: Sequence[Take], problems: list[str]) -> Results:
        """Say everything; give what was measured. Raises _Interrupted, and ResourceError when the assistant ends."""
        at_rest = self._at_rest()
        for number, take in enumerate(takes, start=1):
            followed = number < len(takes) and takes[number].line.when != "rest"
            if self._await_cue(take):
                self._say(number, take)
            else:
                problems.append(f"turn {number}, “{take.line.words}”, could not be said: there was no {take.line.when}")
            if followed or not self._said:
                continue
            self._await_end(self._said[-1])
            for each in self._said[-2:]:
                self._measure_plain(each, takes[each.number - 1])
            self._progress(f"{number} of {len(takes)}: “{take.line.text}”")
        memory = memory_mb(self._processes.pid("assistant"))
        turns, stray = self._measured()
        return Results(turns, stray, at_rest, memory, len(self._witness.stops), problems)

    def _at_rest(self) -> AtRest:
        self._progress(f"{_REST:.0f} s of silence")
        for _ in range(_LOOKS):
            if self._cpu(_LOOK) < _BUSY:
                break
        cpu = self._cpu(_REST)
        return AtRest(memory_mb(self._processes.pid("assistant")), cpu)

    def _cpu(self, seconds: float) -> float:
        """How much of one core the assistant takes in the next ``seconds``."""
        pid = self._processes.pid("assistant")
        before, began = cpu_seconds(pid), self._witness.now()
        self._wait(lambda: False, seconds)
        return (cpu_seconds(pid) - before) / (self._witness.now() - began)

    def _await_cue(self, take: Take) -> bool:
        """Wait until it is time for a line. False when that never comes."""
        line, witness = take.line, self._witness
        if line.when == "rest":
            return True
        before = self._said[-1].end if self._said else math.inf

        def cue() -> bool:
            if line.when == "voice":
                began = witness.played.onset(before)
            else:
                began = first_motion(list(witness.recording.joints), before)
            return witness.now() >= began + line.after - _BREATH

        return self._wait(cue, _ACT_TIMEOUT)

    def _say(self, number: int, take: Take) -> None:
        silence = np.zeros(round(_BREATH * SAMPLE_RATE), np.float32)
        begin = self._person.begin(np.concatenate((silence, take.samples))) + _BREATH
        said = Said(number, take.line, take.voice, begin + take.start / SAMPLE_RATE, begin + take.end / SAMPLE_RATE)
        self._said.append(said)
        over = begin + take.samples.size / SAMPLE_RATE
        if not self._wait(lambda: self._witness.now() >= over, take.samples.size / SAMPLE_RATE + _MARGIN):
            raise ResourceError("the clock of this machine stands still")

    def _await_end(self, said: Said) -> None:
        witness = self._witness
        heard = self._wait(
            lambda: any(each.speech[1] > said.end - 2 * _BREATH for each in self._of(said)),
            _HEARING_TIMEOUT if said.line.answered else _UNMEANT,
        )
        if said.line.kind == "backchannel":
            self._wait(lambda: witness.played.silent_for(witness.now()) < _QUIET, _AGAIN)
        if said.line.answered and heard:
            # The last reply is heard before the turn is at rest; a turn that has none is closed without.
            self._wait(lambda: all(each.closed for each in self._of(said)), _TURN_TIMEOUT)
        if not self._wait(self._all_quiet, _TURN_TIMEOUT):
            witness.event("error", f"turn {said.number} was not over after {_TURN_TIMEOUT:.0f} s")

    def _all_quiet(self) -> bool:
        witness = self._witness
        closed = all(turn.closed for turn in witness.recording.turns.values())
        still = witness.head is None or not witness.head.moving
        return closed and still and witness.played.silent_for(witness.now()) >= _QUIET

    def _measure_plain(self, said: Said, take: Take) -> None:
        if not said.line.answered or said.number in self._plains:
            return
        reply = next((each.reply for each in reversed(self._of(said)) if each.reply), None)
        if reply:
            self._plains[said.number] = self._plain.answer(take.samples, take.end, reply)

    def _of(self, said: Said) -> list[Heard]:
        """The utterances that lie in a line."""
        return [each for each in self._witness.heard() if overlap(said.span, each.speech) > 0.0]

    def _measured(self) -> tuple[list[Turn], list[Heard]]:
        witness = self._witness
        with witness.news:
            utterances, stray = matching(self._said, witness.heard())
            seen = witness.seen()
        turns = []
        for index, said in enumerate(self._said):
            until = self._said[index + 1].start if index + 1 < len(self._said) else math.inf
            turn = measure(said, utterances[said.number], seen, until)
            turn.plain = self._plains.get(said.number)
            turns.append(turn)
        return turns, stray

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for a condition. Raises _Interrupted on ^C, ResourceError when the assistant has ended."""
        met = self._witness.wait(lambda: self._interrupted.is_set() or condition(), timeout)
        if self._interrupted.is_set():
            raise _Interrupted
        self._processes.check()
        return met
