"""The options of `lfm-voice benchmark`."""

from __future__ import annotations

import pytest

from lfm_voice_ros.cli import main


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--turns", "0"], "--turns must be at least 1"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--random-weights"], "--random-weights is for an engine; add --engine lfm2_audio"),
        (["--frames", "12"], "--frames is for an engine"),
        (["--engine", "lfm2_audio", "--echo"], "--echo is for the whole assistant; leave out --engine"),
        (["--engine", "lfm2_audio", "--seed", "0"], "--seed is for the whole assistant"),
        (["--param", "silence_window:=0.4"], "must be NODE:NAME:=VALUE"),
        (["--picture", "/nowhere/at/all.png"], "/nowhere/at/all.png can't be written"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json can't be written"),
    ],
)
def test_wrong_options_end_in_a_sentence(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *options]) == 2
    assert complaint in capsys.readouterr().err
