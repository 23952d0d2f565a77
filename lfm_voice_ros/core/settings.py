"""The settings of every node: name, default, unit, range. config/assistant.yaml repeats them with their reasons.

A node's ROS parameters are the fields of its class here. Those that are ``live`` can be changed at any time; the others
are read when the node starts or is configured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lfm_voice_ros.core.errors import ConfigurationError

Settings = TypeVar("Settings")

#: The model that stands for "the dialogue model's own text" in ToolDetectorSettings.model.
OWN_TEXT = "dialogue"

#: The ways to a head's motors.
HEAD_OUTPUTS = ("joint_trajectory", "follow_joint_trajectory", "position", "point_head", "ptz")

#: How patient the end of a turn is.
ENDPOINTING = ("fixed", "cautious", "balanced", "quick")

#: The ways of finding a tool call.
DETECTORS = ("keywords", "classifier", "llm", "auto", "output_parsing", "special_tokens", "lora")


def setting(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] | None = None,
    live: bool = False,
) -> Any:
    """Declare a field: what it means with its unit, which values it may take, and whether it counts at once."""
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "live": live,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def build(settings_type: type[Settings], values: Mapping[str, Any], owner: str) -> Settings:
    """Make checked settings from values by name; what is not named keeps its default.

    Raises ConfigurationError for a name that there isn't, a wrong type, and a value outside its range or choices.
    """
    fields = {f.name: f for f in dataclasses.fields(settings_type)}  # type: ignore[arg-type]
    defaults = settings_type()
    for name in sorted(values):
        if name not in fields:
            raise ConfigurationError(f"{owner} has no parameter '{name}'; it has: {', '.join(sorted(fields))}")
    checked = {
        name: _checked(f"{owner}.{name}", value, getattr(defaults, name), fields[name].metadata)
        for name, value in values.items()
    }
    return settings_type(**checked)


def changed(settings: Settings, values: Mapping[str, Any], owner: str, fixed: str = "") -> Settings:
    """Give ``settings`` with other values by name.

    ``fixed`` says, as what to do, why those that aren't live can't be changed now. Raises ConfigurationError for them
    and for wrong values.
    """
    new = build(type(settings), {**dataclasses.asdict(settings), **values}, owner)  # type: ignore[call-overload]
    for spec in dataclasses.fields(new):  # type: ignore[arg-type]
        same = getattr(new, spec.name) == getattr(settings, spec.name)
        if fixed and not same and not spec.metadata["live"]:
            raise ConfigurationError(f"{owner}.{spec.name} can't be changed now: {fixed}")
    return new


def _checked(name: str, value: Any, default: Any, metadata: Mapping[str, Any]) -> Any:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(default, list) and isinstance(value, Sequence) and not isinstance(value, str):
        value = list(value)
    if type(value) is not type(default):
        raise ConfigurationError(f"{name} is {value!r}; it must be a {type(default).__name__}, for example {default!r}")
    if isinstance(default, list) and not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"{name} is {value!r}; it must be a list of names, for example {default!r}")
    minimum, maximum, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if (minimum is not None and not value >= minimum) or (maximum is not None and not value <= maximum):
        raise ConfigurationError(f"{name} is {value}; it must lie between {minimum} and {maximum}")
    if choices is not None and value not in choices:
        raise ConfigurationError(f"{name} is '{value}'; it must be one of: {', '.join(choices)}")
    return value


@dataclass(frozen=True)
class AudioCaptureSettings:
    """Where the sound comes from and where an utterance begins and ends."""

    source: str = setting(
        "sound_card",
        "sound_card, sound_card:NAME_OR_INDEX (lfm-voice devices lists them), wav:FILE, or topic (audio/external)",
    )
    speech_threshold: float = setting(
        0.5, "probability of speech at which an utterance begins", minimum=0.0, maximum=1.0, live=True
    )
    silence_threshold: float = setting(
        0.35, "probability of speech below which a frame counts as silence", minimum=0.0, maximum=1.0, live=True
    )
    min_speech: float = setting(0.15, "s of speech that an utterance has at least", minimum=0.0, maximum=5.0, live=True)
    silence_window: float = setting(
        0.6,
        "s of silence that end an utterance where nobody recognizes ahead what was said",
        minimum=0.1,
        maximum=5.0,
        live=True,
    )
    complete_window: float = setting(
        0.3,
        "s of silence that end one whose words are a complete command or question",
        minimum=0.1,
        maximum=5.0,
        live=True,
    )
    unclear_window: float = setting(
        1.0,
        "s of silence that end one whose words don't say whether it is over",
        minimum=0.1,
        maximum=10.0,
        live=True,
    )
    unfinished_window: float = setting(
        1.4,
        "s of silence that end one in which something must follow (look to the)",
        minimum=0.1,
        maximum=10.0,
        live=True,
    )
    endpointing: str = setting(
        "balanced",
        "how patient it is: balanced (the windows as they are), cautious (each half as long again), "
        "quick (four fifths), or fixed (silence_window, whatever was said)",
        choices=ENDPOINTING,
        live=True,
    )
    draft_silence: float = setting(
        0.15,
        "s of silence after which recognition begins ahead; 0 begins it at the end only",
        minimum=0.0,
        maximum=5.0,
        live=True,
    )
    pre_roll: float = setting(0.3, "s of sound kept from before the first speech", minimum=0.0, maximum=2.0, live=True)
    max_utterance: float = setting(20.0, "s after which an utterance is ended", minimum=1.0, maximum=30.0, live=True)
    barge_in: bool = setting(
        False,
        "hear the person while the robot speaks also without echo cancellation; needs headphones or a microphone that "
        "cancels the robot's own echo",
        live=True,
    )
    echo_cancellation: str = setting(
        "off",
        "take the robot's own voice (audio/played) out of the sound, and hear the person while it speaks: auto (with a "
        "sound card, where the library is installed), on (with any source), or off",
        choices=("auto", "on", "off"),
    )
    push_to_talk: bool = setting(
        False,
        "hear the person only while the button is pressed: topic push_to_talk (std_msgs/Bool), service "
        "push_to_talk/press (std_srvs/SetBool)",
        live=True,
    )
    stop_words: list[str] = setting(
        ["stop", "halt", "freeze"],
        "words that stop everything at once, without waiting for recognition; of these, or [] for none",
    )
    wake_word: str = setting(
        "",
        "utterances count only after this word: okay_nabu, hey_jarvis, alexa, hey_mycroft or the JSON file of a "
        "microWakeWord model; empty: all count",
    )
    follow_up: float = setting(
        8.0,
        "s after a reply in which an utterance needs no wake word; 0: each needs it",
        minimum=0.0,
        maximum=60.0,
        live=True,
    )
    motor_noise: str = setting(
        "lift",
        "while the head moves: lift what an utterance needs to begin, gate (hear nothing but stop words), or off",
        choices=("off", "lift", "gate"),
        live=True,
    )
    reconnect_period: float = setting(
        1.0, "s between tries to open a lost device", minimum=0.1, maximum=60.0, live=True
    )


@dataclass(frozen=True)
class TranscriberSettings:
    """Which Whisper runs and what it refuses."""

    backend: str = setting(
        "faster_whisper",
        "what recognizes speech: Whisper by one of two libraries, or LFM2-Audio",
        choices=("faster_whisper", "openai_whisper", "lfm2_audio"),
    )
    model: str = setting(
        "bundled",
        "a model's name (downloaded once), a folder or file, or bundled: the tiny.en that is installed, for lfm2_audio "
        "LiquidAI/LFM2.5-Audio-1.5B",
    )
    language: str = setting("en", "ISO 639-1 code; empty lets Whisper find out", live=True)
    device: str = setting("cpu", "where the model runs", choices=("cpu", "cuda", "auto"))
    threads: int = setting(2, "CPU threads of the model", minimum=1, maximum=64)
    window: str = setting(
        "speech",
        "what the encoder of faster_whisper reads on a CPU: speech (only the sound, and all of Whisper's 30 s where "
        "the words are doubtful), or full (always the 30 s, which takes several times as long)",
        choices=("speech", "full"),
        live=True,
    )
    beam_size: int = setting(5, "beams of the search", minimum=1, maximum=20, live=True)
    initial_prompt: str = setting(
        "Commands: pan left, pan right, tilt up, tilt down, center, look around, nod, shake your head, stop. "
        "What time is it?",
        "words that are likely; raises the recognition of short commands",
        live=True,
    )
    min_confidence: float = setting(
        0.3, "mean word probability below which nothing was understood", minimum=0.0, maximum=1.0, live=True
    )
    max_no_speech: float = setting(
        0.45,
        "Whisper's probability of no speech above which words of a confidence below 0.6 are dropped",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    max_compression: float = setting(
        2.4, "compression ratio above which a text is taken for a repetition", minimum=1.0, maximum=20.0, live=True
    )
    queue: int = setting(4, "utterances that may wait", minimum=1, maximum=100)


@dataclass(frozen=True)
class ToolDetectorSettings:
    """Which detector decides."""

    detector: str = setting(
        "keywords",
        "how a tool call is found: keywords (patterns), classifier (sentence vectors), llm (LFM2-Tool), auto (these "
        "three, the bigger ones only where needed), or by a model that writes calls into its text in the way of "
        "output_parsing, special_tokens or lora",
        choices=DETECTORS,
        live=True,
    )
    patterns_file: str = setting("", "patterns of the keywords detector; empty is the package's config/keywords.yaml")
    tools_file: str = setting("", "the tools that may be decided; empty is the package's config/tools.yaml")
    allowed: list[str] = setting(["*"], "names of the tools that models may call, as for tool_server; * is all")
    model: str = setting(
        "bundled",
        "the language model: bundled (the nano model), a GGUF file, a folder, a name such as LiquidAI/LFM2-1.2B-Tool "
        "(downloaded once), or dialogue: what the dialogue's model writes into its own text",
    )
    own_text_timeout: float = setting(
        2.0, "s to wait for the dialogue's own text before keywords decide", minimum=0.1, maximum=600.0
    )
    runtime: str = setting(
        "auto",
        "what runs the language model; auto takes llama.cpp for GGUF files and the bundled model",
        choices=("auto", "llama_cpp", "transformers"),
    )
    device: str = setting("auto", "where transformers runs the model", choices=("auto", "cpu", "cuda"))
    threads: int = setting(2, "CPU threads of llama.cpp", minimum=1, maximum=64)
    classifier: str = setting("", "a folder with a classifier's head.npz; empty is the package's models/classifier")
    classifier_threshold: float = setting(
        0.5, "probability below which the classifier leaves a sentence alone", minimum=0.0, maximum=1.0, live=True
    )
    auto_sure: float = setting(
        0.95,
        "auto: probability from which the classifier or the language model is believed alone",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    auto_doubt: float = setting(
        0.6,
        "auto: the classifier's probability that no tool is meant above which the language model's calls don't count",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    queue: int = setting(8, "transcripts that may wait", minimum=1, maximum=100)


@dataclass(frozen=True)
class ToolServerSettings:
    """Which tools may run."""

    tools_file: str = setting("", "the tools; empty is the package's config/tools.yaml")
    allowed: list[str] = setting(["*"], "names of the tools that may run; * is all of the file")
    timeout: float = setting(3.0, "s that a tool may take", minimum=0.1, maximum=600.0)
    max_age: float = setting(
        8.0,
        "s after the end of speech from which a decision is not run any more; not above dialogue.decision_timeout, "
        "after which the person was told that it failed",
        minimum=0.5,
        maximum=600.0,
        live=True,
    )
    queue: int = setting(8, "decisions that may wait", minimum=1, maximum=100)


@dataclass(frozen=True)
class PanTiltSettings:
    """The head: joints, signs, limits. The defaults are those of pan_tilt_sim."""

    pan_joint: str = setting("head_pan_joint", "name of the joint that turns the head to the left and right")
    tilt_joint: str = setting("head_tilt_joint", "name of the joint that nods")
    pan_sign: float = setting(1.0, "1 when the joint counts to the left (REP-103), -1 when to the right")
    tilt_sign: float = setting(1.0, "1 when the joint counts downwards (REP-103), -1 when upwards")
    pan_min: float = setting(-1.57, "rad, furthest to the right", minimum=-6.3, maximum=6.3, live=True)
    pan_max: float = setting(1.57, "rad, furthest to the left", minimum=-6.3, maximum=6.3, live=True)
    tilt_min: float = setting(-0.79, "rad, furthest up", minimum=-6.3, maximum=6.3, live=True)
    tilt_max: float = setting(0.79, "rad, furthest down", minimum=-6.3, maximum=6.3, live=True)
    max_speed: float = setting(1.5, "rad/s of each joint", minimum=0.01, maximum=20.0, live=True)
    max_acceleration: float = setting(4.0, "rad/s² of each joint", minimum=0.01, maximum=200.0, live=True)
    stop_acceleration: float = setting(
        12.0,
        "rad/s² with which each joint brakes for a stop; max_acceleration where that is more",
        minimum=0.01,
        maximum=200.0,
        live=True,
    )
    joint_states_timeout: float = setting(
        0.5, "s after which joint states are stale and commands are refused", minimum=0.05, maximum=60.0
    )
    output: str = setting(
        "joint_trajectory",
        "how the head is moved: joint_trajectory (topic of a joint_trajectory_controller), follow_joint_trajectory "
        "(its action), position (topic of a forward_command_controller), point_head (action of a head controller that "
        "takes points), or ptz (action of a PTZ driver)",
        choices=HEAD_OUTPUTS,
    )
    position_rate: float = setting(50.0, "position: Hz of the commands", minimum=1.0, maximum=1000.0)
    ptz_pan_sign: float = setting(-1.0, "ptz: 1 when the driver counts pan to the left, -1 when clockwise")
    ptz_tilt_sign: float = setting(-1.0, "ptz: 1 when the driver counts tilt downwards, -1 when upwards")
    ptz_zoom: float = setting(1.0, "ptz: the zoom that goes with each motion", minimum=0.0, maximum=1000.0)
    joints_from: str = setting(
        "parameters",
        "where limits, speeds and axes of the joints come from: parameters (these), or robot_description (the topic; "
        "the limits and the speed here hold as well)",
        choices=("parameters", "robot_description"),
    )
    head_frame: str = setting(
        "", "the frame that carries the pan joint, x forward and z up; with robot_description it is read from there"
    )
    pan_axis_x: float = setting(0.0, "m, where the pan axis stands in head_frame", minimum=-10.0, maximum=10.0)
    pan_axis_y: float = setting(0.0, "m, likewise", minimum=-10.0, maximum=10.0)
    pan_axis_z: float = setting(0.0, "m, from where the height of the tilt axis counts", minimum=-10.0, maximum=10.0)
    tilt_axis_x: float = setting(0.0, "m, the tilt axis in front of the pan axis", minimum=-10.0, maximum=10.0)
    tilt_axis_z: float = setting(0.0, "m, the tilt axis above pan_axis_z", minimum=-10.0, maximum=10.0)
    point_head_server: bool = setting(
        True, "offer the action head_controller/point_head; not where the robot's own controller does"
    )


@dataclass(frozen=True)
class PanTiltSimSettings:
    """The stand-in for the head's controller and motors."""

    pan_joint: str = setting("head_pan_joint", "name of the first joint")
    tilt_joint: str = setting("head_tilt_joint", "name of the second joint")
    rate: float = setting(50.0, "Hz of the joint states", minimum=1.0, maximum=1000.0)


