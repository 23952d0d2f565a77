"""When the end of a turn is found, in simulated time: how many sentences are cut off, and how long the others wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lfm_voice_ros.core.end_of_turn import Ending
from lfm_voice_ros.core.endpointing import Endpointer, SpeechEnded, SpeechPaused
from lfm_voice_ros.core.ports import VoiceActivityDetector
from lfm_voice_ros.core.settings import AudioCaptureSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Utterance
from lfm_voice_ros.evaluation.scoring import percentile, wilson

#: Takes a draft; gives what its words say, and the s after which that is known.
Judge = Callable[[Utterance], tuple[Ending, float]]


@dataclass(frozen=True)
class Frame:
    """A frame of a recording and its probability of speech."""

    samples: Samples
    probability: float


@dataclass(frozen=True)
class Outcome:
    """What became of one sentence. Times in s."""

    cut_off: bool  # the turn was ended before the last piece began
    waited: float  # from the end of the speech to the end of the turn; NaN when it was cut off or not heard
    heard_until: str  # words that were judged last


def frames_of(samples: Samples, detector: VoiceActivityDetector) -> list[Frame]:
    """Cut a recording into frames and ask for the probability of speech in each; a rest is left out."""
    detector.reset()
    size = detector.frame_samples
    cut = (samples[at : at + size] for at in range(0, samples.size - size + 1, size))
    return [Frame(frame, detector.probability(frame)) for frame in cut]


def turn_ends(frames: Iterable[Frame], settings: AudioCaptureSettings, judge: Judge) -> list[float]:
    """Play frames to an Endpointer; give the times (s from the first sample) at which it has ended utterances.

    A judgement comes after its time, as it would from other nodes.
    """
    endpointer = Endpointer(settings, lambda at: f"{at:.3f}")
    judged: list[tuple[float, Utterance, Ending]] = []
    ends: list[float] = []
    position = 0
    for frame in frames:
        at, position = position / SAMPLE_RATE, position + frame.samples.size
        now = position / SAMPLE_RATE
        while judged and judged[0][0] <= now:
            due, draft, ending = judged.pop(0)
            events = endpointer.judge(draft.utterance_id, draft.speech_end, ending)
            ends += [max(due, at) for event in events if isinstance(event, SpeechEnded)]
        for event in endpointer.push(frame.samples, frame.probability, at):
            if isinstance(event, SpeechEnded):
                ends.append(now)
            elif isinstance(event, SpeechPaused):
                ending, seconds = judge(event.utterance)
                judged.append((now + seconds, event.utterance, ending))
    return ends


def outcome(ends: Sequence[float], last_piece: float, speech_end: float) -> tuple[bool, float]:
    """Whether one of the turn's ends came before its last piece, and the s that it waited; NaN when cut off or unheard."""
    if any(end < last_piece for end in ends):
        return True, math.nan
    return False, (ends[0] - speech_end if ends else math.nan)


@dataclass(frozen=True)
class Summary:
    """Many sentences under one setting."""

    paused: int  # sentences with pauses
    cut_off: int  # of them
    interval: tuple[float, float]  # of the share, 95 %
    wait_p50: float  # s, of all that were not cut off
    wait_p95: float
    command_wait_p50: float  # s, of commands and questions
    command_wait_p95: float
