"""The training of the shipped models, in small: that it runs, learns, and leaves what the assistant loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfm_voice_ros import cli
from lfm_voice_ros.assembly import load_detector, load_patterns, load_text_model
from lfm_voice_ros.backends.minilm import MiniLM
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.resources import config_file, model_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.core.types import ChatMessage
from lfm_voice_ros.tools.registry import Registry

TOOLS = Registry.from_file(config_file("tools.yaml")).specs()
TEMPLATES = Path(__file__).parents[2] / "corpus" / "templates"


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    """The sentence encoder that comes with its package."""
    return MiniLM(model_file("classifier/vocab.txt"))


def test_sentences_of_like_meaning_have_like_vectors(encoder: MiniLM) -> None:
    left, turned, keys = encoder.encode(["look left", "turn your head to the left", "I lost my keys"])[:, :384]
    assert left @ turned > left @ keys + 0.2
    assert np.isclose(left @ left, 1.0, atol=1e-5)


def test_a_vector_does_not_depend_on_what_is_encoded_beside_it(encoder: MiniLM) -> None:
    alone = encoder.encode(["look left"])
    beside = encoder.encode(["look left", "a much longer sentence about something else entirely"])
    # The quantised model's scale depends on the whole batch.
    assert float(alone[0, :384] @ beside[0, :384]) > 0.98
    assert alone.shape == (1, encoder.size)


def test_a_missing_vocabulary_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="vocabulary"):
        MiniLM(tmp_path / "vocab.txt")


def test_the_classifier_is_trained_by_a_command_and_then_used(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (scripts/setup --extra training)")
    command = ["train-classifier", "--output", str(tmp_path), "--sentences", "600", "--templates", str(TEMPLATES)]
    assert cli.main(command) == 0
    record = json.loads((tmp_path / "record.json").read_text("utf-8"))
    assert record["sentences"] == 600
    assert record["dev_accuracy"] > 0.6
    settings = ToolDetectorSettings(detector="classifier", classifier=str(tmp_path))
    detector = load_detector(settings, TOOLS, load_patterns(settings, TOOLS))
    assert [call.name for call in detector.detect("what time is it").calls] == ["get_time"]


def test_the_nano_model_learns_and_runs_in_both_runtimes(tmp_path: Path) -> None:
    for module in ("torch", "transformers", "hassil", "gguf", "xllamacpp"):
        pytest.importorskip(module, reason=f"{module} is not installed (scripts/setup --extra transformers, training)")
    from lfm_voice_ros.training.corpus_generator import Generator
    from lfm_voice_ros.training.gguf_export import export_gguf
    from lfm_voice_ros.training.nano import NanoSettings, train
    from lfm_voice_ros.training.templates import read_templates

    told: list[str] = []
    tiny = NanoSettings(
        hidden=64, heads=2, key_value_heads=1, feed_forward=64, layers="ca", vocabulary=600, length=2560
    )
    settings = replace(tiny, steps=3, warm_up=1, threads=1, short_first=0.3)
    generator = Generator(read_templates(TEMPLATES), "train", 1)

    record = train(generator, TOOLS, settings, tmp_path / "nano", told.append, sentences_for_tokenizer=500)
    export_gguf(tmp_path / "nano", tmp_path / "nano.gguf", "f16")

    losses = [float(line.split()[3]) for line in told if line.startswith("step")]
    assert losses[-1] < losses[0]
    assert record["settings"]["steps"] == 3
    chat = [ChatMessage("system", "You are a robot."), ChatMessage("user", "Look left.")]
    answers = {
        load_text_model(str(tmp_path / name), "auto", "cpu", 1).complete(chat, [], 8).text
        for name in ("nano", "nano.gguf")
    }
    assert len(answers) == 1


def test_a_folder_without_a_model_cannot_be_exported(tmp_path: Path) -> None:
    for module in ("gguf", "transformers"):
        pytest.importorskip(module)
    from lfm_voice_ros.training.gguf_export import export_gguf

    with pytest.raises(ResourceError, match="holds no LFM2 text model"):
        export_gguf(tmp_path, tmp_path / "x.gguf")