@dataclass(frozen=True)
class DialogueSettings:
    """What answers, and with which voice."""

    engine: str = setting(
        "lite",
        "what makes the reply: lite (composed from tool results, spoken by the synthesizer), lfm2_audio (speech to "
        "speech), or auto (lfm2_audio where it can be loaded)",
        choices=("lite", "lfm2_audio", "auto"),
    )
    language_model: str = setting("", "a GGUF file for small talk; empty answers from a short list")
    tool_replies: str = setting(
        "results",
        "what tells the results of tools: results (the tools' own sentences) or model (LFM2-Tool's words, spoken only "
        "where they tell the same)",
        choices=("results", "model"),
    )
    tool_model: str = setting(
        "bundled", "the model of tool_replies: bundled (the nano model), a GGUF file, a folder, or a name on the hub"
    )
    synthesizer: str = setting("piper", "what speaks for the lite engine", choices=("piper", "lfm2_audio"))
    voice: str = setting("bundled", "a Piper voice (.onnx), or bundled: the voice that is installed", live=True)
    model: str = setting(
        "LiquidAI/LFM2.5-Audio-1.5B",
        "the LFM2-Audio model: a name on the Hugging Face hub (downloaded once), or a folder",
    )
    revision: str = setting("", "LFM2-Audio: the hub's revision of the model; empty is the newest")
    device: str = setting("auto", "where LFM2-Audio runs", choices=("auto", "cpu", "cuda"))
    dtype: str = setting(
        "auto",
        "LFM2-Audio: the type of its weights; auto is bfloat16 on a GPU and float32 on a CPU",
        choices=("auto", "bfloat16", "float32"),
    )
    detokenizer: str = setting(
        "auto",
        "LFM2-Audio: what makes sound of its codes; auto takes the LFM detokenizer where the model has one",
        choices=("auto", "mimi", "lfm"),
    )
    cuda_graphs: bool = setting(True, "LFM2-Audio: replay its steps as CUDA graphs where the GPU can")
    context: int = setting(
        4096, "LFM2-Audio: positions of the conversation that it remembers", minimum=512, maximum=32768
    )
    max_reply: float = setting(30.0, "LFM2-Audio: s that a reply may have", minimum=1.0, maximum=120.0)
    system_prompt: str = setting(
        "",
        "LFM2-Audio: its instructions; empty takes those that it was trained with, or tells it the robot's tools and "
        "to answer in a short sentence",
    )
    adapter: str = setting(
        "", "LFM2-Audio: a folder that lfm-voice train has written, which goes on top of the model; empty for none"
    )
    merge_adapter: bool = setting(
        True, "LFM2-Audio: add the adapter to the weights, which is faster; beside them it is exact also in bfloat16"
    )
    speaker: str = setting("", "LFM2-Audio: the voice, for example US female or UK male; empty is the model's own")
    grounding: str = setting(
        "forced",
        "LFM2-Audio after tool calls: forced (it voices the results and nothing else), prefill (it begins with them "
        "and goes on freely), or context (it is only told of them). Only forced is true by construction",
        choices=("forced", "prefill", "context"),
    )
    calls: str = setting(
        "none",
        "LFM2-Audio: how its own text calls tools; tool_detector's model must be dialogue and its detector the same. A "
        "model or an adapter that was trained to call does it in its own way, also with none",
        choices=("none", "output_parsing", "special_tokens", "lora"),
    )
    text_temperature: float = setting(
        0.0, "LFM2-Audio: how freely words are chosen; 0 takes the likeliest", minimum=0.0, maximum=5.0
    )
    text_top_k: int = setting(0, "LFM2-Audio: among how many words; 0 is all", minimum=0, maximum=65536)
    audio_temperature: float = setting(1.0, "LFM2-Audio: how freely sound is chosen", minimum=0.0, maximum=5.0)
    audio_top_k: int = setting(4, "LFM2-Audio: among how many codes; 0 is all", minimum=0, maximum=2048)
    seed: int = setting(-1, "LFM2-Audio: makes replies repeatable; -1 is chance", minimum=-1, maximum=2**31 - 1)
    tools_file: str = setting(
        "",
        "the tools, of which LFM2-Audio is told and whose sentences are prepared; empty is the package's "
        "config/tools.yaml",
    )
    prepare: bool = setting(
        True, "make a reply ready while a silence may still turn out to be a pause; it isn't spoken before", live=True
    )
    cached_speech: float = setting(
        16.0,
        "MB of memory for sentences as sound, which are spoken again at once; 0 for none, and nothing is prepared then",
        minimum=0.0,
        maximum=4096.0,
    )
    decision_timeout: float = setting(
        8.0, "s to wait for the tool decision before saying that it failed", minimum=0.1, maximum=600.0, live=True
    )
    result_timeout: float = setting(
        5.0, "s to wait for each tool result before saying that it failed", minimum=0.1, maximum=600.0, live=True
    )
    queue: int = setting(4, "turns that may wait", minimum=1, maximum=100)


