"""Puts detectors together with the models that they need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.ports import Detector, TextModel
from lfm_voice_ros.core.resources import config_file, model_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.core.types import ToolSpec
from lfm_voice_ros.detectors import pattern_file
from lfm_voice_ros.detectors.keywords import KeywordDetector
from lfm_voice_ros.detectors.pattern_file import PatternFile
from lfm_voice_ros.detectors.prompts import Style

#: The name of the model that comes with the package.
BUNDLED = "bundled"


def load_patterns(settings: ToolDetectorSettings, tools: Sequence[ToolSpec]) -> PatternFile:
    """Read the patterns that the settings name.

    Raises ConfigurationError, with file, line and reason, when they are wrong.
    """
    path = config_file("keywords.yaml", settings.patterns_file)
    return pattern_file.read(path, [tool.name for tool in tools])


def load_detector(settings: ToolDetectorSettings, tools: Sequence[ToolSpec], patterns: PatternFile) -> Detector:
    """Make the detector that the settings name, for these tools; takes seconds where it has a model.

    Raises ResourceError, with what to do, when a library or a model is missing or broken, and ConfigurationError when
    a file of the package or a classifier is.
    """
    match settings.detector:
        case "keywords":
            return KeywordDetector(patterns)
        case "classifier":
            return _load_classifier(settings, tools, patterns, settings.classifier_threshold)
        case "auto":
            from lfm_voice_ros.detectors.cascade import Cascade

            return Cascade(
                KeywordDetector(patterns),
                _load_classifier(settings, tools, patterns, threshold=0.0),  # its doubts are the cascade's to weigh
                _load_language_model("llm", settings, tools),
                settings.auto_sure,
                settings.auto_doubt,
            )
        case "llm" | "output_parsing" | "special_tokens" | "lora" as style:
            return _load_language_model(style, settings, tools)
        case other:
            raise ConfigurationError(f"there is no detector '{other}'")


def load_text_model(model: str, runtime: str, device: str, threads: int) -> TextModel:
    """Load a language model: ``bundled``, a GGUF file, a folder, or a name on the Hugging Face hub.

    ``runtime`` is llama_cpp, transformers, or auto, which takes llama.cpp for GGUF files and the bundled model.
    Raises ResourceError, with what to do.
    """
    path = Path(model).expanduser()
    is_gguf = path.suffix == ".gguf" or (model == BUNDLED and runtime == "auto")
    if runtime == "llama_cpp" or (runtime == "auto" and is_gguf):
        from lfm_voice_ros.backends.llama_cpp import LlamaCpp

        return LlamaCpp(model_file("nano/nano.gguf") if model == BUNDLED else path, threads)
    from lfm_voice_ros.backends.transformers_model import TransformersModel

    return TransformersModel(str(model_file("nano") if model == BUNDLED else path if path.exists() else model), device)


def _load_classifier(
    settings: ToolDetectorSettings, tools: Sequence[ToolSpec], patterns: PatternFile, threshold: float
) -> Detector:
    from lfm_voice_ros.backends.minilm import MiniLM
    from lfm_voice_ros.detectors.classifier import ClassifierDetector, Head

    folder = Path(settings.classifier).expanduser() if settings.classifier else model_file("classifier")
    head = Head.load(folder / "head.npz")
    encoder = MiniLM(model_file("classifier/vocab.txt"))
    return ClassifierDetector(head, encoder, patterns, tools, threshold)


def _load_language_model(style: Style, settings: ToolDetectorSettings, tools: Sequence[ToolSpec]) -> Detector:
    from lfm_voice_ros.detectors.language_model import LanguageModelDetector

    model = load_text_model(settings.model, settings.runtime, settings.device, settings.threads)
    return LanguageModelDetector(style, model, tools)
