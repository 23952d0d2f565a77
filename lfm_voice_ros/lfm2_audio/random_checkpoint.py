"""LFM2-Audio checkpoints with random weights: real file names, real structure, and nothing that was learned.

The engine is tested with a tiny one, and timed with one of the real dimensions, where the real weights aren't at hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio import language_part
from lfm_voice_ros.lfm2_audio.checkpoint import MIMI_FILE
from lfm_voice_ros.lfm2_audio.hub import DETOKENIZER_FOLDER

Size = Literal["tiny", "small", "real"]

#: The special tokens below 131 that have a name; the ids between are reserved.
_SPECIAL = {
    **dict(
        enumerate(
            (
                *("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>"),
                *("<|im_start|>", "<|im_end|>", "<|tool_list_start|>", "<|tool_list_end|>"),
                *("<|tool_call_start|>", "<|tool_call_end|>", "<|tool_response_start|>", "<|tool_response_end|>"),
            )
        )
    ),
    **dict(enumerate(("<|audio_start|>", "<|text_start|>", "<|text_end|>"), 128)),
}
#: What stands between those that LFM2 has and its first word: LFM2-Audio's own, and what has no name.
_RESERVED = {token: _SPECIAL.get(token, f"<|reserved_{token}|>") for token in range(14, max(_SPECIAL) + 1)}
#: What byte pairs are merged from: such words as a robot says and hears.
_SENTENCES = (
    "Respond with interleaved text and audio.",
    "user assistant system tool",
    "Hello! How are you today? I'm fine, thank you.",
    "Look left. Look right. Look up. Look down. Look straight ahead.",
    "Turn your head to the left by twenty degrees, please.",
    "What time is it? It is half past three in the afternoon.",
    "What's the date today? Today is Wednesday, the fourth of March.",
    "I'm looking left now. My head points thirty degrees to the right.",
    "I can't turn that far, so I stopped at my limit.",
    "Something went wrong there. Could you say that again?",
    "Nod your head. Shake your head. Stop moving right now!",
    "Tell me something about yourself. I am a robot with a head that turns.",
    "The weather was nice this morning, but then it began to rain.",
    "pan_left(degrees=20) pan_right(degrees=45) tilt_up() tilt_down() center() stop()",
)
#: Of the sizes tiny, small and real.
_DIMENSIONS: Mapping[str, tuple[int, int, int]] = {
    "hidden": (64, 256, 2048),
    "layers": (4, 6, 16),
    "heads": (4, 4, 32),
    "key_value_heads": (2, 2, 8),
    "feed_forward": (192, 1152, 12288),
    "encoder": (32, 144, 512),
    "encoder_layers": (1, 4, 17),
    "encoder_heads": (4, 4, 8),
    "channels": (16, 16, 256),
    "depth": (64, 128, 1024),
    "depth_layers": (2, 2, 6),
}
_METADATA = {"format": "pt"}  # accelerate reads no file without
_VOCABULARY = 768  # at most: special tokens, bytes, and the merges that the sentences give


def write(
    folder: Path,
    size: Size = "tiny",
    seed: int = 0,
    detokenizer: bool = True,
    mimi: bool = False,
    dtype: str = "float32",
    language_model: Path | None = None,
) -> Path:
    """Write a checkpoint into ``folder``, which is made, and give the folder.

    ``real`` has the dimensions of LFM2.5-Audio-1.5B: 3 GB in bfloat16, and 4 GB of memory for the 40 s that it takes.
    ``small``, 18.5 million parameters, is large enough to learn what words sound like, and small enough for a CPU.
    ``seed`` decides every weight; the state of torch's own generator stays as it is. ``dtype``, float32 or bfloat16,
    is that of the model; detokenizer and Mimi are always float32. With ``language_model``, a folder with an
    Lfm2ForCausalLM of the same width, it begins with that one's weights and words. Not for a process that computes with
    torch in another thread meanwhile: torch's default dtype is changed for it. Raises ResourceError without
    liquid-audio, or without a language model in the folder.
    """
    try:
        from liquid_audio.model import lfm2_audio
    except ImportError as exc:
        raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
    from safetensors.torch import save_file, save_model

    folder.mkdir(parents=True, exist_ok=True)
    part = language_part.read(language_model, _RESERVED) if language_model else None
    tokenizer = part.tokenizer if part else _tokenizer()
    tokenizer.save_pretrained(folder)
    config = _config(size, len(tokenizer))
    if part:
        config["lfm"] = dict(part.config)
    _write_json(folder / "config.json", config)
    with _drawn(seed, dtype):
        net = lfm2_audio.LFM2AudioModel(_parsed(config, lfm2_audio))
        _open_ears(net.conformer.pre_encode)
    if part:
        net.lfm.load_state_dict(part.weights)
    save_model(net, str(folder / "model.safetensors"), metadata=_METADATA)
    del net
    if detokenizer:
        _write_detokenizer(folder / DETOKENIZER_FOLDER, size, seed)
    if mimi:
        from liquid_audio.moshi.models.loaders import get_mimi

        with _drawn(seed, "float32"):
            codec = get_mimi(None)
        _draw_codebooks(codec, seed)
        save_file(codec.state_dict(), folder / MIMI_FILE, _METADATA)
    return folder


def _config(size: Size, vocabulary: int) -> dict[str, Any]:
    """Give config.json as it is published, or smaller; ``vocabulary`` is used by the tiny one only."""
    of = {name: values[("tiny", "small", "real").index(size)] for name, values in _DIMENSIONS.items()}
    dropout = 0.1 if size == "real" else 0.0  # as published; what is small and new has enough to do without
    attention = (2, 5, 8, 10, 12, 14) if size == "real" else range(1, of["layers"], 2)
    lfm = {
        "architectures": ["Lfm2ForCausalLM"],
        "model_type": "lfm2",
        "hidden_size": of["hidden"],
        "num_hidden_layers": of["layers"],
        "layer_types": ["full_attention" if layer in attention else "conv" for layer in range(of["layers"])],
        "num_attention_heads": of["heads"],
        "num_key_value_heads": of["key_value_heads"],
        "block_auto_adjust_ff_dim": True,
        "block_ff_dim": of["feed_forward"],
        "block_ffn_dim_multiplier": 1.0,
        "block_multiple_of": 256 if size == "real" else 32,
        "conv_L_cache": 3,
        "conv_bias": False,
        # 1/√hidden, nearly the published 0.02 at the real size: what was fed before then matters for what comes next.
        "initializer_range": 0.02 if size == "real" else of["hidden"] ** -0.5,
        "max_position_embeddings": 128_000,
        "norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 7,
        "pad_token_id": 0,
        "rope_theta": 1_000_000.0,
        "theta": 1_000_000.0,
        "use_cache": True,
        "vocab_size": 65_536 if size == "real" else vocabulary,
    }
    encoder = {
        "feat_in": 128,
        "feat_out": -1,
        "n_layers": of["encoder_layers"],
        "d_model": of["encoder"],
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": of["channels"],
        "causal_downsampling": False,
        "reduction": None,
        "reduction_position": None,
        "reduction_factor": 1,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "n_heads": of["encoder_heads"],
        "att_context_size": [-1, -1],
        "xscaling": False,
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "conv_kernel_size": 9,
        "conv_norm_type": "batch_norm",
        "conv_context_size": None,
        "dropout": dropout,
        "dropout_pre_encoder": dropout,
        "dropout_emb": 0.0,
        "dropout_att": dropout,
    }
    preprocessor = {
        "sample_rate": 16_000,
        "normalize": "per_feature",
        "window_size": 0.025,
        "window_stride": 0.01,
        "window": "hann",
        "features": 128,
        "n_fft": 512,
        "log": True,
        "frame_splicing": 1,
        "dither": 1e-5,
        "pad_to": 0,
        "pad_value": 0.0,
    }
    return {
        "architectures": ["Lfm2AudioForConditionalGeneration"],
        "codebooks": 8,
        "tie_audio_embeddings": False,
        "semantic_codebook_factor": 100,
        "codebook_weight": "log",
        "interleaved_n_text": 6,
        "interleaved_n_audio": 12,
        "preprocessor": preprocessor,
        "encoder": encoder,
        "lfm": lfm,
        # 32 heads are fixed in the library and each needs an even size: 64 is the least.
        "depthformer": {"layers": of["depth_layers"], "dim": of["depth"], "tie": True},
    }


def _parsed(config: dict[str, Any], library: Any) -> Any:
    parts = {
        "lfm": library.Lfm2Config(**config["lfm"]),
        "encoder": library.ConformerEncoderConfig(**config["encoder"]),
        "depthformer": library.DepthformerConfig(**config["depthformer"]),
    }
    return library.LFM2AudioConfig(**{**config, **parts})


def _write_detokenizer(folder: Path, size: Size, seed: int) -> None:
    from liquid_audio.detokenizer import LFM2AudioDetokenizer
    from safetensors.torch import save_file
    from transformers import Lfm2Config

    attention, layers = ((2, 4, 6), 8) if size == "real" else ((1,), 2)
    kinds = ["sliding_attention" if layer in attention else "conv" for layer in range(layers)]
    config = {
        "architectures": ["Lfm2AudioDetokenizer"],
        "model_type": "lfm2",
        "hidden_size": 512,
        "num_hidden_layers": layers,
        "layer_types": kinds,
        "sliding_window": 30,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "block_auto_adjust_ff_dim": True,
        "intermediate_size": 3328 if size == "real" else 384,
        "block_ffn_dim_multiplier": 1.0,
        "block_multiple_of": 256,
        "conv_L_cache": 3,
        "conv_bias": False,
        "initializer_range": 0.02,
        "max_position_embeddings": 128_000,
        "norm_eps": 1e-5,
        "output_size": 1282,
        "rope_theta": 1_000_000.0,
        # The embeddings of codes lie outside the language model, whose own are not used.
        "vocab_size": 65_536 if size == "real" else 64,
    }
    folder.mkdir(exist_ok=True)
    _write_json(folder / "config.json", config)
    usable = {**config, "layer_types": [kind.replace("sliding", "full") for kind in kinds]}
    with _drawn(seed, "float32"):
        net = LFM2AudioDetokenizer(Lfm2Config(**usable))
    save_file(net.state_dict(), folder / "model.safetensors", _METADATA)


def _draw_codebooks(codec: Any, seed: int) -> None:
    """Draw Mimi's codebooks, which the library leaves at zero, where every code would sound the same."""
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in codec.named_buffers():
        if name.endswith("embedding_sum"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator))