@dataclass(frozen=True)
class VoiceSettings:
    """How other nodes' sentences are spoken."""

    synthesizer: str = setting("piper", "what speaks", choices=("piper", "lfm2_audio"))
    voice: str = setting("bundled", "a Piper voice (.onnx), or bundled: the voice that is installed", live=True)
    answer_timeout: float = setting(
        10.0, "s to wait for an answer where a goal names no time-out", minimum=0.5, maximum=600.0, live=True
    )
    cached_speech: float = setting(
        16.0,
        "MB of memory for sentences as sound, which are spoken again at once; 0 for none",
        minimum=0.0,
        maximum=4096.0,
    )
    polite: float = setting(
        10.0, "s to wait at most until nobody speaks, before something is said", minimum=0.0, maximum=60.0, live=True
    )
    queue: int = setting(8, "goals that may wait", minimum=1, maximum=100)


@dataclass(frozen=True)
class AudioPlayerSettings:
    """Where the robot's voice goes."""

    sink: str = setting(
        "sound_card", "sound_card, sound_card:NAME_OR_INDEX, wav:FOLDER (one file a reply), or none (timed, unheard)"
    )
    volume: float = setting(1.0, "how loud the robot speaks; 1 is as it was made", minimum=0.0, maximum=4.0, live=True)
    latency: float = setting(
        0.03,
        "sound_card: s from the player to the ear that are asked of the device; less silences the robot sooner, more "
        "forgives a busy machine",
        minimum=0.005,
        maximum=0.5,
    )
    reconnect_period: float = setting(
        1.0, "s between tries to open a lost device", minimum=0.1, maximum=60.0, live=True
    )


