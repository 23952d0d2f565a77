"""The sampler of audio frames, against liquid-audio's own functions on small nets with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lfm_voice_ros.lfm2_audio.frame import END_OF_AUDIO, FrameSampler
from lfm_voice_ros.lfm2_audio.graphs import Graphed

CODEBOOKS = 8
HIDDEN = 48
#: Values of χ² that chance exceeds once in 10,000 times, by degrees of freedom.
CHI_SQUARE = {3: 21.1, 9: 33.7}


def make_net(*, tied: bool = False, dtype: torch.dtype = torch.float32) -> Any:
    """A net of liquid-audio, small in everything but the numbers of heads and codes, which can't be chosen."""
    from liquid_audio.model.conformer.encoder import ConformerEncoderConfig
    from liquid_audio.model.lfm2_audio import DepthformerConfig, LFM2AudioConfig, LFM2AudioModel
    from liquid_audio.processor import PreprocessorConfig
    from transformers import Lfm2Config

    encoder: dict[str, Any] = {
        "feat_in": 128, "feat_out": -1, "n_layers": 1, "d_model": 16, "subsampling": "dw_striding",
        "subsampling_factor": 8, "subsampling_conv_channels": 8, "causal_downsampling": False, "reduction": None,
        "reduction_position": None, "reduction_factor": 1, "ff_expansion_factor": 1, "self_attention_model": "rel_pos",
        "n_heads": 2, "att_context_size": [-1, -1], "xscaling": False, "untie_biases": True, "pos_emb_max_len": 50,
        "conv_kernel_size": 9, "conv_norm_type": "batch_norm", "conv_context_size": None, "dropout": 0.0,
        "dropout_pre_encoder": 0.0, "dropout_emb": 0.0, "dropout_att": 0.0,
    }  # fmt: skip
    features: dict[str, Any] = {
        "sample_rate": 16000, "normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01, "window": "hann",
        "features": 128, "n_fft": 512, "log": True, "frame_splicing": 1, "dither": 0.0, "pad_to": 0, "pad_value": 0.0,
    }  # fmt: skip
    lfm = Lfm2Config(
        vocab_size=160,
        hidden_size=HIDDEN,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        layer_types=["conv"],
    )
    torch.manual_seed(4)
    net = LFM2AudioModel(
        LFM2AudioConfig(
            architectures=[],
            codebooks=CODEBOOKS,
            tie_audio_embeddings=True,
            semantic_codebook_factor=100,
            codebook_weight="log",
            interleaved_n_text=6,
            interleaved_n_audio=12,
            preprocessor=PreprocessorConfig(**features),
            encoder=ConformerEncoderConfig(**encoder),
            lfm=lfm,
            depthformer=DepthformerConfig(layers=2, dim=128, tie=tied),
        )
    )
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "norm" in name:  # ones as they come, which would hide one that is left out
                weight.uniform_(0.5, 1.5)
    return net.to(dtype).eval()


@pytest.fixture
def net() -> Any:
    return make_net()


def hidden_states(count: int) -> torch.Tensor:
    return torch.randn(count, HIDDEN, generator=torch.Generator().manual_seed(5))


def draw(sampler: FrameSampler, hidden: torch.Tensor, count: int, *, may_end: bool = True) -> torch.Tensor:
    """Frames, shape (count, codebooks)."""
    return torch.stack([sampler.sample(hidden, may_end).clone() for _ in range(count)])


