"""Start the voice assistant: one process a node, or all in one with composed:=true."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace, SetRemap

#: What runs where the devices are, and where the models are; the last two only on two machines, the very last only
#: with audio_wire:=opus. One process has the same lists in nodes/assistant.py.
ROBOT = ("audio_capture", "pan_tilt", "audio_player", "voice")
BRAIN = ("transcriber", "tool_detector", "tool_server", "dialogue")
LINK = {"robot": ("link_guard", "robot_codec"), "brain": ("link_beacon", "brain_codec")}

#: It is a process of its own also with composed:=true, since it needs an optional library.
TRACING = "tracing"

#: With audio_wire:=opus the robot's raw sound keeps to its own machine: robot_codec and brain_codec carry it across.
ROBOT_OPUS = {
    "utterance": "robot/utterance",
    "utterance/draft": "robot/utterance/draft",
    "audio/output": "robot/audio/output",
}

#: Parameter files of robots' heads.
HEADS = Path(get_package_share_directory("lfm_voice_ros")) / "config" / "heads"

#: The nodes that read the file of tools.
KNOW_TOOLS = ("tool_detector", "tool_server", "dialogue")

#: What tools_model stands for when the dialogue's own model writes the calls.
OWN_TEXT = "dialogue"
#: The ways in which adapters are trained to call.
OWN_FORMS = ("lora", "special_tokens")

#: Values of transcriber that are other packages: the nodes in whose place they are. Their words come through bridge.
OUTSIDE_TRANSCRIBERS = {"whisper_ros": ("transcriber",), "live_speech": ("audio_capture", "transcriber")}

#: Launch argument: the parameter that it sets, as (node, parameter). Empty leaves the parameter file's value.
PARAMETERS = {
    "tools": ("tool_detector", "detector"),
    "tools_model": ("tool_detector", "model"),
    "transcriber": ("transcriber", "backend"),
    "dialogue": ("dialogue", "engine"),
    "dialogue_model": ("dialogue", "model"),
    "adapter": ("dialogue", "adapter"),
    "grounding": ("dialogue", "grounding"),
    "tts": ("dialogue", "synthesizer"),
    "audio_source": ("audio_capture", "source"),
    "audio_sink": ("audio_player", "sink"),
    "wake_word": ("audio_capture", "wake_word"),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes are made when their values are known."""
    params_file = Path(get_package_share_directory("lfm_voice_ros")) / "config" / "assistant.yaml"
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "tools",
                default_value="",
                description="How tool calls are found: keywords (patterns on the transcript), classifier (sentence "
                "vectors), llm (LFM2-Tool), auto (these three, the bigger ones only where needed), output_parsing, "
                "special_tokens or lora (a model that writes calls into its text). Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "tools_model",
                default_value="",
                description="The language model of llm, auto, output_parsing, special_tokens and lora: bundled, a GGUF "
                "file, a folder, a name such as LiquidAI/LFM2-1.2B-Tool, or dialogue (LFM2-Audio's own text, with "
                "dialogue:=lfm2_audio). Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "tools_file",
                default_value="",
                description="The tools: a file such as config/skills.yaml, for all nodes that know of tools. "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "transcriber",
                default_value="",
                description="What recognizes speech: faster_whisper, openai_whisper or lfm2_audio; or another package: "
                "whisper_ros, or live_speech (a ROS4HRI recognizer, which also hears). "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "bridge",
                default_value="false",
                choices=["true", "false"],
                description="true: start bridge, which talks with other packages (ROS4HRI, audio_common) as the "
                "parameter file says. With composed:=true it is always there.",
            ),
            DeclareLaunchArgument(
                "dialogue",
                default_value="",
                description="What makes the replies: lite (composed from tool results, spoken by Piper), lfm2_audio "
                "(speech to speech; scripts/setup --lfm), or auto (lfm2_audio where it can be loaded). "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "dialogue_model",
                default_value="",
                description="The LFM2-Audio model: a folder, or a name such as LiquidAI/LFM2.5-Audio-1.5B. "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "adapter",
                default_value="",
                description="A folder that lfm-voice train has written, on top of the LFM2-Audio model; it brings "
                "dialogue:=lfm2_audio, and with tools:=lora or special_tokens its own calls decide. "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "grounding",
                default_value="",
                description="What LFM2-Audio says after tool calls: forced (the results and nothing else), prefill or "
                "context (for comparison). Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "tts",
                default_value="",
                description="What speaks for the lite engine and for other nodes: piper or lfm2_audio. "
                "Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "audio_source",
                default_value="",
                description="Where the person is heard: sound_card, sound_card:NAME_OR_INDEX (`lfm-voice devices` "
                "lists them), wav:FILE, or topic (audio/external). Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "audio_sink",
                default_value="",
                description="Where the robot speaks: sound_card, sound_card:NAME_OR_INDEX, wav:FOLDER (one file a "
                "reply), or none. Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "wake_word",
                default_value="",
                description="What a person says first when they talk to the robot: okay_nabu, hey_jarvis, alexa, "
                "hey_mycroft, or the JSON file of a microWakeWord model. Empty: as in the parameter file.",
            ),
            DeclareLaunchArgument(
                "head",
                default_value="sim",
                choices=["sim", "external"],
                description="sim: a simulated head. external: the robot's own head controller, as pan_tilt's parameter "
                "output says, and joint_states.",
            ),
            DeclareLaunchArgument(
                "head_file",
                default_value="",
                description="Parameters of a robot's head on top of params_file, with head:=external: fetch, tiago, "
                "stretch, interbotix, hobby_servo (config/heads of the package), or a file. Empty: none.",
            ),
            DeclareLaunchArgument(
                "record",
                default_value="false",
                choices=["true", "false"],
                description="true: keep what people say and what the robot answers, in the folder of the parameter "
                "file (see docs/recording.md); tell the people. false: keep nothing, whatever the parameter file says.",
            ),
            DeclareLaunchArgument(
                "tracing",
                default_value="false",
                choices=["true", "false"],
                description="true: start tracing, which gives each turn's latencies to OpenTelemetry as the parameter "
                "file says (scripts/setup --extra opentelemetry; see docs/turn-taking.md).",
            ),
            DeclareLaunchArgument(
                "part",
                default_value="all",
                choices=["all", "robot", "brain"],
                description="What to start here: all, or one of the two machines' parts, as robot.launch.py "
                "(microphone, speaker, head) and brain.launch.py (models) do.",
            ),
            DeclareLaunchArgument(
                "audio_wire",
                default_value="raw",
                choices=["raw", "opus"],
                description="How sound goes between the two machines, the same on both: raw, or opus, which takes a "
                "tenth of the bandwidth. Of no effect on one machine.",
            ),
            DeclareLaunchArgument(
                "remap",
                default_value="",
                description="Other names for topics, services and actions, separated by spaces: "
                '"joint_states:=/stretch/joint_states listen:=/ears".',
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                choices=["true", "false"],
                description="true: all times are those of /clock.",
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="true",
                choices=["true", "false"],
                description="false: the nodes wait for a lifecycle manager to configure and activate them.",
            ),
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and topics."),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(params_file),
                description="Parameters of all nodes; copy the default one and change it.",
            ),
            DeclareLaunchArgument(
                "composed",
                default_value="false",
                choices=["true", "false"],
                description="true: all nodes in one process.",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=["true", "false"],
                description="true: RViz with the head, what was heard and said above it, and an arrow to where a "
                "command will turn it.",
            ),
            DeclareLaunchArgument(
                "description",
                default_value="",
                description="A URDF file of the robot, for rviz:=true. Empty: the package's pan_tilt_head.urdf.",
            ),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context: LaunchContext) -> list:
    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    chosen = {
        target: value(argument) for argument, target in PARAMETERS.items() if value(argument)
    }  # (node, parameter): value
    if value("adapter"):
        chosen.setdefault(("dialogue", "engine"), "lfm2_audio")
        if value("tools") in OWN_FORMS:
            chosen.setdefault(("tool_detector", "model"), OWN_TEXT)
    if chosen.get(("tool_detector", "model")) == OWN_TEXT:
        chosen["dialogue", "calls"] = value("tools")
    part, opus = value("part"), value("audio_wire") == "opus"
    head_file = value("head_file")
    if head_file and "/" not in head_file and not head_file.endswith(".yaml"):
        head_file = str(HEADS / f"{head_file}.yaml")
        if not Path(head_file).is_file():
            names = ", ".join(sorted(file.stem for file in HEADS.glob("*.yaml")))
            raise RuntimeError(f"head_file:={value('head_file')} is none of: {names}; for a file give its path")
    params_files = [value("params_file"), *([head_file] if head_file else [])]
    if value("tools_file"):
        chosen.update({(node, "tools_file"): value("tools_file") for node in KNOW_TOOLS})
    if value("tts"):
        chosen["voice", "synthesizer"] = value("tts")
    record = value("record") == "true"
    chosen["recorder", "enabled"] = record
    without = OUTSIDE_TRANSCRIBERS.get(value("transcriber"), ())
    if without:
        chosen["bridge", "transcripts"] = chosen.pop(("transcriber", "backend"))
    names = [
        *(name for name in ROBOT if part != "brain" and name not in without),
        *(name for name in BRAIN if part != "robot" and name not in without),
        *(LINK[part][: 2 if opus else 1] if part != "all" else ()),
        *(["pan_tilt_sim"] if value("head") == "sim" and part != "brain" else []),
        *(["recorder"] if record and part != "robot" else []),
        *(["bridge"] if (without or value("bridge") == "true") and part != "robot" else []),
        *([TRACING] if value("tracing") == "true" and part != "robot" else []),
    ]
    for argument, usual in (("autostart", "true"), ("use_sim_time", "false")):
        if value(argument) != usual:
            chosen.update({(node, argument): usual == "false" for node in {*names, "recorder", "bridge"}})
    nodes = []
    if value("composed") == "true":
        names = [name for name in names if name == TRACING]
        nodes.append(
            Node(
                package="lfm_voice_ros",
                executable="assistant",
                output="screen",
                arguments=[
                    *("--head", value("head"), "--part", part, "--audio-wire", value("audio_wire")),
                    *(["--without", *without] if without else []),
                ],
                ros_arguments=[
                    argument
                    for file in [*params_files, *([_parameter_file(chosen)] if chosen else [])]
                    for argument in ("--params-file", file)
                ],
            )
        )
    nodes += [
        Node(
            package="lfm_voice_ros",
            executable=name,
            name=name,
            output="screen",
            parameters=[
                *params_files,
                {parameter: setting for (node, parameter), setting in chosen.items() if node == name},
            ],
            remappings=list(ROBOT_OPUS.items()) if opus and part == "robot" else [],
        )
        for name in names
    ]
    # A node that ends, ends because its configuration is wrong: an assistant without it would only be silent.
    endings = [
        RegisterEventHandler(
            OnProcessExit(
                target_action=node, on_exit=[EmitEvent(event=Shutdown(reason="a node of the assistant has ended"))]
            )
        )
        for node in nodes
    ]
    return [
        GroupAction([PushRosNamespace(value("namespace")), *_remappings(value("remap")), *nodes]),
        *endings,
        *_view(value),
    ]


