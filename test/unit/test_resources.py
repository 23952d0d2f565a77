"""The files that come with the package."""

from __future__ import annotations

import pytest

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file


def test_a_file_of_the_package_is_found() -> None:
    assert config_file("keywords.yaml").is_file()


def test_without_a_sourced_environment_the_repository_is_looked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    with pytest.raises(ConfigurationError, match="not found in"):
        config_file("nothing.yaml")


def test_a_file_that_is_missing_is_told_with_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/nowhere")
    with pytest.raises(ConfigurationError, match=r"config/nothing.yaml was not found in .*; build the package again"):
        config_file("nothing.yaml")
