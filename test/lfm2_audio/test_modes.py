"""LFM2-Audio as recognition and as voice, behind the ports of Whisper and Piper."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from lfm_voice_ros.backends import load_synthesizer, load_transcriber
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.settings import DialogueSettings, TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.generation import TURN_END
from lfm_voice_ros.lfm2_audio.modes import Recognition, Speech
from lfm_voice_ros.lfm2_audio.sampling import Sampling
from lfm_voice_ros.lfm2_audio.vocoder import FRAME_SAMPLES


def noise(seconds: float = 0.6, seed: int = 0) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def _sequential(model: Lfm2Audio, system: str, samples: Samples, most: int) -> str:
    """What liquid-audio's own loop writes, greedily, for the same chat."""
    from liquid_audio import ChatState

    chat = ChatState(model.processor, dtype=model.dtype)
    chat.new_turn("system")
    chat.add_text(system)
    chat.end_turn()
    chat.new_turn("user")
    chat.add_audio(torch.from_numpy(samples)[None], SAMPLE_RATE)
    chat.end_turn()
    chat.new_turn("assistant")
    tokens = [int(token) for token in model.net.generate_sequential(**chat, max_new_tokens=most) if token.numel() == 1]
    return model.decode([token for token in tokens if token != TURN_END]).strip()


@pytest.mark.filterwarnings("ignore:.past_key_values. is deprecated:FutureWarning")  # in liquid-audio's loop
def test_a_recording_is_written_as_the_librarys_own_loop_does(model: Lfm2Audio) -> None:
    samples = noise(0.63)  # a length at which the library's chat and its training agree

    text, probabilities = Recognition(model, "Perform ASR.", 256).recognize(samples, 10)

    assert text == _sequential(model, "Perform ASR.", samples, 10)
    assert len(probabilities) <= 10
    assert all(0 < probability <= 1 for probability in probabilities)


def test_one_recording_does_not_change_what_is_heard_in_the_next(model: Lfm2Audio) -> None:
    recognition = Recognition(model, "Perform ASR.", 256)
    first = recognition.recognize(noise(seed=1), 8)
    recognition.recognize(noise(1.2, seed=2), 8)

    assert recognition.recognize(noise(seed=1), 8) == first


def test_a_recording_longer_than_the_window_is_refused_and_the_next_is_heard(model: Lfm2Audio) -> None:
    recognition = Recognition(model, "Perform ASR.", 64)

    with pytest.raises(ResourceError, match="64 positions"):
        recognition.recognize(noise(20.0), 8)
    recognition.recognize(noise(), 8)


def test_sound_that_cannot_be_heard_is_refused(model: Lfm2Audio) -> None:
    with pytest.raises(AudioError, match="short"):
        Recognition(model, "Perform ASR.", 64).recognize(noise(0.02), 8)


def test_a_sentence_is_spoken_in_pieces_whose_first_is_short(model: Lfm2Audio) -> None:
    speech = Speech(model, "Perform TTS. Use the US male voice.", 256, Sampling(audio_top_k=64, seed=1))

    pieces = list(speech.speak("Hello."))

    assert pieces[0].size <= FRAME_SAMPLES
    whole = np.concatenate(pieces)
    assert whole.size % FRAME_SAMPLES == 0
    assert 0 < whole.size / 24_000 <= 4.0
    assert np.isfinite(whole).all()


def test_a_voice_with_a_seed_says_a_sentence_the_same_way_after_another(model: Lfm2Audio) -> None:
    speech = Speech(model, "Perform TTS.", 256, Sampling(audio_temperature=0.0))
    first = np.concatenate(list(speech.speak("Hello.")))
    list(speech.speak("Something else entirely."))

    np.testing.assert_allclose(np.concatenate(list(speech.speak("Hello."))), first, atol=1e-5)


def test_the_transcriber_of_that_name_hears_and_doubts(tiny: Path) -> None:
    transcriber = load_transcriber(TranscriberSettings(backend="lfm2_audio", model=str(tiny)))

    transcript = transcriber.transcribe(noise())

    assert transcriber.name == f"lfm2_audio {tiny}"
    assert not transcript.failed
    assert transcript.text or transcript.rejection  # random weights are rarely sure of what they hear
    assert transcriber.transcribe(noise(0.01)).rejection


def test_the_voice_of_that_name_speaks(tiny: Path) -> None:
    settings = dataclasses.replace(DialogueSettings(), model=str(tiny), device="cpu", speaker="UK male", seed=1)

    voice = load_synthesizer("lfm2_audio", "bundled", dialogue=settings)
    sound = np.concatenate(list(voice.synthesize("Ready.")))

    assert voice.name == "lfm2_audio UK male"
    assert voice.sample_rate == 24_000
    assert sound.size > 0
    assert list(voice.synthesize("…")) == []


def test_a_missing_model_is_told_by_both(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="nothing here"):
        load_transcriber(TranscriberSettings(backend="lfm2_audio", model=str(tmp_path / "nothing here")))
    with pytest.raises(ResourceError, match="nothing here"):
        load_synthesizer("lfm2_audio", "", dialogue=DialogueSettings(model=str(tmp_path / "nothing here")))