def _view(value: Callable[[str], str]) -> list:
    """RViz and what feeds it; the joints are moved by this file's own head."""
    if value("rviz") != "true":
        return []
    given = {name: value(name) for name in ("rviz", "description", "namespace", "params_file")}
    file = Path(get_package_share_directory("lfm_voice_ros")) / "launch" / "head.launch.py"
    source = PythonLaunchDescriptionSource(str(file))
    return [IncludeLaunchDescription(source, launch_arguments={"head": "external", **given}.items())]


def _remappings(text: str) -> list[SetRemap]:
    pairs = [pair.partition(":=") for pair in text.split()]
    if wrong := [old for old, _, new in pairs if not (old and new)]:
        raise RuntimeError(f"remap:= needs pairs such as joint_states:=/stretch/joint_states; '{wrong[0]}' is none")
    return [SetRemap(old, new) for old, _, new in pairs]


def _parameter_file(chosen: dict) -> str:
    # Not `-p NODE:PARAMETER:=VALUE`: that finds no node in a namespace.
    lines = [
        f"/**/{node}:\n  ros__parameters:\n    {parameter}: {json.dumps(setting)}\n"
        for (node, parameter), setting in chosen.items()
    ]
    with tempfile.NamedTemporaryFile("w", prefix="assistant_", suffix=".yaml", delete=False) as file:
        file.write("".join(lines))
    return file.name
