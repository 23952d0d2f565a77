"""Interface packages that a robot may have or not."""

from __future__ import annotations

import importlib
from typing import Any

from lfm_voice_ros.core.errors import ConfigurationError

#: Where packages come from that no ROS distribution carries.
_FROM_SOURCE = {"whisper_msgs": "https://github.com/mgonzs13/whisper_ros"}


def messages(package: str, wanted_by: str) -> Any:
    """The messages of a package. Raises ConfigurationError where it isn't installed, with what to do."""
    try:
        return importlib.import_module(f"{package}.msg")
    except ImportError as exc:
        source = _FROM_SOURCE.get(package)
        how = f"build {source} in your workspace" if source else _apt(package)
        raise ConfigurationError(f"{wanted_by} needs the package {package}, which isn't installed: {how}") from exc


def fields(message: Any) -> dict[str, str]:
    """The fields of a message type and their types."""
    return dict(message.get_fields_and_field_types())


def _apt(package: str) -> str:
    return f"sudo apt-get install ros-$ROS_DISTRO-{package.replace('_', '-')}"
