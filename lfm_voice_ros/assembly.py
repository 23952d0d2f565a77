"""Puts detectors and dialogue engines together with the models that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lfm_voice_ros.backends import load_synthesizer
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.ports import Detector, DialogueEngine, Synthesizer, TextModel
from lfm_voice_ros.core.prompts import Style
from lfm_voice_ros.core.resources import config_file, model_file
from lfm_voice_ros.core.settings import DialogueSettings, ToolDetectorSettings
from lfm_voice_ros.core.types import ToolSpec
from lfm_voice_ros.detectors import pattern_file
from lfm_voice_ros.detectors.keywords import KeywordDetector
from lfm_voice_ros.detectors.pattern_file import PatternFile
from lfm_voice_ros.detectors.phrases import own_patterns
from lfm_voice_ros.dialogue.sentence_cache import CachingSynthesizer, SentenceCache

#: The name of the model that comes with the package.
BUNDLED = "bundled"

#: Told of a condition, and what it is, with its level.
Tell = Callable[[str, str, Level], None]


def load_patterns(settings: ToolDetectorSettings, tools: Sequence[ToolSpec]) -> PatternFile:
    """Read the patterns that the settings name; the phrases of the tools themselves come first.

    Raises ConfigurationError, with file, line or phrase, and reason, when they are wrong.
    """
    path = config_file("keywords.yaml", settings.patterns_file)
    read = pattern_file.read(path, [tool.name for tool in tools])
    return replace(read, patterns=(*own_patterns(tools, read), *read.patterns))


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


def load_lfm2_audio(settings: DialogueSettings, tools: Sequence[ToolSpec], tell: Tell) -> DialogueEngine:
    """Load LFM2-Audio and answer a turn that nobody hears; takes seconds, and minutes where it is downloaded.

    Progress is told as "loading", what works more slowly than it could as "speed". Raises ResourceError, with what to
    do, when the library, the model or the device is missing or broken, or the model doesn't do what it was trained for.
    """
    try:
        from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
        from lfm_voice_ros.dialogue.self_check import check_trained
        from lfm_voice_ros.lfm2_audio.checkpoint import Source, load_shared
    except ImportError as exc:
        raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
    source = Source(
        settings.model,
        settings.revision,
        settings.device,
        settings.dtype,
        settings.detokenizer,
        settings.adapter,
        settings.merge_adapter,
    )
    model = load_shared(source, lambda text: tell("loading", text, Level.WARN))
    engine = Lfm2AudioEngine(model, settings, tools, lambda why: tell("speed", why, Level.WARN))
    tell("loading", "warming up", Level.WARN)
    try:
        engine.warm_up()
        if model.trained:
            tell("loading", "checking what it was trained for", Level.WARN)
            check_trained(engine, model.trained, tools, _checking_voice())
    except Exception:
        engine.close()
        raise
    return engine


def _checking_voice() -> Synthesizer | None:
    try:
        return load_synthesizer("piper", BUNDLED, steady=True)
    except ResourceError:  # the self-check is shorter without it
        return None


def load_lite(
    settings: DialogueSettings,
    tools: Sequence[ToolSpec],
    tell: Tell,
    cache: SentenceCache,
    phrases: Sequence[str] = (),
) -> DialogueEngine:
    """Make the lite engine with its voice and its models; takes about a second.

    Its sentences are kept in ``cache``; the sound of ``phrases`` is made ahead when there is time.

    What is missing is told, as "voice", "engine" or "tool model", and done without. Raises ConfigurationError.
    """
    from lfm_voice_ros.dialogue.lite import LiteEngine
    from lfm_voice_ros.dialogue.small_talk import SmallTalk
    from lfm_voice_ros.dialogue.spoken import SpokenEngine

    synthesizer: CachingSynthesizer | None = None
    try:
        voice = load_synthesizer(settings.synthesizer, settings.voice, dialogue=settings)
        # The first sentence of a fresh model takes longer than the next.
        list(voice.synthesize("Ready."))
        synthesizer = CachingSynthesizer(voice, cache, settings.voice)
    except ResourceError as exc:
        tell("voice", f"replies are not spoken: {exc}", Level.ERROR)

    def small_talk_only(reason: str) -> None:
        tell("engine", f"small talk comes from the short list: {reason}", Level.WARN)

    language_model, tool_model = None, None
    try:
        if settings.language_model:
            from lfm_voice_ros.backends.language_model import LanguageModel

            language_model = LanguageModel(Path(settings.language_model))
    except VoiceError as exc:
        small_talk_only(str(exc))
    try:
        if settings.tool_replies == "model":
            from lfm_voice_ros.detectors.language_model import LanguageModelDetector

            tool_model = LanguageModelDetector("llm", load_text_model(settings.tool_model, "auto", "auto", 2), tools)
    except VoiceError as exc:
        tell("tool model", f"results are told in the tools' own words: {exc}", Level.WARN)
    small_talk = SmallTalk.from_file(config_file("small_talk.yaml"))
    engine = LiteEngine(small_talk, language_model, small_talk_only, tool_model)
    return SpokenEngine(engine, synthesizer, lambda reason: tell("voice", reason, Level.ERROR), phrases)
