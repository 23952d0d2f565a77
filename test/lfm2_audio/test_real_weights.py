"""What only real weights can show: the reply can be understood. Run it by scripts/test --real-weights FOLDER."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soxr

from lfm_voice_ros.backends import load_synthesizer, load_transcriber
from lfm_voice_ros.core.grounding import tells_the_same
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings, TranscriberSettings
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
from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.tools.registry import Registry


@pytest.fixture(autouse=True)
def _real_weights_only(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--real-weights") is None:
        pytest.skip("needs the real weights: scripts/test --real-weights FOLDER")


@pytest.fixture
def engine(model: Lfm2Audio) -> Iterator[Lfm2AudioEngine]:
    tools = Registry.from_file(config_file("tools.yaml")).specs()
    made = Lfm2AudioEngine(model, DialogueSettings(engine="lfm2_audio", seed=1), tools)
    yield made
    made.close()


class Listener:
    """A SpeechOut that keeps the sound."""

    def __init__(self) -> None:
        self.text = ""
        self._sounds: list[Samples] = []

    def canceled(self) -> bool:
        return False

    def reply(self, reply: Reply) -> None:
        self.text = reply.text

    def say(self, words: str, samples: Samples) -> None:
        self._sounds.append(samples)

    def heard(self) -> str:
        """What Whisper hears."""
        sound = soxr.resample(np.concatenate(self._sounds), 24_000, SAMPLE_RATE).astype(np.float32)
        return load_transcriber(TranscriberSettings()).transcribe(np.pad(sound, SAMPLE_RATE // 2)).text


def spoken(text: str) -> Utterance:
    """A sentence as a person says it."""
    voice = load_synthesizer("piper", "bundled", steady=True)
    sound = soxr.resample(np.concatenate(list(voice.synthesize(text))), voice.sample_rate, SAMPLE_RATE)
    return Utterance("u1", np.pad(sound, SAMPLE_RATE // 4).astype(np.float32), SAMPLE_RATE, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("speech", ["Looking left, thirty degrees.", "I could not look up. The head does not answer."])
def test_the_voice_says_what_the_tool_says(engine: Lfm2AudioEngine, speech: str) -> None:
    result = ToolResult(ToolCall("pan_left"), ToolStatus.SUCCEEDED, speech)
    listener = Listener()
    engine.listen(spoken("Can you look to the left?"))
    engine.answer(Question("u1", Transcript("Can you look to the left?"), (result,)), listener)

    assert listener.text == speech
    assert tells_the_same(listener.heard(), result)


def test_small_talk_is_answered_in_words_that_are_the_words_of_its_text(engine: Lfm2AudioEngine) -> None:
    listener = Listener()
    engine.listen(spoken("Hello! How are you today?"))
    engine.answer(Question("u1", Transcript("Hello! How are you today?")), listener)

    text, heard = _words(listener.text), _words(listener.heard())
    assert text
    assert len(text & heard) >= 0.7 * len(text)


def _words(text: str) -> set[str]:
    return {"".join(filter(str.isalpha, word)).lower() for word in text.split()} - {""}
