"""What travels through the assistant, without ROS. Each type has a message of the same name in msg/.

Times are seconds as float, from one clock: that of the node's ROS time. Sound is float32 mono in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Mono sound, shape (samples,), full scale [-1, 1].
Samples = NDArray[np.float32]

#: Sentences as vectors, shape (sentences, size).
Embeddings = NDArray[np.float32]

#: A value that JSON can carry; tool arguments and results are made of these.
Json = Any

#: The rate in Hz at which everything listens: Silero VAD and Whisper take nothing else.
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Utterance:
    """What a person said between two silences."""

    utterance_id: str
    samples: Samples
    sample_rate: int
    start: float  # s, first sample, pre-roll included
    speech_start: float  # s, first voiced sample
    speech_end: float  # s, end of the last voiced sample


@dataclass(frozen=True)
class Spot:
    """A word that was spotted while it was spoken."""

    word: str
    end: float  # s, of the word
    confidence: float  # [0, 1]


@dataclass(frozen=True)
class Transcript:
    """The words of an utterance; an empty text says that nothing was understood."""

    text: str
    confidence: float = 1.0  # mean probability of the words, [0, 1]
    language: str = "en"  # ISO 639-1
    rejection: str = ""  # why the text is empty
    failed: bool = False  # the transcriber itself failed
    end_confidence: float = 1.0  # probability of the last word, [0, 1]; 1 when it isn't known


@dataclass(frozen=True)
class ToolCall:
    """A tool and what to call it with."""

    name: str
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolSpec:
    """What detectors and models are told of a tool."""

    name: str
    description: str
    parameters: Mapping[str, Json]  # JSON schema of the arguments
    phrases: tuple[str, ...] = ()  # ways to ask for it; models aren't told of them


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a chat with a language model."""

    role: str  # system, user, assistant or tool
    content: str


@dataclass(frozen=True)
class Completion:
    """What a language model wrote, without what stopped it."""

    text: str
    confidence: float  # the mean probability of its tokens, [0, 1]
    finished: bool = True  # it came to its end, not to the limit of tokens


@dataclass(frozen=True)
class ToolDecision:
    """Which tools an utterance asks for, in the order in which they were asked for."""

    calls: tuple[ToolCall, ...]
    detector: str
    confidence: float = 1.0  # [0, 1]


class ToolStatus(IntEnum):
    """What became of a call; the numbers are those of msg/ToolResult.msg."""

    SUCCEEDED = 0
    FAILED = 1
    REJECTED = 2
    TIMED_OUT = 3
    CANCELED = 4


@dataclass(frozen=True)
class ToolResult:
    """What became of one call, as data and as the sentence that says it."""

    call: ToolCall
    status: ToolStatus
    speech: str
    data: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""
    index: int = 0
    total: int = 1


@dataclass(frozen=True)
class Reply:
    """What the robot answers."""

    text: str
    source: str  # "tools", "small_talk", "language_model", "lfm2_audio" or "error"


@dataclass(frozen=True)
class Question:
    """What is to be answered: what the person said, and what came of it."""

    utterance_id: str
    transcript: Transcript = Transcript("")
    results: tuple[ToolResult, ...] = ()
    problem: str = ""  # why it can't be answered as it should, as a sentence to be spoken


@dataclass(frozen=True)
class HeadMove:
    """A motion that the head has begun: the target really applied, and how far that is from where it was."""

    pan: float  # rad, positive to the left
    tilt: float  # rad, positive down
    pan_change: float  # rad
    tilt_change: float  # rad
    pan_limited: bool  # more pan was asked for than the head has
    tilt_limited: bool
    duration: float  # s until the motion ends
