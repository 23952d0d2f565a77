"""Finds the files that come with the package."""

from __future__ import annotations

from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError

_PACKAGE = "lfm_voice_ros"


def config_file(name: str) -> Path:
    """Give the path of ``config/NAME``: the installed one, or without an installed package that of the repository.

    Raises ConfigurationError when there is no such file.
    """
    folders = _config_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked_in = " and ".join(str(folder) for folder in folders)
    raise ConfigurationError(f"the file {name} was not found in {looked_in}; build the package again")


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
