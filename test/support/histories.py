"""What the tests of conversations share."""

from __future__ import annotations

import torch

from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.conversation import Conversation, FrameSpan, Span, SpeechSpan, TextSpan

_TOLERANCE = 1e-4  # of float32, over hundreds of positions


def speech(model: Lfm2Audio, seed: int, length: int = 6) -> torch.Tensor:
    """What a person could have said, shape (length, hidden)."""
    return torch.randn(length, model.embed_text([1]).shape[1], generator=torch.Generator().manual_seed(seed)) * 0.05


def assert_true_to_its_history(model: Lfm2Audio, talk: Conversation) -> None:
    """The next hidden state is that of a full prefill of the history, made by the library without a cache."""
    talk.listen("probe", speech(model, 99), 8)
    hidden = talk.reply()
    with torch.inference_mode():
        whole = model.net.lfm(inputs_embeds=_embedded(model, talk.spans())[None], use_cache=False)
    torch.testing.assert_close(hidden, whole.last_hidden_state[0, -1], atol=_TOLERANCE, rtol=0)
    talk.forget("probe")


def _embedded(model: Lfm2Audio, spans: list[Span]) -> torch.Tensor:
    parts = []
    for span in spans:
        match span:
            case TextSpan(tokens):
                parts.append(model.embed_text(tokens))
            case SpeechSpan(embeddings):
                parts.append(embeddings)
            case FrameSpan(codes):
                parts.append(model.embed_frames(codes))
    return torch.cat(parts)
