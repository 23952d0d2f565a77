"""Sampling one frame of sound: eight codes, one after the other, from one hidden state.

The depthformer of LFM2-Audio is unrolled over the codebooks, with keys and values in tensors that never move. A frame
is then a fixed list of operations, far fewer than those of liquid-audio's own loop, and a CUDA graph can replay it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from lfm_voice_ros.lfm2_audio.graphs import Graphed

END_OF_AUDIO = 2048


class FrameSampler:
    """Chooses the codes of frames. For one thread; several samplers may share one model."""

    def __init__(
        self,
        net: Any,
        *,
        temperature: float,
        top_k: int,
        seed: int | None = None,
        graphs: bool = False,
        failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        """``net`` is liquid-audio's LFM2AudioModel, where it will stay: neither moved nor cast any more.

        A ``temperature`` of 0, or a ``top_k`` of 1, takes the likeliest code; a ``top_k`` of 0 all. The same ``seed``
        gives the same frames; none gives others in every run. ``graphs`` runs a frame as a CUDA graph where that works;
        ``failed`` is told, once, why it doesn't on a CUDA device.
        """
        self._embed_input = net.depth_linear
        self._layers = [_Layer(block, net.codebooks) for block in net.depthformer.layers]
        self._codebooks = [_Codebook(shared, may_end=not index) for index, shared in enumerate(net.depth_embeddings)]
        self._dim = net.depthformer_dim
        like = net.depth_linear.weight
        vocabulary = net.audio_vocab_size
        self._end_free = torch.zeros(vocabulary, device=like.device, dtype=like.dtype)
        self._end_barred = self._end_free.clone()
        self._end_barred[END_OF_AUDIO] = -torch.inf
        self._temperature = temperature
        self._top_k = min(top_k, END_OF_AUDIO)
        self._generator: torch.Generator | None = None
        if temperature > 0 and top_k != 1:
            self._generator = torch.Generator(like.device)
            if seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(seed)
            self._noise = torch.zeros(net.codebooks, 1, vocabulary, device=like.device, dtype=torch.float32)
        self._run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = self._frame
        if graphs and like.device.type == "cuda":
            example = torch.zeros(net.depth_linear.in_features, device=like.device, dtype=like.dtype), self._end_free
            self._run = Graphed(self._frame, example, name="the audio frame", failed=failed, generator=self._generator)

    def sample(self, hidden: torch.Tensor, may_end: bool) -> torch.Tensor:
        """Take the hidden state, shape (hidden,), in the model's dtype; give the codes, shape (codebooks,), int64.

        Codes are on the same device, where they may still be computed: nothing waits for them. The next call may
        overwrite them. If ``may_end``, all of them may be END_OF_AUDIO; otherwise none is.
        """
        with torch.inference_mode():
            return self._run(hidden, self._end_free if may_end else self._end_barred)

    def _frame(self, hidden: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        """``end``, shape (vocabulary,), is added to the scores of the first codebook: 0, or -∞ for its END_OF_AUDIO."""
        inputs = self._embed_input(hidden[None]).view(-1, 1, self._dim)
        if self._generator is not None:
            self._noise.exponential_(generator=self._generator).log_().mul_(-self._temperature)
        codes: list[torch.Tensor] = []
        for position, (x, codebook) in enumerate(zip(inputs, self._codebooks, strict=True)):
            if codes:
                x += self._codebooks[position - 1].embed(codes[-1])
            for layer in self._layers:
                layer.add_to(x, position)
            codes.append(self._choose(codebook.scores(x, end), position))
        frame = torch.cat(codes)
        return frame.masked_fill_(frame[:1] == END_OF_AUDIO, END_OF_AUDIO)

    def _choose(self, scores: torch.Tensor, codebook: int) -> torch.Tensor:
        """The code, shape (1,), by its ``scores``, shape (1, codes).

        The largest of score/T + g, with g = -log(e) and e exponentially distributed, is distributed as softmax(score/T)
        (the Gumbel-max trick, https://arxiv.org/abs/1411.0030, section 2), and nothing is read back to the host. Here
        both are multiplied by T. ``exponential_`` never gives 0, so that nothing beats a score of -∞.
        """
        if self._generator is None:
            return scores.argmax(-1)
        noisy = scores + self._noise[codebook, :, : scores.shape[-1]]
        if self._top_k:
            noisy.masked_fill_(scores < scores.topk(self._top_k).values[:, -1:], -torch.inf)
        return noisy.argmax(-1)


class _Codebook:
    """The embedding and the output layer of one codebook."""

    def __init__(self, shared: Any, *, may_end: bool) -> None:
        self._embedding = shared.embedding.weight
        self._norm = shared.embedding_norm
        self._output = shared.to_logits.weight
        self._may_end = may_end
        if not may_end:  # Mimi, which turns codes into sound, fails on END_OF_AUDIO
            self._output = self._output[:END_OF_AUDIO]

    def embed(self, code: torch.Tensor) -> torch.Tensor:
        """The embedding, shape (1, dim), of a code, shape (1,)."""
        return functional.embedding(code, self._embedding)

    def scores(self, x: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
        """The logits, shape (1, codes), behind the depthformer's output ``x``, shape (1, dim)."""
        return functional.linear(_normalized(x, self._norm), self._output, end if self._may_end else None)


class _Layer:
    """A block of the depthformer: grouped-query attention and SwiGLU, each behind a norm and added to its input."""

    def __init__(self, block: Any, codebooks: int) -> None:
        attention = block.operator
        self._groups = attention.gqa_dim
        self._size = attention.head_dim
        self._rotated = (attention.num_heads + attention.gqa_dim) * attention.head_dim  # queries and keys
        self._attention_norm = block.operator_norm
        self._qkv = attention.qkv_proj.weight
        self._out = attention.out_proj.weight.t()
        query_norm, key_norm = attention.bounded_attention.q_layernorm, attention.bounded_attention.k_layernorm
        self._eps = query_norm.eps
        self._query_key_weight = torch.cat(
            [
                query_norm.weight.detach().float().expand(attention.num_heads, -1),
                key_norm.weight.detach().float().expand(attention.gqa_dim, -1),
            ]
        )
        self._rotations = attention.freqs_cis[:codebooks].to(self._qkv.device).unbind()  # e^(iφ) of each pair
        # A group is an item of a batch and its heads, which read the same keys, stand where positions would: then every
        # kernel can do it, and what it gives needs no transposing.
        keys = self._qkv.detach().new_zeros(self._groups, 1, codebooks, self._size)
        values = torch.zeros_like(keys)
        self._key_slots, self._value_slots = keys.unbind(2), values.unbind(2)
        self._past = [(keys[:, :, :end], values[:, :, :end]) for end in range(1, codebooks + 1)]
        self._feed_norm = block.ffn_norm
        self._gate = block.feed_forward.w1.weight
        self._up = block.feed_forward.w3.weight
        self._down = block.feed_forward.w2.weight.t()

    def add_to(self, x: torch.Tensor, position: int) -> None:
        """Add the block's output to its input ``x``, shape (1, dim), at a position of the frame."""
        x.addmm_(self._attend(_normalized(x, self._attention_norm), position), self._out)
        x.addmm_(self._feed_forward(_normalized(x, self._feed_norm)), self._down)

    def _attend(self, x: torch.Tensor, position: int) -> torch.Tensor:
        qkv = functional.linear(x, self._qkv)[0]
        pairs = functional.rms_norm(qkv[: self._rotated].float().view(-1, self._size), (self._size,), eps=self._eps)
        pairs = torch.view_as_complex((pairs * self._query_key_weight).view(-1, self._size // 2, 2))
        query_key = torch.view_as_real(pairs * self._rotations[position]).view(-1, 1, self._size)
        query = query_key[: -self._groups].to(x.dtype).view(self._groups, 1, -1, self._size)
        self._key_slots[position].copy_(query_key[-self._groups :])
        self._value_slots[position].copy_(qkv[self._rotated :].view(self._groups, 1, self._size))
        return functional.scaled_dot_product_attention(query, *self._past[position]).reshape(1, -1)

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.silu(functional.linear(x, self._gate), inplace=True).mul_(functional.linear(x, self._up))


def _normalized(x: torch.Tensor, norm: Any) -> torch.Tensor:
    """RMS norm, in float32 inside, over the last dimension."""
    return functional.rms_norm(x, norm.weight.shape, norm.weight, norm.eps)