@contextmanager
def _drawn(seed: int, dtype: str) -> Iterator[None]:
    """Make modules inside with weights of ``dtype`` that the seed decides."""
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _open_ears(subsampling: Any) -> None:
    """Draw the convolutions before the encoder anew, so that what goes in is as strong as what comes out.

    With the usual weights a sound would change what comes out by a twentieth only, and nothing would learn to listen.
    After He et al. 2015: behind a ReLU, which takes half of the power away, weights have twice the variance.
    """
    import torch

    behind_relu = False
    for part in [*subsampling.conv, subsampling.out]:
        if isinstance(part, torch.nn.ReLU):
            behind_relu = True
        elif isinstance(part, torch.nn.Conv2d | torch.nn.Linear):
            inputs = part.weight[0].numel()
            torch.nn.init.normal_(part.weight, std=((2 if behind_relu else 1) / inputs) ** 0.5)
            torch.nn.init.zeros_(part.bias)
            behind_relu = False


def _tokenizer() -> Any:
    """Make a byte-level BPE tokenizer, a PreTrainedTokenizerFast, with the special tokens at their real ids.

    Any text comes back from it as it was. Like the published one it puts ``<|startoftext|>`` in front unless told not
    to.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _SENTENCES,
        trainers.BpeTrainer(
            vocab_size=_VOCABULARY,
            special_tokens=[name for _, name in sorted((_SPECIAL | _RESERVED).items())],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A", pair="<|startoftext|> $A $B", special_tokens=[("<|startoftext|>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_SPECIAL[1],
        eos_token=_SPECIAL[7],
        pad_token=_SPECIAL[0],
        clean_up_tokenization_spaces=False,
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
