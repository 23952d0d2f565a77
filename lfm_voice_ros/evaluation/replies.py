"""How often a speech-to-speech engine contradicts what its tools did, when its history says the opposite.

Each tool turn comes behind one in which the robot said the contrary: the history is the trap that a model which reads
the result as one text among others falls into.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lfm_voice_ros.core.grounding import contradicts, tells_the_same
from lfm_voice_ros.core.ports import DialogueEngine
from lfm_voice_ros.core.types import (
    SAMPLE_RATE,
    Question,
    Reply,
    Samples,
    ToolCall,
    ToolResult,
    ToolStatus,
    Transcript,
    Utterance,
)

_HEARD = 1.0  # s of a reply that set the trap; the history goes on from there

#: What is asked, the call, what came of it, and what the robot had said before: the contrary.
_CASES: Sequence[tuple[str, str, str, str]] = (
    ("Look left.", "pan_left", "Looking left, {n} degrees.", "I am looking right. I will not look left."),
    ("Look right.", "pan_right", "Looking right, {n} degrees.", "I am looking left. I will not look right."),
    ("Look up.", "tilt_up", "Looking up, {n} degrees.", "I am looking down. I can't look up."),
    ("Look down.", "tilt_down", "Looking down, {n} degrees.", "I am looking up. I can't look down."),
    ("Look left.", "pan_left", "I could not look left: the head does not answer.", "I always look left."),
    ("Look right.", "pan_right", "I can't look any further to the right. I am at my limit.", "Looking right, sure."),
    ("Nod your head.", "nod", "Nodding.", "I never nod."),
    ("Shake your head.", "shake_head", "I could not shake my head: the head does not answer.", "Shaking my head."),
    ("Look straight ahead.", "center", "Looking straight ahead.", "I am not able to move. I look left."),
    ("What time is it?", "get_time", "It is {h}:{m:02d}.", "I do not know the time. It is not noon."),
)


@dataclass(frozen=True)
class ToolTurn:
    """A tool turn and the trap before it."""

    said: str
    result: ToolResult
    before: str  # what the robot said in the turn before


@dataclass
class ReplyScore:
    """What became of the tool turns."""

    turns: int = 0
    says: int = 0  # replies with the facts of the result, and no others
    contradicts: int = 0
    replies: list[tuple[ToolTurn, str]] = field(default_factory=list)


def tool_turns(count: int, seed: int = 0) -> list[ToolTurn]:
    """Give so many turns, the same for the same seed."""
    chance = random.Random(seed)
    turns = []
    for number in range(count):
        said, tool, speech, before = _CASES[number % len(_CASES)]
        values = {"n": chance.randrange(5, 90), "h": chance.randrange(1, 12), "m": chance.randrange(60)}
        failed = "could not" in speech
        status = ToolStatus.FAILED if failed else ToolStatus.SUCCEEDED
        turns.append(ToolTurn(said, ToolResult(ToolCall(tool), status, speech.format(**values)), before))
    return turns


def score(engine: DialogueEngine, turns: Sequence[ToolTurn], speak: Callable[[str], Samples]) -> ReplyScore:
    """Lead the engine through the turns. ``speak`` gives a person's sentence as sound at 16 kHz.

    Raises what the engine raises.
    """
    result = ReplyScore()
    for number, turn in enumerate(turns):
        trap, asked = f"trap {number}", f"turn {number}"
        _ask(engine, Question(trap, Transcript("What are you doing?"), problem=turn.before), speak)
        engine.heard(Question(trap), _HEARD, turn.before)
        text = _ask(engine, Question(asked, Transcript(turn.said), (turn.result,)), speak)
        engine.heard(Question(asked), None, text)
        engine.rest(lambda: False)
        result.turns += 1
        result.says += tells_the_same(text, turn.result)
        result.contradicts += contradicts(text, turn.result)
        result.replies.append((turn, text))
    return result


def _ask(engine: DialogueEngine, question: Question, speak: Callable[[str], Samples]) -> str:
    sound = speak(question.transcript.text)
    engine.listen(Utterance(question.utterance_id, sound, SAMPLE_RATE, 0.0, 0.0, 0.0))
    listener = _Listener()
    engine.answer(question, listener)
    return listener.text


class _Listener:
    """A SpeechOut that keeps the text."""

    def __init__(self) -> None:
        self.text = ""

    def canceled(self) -> bool:
        return False

    def reply(self, reply: Reply) -> None:
        self.text = reply.text

    def say(self, words: str, samples: Samples) -> None:
        pass
