"""The yardstick of the benchmark: the plain pipeline that most voice robots run, on the same recordings.

A silence of 0.5 s ends the turn; then Whisper recognizes it in its window of 30 s, patterns decide, and the whole reply
is synthesized; 0.8 s of it are buffered before any of it is heard. Nothing overlaps. Each step is really run and timed,
in the order of a turn, by the models and with the threads, beams and prompt of the assistant; only the silence and the
buffer are added as numbers, since waiting for them tells nothing. It is spared the transport between nodes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lfm_voice_ros.assembly import load_detector, load_patterns
from lfm_voice_ros.backends.faster_whisper import bundled_model
from lfm_voice_ros.backends.piper import Piper
from lfm_voice_ros.backends.silero_vad import SileroVad
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Synthesizer, VoiceActivityDetector
from lfm_voice_ros.core.recognition import most_tokens
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import AudioCaptureSettings, ToolDetectorSettings, TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.sound_times import first_audible
from lfm_voice_ros.tools.registry import Registry

SILENCE = 0.5  # s that end a turn
PREBUFFER = 0.8  # s of sound that wait before the first is heard
_PRE_ROLL = 0.3  # s of sound from before the first voiced sample


@dataclass(frozen=True)
class Plain:
    """What the plain pipeline did with a recording."""

    stages: Mapping[str, float]  # s from the end of speech, by the names of turn_times.STAGES, without the head's
    pieces: int  # what the silence window cut the sentence into


class PlainPipeline:
    """Loaded once, used from one thread."""

    def __init__(self) -> None:
        """Load Silero VAD, Whisper tiny.en, the patterns and Piper. Raises ResourceError for what is missing."""
        try:
            from faster_whisper import WhisperModel
        except ImportError as exc:
            raise ResourceError("faster-whisper is not installed; run scripts/setup") from exc
        self._settings = TranscriberSettings()
        self._vad = SileroVad()
        self._whisper = WhisperModel(
            str(bundled_model()), device="cpu", compute_type="int8", cpu_threads=self._settings.threads
        )
        settings = ToolDetectorSettings()
        tools = Registry.from_file(config_file("tools.yaml", settings.tools_file), settings.allowed).specs()
        self._detector = load_detector(settings, tools, load_patterns(settings, tools))
        self._voice: Synthesizer = Piper("bundled")
        self.answer(np.zeros(SAMPLE_RATE, np.float32), 0, "Ready.")  # libraries make themselves ready

    def answer(self, recording: Samples, speech_end: int, reply: str) -> Plain:
        """Take clean speech at 16 kHz, the end of its last voiced sample, and what the robot answers."""
        padded = np.pad(recording, (0, round((SILENCE + 0.2) * SAMPLE_RATE)))
        turns = cut(padded, self._vad)
        start, voiced_end = turns[-1] if turns else (0, speech_end)
        utterance = padded[max(0, start - round(_PRE_ROLL * SAMPLE_RATE)) : voiced_end + round(SILENCE * SAMPLE_RATE)]
        times = [time.perf_counter()]
        text = self._recognize(utterance)
        times.append(time.perf_counter())
        self._detector.detect(text)
        times.append(time.perf_counter())
        voice = list(self._voice.synthesize(reply))
        times.append(time.perf_counter())
        until_audible = first_audible(np.concatenate(voice), self._voice.sample_rate) if voice else math.nan
        ended = (voiced_end - speech_end) / SAMPLE_RATE + SILENCE
        words, decision, sound = (ended + at - times[0] for at in times[1:])
        heard = sound + PREBUFFER + until_audible
        stages = {"utterance": ended, "words": words, "decision": decision, "reply": decision, "first_audio": heard}
        return Plain(stages, max(1, len(turns)))

    def _recognize(self, samples: Samples) -> str:
        try:
            segments, _ = self._whisper.transcribe(
                samples,
                language=self._settings.language,
                beam_size=self._settings.beam_size,
                initial_prompt=self._settings.initial_prompt,
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
                vad_filter=False,
                max_new_tokens=most_tokens(len(samples) / SAMPLE_RATE),
            )
            return "".join(segment.text for segment in segments).strip()
        except (RuntimeError, ValueError) as exc:
            raise ResourceError(f"Whisper failed in the plain pipeline: {exc}") from exc


def cut(recording: Samples, vad: VoiceActivityDetector) -> list[tuple[int, int]]:
    """Cut a recording at 16 kHz where it is silent for 0.5 s; give where the speech of each piece begins and ends.

    A frame is voiced by the thresholds that the assistant has by default.
    """
    settings = AudioCaptureSettings()
    size = vad.frame_samples
    vad.reset()
    turns: list[tuple[int, int]] = []
    for begin in range(0, recording.size - size + 1, size):
        probability = vad.probability(recording[begin : begin + size])
        within = bool(turns) and begin - turns[-1][1] < SILENCE * SAMPLE_RATE
        if within and probability >= settings.silence_threshold:
            turns[-1] = (turns[-1][0], begin + size)
        elif not within and probability >= settings.speech_threshold:
            turns.append((begin, begin + size))
    least = settings.min_speech * SAMPLE_RATE
    return [(begin, end) for begin, end in turns if end - begin >= least]
