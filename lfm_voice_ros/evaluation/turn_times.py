"""Puts together what was said to a running assistant and what came of it: a measured turn for each line of the script.

Times are s of one clock; a stage is counted from the end of the last voiced sample that the person said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lfm_voice_ros.core.grounding import claims_an_act, compose, contradicts
from lfm_voice_ros.core.types import ToolResult
from lfm_voice_ros.evaluation.scoring import Spread
from lfm_voice_ros.evaluation.sound_times import Joints, Span, Track, first_motion, moving, overlap, rest
from lfm_voice_ros.evaluation.turn_script import Line
from lfm_voice_ros.evaluation.yardstick import Plain

#: The stages of a turn in their order: what they are called, and what was reached.
STAGES = {
    "utterance": "the turn has ended",
    "words": "words",
    "decision": "decision",
    "command": "head command published",
    "motion": "head moves",
    "reply": "text of the reply",
    "first_audio": "first audio",
}
#: What was done ahead, in the silence that might have ended the turn.
AHEAD = {"draft": "words recognized ahead", "prepared": "first sentence prepared ahead"}

_AFTERMATH = 3.0  # s after a line in which it may still cut a reply
_NEAR = 0.25  # s by which what the voice detector takes for speech may lie beside the speech


@dataclass(frozen=True)
class Said:
    """A line that was said."""

    number: int
    line: Line
    voice: str
    start: float  # first voiced sample
    end: float  # end of the last voiced sample

    @property
    def span(self) -> Span:
        """From the first voiced sample to the last, and as much around it as may be heard for speech."""
        return self.start - _NEAR, self.end + _NEAR


@dataclass(frozen=True)
class Heard:
    """An utterance, and what the assistant made of it."""

    utterance_id: str
    speech: Span
    times: Mapping[str, float]  # of STAGES that messages tell; of AHEAD, in s from the end of speech
    understood: bool = False  # there were words
    calls: tuple[str, ...] = ()
    results: tuple[ToolResult, ...] = ()
    reply: str | None = None
    source: str = ""  # of the reply
    closed: bool = False

    @property
    def contradicted(self) -> bool:
        """Whether the reply says something else than what was done."""
        if not self.reply or self.source == "error":
            return False
        if not self.results:
            return claims_an_act(self.reply)
        told = compose(self.results).text
        return self.reply != told and contradicts(self.reply, replace(self.results[0], speech=told))


@dataclass
class Seen:
    """What was seen of the robot during the whole talk."""

    played: Track = field(default_factory=Track)
    joints: Sequence[Joints] = ()
    commands: Sequence[float] = ()  # when the head was sent somewhere
    stops: Sequence[float] = ()  # the ends of the stop words that were spotted
    cuts: Sequence[float] = ()  # when a reply was cut before its end


@dataclass
class Turn:
    """A line that was said, measured. NaN stands for what did not happen or could not be seen."""

    said: Said
    utterances: int = 0  # what the line was cut into
    stages: dict[str, float] = field(default_factory=dict)  # s from the end of speech, by the names of STAGES
    ahead: dict[str, float] = field(default_factory=dict)
    silence: float = math.nan  # s from the first voiced sample until the robot's voice was silent
    rest: float = math.nan  # s from the end of the word until the head was at rest
    hush: float = math.nan  # s from the end of the word until the robot's voice was silent
    cut_off: bool = False  # a reply that it fell into was not heard to its end
    spotted: bool = False  # a stop word was spotted in it
    missed: int = 0  # calls that were not made
    wrong: int = 0  # calls that were not asked for
    deaf: bool = False  # an answer is waited for, and no words were understood
    lost: bool = False  # it was said to the robot, and got no utterance, no decision or no reply
    contradicted: bool = False
    failed: bool = False  # the reply was that something failed
    plain: Plain | None = None

    @property
    def counts(self) -> bool:
        """Whether its stages count: it is a line that is answered, and was heard in one piece."""
        return self.said.line.answered and self.utterances == 1


def measure(said: Said, heard: Sequence[Heard], seen: Seen, until: float) -> Turn:
    """Measure a line. ``heard`` are its utterances; ``until`` is when the next line began."""
    turn, line, end = Turn(said, utterances=len(heard)), said.line, said.end
    turn.cut_off = any(said.start <= at <= end + _AFTERMATH for at in seen.cuts)
    turn.spotted = any(said.start <= at <= end + _AFTERMATH for at in seen.stops)
    expected, made = Counter(line.calls), Counter(call for each in heard for call in each.calls)
    if line.kind in ("stop", "hush"):
        made.pop("stop", None)  # the word may act by itself or as a call
    turn.missed, turn.wrong = (expected - made).total(), (made - expected).total()
    turn.contradicted = any(each.contradicted for each in heard)
    turn.failed = any(each.source == "error" for each in heard)
    if line.answered:
        turn.deaf = not any(each.understood for each in heard)
        complete = [each for each in heard if each.closed and "decision" in each.times]
        turn.lost = not complete or any(each.understood and each.reply is None for each in heard)
    if heard:
        last = heard[-1]
        turn.stages = {name: last.times[name] - end for name in STAGES if name in last.times}
        turn.ahead = {name: last.times[name] for name in AHEAD if name in last.times}
    if line.answered:
        turn.stages["first_audio"] = _until(seen.played.onset(end), until) - end
        if not moving(seen.joints, end):
            turn.stages["motion"] = first_motion(seen.joints, end, until) - end
            turn.stages["command"] = next((at for at in seen.commands if end <= at < until), math.nan) - end
    if line.kind in ("interruption", "backchannel"):
        turn.silence = _until(seen.played.silence(said.start), until) - said.start
    if line.kind in ("stop", "hush"):
        turn.hush = _until(seen.played.silence(said.start), until) - end
        turn.rest = rest(seen.joints, said.start) - end
    return turn


def matching(said: Sequence[Said], heard: Sequence[Heard]) -> tuple[dict[int, list[Heard]], list[Heard]]:
    """Give each line's utterances by its number, and those that belong to no line."""
    found: dict[int, list[Heard]] = {each.number: [] for each in said}
    stray = []
    for utterance in heard:
        best = max(said, key=lambda each: overlap(each.span, utterance.speech), default=None)
        if best is None or overlap(best.span, utterance.speech) <= 0.0:
            stray.append(utterance)
        else:
            found[best.number].append(utterance)
    return found, stray


