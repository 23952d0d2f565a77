"""The vocoders: what they make of pieces is what the library makes of the whole."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Lfm2Config

from lfm_voice_ros.core.errors import ModelOutputError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio.mimi_speed import speed_up
from lfm_voice_ros.lfm2_audio.vocoder import FRAME_SAMPLES, LfmVocoder, MimiVocoder, Vocoder, make_vocoder

FRAMES = 160  # longer than Mimi's attention reaches, which is ten seconds


@pytest.fixture(scope="module")
def mimi() -> Any:
    """Mimi with random weights, all of whose parts are heard."""
    from liquid_audio.moshi.models.loaders import get_mimi

    torch.manual_seed(0)
    mimi = get_mimi(None)
    for name, parameter in mimi.named_parameters():
        if "layer_scale" in name:
            parameter.data.fill_(1.0)
    for name, buffer in mimi.named_buffers():
        if name.endswith("embedding_sum"):
            buffer.normal_()
    return mimi


@pytest.fixture(scope="module")
def detokenizer() -> Any:
    """The small LFM2 with random weights, one layer of attention between two of convolution."""
    from liquid_audio.detokenizer import LFM2AudioDetokenizer

    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=8,
        hidden_size=512,
        intermediate_size=768,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=4,
        layer_types=["conv", "full_attention", "conv"],
        sliding_window=30,
    )
    return LFM2AudioDetokenizer(config).eval()


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.randint(0, 2048, (FRAMES, 8), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def whole_mimi(mimi: Any, codes: torch.Tensor) -> Samples:
    """What the library makes of all frames at once."""
    with torch.inference_mode():
        return np.asarray(mimi.decode(codes.t()[None])[0, 0])


@pytest.fixture(scope="module")
def whole_lfm(detokenizer: Any, codes: torch.Tensor) -> Samples:
    """What the library makes of all frames at once."""
    with torch.inference_mode():
        return np.asarray(detokenizer(codes.t()[None])[0])


@pytest.fixture(scope="module")
def mimi_vocoder(mimi: Any) -> MimiVocoder:
    return MimiVocoder(copy.deepcopy(mimi))


@pytest.fixture(scope="module")
def lfm_vocoder(detokenizer: Any) -> LfmVocoder:
    return LfmVocoder(copy.deepcopy(detokenizer))


@pytest.fixture(params=["mimi", "lfm"])
def case(request: pytest.FixtureRequest) -> tuple[Vocoder, Samples]:
    """A vocoder, and the sound that it has to make of all the codes."""
    return request.getfixturevalue(f"{request.param}_vocoder"), request.getfixturevalue(f"whole_{request.param}")


def pieces(codes: torch.Tensor, sizes: Iterator[int]) -> Iterator[torch.Tensor]:
    start = 0
    while start < len(codes):
        size = next(sizes)
        yield codes[start : start + size]
        start += size


def sizes(kind: str) -> Iterator[int]:
    chance = random.Random(kind)
    while True:
        yield chance.randint(1, 7) if kind.startswith("random") else int(kind)


def difference(sound: Samples, expected: Samples) -> float:
    """The greatest difference, relative to the peak."""
    return float(np.abs(sound - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("kind", ["1", "4", "50", "random 1", "random 2"])
def test_pieces_of_any_size_sound_like_the_whole(case: tuple[Vocoder, Samples], codes: torch.Tensor, kind: str) -> None:
    vocoder, whole = case
    vocoder.reset()

    parts = [vocoder.decode(piece) for piece in pieces(codes, sizes(kind))]
    sound = np.concatenate([*parts, vocoder.finish()])

    assert {(part.dtype, part.ndim) for part in parts} == {(np.dtype(np.float32), 1)}
    assert sound.size == FRAMES * FRAME_SAMPLES
    assert difference(sound, whole) < 1e-5


def test_a_reply_knows_nothing_of_the_one_before(case: tuple[Vocoder, Samples], codes: torch.Tensor) -> None:
    vocoder, whole = case
    vocoder.reset()
    vocoder.decode(codes[7:40])
    vocoder.reset()

    sound = vocoder.decode(codes[:5])

    assert difference(sound, whole[: sound.size]) < 1e-5


def test_a_reply_without_frames_has_no_sound(case: tuple[Vocoder, Samples]) -> None:
    vocoder, _ = case
    vocoder.reset()
    assert vocoder.finish().size == 0


def test_sound_comes_with_the_first_frame(
    mimi_vocoder: MimiVocoder, lfm_vocoder: LfmVocoder, codes: torch.Tensor
) -> None:
    for vocoder, held_back in ((mimi_vocoder, 0), (lfm_vocoder, 480)):
        vocoder.reset()
        assert vocoder.decode(codes[:1]).size == FRAME_SAMPLES - held_back
        assert vocoder.decode(codes[1:3]).size == 2 * FRAME_SAMPLES
        assert vocoder.finish().size == held_back


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.full((1, 8), 2048), "the codes 2048 to 2048"),
        (torch.tensor([[0] * 8, [0] * 7 + [-1]]), "the codes -1 to 0"),
        (torch.zeros((1, 7), dtype=torch.int64), r"int64 of shape \(1, 7\)"),
        (torch.zeros(8, dtype=torch.int64), r"int64 of shape \(8,\)"),
        (torch.zeros((0, 8), dtype=torch.int64), r"int64 of shape \(0, 8\)"),
        (torch.zeros((1, 8)), r"float32 of shape \(1, 8\)"),
    ],
)
def test_wrong_codes_are_refused_and_leave_no_trace(
    case: tuple[Vocoder, Samples], codes: torch.Tensor, wrong: torch.Tensor, message: str
) -> None:
    vocoder, whole = case
    vocoder.reset()
    first = vocoder.decode(codes[:2])

    with pytest.raises(ModelOutputError, match=message):
        vocoder.decode(wrong)

    sound = np.concatenate([first, vocoder.decode(codes[2:4])])
    assert difference(sound, whole[: sound.size]) < 1e-5


def test_sound_stays_within_full_scale(detokenizer: Any, codes: torch.Tensor) -> None:
    loud = copy.deepcopy(detokenizer)
    loud.lin.bias.data[:641] += 10

    sound = LfmVocoder(loud).decode(codes[:2])

    assert (sound.min(), sound.max()) == (-1, 1)


def test_broken_weights_are_told(detokenizer: Any, codes: torch.Tensor) -> None:
    broken = copy.deepcopy(detokenizer)
    broken.lin.weight.data.fill_(torch.nan)

    with pytest.raises(ModelOutputError, match="weights are broken"):
        LfmVocoder(broken).decode(codes[:1])


@pytest.mark.parametrize("frames", [1, 2, 4, 8])
def test_mimi_made_faster_sounds_the_same(mimi: Any, codes: torch.Tensor, frames: int) -> None:
    fast = copy.deepcopy(mimi)
    speed_up(fast)

    with torch.inference_mode():
        expected, sound = (np.asarray(each.decode(codes[:frames].t()[None])[0, 0]) for each in (mimi, fast))

    assert difference(sound, expected) < 1e-6
    assert [name for name, part in fast.named_modules() if "forward" in vars(part)] == [
        "decoder.model.0.conv.conv",
        "decoder.model.2.convtr.convtr",
    ]


def test_a_long_reply_needs_no_more_memory_than_a_short_one(detokenizer: Any, codes: torch.Tensor) -> None:
    net = copy.deepcopy(detokenizer)
    widths: list[int] = []
    net.lfm.register_forward_pre_hook(
        lambda _, arguments, named: widths.append(named["attention_mask"]["full_attention"].shape[-1]),
        with_kwargs=True,
    )
    vocoder = LfmVocoder(net)

    for frame in codes.split(1):
        vocoder.decode(frame)

    assert widths == [min(6 * frame, 29) + 6 for frame in range(FRAMES)]


def test_a_vocoder_is_made_for_its_module(mimi: Any, detokenizer: Any) -> None:
    assert make_vocoder("mimi", copy.deepcopy(mimi)).name == "mimi"
    assert make_vocoder("lfm", copy.deepcopy(detokenizer)).name == "lfm"
