"""The ports: what the core needs from outside. Backends and engines stand behind them; nodes put them together.

None of these is called from more than one thread at a time, unless it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from lfm_voice_ros.core.pan_tilt import Move
from lfm_voice_ros.core.types import (
    ChatMessage,
    Completion,
    Embeddings,
    HeadMove,
    Question,
    Reply,
    Samples,
    Spot,
    ToolCall,
    ToolDecision,
    ToolResult,
    Transcript,
    Utterance,
)

#: Seconds on a clock that never jumps.
Clock = Callable[[], float]


class VoiceActivityDetector(Protocol):
    """How likely it is that a person speaks."""

    frame_samples: int

    def probability(self, frame: Samples) -> float:
        """Take ``frame_samples`` samples at 16 kHz; give the probability of speech in [0, 1]."""

    def reset(self) -> None:
        """Forget what was heard before."""


class EchoCanceller(Protocol):
    """Takes the robot's own voice out of what its microphone hears. One stream only: it learns the room."""

    name: str
    frame_samples: int  # 10 ms

    def process(self, microphone: Samples, played: Samples) -> Samples:
        """Take ``frame_samples`` of both at 16 kHz; give those of the microphone without their echo.

        ``played`` is what the loudspeaker plays, at the same time or up to 0.2 s earlier. Raises ResourceError.
        """


class KeywordSpotter(Protocol):
    """Hears a few words in a stream of sound, while they are spoken."""

    name: str

    def push(self, samples: Samples, at: float) -> list[Spot]:
        """Take the next sound at 16 kHz and the time (s) of its first sample; give the words that were spotted."""

    def reset(self) -> None:
        """What comes next is another stream."""


class Transcriber(Protocol):
    """Speech to text."""

    name: str

    def transcribe(self, samples: Samples) -> Transcript:
        """Take an utterance at 16 kHz; give its words, or an empty text and the reason.

        Raises ResourceError when the model fails.
        """


class Detector(Protocol):
    """Finds the tool calls in a sentence."""

    name: str

    def detect(self, text: str) -> ToolDecision:
        """Take a transcript; give the calls, none for a sentence that asks for no tool.

        No text makes it raise; ResourceError says that its model failed.
        """


class TextModel(Protocol):
    """A language model that continues a chat."""

    name: str
    keeps_to_grammars: bool  # whether it can be made to write nothing but what a grammar allows

    def complete(
        self, messages: Sequence[ChatMessage], stop: Sequence[str], max_tokens: int, grammar: str = ""
    ) -> Completion:
        """Write the next assistant turn, greedily: always the same to the same messages.

        Ends before the first of the ``stop`` texts, at the end of the turn, or after ``max_tokens``. ``grammar`` is in
        llama.cpp's GBNF; empty allows everything. Raises ResourceError when the model fails.
        """


class SentenceEncoder(Protocol):
    """Sentences to vectors."""

    name: str
    size: int  # of a vector

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Give a vector for each text, float32, shape (texts, size). Raises ResourceError."""


class Synthesizer(Protocol):
    """Text to speech."""

    name: str
    sample_rate: int  # Hz, of what it gives

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Take one sentence; give its sound in pieces, as they are made. Raises ResourceError."""


class TextEngine(Protocol):
    """Makes the text of the reply to a turn."""

    name: str

    def phrases(self) -> list[str]:
        """What it says again and again, word for word."""

    def prepare(self, transcript: Transcript, results: tuple[ToolResult, ...]) -> Reply:
        """Give what :meth:`reply` would say now, without having said it. Raises ResourceError.

        ``results`` may be foretold, and some at the end may be missing.
        """

    def reply(self, transcript: Transcript, results: tuple[ToolResult, ...]) -> Reply:
        """Take what was said and what was done; give what to say. Raises ResourceError."""

    def heard(self, transcript: Transcript, reply: str) -> None:
        """Remember a turn: what the person said, and the part of the reply that was really heard."""


class SpeechOut(Protocol):
    """Where an engine speaks. May be called from any one thread at a time."""

    def canceled(self) -> bool:
        """Whether the reply was interrupted; nothing that is said after that is heard."""

    def reply(self, reply: Reply) -> None:
        """The text of the reply is known. Called once a reply, before or while it is spoken."""

    def say(self, words: str, samples: Samples) -> None:
        """The next piece of the reply: words that begin here, its sound at the engine's rate, or one of the two."""


