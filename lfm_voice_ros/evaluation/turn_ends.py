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


def frames_of(samples: Samples, detector: VoiceActivityDetector) -> list[Frame]:
    """Cut a recording into frames and ask for the probability of speech in each; a rest is left out."""
    detector.reset()
    size = detector.frame_samples
    cut = (samples[at : at + size] for at in range(0, samples.size - size + 1, size))
    return [Frame(frame, detector.probability(frame)) for frame in cut]


def turn_ends(frames: Iterable[Frame], settings: AudioCaptureSettings, judge: Judge) -> list[float]:
    """Play frames to an Endpointer; give the times (s from the first sample) at which it has ended utterances.

    A judgement comes after its time, as it would from other nodes; until then it is unclear whether the pause is the
    end.
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
                endpointer.judge(event.utterance.utterance_id, event.utterance.speech_end, Ending.UNCLEAR)
                ending, seconds = judge(event.utterance)
                judged.append((now + seconds, event.utterance, ending))
    return ends


@dataclass(frozen=True)
class Outcome:
    """What became of one sentence."""

    kind: str  # command, question or talk
    paused: bool  # there are pauses in it
    cut_off: bool  # the turn was ended before the last piece began
    wait: float  # s from the end of the speech to the end of the turn; NaN when it was cut off or not heard at all


def outcome(kind: str, paused: bool, ends: Sequence[float], last_piece: float, speech_end: float) -> Outcome:
    """Take when utterances were ended, when the last piece began, and when the speech was over, in s."""
    if any(end < last_piece for end in ends):
        return Outcome(kind, paused, True, math.nan)
    return Outcome(kind, paused, False, ends[0] - speech_end if ends else math.nan)


@dataclass(frozen=True)
class Waits:
    """Times in s from the end of the speech to the end of the turn. NaN of none."""

    p50: float
    p95: float

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Waits:
        """Count those that were heard to their end."""
        values = [one.wait for one in outcomes if not math.isnan(one.wait)]
        return cls(percentile(values, 50), percentile(values, 95))


@dataclass(frozen=True)
class Summary:
    """Many sentences under one setting."""

    paused: int  # sentences with pauses
    cut_off: int  # of them
    unheard: int  # of all: no utterance at all
    asked: Waits  # of commands and questions
    told: Waits  # of everything else

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Summary:
        """Count."""
        paused = [one for one in outcomes if one.paused]
        return cls(
            len(paused),
            sum(one.cut_off for one in paused),
            sum(math.isnan(one.wait) and not one.cut_off for one in outcomes),
            Waits.of(one for one in outcomes if one.kind != "talk"),
            Waits.of(one for one in outcomes if one.kind == "talk"),
        )

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the share that was cut off."""
        return wilson(self.cut_off, self.paused)
