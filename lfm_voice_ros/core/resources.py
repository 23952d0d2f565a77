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
    return Path(chosen).expanduser() if chosen else _shipped(f"config/{name}")


def model_file(name: str) -> Path:
    """Give the path of a file or folder of the package's ``models``. Raises ConfigurationError when it isn't there."""
    return _shipped(f"models/{name}")


def corpus_file(name: str) -> Path:
    """Give the path of a file or folder of the package's ``corpus``. Raises ConfigurationError when it isn't there."""
    return _shipped(f"corpus/{name}")


def read_yaml(path: Path) -> Any:
    """Give what a YAML file holds. Raises ConfigurationError that names the file and the place."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be read: {exc.strerror}") from exc
    except (UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(exc).split())}") from exc


def _shipped(name: str) -> Path:
    folders = _shared_folders()
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    looked_in = " and ".join(str(folder) for folder in folders)
    raise ConfigurationError(f"{name} was not found in {looked_in}; build the package again")


def _shared_folders() -> list[Path]:
    repository = Path(__file__).resolve().parents[2]
    try:
        from ament_index_python.packages import get_package_share_directory
    except ImportError:
        return [repository]
    try:
        return [Path(get_package_share_directory(_PACKAGE)), repository]
    except (LookupError, OSError):  # it isn't installed, or no ROS 2 environment is sourced
        return [repository]