def recorded(sampler: FrameSampler, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Give a list into which the sampler's scores come, codebook by codebook."""
    scores: list[torch.Tensor] = []
    choose = sampler._choose

    def record(given: torch.Tensor, codebook: int) -> torch.Tensor:
        scores.append(given[0].clone())
        return choose(given, codebook)

    monkeypatch.setattr(sampler, "_choose", record)
    return scores


def library_frame(net: Any, hidden: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The frame that liquid-audio's own function takes as the likeliest, and its logits."""
    logits: list[torch.Tensor] = []
    hooks = [
        each.to_logits.register_forward_hook(lambda *call: logits.append(call[-1])) for each in net.depth_embeddings
    ]
    with torch.no_grad():
        frame = net._sample_audio_frame(hidden)
    for hook in hooks:
        hook.remove()
    return frame, logits


def training_logits(net: Any, hidden: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """The logits, shape (codebooks, codes), as liquid-audio computes them in training: all positions at once."""
    with torch.no_grad():
        inputs = net.depth_linear(hidden).view(CODEBOOKS, -1)
        for index, embedding in enumerate(net.depth_embeddings[:-1]):
            inputs[index + 1] += embedding(codes[index])
        out = net.depthformer(inputs[None])[0]
        return torch.stack([each.get_logits(out[index]) for index, each in enumerate(net.depth_embeddings)])


def chi_square(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    expected = probabilities * counts.sum()
    assert expected.min() > 5
    return float(((counts - expected) ** 2 / expected).sum())


class Tape(TorchDispatchMode):  # type: ignore[misc]  # torch has no types here
    """Does on a CPU what a CUDA graph does on a GPU: the operations that it saw, again, on the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[Callable[..., Any], Any, Any, Any]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = operation(*args, **(kwargs or {}))
        assert all(isinstance(each, torch.Tensor) for each in tree_leaves(out)), f"{operation} reads from the device"
        self.steps.append((operation, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        for operation, args, kwargs, out in self.steps:
            for old, new in zip(tree_leaves(out), tree_leaves(operation(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def taped(function: Callable[[], torch.Tensor], *_: Any) -> tuple[Callable[[], None], torch.Tensor]:
    """Capture ``function`` on a tape."""
    function()
    with Tape() as tape:
        output = function()
    return tape.replay, output


@pytest.mark.parametrize("tied", [False, True])
def test_the_likeliest_frame_and_all_its_scores_are_those_of_the_library(
    tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make_net(tied=tied)
    sampler = FrameSampler(net, temperature=0.0, top_k=0)
    scores = recorded(sampler, monkeypatch)
    for hidden in hidden_states(8):
        scores.clear()
        codes = sampler.sample(hidden, may_end=True)

        expected, logits = library_frame(net, hidden)
        assert (codes.dtype, codes.shape) == (torch.int64, (CODEBOOKS,))
        assert codes.tolist() == expected.tolist()
        assert [len(each) for each in scores] == [END_OF_AUDIO + 1] + [END_OF_AUDIO] * (CODEBOOKS - 1)
        for ours, theirs in zip(scores, logits, strict=True):
            torch.testing.assert_close(ours, theirs[: len(ours)], atol=1e-5, rtol=0)


def test_the_scores_of_a_sampled_frame_are_those_of_training(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = FrameSampler(net, temperature=1.5, top_k=0, seed=1)
    scores = recorded(sampler, monkeypatch)
    for hidden in hidden_states(4):
        scores.clear()
        codes = sampler.sample(hidden, may_end=True)

        for ours, theirs in zip(scores, training_logits(net, hidden, codes), strict=True):
            torch.testing.assert_close(ours, theirs[: len(ours)], atol=1e-5, rtol=0)


def test_in_bfloat16_the_scores_are_as_exact_as_the_library_s(monkeypatch: pytest.MonkeyPatch) -> None:
    net, exact_net = make_net(dtype=torch.bfloat16), make_net(dtype=torch.bfloat16).float()
    sampler = FrameSampler(net, temperature=0.0, top_k=0)
    scores = recorded(sampler, monkeypatch)
    our_error = their_error = 0.0
    for hidden in hidden_states(8).bfloat16():
        scores.clear()
        codes = sampler.sample(hidden, may_end=True)

        assert {each.dtype for each in scores} == {torch.bfloat16}
        exact = training_logits(exact_net, hidden.float(), codes)[:, :END_OF_AUDIO]
        our_error += float((torch.stack([each[:END_OF_AUDIO] for each in scores]) - exact).square().mean())
        their_error += float((training_logits(net, hidden, codes)[:, :END_OF_AUDIO] - exact).square().mean())
    assert 0 < our_error < 1.2 * their_error


def test_a_frame_does_not_depend_on_those_before(net: Any) -> None:
    first, second = hidden_states(2)
    sampler = FrameSampler(net, temperature=0.0, top_k=0)
    alone = sampler.sample(first, may_end=True).tolist()
    assert sampler.sample(second, may_end=True).tolist() != alone
    assert sampler.sample(first, may_end=True).tolist() == alone


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_end_of_audio_comes_only_where_it_may_and_then_in_all_codebooks(net: Any, temperature: float) -> None:
    hidden = hidden_states(1)[0]
    sampler = FrameSampler(net, temperature=temperature, top_k=0, seed=1)
    likeliest = library_frame(net, hidden)[0]
    with torch.no_grad():
        for code, embedding in zip(likeliest, net.depth_embeddings, strict=True):
            embedding.to_logits.weight[END_OF_AUDIO] = 20 * embedding.to_logits.weight[code]
    assert int(library_frame(net, hidden)[0][0]) == END_OF_AUDIO

    assert draw(sampler, hidden, 20, may_end=True).unique().tolist() == [END_OF_AUDIO]
    assert END_OF_AUDIO not in draw(sampler, hidden, 20, may_end=False)


def test_other_codebooks_never_end_alone(net: Any) -> None:
    hidden = hidden_states(1)[0]
    sampler = FrameSampler(net, temperature=0.0, top_k=0)
    likeliest = sampler.sample(hidden, may_end=True)
    with torch.no_grad():
        output = net.depth_embeddings[3].to_logits.weight
        output[END_OF_AUDIO] = 20 * output[likeliest[3]]
    assert int(library_frame(net, hidden)[0][3]) == END_OF_AUDIO

    assert sampler.sample(hidden, may_end=True).tolist() == likeliest.tolist()


@pytest.mark.parametrize(("temperature", "top_k"), [(-1.0, 4), (0.0, 4), (1.0, 1)])
def test_without_a_temperature_or_with_one_best_code_the_likeliest_is_taken(
    net: Any, temperature: float, top_k: int
) -> None:
    hidden = hidden_states(1)[0]
    sampler = FrameSampler(net, temperature=temperature, top_k=top_k)
    assert sampler.sample(hidden, may_end=True).tolist() == library_frame(net, hidden)[0].tolist()


def test_of_the_best_codes_each_comes_as_often_as_its_probability_says(net: Any) -> None:
    hidden = hidden_states(1)[0]
    logits, codes = library_frame(net, hidden)[1][0].topk(4)
    sampler = FrameSampler(net, temperature=0.5, top_k=4, seed=1)

    drawn = draw(sampler, hidden, 1500)[:, 0]

    counts = (drawn[:, None] == codes).sum(0)
    assert counts.sum() == len(drawn)
    assert chi_square(counts, (logits / 0.5).softmax(0)) < CHI_SQUARE[3]


def test_of_all_codes_each_tenth_comes_as_often_as_its_probability_says(net: Any) -> None:
    hidden = hidden_states(1)[0]
    probabilities, codes = (library_frame(net, hidden)[1][0] / 1.3).softmax(0).sort()
    tenth = (probabilities.cumsum(0) * 10).long().clamp(max=9)
    sampler = FrameSampler(net, temperature=1.3, top_k=0, seed=1)

    drawn = draw(sampler, hidden, 1500)[:, 0]

    counts = tenth[codes.argsort()[drawn]].bincount(minlength=10)
    assert chi_square(counts, torch.zeros(10).index_add_(0, tenth, probabilities)) < CHI_SQUARE[9]


def test_codebooks_are_drawn_independently(net: Any) -> None:
    hidden = hidden_states(1)[0]
    with torch.no_grad():  # in both codebooks 10 and 20 are equally likely, and all the same to what follows
        net.depth_embeddings[0].embedding.weight[20] = net.depth_embeddings[0].embedding.weight[10]
        for index, best in enumerate(training_logits(net, hidden, torch.full([CODEBOOKS], 10)).argmax(-1)[:2]):
            output = net.depth_embeddings[index].to_logits.weight
            output[[10, 20]] = 20 * output[best]
    sampler = FrameSampler(net, temperature=1.0, top_k=2, seed=1)

    drawn = draw(sampler, hidden, 400)[:, None, :2]

    counts = (drawn == torch.tensor([[10, 10], [10, 20], [20, 10], [20, 20]])).all(-1).sum(0)
    assert counts.sum() == len(drawn)
    assert chi_square(counts, torch.full([4], 0.25)) < CHI_SQUARE[3]


def test_codes_as_good_as_the_last_of_the_best_are_kept(net: Any) -> None:
    hidden = hidden_states(1)[0]
    best = library_frame(net, hidden)[0][0]
    output = net.depth_embeddings[0].to_logits.weight
    with torch.no_grad():
        output[[10, 20, 30]] = output[best].clone()
    sampler = FrameSampler(net, temperature=1.0, top_k=2, seed=1)

    drawn = draw(sampler, hidden, 60)[:, 0]

    assert drawn.unique().tolist() == sorted({10, 20, 30, int(best)})


def test_a_top_k_beyond_the_codes_takes_all(net: Any) -> None:
    hidden = hidden_states(1)[0]
    few = draw(FrameSampler(net, temperature=1.0, top_k=10_000, seed=1), hidden, 5)
    assert few.tolist() == draw(FrameSampler(net, temperature=1.0, top_k=0, seed=1), hidden, 5).tolist()


def test_a_seed_repeats_the_frames_and_none_gives_others(net: Any) -> None:
    hidden = hidden_states(1)[0]
    frames = [
        draw(FrameSampler(net, temperature=1.0, top_k=0, seed=seed), hidden, 3).tolist()
        for seed in (7, 7, 8, None, None)
    ]
    assert frames[0] == frames[1]
    assert all(frames[a] != frames[b] for a, b in ((0, 2), (0, 3), (3, 4)))
    assert frames[0][0] != frames[0][1]


@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, 0), (1.0, 4), (0.8, 0)])
def test_a_frame_is_a_fixed_list_of_operations(net: Any, temperature: float, top_k: int) -> None:
    eager, other = (FrameSampler(net, temperature=temperature, top_k=top_k, seed=3) for _ in range(2))
    failures: list[str] = []
    graphed = Graphed(
        other._frame,
        (torch.zeros(HIDDEN), other._end_free),
        name="the frame",
        failed=failures.append,
        capture=taped,
    )
    assert not failures
    if other._generator is not None:
        other._generator.manual_seed(3)
    with torch.no_grad():
        output = net.depth_embeddings[0].to_logits.weight
        output[END_OF_AUDIO] = 20 * output[library_frame(net, hidden_states(1)[0])[0][0]]

    for hidden in hidden_states(4):
        for may_end in (True, False):
            end = other._end_free if may_end else other._end_barred
            assert graphed(hidden, end).tolist() == eager.sample(hidden, may_end).tolist()


def test_on_the_cpu_there_are_no_graphs_and_nothing_is_said(net: Any) -> None:
    hidden = hidden_states(1)[0]
    failures: list[str] = []
    sampler = FrameSampler(net, temperature=0.0, top_k=0, graphs=True, failed=failures.append)
    assert sampler.sample(hidden, may_end=True).tolist() == library_frame(net, hidden)[0].tolist()
    assert not failures


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize(("temperature", "top_k"), [(0.0, 0), (1.0, 4)])
def test_on_a_gpu_graphs_give_the_same_frames(net: Any, temperature: float, top_k: int) -> None:
    net.to("cuda")
    failures: list[str] = []
    eager, graphed = (
        FrameSampler(net, temperature=temperature, top_k=top_k, seed=3, graphs=graphs, failed=failures.append)
        for graphs in (False, True)
    )
    for hidden in hidden_states(8).to("cuda"):
        for may_end in (True, False):
            assert graphed.sample(hidden, may_end).tolist() == eager.sample(hidden, may_end).tolist()
    assert not failures
