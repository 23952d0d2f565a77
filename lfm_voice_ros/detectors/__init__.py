"""One file per way of finding a tool call, each behind the port Detector."""

from __future__ import annotations

from collections.abc import Collection

from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings


def load_detector(settings: ToolDetectorSettings, tools: Collection[str]) -> Detector:
    """Make the detector that the settings name; ``tools`` are the names of the robot's tools.

    Raises ConfigurationError, with file, line and reason, when its patterns are wrong.
    """
    from lfm_voice_ros.detectors.keywords import KeywordDetector

    return KeywordDetector.from_file(config_file("keywords.yaml", settings.patterns_file), tools)
