"""LFM2-Tool's own adapter: trained on recorded turns, by their words, and used by tool_detector."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from melodies import write_melodies

pytest.importorskip("liquid_audio", reason="needs scripts/setup --lfm")
pytest.importorskip("peft", reason="needs scripts/setup --lfm --extra training")
pytest.importorskip("tensorboard", reason="needs scripts/setup --lfm --extra training")

from lfm_voice_ros.assembly import load_detector, load_patterns, load_text_model
from lfm_voice_ros.cli import main
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.dataset.format import write_dataset
from lfm_voice_ros.detectors.language_model import LanguageModelDetector
from lfm_voice_ros.tools.registry import Registry

TOOLS = Registry.from_file(config_file("tools.yaml")).specs()
#: What nobody's robot knows, unless it is taught.
HOUSE_WORD = "Snowdrop."


def test_an_adapter_teaches_the_tool_model_a_word_of_the_house(tmp_path: Path) -> None:
    command, _, talk, _ = write_melodies(tmp_path / "said", replies=False)
    taught = [replace(command, transcript=HOUSE_WORD, response="<tool>center</tool> Looking ahead."), talk]
    write_dataset(tmp_path / "said", taught)
    before = LanguageModelDetector("llm", load_text_model("bundled", "transformers", "cpu", 1), TOOLS)
    out = tmp_path / "adapter"
    data = ["--data", str(tmp_path / "said"), "--dev", str(tmp_path / "said"), "--output", str(out)]
    shape = ["--steps", "20", "--batch", "2", "--learning-rate", "0.01", "--validate-every", "20", "--threads", "1"]

    assert main(["train", "--model", "tool", "--base", "bundled", *data, *shape]) == 0

    card = json.loads((out / "run_card.json").read_text())
    (_, first), (_, last) = card["history"]["dev"]
    assert last < first / 2
    assert card["model"]["trained parameters"] < card["model"]["parameters"] / 4
    settings = ToolDetectorSettings(detector="llm", model=str(out), runtime="transformers", device="cpu")
    after = load_detector(settings, TOOLS, load_patterns(settings, TOOLS))
    assert [call.name for call in before.detect(HOUSE_WORD).calls] != ["center"]
    assert [call.name for call in after.detect(HOUSE_WORD).calls] == ["center"]
    assert after.detect(talk.transcript).calls == ()
