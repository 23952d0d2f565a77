"""Interface packages that a robot may have or not."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from lfm_voice_ros.core.errors import ConfigurationError


def interfaces(package: str, kind: str) -> ModuleType | None:
    """Give ``package.kind``, where kind is msg, srv or action; None where the package isn't installed."""
    try:
        return importlib.import_module(f"{package}.{kind}")
    except ImportError:
        return None


def needed_interfaces(package: str, kind: str, output: str) -> ModuleType:
    """The same for a package without which ``output`` can't be; raises ConfigurationError where it is missing."""
    found = interfaces(package, kind)
    if found is None:
        raise ConfigurationError(f"pan_tilt.output is {output}, which needs the package {package}: {install(package)}")
    return found


def install(package: str) -> str:
    """The command that installs a ROS package."""
    distribution = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
    return f"sudo apt-get install ros-{distribution}-{package.replace('_', '-')}"