@dataclass(frozen=True)
class RecorderSettings:
    """Whether turns are kept, and where."""

    enabled: bool = setting(
        False, "keep what people say and what the robot answers; who switches it on must tell the people"
    )
    folder: str = setting("~/.ros/lfm_voice/recordings", "where turns are kept, in a folder for each day")
    keep_days: int = setting(30, "days after which turns are deleted; 0 keeps them for ever", minimum=0, maximum=36500)
    speaker: str = setting("", "who speaks to the robot, for the dataset; empty where that isn't known")


@dataclass(frozen=True)
class BridgeSettings:
    """Which other packages are talked with. Each needs its interface package, and is off until it is asked for."""

    ros4hri: bool = setting(False, "publish humans/voices and intents as ROS4HRI (REP-155) has them")
    transcripts: str = setting(
        "own",
        "whose words are the transcripts: own (transcriber), whisper_ros (which gets each utterance), or live_speech "
        "(the final words of another ROS4HRI recognizer). With another than own, transcriber must not run, with "
        "live_speech neither must audio_capture; the launch argument transcriber:= sees to it",
        choices=("own", "whisper_ros", "live_speech"),
    )
    transcripts_timeout: float = setting(
        6.0,
        "s that whisper_ros may take for an utterance, the wait for earlier ones included",
        minimum=0.5,
        maximum=60.0,
    )
    audio_in: bool = setting(
        False, "sound from audio_common/in goes to audio/external, for audio_capture with the source topic"
    )
    audio_out: str = setting(
        "off",
        "what goes to audio_common/out: input (what the robot hears) or output (what it says, as fast as it is heard)",
        choices=("off", "input", "output"),
    )


