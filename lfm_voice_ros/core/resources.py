"""Finds and reads configuration files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lfm_voice_ros.core.errors import ConfigurationError

_PACKAGE = "lfm_voice_ros"


def config_file(name: str, chosen: str = "") -> Path:
    """Give the path of a configuration file: the ``chosen`` one, or where that is empty the package's ``config/NAME``.

    The package's is the installed one, or without an installed package that of the repository. Raises
    ConfigurationError when that isn't there; whether a chosen one is there, its reader finds out.
    """
    if chosen:
        return Path(chosen).expanduser()
    folders = _config_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked_in = " and ".join(str(folder) for folder in folders)
    raise ConfigurationError(f"the file {name} was not found in {looked_in}; build the package again")


def read_yaml(path: Path) -> Any:
    """Give what a YAML file holds. Raises ConfigurationError that names the file and the place."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc


def _config_folders() -> list[Path]:
    beside_the_package = Path(__file__).resolve().parents[2] / "config"
    try:
        from ament_index_python.packages import get_package_share_directory
    except ImportError:
        return [beside_the_package]
    try:
        return [Path(get_package_share_directory(_PACKAGE)) / "config", beside_the_package]
    except (LookupError, OSError):  # it isn't installed, or no ROS 2 environment is sourced
        return [beside_the_package]
