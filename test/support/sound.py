"""Sound for the tests: a spoken sentence, a tone, a reply to the player."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from harness import Probe

from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.backends.resampling import resample
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.msg import SpeechAudio
from lfm_voice_ros.nodes.conversions import samples_to_field


def spoken(text: str) -> Samples:
    """A spoken sentence at 16 kHz, with nothing before or after it."""
    voice = Piper("bundled", steady=True)
    sound = resample(np.concatenate(list(voice.synthesize(text))), voice.sample_rate, SAMPLE_RATE)
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    return np.asarray(0.8 * sound[loud[0] : loud[-1]], np.float32)


def tone(seconds: float, rate: int = SAMPLE_RATE, frequency: float = 440.0) -> Samples:
    """A tone at half of full scale."""
    return np.asarray(0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate), np.float32)


def say(
    probe: Probe,
    reply: str,
    sequence: int,
    samples: Samples,
    *,
    last: bool = False,
    text: str = "",
    rate: int = SAMPLE_RATE,
) -> None:
    """Send a chunk of a reply to the player."""
    probe.publish(
        "audio/output",
        SpeechAudio(
            utterance_id=reply,
            sequence=sequence,
            last=last,
            sample_rate=rate,
            samples=samples_to_field(samples),
            text=text,
        ),
    )


def in_state(playbacks: Sequence[Any], reply: str, state: int) -> Any:
    """The first message that says this state of a reply; None when there is none."""
    return next((m for m in playbacks if m.utterance_id == reply and m.state == state), None)