@dataclass(frozen=True)
class MarkersSettings:
    """What RViz shows above and beside the head. The defaults fit urdf/pan_tilt_head.urdf."""

    frame: str = setting("head_base_link", "the frame of the head's foot: x forward, z up")
    axis_height: float = setting(
        0.11, "m from the foot up to the axis of tilt, where arrows begin", minimum=-5.0, maximum=5.0
    )
    arrow_length: float = setting(
        0.3, "m of the arrow to where a command will turn the head", minimum=0.01, maximum=10.0
    )
    text_above: float = setting(0.25, "m from the foot up to the lowest line of text", minimum=-5.0, maximum=5.0)
    text_size: float = setting(0.025, "m, height of a capital letter", minimum=0.001, maximum=1.0)
    text_width: int = setting(40, "letters in a line", minimum=10, maximum=200)
    lifetime: float = setting(8.0, "s for which words are shown", minimum=0.1, maximum=3600.0)


@dataclass(frozen=True)
class TracingSettings:
    """Where each turn's latencies go as an OpenTelemetry trace."""

    exporter: str = setting(
        "otlp",
        "otlp (over HTTP, to where the standard variable OTEL_EXPORTER_OTLP_ENDPOINT says, or to this machine's port "
        "4318), console, or file:PATH (a line of JSON for each span)",
    )
    queue: int = setting(100, "turns that may wait while they can't be sent", minimum=1, maximum=10_000)


