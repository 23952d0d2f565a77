"""Speech recognition by LFM2-Audio."""

from __future__ import annotations

import math

from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.recognition import SHORTEST, Segment, judge, most_tokens
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Transcript

#: The system prompt that the model was trained with for this.
_SYSTEM = "Perform ASR."
_WINDOW = 1024  # positions: half a minute of speech and its words


class Lfm2AudioTranscriber:
    """Port Transcriber. In one process it shares its model with the dialogue and with the voice."""

    def __init__(self, settings: TranscriberSettings) -> None:
        """Load the model that the settings name. Raises ResourceError, with what to do."""
        try:
            from lfm_voice_ros.lfm2_audio.checkpoint import Source, load_shared
            from lfm_voice_ros.lfm2_audio.hub import DEFAULT_MODEL
            from lfm_voice_ros.lfm2_audio.modes import Recognition
        except ImportError as exc:
            raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
        model = DEFAULT_MODEL if settings.model == "bundled" else settings.model
        self._recognition = Recognition(load_shared(Source(model, device=settings.device)), _SYSTEM, _WINDOW)
        self._settings = settings
        self.name = f"lfm2_audio {model}"

    def transcribe(self, samples: Samples) -> Transcript:
        """See the port. What is not believed is dropped as for Whisper, by word probability and length."""
        seconds = samples.size / SAMPLE_RATE
        if seconds < SHORTEST:
            return judge([], seconds, self._settings.language, self._settings)
        try:
            text, probabilities = self._recognition.recognize(samples, most_tokens(seconds))
        except AudioError as exc:
            return Transcript("", 0.0, self._settings.language, str(exc))
        logprob = sum(map(math.log, probabilities)) / len(probabilities) if probabilities else 0.0
        segment = Segment(text, len(probabilities), logprob, no_speech_prob=0.0, compression_ratio=1.0)
        return judge([segment] if text else [], seconds, self._settings.language, self._settings)
