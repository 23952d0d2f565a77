"""The benchmark measures what it says, on a tiny model; how fast that is, no test asks."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path

import pytest

from lfm_voice_ros.cli import main
from lfm_voice_ros.evaluation.benchmark import weights_read
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio

TURNS, FRAMES = 3, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What the command prints; its files are in ``folder``."""
    (folder / "temporary").mkdir()
    arguments = ["--random-weights", "--turns", str(TURNS), "--frames", str(FRAMES), "--device", "cpu"]
    files = ["--json", str(folder / "numbers.json"), "--report", str(folder / "table.md")]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as environment, contextlib.redirect_stdout(out):
        environment.setattr("tempfile.tempdir", str(folder / "temporary"))
        assert main(["benchmark", "--engine", "lfm2_audio", *arguments, *files]) == 0
    return out.getvalue()


def test_it_names_the_machine_and_says_that_the_weights_are_random(printed: str) -> None:
    assert "random weights, tiny" in printed
    assert "cores" in printed
    assert "torch 2." in printed
    assert "Without a GPU, CUDA graphs and the goals for a GPU can't be measured here." in printed


@pytest.mark.parametrize(
    "row",
    [
        "time to first audio, turn 1 ",
        f"time to first audio, turn {TURNS} over turn 1",
        "generation of a frame (p50 / p95)",
        "frames a second over liquid-audio's",
        "decoding of a frame, 4 in a call",
        "real-time factor",
        "from an interruption to the end",
        "memory of the process",
        "share of the bandwidth's limit",
    ],
)
def test_every_figure_has_its_row(printed: str, row: str) -> None:
    assert row in printed


def test_the_numbers_are_finite_and_of_every_turn(printed: str, folder: Path) -> None:
    numbers = json.loads((folder / "numbers.json").read_text("utf-8"))

    assert len(numbers["first_audio_ms"]) == len(numbers["hearing_ms"]) == TURNS
    assert numbers["ours"]["frame_ms"]["count"] == TURNS * FRAMES
    for name in ("first_audio_growth", "frame_rate_ratio", "bandwidth_share", "real_time_factor"):
        assert math.isfinite(numbers[name])
        assert numbers[name] > 0
    # What other tests of this process held and gave back meanwhile counts as well.
    assert math.isfinite(numbers["memory_mb"])
    assert numbers["gpu_memory_mb"] is None
    assert all(whole > hearing for whole, hearing in zip(numbers["first_audio_ms"], numbers["hearing_ms"], strict=True))


def test_the_report_is_the_table_as_markdown(printed: str, folder: Path) -> None:
    lines = (folder / "table.md").read_text("utf-8").splitlines()

    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert len(rows) > 15


def test_the_temporary_checkpoint_is_gone(printed: str, folder: Path) -> None:
    assert list((folder / "temporary").iterdir()) == []


def test_the_weights_that_a_frame_reads_are_those_of_the_steps_it_takes(model: Lfm2Audio) -> None:
    net = model.net
    every = sum(weight.numel() for weight in net.lfm.layers.parameters()) + net.lfm.embedding_norm.weight.numel()
    hidden, depth = net.lfm.config.hidden_size, net.depthformer_dim
    frame = (
        every
        + sum(weight.numel() for weight in net.depth_linear.parameters())
        + 8 * sum(weight.numel() for weight in net.depthformer.parameters())
        + 8 * hidden  # the frame that is fed back to the LFM
        + 7 * depth  # the codes that are fed back to the depthformer
        + 8 * depth  # the norms
        + 2049 * depth  # the first output layer, with end-of-audio
        + 7 * 2048 * depth  # and the others, without
    )

    assert weights_read(net) == 4 * frame


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--real-size"], "--real-size is for --random-weights"),
        (["--random-weights", "--model", "here"], "exclude each other"),
        (["--random-weights", "--turns", "1"], "--turns must be from 2"),
        (["--random-weights", "--frames", "0"], "--frames must be from 4"),
        (["--random-weights", "--threads", "0"], "--threads must be at least 1"),
        (["--random-weights", "--json", "/nowhere/at/all.json"], "can't be written"),
        (["--model", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_wrong_options_end_in_a_sentence(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "--engine", "lfm2_audio", *options]) == 2
    assert complaint in capsys.readouterr().err
