"""Speech recognition by openai-whisper (PyTorch), an optional part."""

from __future__ import annotations

from pathlib import Path

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.recognition import SHORTEST, Segment, judge, most_tokens
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Transcript


class OpenAIWhisper:
    """The port Transcriber. The same sound gives the same words: no sampling, no memory of earlier utterances."""

    def __init__(self, settings: TranscriberSettings) -> None:
        """Load ``settings.model``: a .pt file, or a name, which is downloaded once, with a progress bar.

        Raises ResourceError when the library, the model or the network for its download is missing, or when the model
        doesn't know the language.
        """
        try:
            import torch
            import whisper
        except ImportError as exc:
            raise ResourceError(
                "the openai-whisper backend is not installed; run scripts/setup --extra openai-whisper"
            ) from exc
        model = _check(settings.model, whisper.available_models())
        device = settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_num_threads(settings.threads)
        try:
            self._model = whisper.load_model(model, device=device)
        except OSError as exc:  # urllib's errors among them
            raise ResourceError(
                f"the Whisper model '{model}' can't be downloaded or read; check the network, or give a .pt file"
            ) from exc
        except Exception as exc:  # torch.load lets out whatever a broken file leads to
            raise ResourceError(
                f"the Whisper model '{model}' can't be loaded on {device}; choose another model or device: "
                f"{(str(exc).splitlines() or [type(exc).__name__])[0]}"
            ) from exc
        known = whisper.tokenizer.LANGUAGES if self._model.is_multilingual else ("en",)
        if settings.language and settings.language not in known:
            raise ResourceError(
                f"the Whisper model '{settings.model}' doesn't know the language '{settings.language}'; "
                "choose a multilingual model such as tiny, and one of Whisper's languages"
            )
        self._settings = settings
        self._half = device == "cuda"
        self.name = f"openai-whisper {Path(model).stem if model.endswith('.pt') else model}"

    def transcribe(self, samples: Samples) -> Transcript:
        """Recognize float32 mono sound at 16 kHz, shape (samples,). Raises ResourceError when the model fails."""
        seconds = len(samples) / SAMPLE_RATE
        language = self._settings.language
        if seconds < SHORTEST:
            return judge([], seconds, language or "en", self._settings)
        try:
            # The library's own thresholds are off: core/recognition.py decides, and says why.
            result = self._model.transcribe(
                samples,
                language=language or ("en" if not self._model.is_multilingual else None),
                beam_size=self._settings.beam_size,
                initial_prompt=self._settings.initial_prompt or None,
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=True,
                no_speech_threshold=None,
                logprob_threshold=None,
                compression_ratio_threshold=None,
                sample_len=most_tokens(seconds),
                fp16=self._half,
            )
        except (RuntimeError, ValueError) as exc:
            raise ResourceError(f"{self.name} failed; choose another model or device: {exc}") from exc
        segments = [
            Segment(s["text"], len(s["tokens"]), s["avg_logprob"], s["no_speech_prob"], s["compression_ratio"])
            for s in result["segments"]
        ]
        return judge(segments, seconds, result["language"], self._settings)


def _check(model: str, names: list[str]) -> str:
    if model == "bundled":
        raise ResourceError(
            "the bundled model is for faster_whisper; set model to a name such as tiny.en (downloaded once) or to a .pt"
        )
    path = Path(model).expanduser()
    if model in names or path.is_file():
        return model if model in names else str(path)
    raise ResourceError(f"the Whisper model {model} isn't there; give a .pt file, or one of: {', '.join(names)}")
