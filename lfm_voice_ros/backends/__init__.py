"""One file per outside library, each behind a port of core/ports.py. A library is imported when it is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.ports import KeywordSpotter, Synthesizer, Transcriber
from lfm_voice_ros.core.settings import DialogueSettings, TranscriberSettings


def load_transcriber(settings: TranscriberSettings) -> Transcriber:
    """Load the speech recognition that the settings name; takes seconds, and minutes where a model is downloaded.

    Raises ResourceError, with what to do, when the library or the model is missing or broken.
    """
    if settings.backend == "lfm2_audio":
        from lfm_voice_ros.backends.lfm2_audio_transcriber import Lfm2AudioTranscriber

        return Lfm2AudioTranscriber(settings)
    if settings.backend == "openai_whisper":
        from lfm_voice_ros.backends.openai_whisper import OpenAIWhisper

        return OpenAIWhisper(settings)
    from lfm_voice_ros.backends.faster_whisper import FasterWhisper

    return FasterWhisper(settings)


def load_synthesizer(
    name: str, voice: str, steady: bool = False, dialogue: DialogueSettings | None = None
) -> Synthesizer:
    """Load the text to speech ``name`` with ``voice``; takes about a second. ``steady``: see Piper.

    ``dialogue`` says which LFM2-Audio is meant, and with which speaker. Raises ConfigurationError for a name that there
    isn't, ResourceError when the library, the voice or the model is missing.
    """
    if name == "piper":
        from lfm_voice_ros.backends.piper import Piper

        return Piper(voice, steady)
    if name == "lfm2_audio":
        from lfm_voice_ros.backends.lfm2_audio_voice import Lfm2AudioVoice

        return Lfm2AudioVoice(dialogue or DialogueSettings())
    raise ConfigurationError(f"there is no synthesizer '{name}'; there are: piper, lfm2_audio")


def load_stop_spotter(words: Sequence[str]) -> KeywordSpotter:
    """Load what hears stop words; takes half a second.

    Raises ConfigurationError for a word that it can't hear, ResourceError when the library is missing.
    """
    from lfm_voice_ros.backends.open_wake_word import StopWords

    return StopWords(words)


def load_wake_spotter(name: str) -> KeywordSpotter:
    """Load what hears a wake word. Raises ConfigurationError, ResourceError: see MicroWakeWord."""
    from lfm_voice_ros.backends.micro_wake_word import MicroWakeWord

    return MicroWakeWord(name)