@dataclass(frozen=True)
class LinkGuardSettings:
    """The robot's side of two machines: what it does without its brain."""

    timeout: float = setting(
        2.0, "s without the brain's heartbeat after which it is lost; five come a second", minimum=0.5, maximum=60.0
    )
    voice: str = setting("bundled", "a Piper voice (.onnx) for the sentences below, or bundled, as for dialogue")
    lost: str = setting("I have lost contact with my brain.", "said when the brain is lost in a turn or a motion")
    away: str = setting("I can't think right now. My brain is away.", "said to a person who speaks meanwhile")
    back: str = setting("I am back.", "said when the brain is there again, if the loss was spoken of")


@dataclass(frozen=True)
class LinkBeaconSettings:
    """The brain's side of two machines: its heartbeat."""

    rate: float = setting(5.0, "Hz of the heartbeat", minimum=2.0, maximum=50.0)


@dataclass(frozen=True)
class RobotCodecSettings:
    """The robot's side of compressed sound."""

    bitrate: int = setting(24_000, "bit/s of what people say, as Opus", minimum=8_000, maximum=128_000)
    patience: float = setting(
        0.1,
        "s to wait for a packet of a reply when later ones are there, before it is concealed",
        minimum=0.0,
        maximum=2.0,
    )


@dataclass(frozen=True)
class BrainCodecSettings:
    """The brain's side of compressed sound."""

    bitrate: int = setting(32_000, "bit/s of what the robot says, as Opus", minimum=8_000, maximum=128_000)
