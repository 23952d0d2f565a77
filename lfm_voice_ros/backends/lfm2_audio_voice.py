"""Text to speech by LFM2-Audio."""

from __future__ import annotations

from collections.abc import Iterator

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.core.types import Samples

_WINDOW = 1024  # positions: a sentence and its sound
_SPEAKER = "US female"
#: What the model's authors give for text to speech.
_TEMPERATURE, _TOP_K = 0.8, 64


class Lfm2AudioVoice:
    """Port Synthesizer. In one process it shares its model with the dialogue and with the recognition."""

    def __init__(self, settings: DialogueSettings) -> None:
        """Load the model that the settings name; ``settings.speaker`` is the voice. Raises ResourceError."""
        try:
            from lfm_voice_ros.lfm2_audio.checkpoint import Source, load_shared
            from lfm_voice_ros.lfm2_audio.modes import Speech
            from lfm_voice_ros.lfm2_audio.sampling import Sampling
            from lfm_voice_ros.lfm2_audio.vocoder import SAMPLE_RATE
        except ImportError as exc:
            raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
        source = Source(settings.model, settings.revision, settings.device, settings.dtype, settings.detokenizer)
        # The system prompt that the model was trained with for this.
        system = f"Perform TTS. Use the {settings.speaker or _SPEAKER} voice."
        sampling = Sampling(
            audio_temperature=_TEMPERATURE, audio_top_k=_TOP_K, seed=None if settings.seed < 0 else settings.seed
        )
        self._speech = Speech(load_shared(source), system, _WINDOW, sampling)
        self.name = f"lfm2_audio {settings.speaker or _SPEAKER}"
        self.sample_rate = SAMPLE_RATE

    def synthesize(self, text: str) -> Iterator[Samples]:
        """See the port."""
        if words := speakable(text):
            yield from self._speech.speak(words)