class DialogueEngine(Protocol):
    """Answers turns in speech.

    A turn is heard by :meth:`listen` as soon as the person has ended, and then either answered or forgotten; after an
    answer :meth:`heard` says how much of it reached the person. It may be heard and prepared while it isn't certain
    that the person has ended: then it is forgotten if the person goes on, and heard again.
    """

    name: str
    description: str  # with its model, its voice and its device, for the diagnostics
    sample_rate: int  # Hz, of what it says; 0 where it has no voice
    hears: bool  # whether it wants the sound of what the person said; where not, listen() is not called

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """Take what the person said, while others still find out what it means.

        Gives the tool calls that the engine's own model asks for; None where it leaves that to others. Raises
        ResourceError when its model fails, AudioError when it can't hear this sound: the turn may be answered even so.
        """

    def prepare(self, question: Question) -> Iterator[str]:
        """Make ahead what an answer to this question needs, without saying anything.

        Gives each sentence of the reply as soon as its sound is there, the first one first; whoever has more urgent
        things to do takes no further one. Raises ResourceError.
        """

    def answer(self, question: Question, out: SpeechOut) -> None:
        """Speak the reply; returns when all of it was said, or soon after it was canceled. Raises ResourceError."""

    def heard(self, question: Question, seconds: float | None, words: str) -> None:
        """So much of the reply was really heard: ``seconds`` of its sound (None: all), with these ``words``."""

    def forget(self, utterance_id: str) -> None:
        """The turn will not be answered: there were no words in it."""

    def rest(self, waiting: Callable[[], bool]) -> bool:
        """Do some of what can be done later, as long as nobody is ``waiting``; give whether there is more of it."""

    def close(self) -> None:
        """End its threads within half a second. Safe to call twice; may be called while another method runs."""


class AudioSource(Protocol):
    """Where sound comes from. Its thread is its own."""

    description: str

    def start(self, deliver: Callable[[Samples, float], None]) -> None:
        """Deliver sound at 16 kHz as it comes, with the time (s) of its first sample; called from the source's thread.

        Raises ResourceError when the device or the file can't be opened.
        """

    def stop(self) -> None:
        """End within a second. Safe to call twice."""


#: What a loudspeaker plays: samples, their rate (Hz), and when (s, monotonic) the first of them leaves it. No samples:
#: silence follows. Called from the sink's thread in the order of playing; hands over only.
Played = Callable[[Samples, int, float], object]


class AudioSink(Protocol):
    """Where sound goes. Its thread is its own; every method may be called from any thread."""

    description: str

    def start(self) -> None:
        """Open the device or the file. Raises ResourceError."""

    def write(self, samples: Samples, sample_rate: int) -> None:
        """Queue sound behind what is queued already; returns at once."""

    def flush(self) -> None:
        """Throw away what is queued, and be silent within 50 ms."""

    def played_seconds(self) -> float:
        """Seconds of sound that have left the sink since ``start``; silence doesn't count."""

    def queued_seconds(self) -> float:
        """Seconds of sound that wait."""

    def stop(self) -> None:
        """Close within a second. Safe to call twice."""


class Head(Protocol):
    """The pan/tilt head. May be called from one worker, never from the thread that serves ROS callbacks."""

    def move(self, motion: str, pan: float, tilt: float, append: bool) -> HeadMove:
        """Begin a motion of srv/MoveHead (rad, NaN leaves a joint alone); returns when it has begun.

        Raises ToolError when the head refuses, ToolTimeout when it doesn't answer in time.
        """

    def position(self) -> tuple[float, float]:
        """Pan and tilt in rad. Raises ToolError when they are unknown."""


class HeadOutput(Protocol):
    """The way from a planned motion to the head's motors.

    Called from the thread that serves ROS callbacks; nothing here blocks. Angles have the signs of REP-103. What a
    controller says later about a motion is told to whoever has made the output.
    """

    description: str  # the interface and its name, for the diagnostics

    def unready(self) -> str:
        """Why a motion would reach nobody, and what to do; empty when it would reach a controller."""

    def send(self, move: Move) -> None:
        """Begin a motion in the place of the one that runs."""

    def stop(self, move: Move) -> None:
        """Let go of the motion that runs, and come to rest as ``move`` says, also where the controller isn't ready."""

    def close(self) -> None:
        """Begin nothing more; the head may finish what it was told. Safe to call twice."""
