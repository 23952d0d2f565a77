"""Writes an LFM2 text model as a GGUF file, which llama.cpp runs without PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lfm_voice_ros.core.errors import ResourceError

_FILE_TYPES = {"f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}


def export_gguf(folder: Path, out: Path, kind: str = "q8_0") -> None:
    """Convert the folder of an Lfm2ForCausalLM, with its tokenizer, to a GGUF file; ``kind`` is f16 or q8_0.

    Raises ResourceError when the folder isn't one, or gguf, torch or transformers are missing.
    """
    try:
        import gguf
        import torch
        from transformers import AutoTokenizer, Lfm2ForCausalLM
    except ImportError as exc:
        raise ResourceError(
            "GGUF files are written with gguf and transformers; run scripts/setup --extra training --extra transformers"
        ) from exc
    try:
        model = Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as exc:
        raise ResourceError(f"{folder} holds no LFM2 text model: {exc}") from exc
    writer = gguf.GGUFWriter(out, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LFM2])
    _write_parameters(writer, model.config, folder.name)
    # The configuration's size can be one that the model rounds.
    writer.add_feed_forward_length(model.model.layers[0].feed_forward.w1.out_features)
    writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[kind]])
    _write_tokenizer(writer, tokenizer, gguf)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LFM2, model.config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # tied to the embeddings
        mapped = names.get_name(name, try_suffixes=(".weight",))
        values = tensor.squeeze(1) if name.endswith("conv.conv.weight") else tensor
        array = values.numpy()
        # Rows of fewer than 32 values, the convolutions' and the norms', are not worth quantising.
        if array.ndim == 2 and array.shape[1] % 32 == 0 and kind == "q8_0":
            quantised = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(mapped, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        elif array.ndim == 2 and array.shape[1] % 32 == 0:
            writer.add_tensor(mapped, array.astype("float16"))
        else:
            writer.add_tensor(mapped, array)
    out.parent.mkdir(parents=True, exist_ok=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_parameters(writer: Any, config: Any, name: str) -> None:
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    # A layer without attention is one without keys.
    writer.add_head_count_kv(
        [config.num_key_value_heads if kind == "full_attention" else 0 for kind in config.layer_types]
    )
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_shortconv_l_cache(config.conv_L_cache)


def _write_tokenizer(writer: Any, tokenizer: Any, gguf: Any) -> None:
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {token["content"] for token in content["added_tokens"] if token["special"]}
    by_number = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("lfm2")
    writer.add_token_list([token for token, _ in by_number])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token, _ in by_number]
    )
    writer.add_token_merges(
        [" ".join(merge) if isinstance(merge, list) else merge for merge in content["model"]["merges"]]
    )
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)  # the chat template writes it
    writer.add_chat_template(tokenizer.chat_template)