@dataclass(frozen=True)
class AtRest:
    """What the assistant takes while nothing is said."""

    memory_mb: float  # the process's share of memory (PSS)
    cpu: float  # of one core


@dataclass
class Results:
    """All of a run."""

    turns: list[Turn]
    stray: list[Heard]
    at_rest: AtRest
    memory_mb: float  # after the last turn
    stops: int = 0  # stop words that were spotted
    problems: list[str] = field(default_factory=list)  # what nodes said of themselves

    def stage(self, name: str) -> Spread:
        """A stage over all turns that count."""
        return self._stage(name, self._counting())

    def warm(self, name: str) -> Spread:
        """The same without the first turn."""
        return self._stage(name, [turn for turn in self._counting() if turn is not self.turns[0]])

    def cold(self, name: str) -> float:
        """Of the first turn after the start."""
        first = self.turns[0] if self.turns and self.turns[0].counts else None
        return first.stages.get(name, math.nan) if first else math.nan

    def ahead(self, name: str) -> Spread:
        """What was done ahead, over all turns that count."""
        return Spread.of([turn.ahead.get(name, math.nan) for turn in self._counting()])

    def plain(self, name: str) -> Spread:
        """A stage of the plain pipeline, on the recordings of the turns that count."""
        return Spread.of([self.plain_stages(turn).get(name, math.nan) for turn in self._counting()])

    def plain_stages(self, turn: Turn) -> dict[str, float]:
        """The plain pipeline's stages on the recording of a turn; its head is as quick as ours after a decision."""
        if turn.plain is None:
            return {}
        stages = dict(turn.plain.stages)
        if math.isfinite(turn.stages.get("motion", math.nan)):
            stages["motion"] = stages["decision"] + self.joint_latency
        return stages

    @property
    def joint_latency(self) -> float:
        """The median time from a decision to the head's first motion."""
        both = [turn.stages for turn in self._counting() if "decision" in turn.stages]
        return Spread.of([stages.get("motion", math.nan) - stages["decision"] for stages in both]).p50

    @property
    def first_audio_ratio(self) -> float:
        """Our time to the first audio over the plain pipeline's, medians."""
        return self.stage("first_audio").p50 / self.plain("first_audio").p50

    @property
    def head_ratio(self) -> float:
        """The same of the head's first motion."""
        return self.stage("motion").p50 / self.plain("motion").p50

    def of_kind(self, *kinds: str) -> list[Turn]:
        """The turns of some kinds."""
        return [turn for turn in self.turns if turn.said.line.kind in kinds]

    def unsound(self) -> list[str]:
        """What may not happen, a sentence each: lost and contradicted turns, errors."""
        told = list(self.problems)
        for turn in self.turns:
            for happened, what in (
                (turn.lost, "was lost: it has no utterance, no decision or no reply"),
                (turn.contradicted, "was answered with something else than what was done"),
                (turn.failed, "was answered with an error"),
            ):
                if happened:
                    told.append(f"turn {turn.said.number}, “{turn.said.line.words}”, {what}")
        return told

    def _counting(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.counts]

    def _stage(self, name: str, turns: Sequence[Turn]) -> Spread:
        return Spread.of([turn.stages.get(name, math.nan) for turn in turns])


def _until(at: float, until: float) -> float:
    return at if at <= until else math.nan
