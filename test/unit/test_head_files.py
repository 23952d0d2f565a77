"""The parameter files of robots' heads are such as pan_tilt takes."""

from __future__ import annotations

import pytest
import yaml

from lfm_voice_ros.core.pan_tilt import PanTilt
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import PanTiltSettings, build

HEADS = ("fetch", "hobby_servo", "interbotix", "stretch", "tiago")


@pytest.mark.parametrize("head", HEADS)
def test_a_head_file_gives_settings_from_which_a_planner_is_made(head: str) -> None:
    file = yaml.safe_load(config_file(f"heads/{head}.yaml").read_text(encoding="utf-8"))

    assert set(file) == {"/**/pan_tilt"}
    settings = build(PanTiltSettings, file["/**/pan_tilt"]["ros__parameters"], "pan_tilt")
    PanTilt(settings)
    assert settings.pan_min < 0.0 < settings.pan_max
    assert settings.tilt_min < 0.0 < settings.tilt_max


def test_every_head_file_is_tested() -> None:
    assert tuple(sorted(file.stem for file in config_file("heads").glob("*.yaml"))) == HEADS
