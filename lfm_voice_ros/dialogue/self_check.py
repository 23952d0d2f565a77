"""Whether a trained LFM2-Audio does what it did when it had been trained, before a robot talks with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lfm_voice_ros.core.call_syntax import write_calls
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import DialogueEngine, Synthesizer
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, ToolSpec, Utterance
from lfm_voice_ros.lfm2_audio.adapter import Trained

_LEAST = 0.5  # of the checks must be right: another device rounds differently


def check_trained(
    engine: DialogueEngine, trained: Trained, tools: Sequence[ToolSpec], voice: Synthesizer | None
) -> None:
    """Have the engine hear silence, in which nothing is called, and the sentences of its self-check.

    Without a ``voice``, the one that the sentences were spoken with, silence only. Raises ResourceError, with what to
    do, where it fails or calls tools that the robot doesn't have.
    """
    known = {tool.name for tool in tools}
    if not known & set(trained.tools):
        raise ResourceError(
            f"it was trained to call {', '.join(trained.tools)}, of which this robot has none; train one for its tools"
        )
    if called := called_for(engine, np.zeros(SAMPLE_RATE, np.float32)):
        raise ResourceError(f"it calls {called} where nothing is said; train it with more turns without calls")
    checks = trained.checks if voice is not None else ()
    right = sum(called_for(engine, spoken(voice, sentence)) == calls for sentence, calls in checks if voice is not None)
    if right < _LEAST * len(checks):
        raise ResourceError(
            f"it gets {right} of the {len(checks)} sentences right that it got right when it was trained; "
            "was it trained on this model? Train it again where it was"
        )


def called_for(engine: DialogueEngine, samples: Samples) -> str:
    """Give what the engine's own text calls for a sound at 16 kHz, as text; empty for nothing."""
    name = "self-check"
    try:
        calls = engine.listen(Utterance(name, samples, SAMPLE_RATE, 0.0, 0.0, 0.0)) or ()
    finally:
        engine.forget(name)
    return write_calls(calls) if calls else ""


def spoken(voice: Synthesizer, sentence: str) -> Samples:
    """Give a sentence as sound at 16 kHz, with a quarter of a second of silence behind it."""
    import soxr

    sound = np.concatenate([*voice.synthesize(sentence), np.zeros(voice.sample_rate // 4, np.float32)])
    return np.asarray(soxr.resample(sound, voice.sample_rate, SAMPLE_RATE), np.float32)
