"""The self-check that a trained model gets with it: sentences that it gets right now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lfm_voice_ros.core.call_syntax import write_calls
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.types import ToolSpec
from lfm_voice_ros.dataset.format import Example
from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
from lfm_voice_ros.dialogue.self_check import called_for, spoken
from lfm_voice_ros.lfm2_audio.adapter import Trained
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio

_MOST = 6
_TRIED = 40  # sentences


def with_checks(
    model: Lfm2Audio, trained: Trained, examples: Iterable[Example], tools: Sequence[ToolSpec], voice: Synthesizer
) -> Trained:
    """Give ``trained`` with up to six sentences of the examples that the model calls rightly when ``voice`` says them.

    Only generated sentences are taken, those with templates: what a person said stays in the recordings. The model is
    used as it stands, in eval mode.
    """
    sentences = {example.transcript: write_calls(example.calls) for example in examples if example.templates}
    wanted = [(sentence, calls) for sentence, calls in sentences.items() if calls != "[]"][:_TRIED]
    engine = Lfm2AudioEngine(model, DialogueSettings(system_prompt=trained.system_prompt, calls=trained.form), tools)
    checks: list[tuple[str, str]] = []
    try:
        for sentence, calls in wanted:
            if called_for(engine, spoken(voice, sentence)) == calls:
                checks.append((sentence, calls))
            if len(checks) == _MOST:
                break
    finally:
        engine.close()
    return replace(trained, checks=tuple(checks))
