"""Audio codes to sound as they come: by Mimi, or by the small LFM2 that newer checkpoints carry for it.

Both give what the library gives for all frames at once, to 1e-4, in pieces of any size.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import torch

from lfm_voice_ros.core.errors import ModelOutputError
from lfm_voice_ros.core.types import Samples
from lfm_voice_ros.lfm2_audio.mimi_speed import speed_up

SAMPLE_RATE = 24_000  # Hz
FRAME_SAMPLES = 1920  # of one frame of codes: 80 ms

_CODEBOOKS = 8
_CODES = 2048  # in a codebook; the model's own end-of-audio is the one behind them
_NOTHING = np.zeros(0, np.float32)

#: Frames that Mimi is given at most in one pass. More would save little time and need a longer memory.
_MIMI_FRAMES = 8
_MIMI_POSITIONS = 2  # of Mimi's transformer, in a frame
_LFM_POSITIONS = 6  # of the small LFM2, in a frame


class Vocoder(Protocol):
    """Makes sound at ``SAMPLE_RATE`` from codes, one reply after the other. Used from one thread at a time."""

    name: str

    def reset(self) -> None:
        """A new reply begins."""

    def decode(self, frames: torch.Tensor) -> Samples:
        """Take the next frames, shape (n, 8), int64 in [0, 2047], n ≥ 1, on any device; give their sound.

        Less than a frame of it may be held back, which comes with the next call or with :meth:`finish`. Raises
        ModelOutputError for other codes, before anything of them is decoded, and for sound that is no number.
        """

    def finish(self) -> Samples:
        """Give what was held back: with it, the reply has ``FRAME_SAMPLES`` samples a frame."""


class MimiVocoder:
    """The vocoder of LFM2-Audio-1.5B. Holds nothing back."""

    name = "mimi"

    def __init__(self, mimi: Any) -> None:
        """Take a liquid_audio ``MimiModel``, on any device, for itself: it is set to streaming and made faster.

        On a GPU this captures a CUDA graph, during which no other thread may use the GPU.
        """
        from liquid_audio.moshi.modules.transformer import StreamingMultiheadAttention
        from liquid_audio.moshi.utils.compile import no_compile

        self._mimi = mimi
        self._device = next(mimi.parameters()).device
        graphed = self._device.type == "cuda"
        if not graphed:
            speed_up(mimi)
        # A CUDA graph has one shape for good.
        self._most = 1 if graphed else _MIMI_FRAMES
        attentions = [part for part in mimi.modules() if isinstance(part, StreamingMultiheadAttention)]
        # The library's ring of keys is as long as the attention's reach, so that new positions overwrite what the first
        # of them should still see. It takes its length from the reach at this moment.
        with torch.inference_mode():
            for attention in attentions:
                attention.context += self._most * _MIMI_POSITIONS - 1
            mimi.streaming_forever(1)
            for attention in attentions:
                attention.context -= self._most * _MIMI_POSITIONS - 1
            # The second pass captures; compiling would need a compiler, for one function of many.
            with no_compile():
                for _ in range(2):
                    self._decode(torch.zeros((1, _CODEBOOKS), dtype=torch.int64))
        self.reset()

    def reset(self) -> None:
        """A new reply begins."""
        with torch.inference_mode():
            self._mimi.reset_streaming()

    def decode(self, frames: torch.Tensor) -> Samples:
        """Give the sound of these frames, all of it."""
        _check(frames)
        with torch.inference_mode():
            return _samples(torch.cat([self._decode(part) for part in frames.split(self._most)]))

    def finish(self) -> Samples:
        """Give nothing more."""
        return _NOTHING

    def _decode(self, frames: torch.Tensor) -> torch.Tensor:
        sound: torch.Tensor = self._mimi.decode(frames.t()[None].to(self._device))
        return sound[0, 0]


class LfmVocoder:
    """The vocoder of LFM2.5-Audio. Holds 480 samples (20 ms) back, over which the next frame is laid."""

    name = "lfm"

    def __init__(self, detokenizer: Any) -> None:
        """Take a liquid_audio ``LFM2AudioDetokenizer`` in float32, on any device."""
        self._net = detokenizer
        self._device = detokenizer.lin.weight.device
        self._window: int = detokenizer.sliding_window_size
        self.reset()

    def reset(self) -> None:
        """A new reply begins."""
        self._cache = _window_cache(self._net.lfm.config, self._window)
        self._position = 0
        self._overlap = _OverlapAdd(self._net.istft)

    def decode(self, frames: torch.Tensor) -> Samples:
        """Give the sound of these frames, without its last 20 ms and with those of the frames before."""
        _check(frames)
        with torch.inference_mode():
            hidden = self._net.emb(frames.t()[None].to(self._device)).repeat_interleave(_LFM_POSITIONS, dim=1)
            log_size, phase = self._net.lin(self._read(hidden))[0].chunk(2, dim=1)
            return _samples(self._overlap.add(torch.polar(log_size.exp(), phase)))

    def finish(self) -> Samples:
        """Give the last 20 ms."""
        with torch.inference_mode():
            return _samples(self._overlap.finish())

    def _read(self, hidden: torch.Tensor) -> torch.Tensor:
        """Take the next embeddings (1, n, hidden) through the network; each sees itself and those of the window."""
        new = torch.arange(hidden.shape[1], device=self._device)
        seen = torch.arange(-min(self._position, self._window - 1), hidden.shape[1], device=self._device)
        distance = new[:, None] - seen
        out = self._net.lfm(
            inputs_embeds=hidden,
            position_ids=new[None] + self._position,
            attention_mask={"full_attention": ((distance >= 0) & (distance < self._window))[None, None], "conv": None},
            cache=self._cache,
            use_cache=True,
        )
        self._position += hidden.shape[1]
        states: torch.Tensor = out.last_hidden_state
        return states


class _OverlapAdd:
    """An inverse short-time Fourier transform that gives each sample as soon as no later spectrum reaches it."""

    def __init__(self, istft: Any) -> None:
        """``istft`` is the ``ISTFT`` of liquid_audio with "same" padding; its hop is a divisor of its window."""
        self._size: int = istft.n_fft
        self._hop: int = istft.hop_length
        self._weights: torch.Tensor = istft.window
        self._padding = (istft.win_length - self._hop) // 2
        self._trim = self._padding
        #: The sum of what reaches beyond the last sample given, and that of the squared windows under it.
        self._open = self._weights.new_zeros((2, istft.win_length - self._hop))

    def add(self, spectra: torch.Tensor) -> torch.Tensor:
        """Take the next spectra, shape (n, bins), complex64; give the samples that are done, shape (m,)."""
        pieces = torch.fft.irfft(spectra, self._size, dim=1) * self._weights
        pieces = torch.stack([pieces, self._weights.square().expand_as(pieces)])
        count = pieces.shape[1]
        sums = torch.nn.functional.pad(self._open, (0, count * self._hop)).view(2, -1, self._hop)
        for start, part in enumerate(pieces.split(self._hop, dim=2)):
            sums[:, start : start + count] += part
        done, self._open = sums.flatten(1).split([count * self._hop, self._open.shape[1]], dim=1)
        return self._given(done)

    def finish(self) -> torch.Tensor:
        """Give the samples that wait for spectra which don't come."""
        return self._given(self._open[:, : self._open.shape[1] - self._padding])

    def _given(self, sums: torch.Tensor) -> torch.Tensor:
        sound, weight = sums[:, self._trim :]
        self._trim = 0
        return sound / weight


def make_vocoder(kind: Literal["mimi", "lfm"], module: Any) -> Vocoder:
    """The vocoder around ``module``, which is a liquid_audio ``MimiModel`` or ``LFM2AudioDetokenizer``."""
    return MimiVocoder(module) if kind == "mimi" else LfmVocoder(module)


def _check(frames: torch.Tensor) -> None:
    if frames.dtype != torch.int64 or frames.ndim != 2 or frames.shape[1] != _CODEBOOKS or not len(frames):
        raise ModelOutputError(
            f"the model's frames of sound are {frames.dtype} of shape {tuple(frames.shape)}, not int64 of shape (n, 8)"
        )
    least, most = (int(code) for code in frames.aminmax())
    if least < 0 or most >= _CODES:
        raise ModelOutputError(
            f"the model made the codes {least} to {most}; sound has only those from 0 to {_CODES - 1}"
        )


def _window_cache(config: Any, window: int) -> Any:
    """A cache for ``Lfm2Model`` that forgets the keys and values which no later position can see."""
    from transformers.cache_utils import DynamicCache, DynamicSlidingWindowLayer

    cache = DynamicCache(config=config)
    cache.layers = [
        layer if kind == "conv" else DynamicSlidingWindowLayer(sliding_window=window)
        for kind, layer in zip(config.layer_types, cache.layers, strict=True)
    ]
    return cache


def _samples(sound: torch.Tensor) -> Samples:
    samples: Samples = sound.cpu().numpy()
    if not np.isfinite(samples).all():
        raise ModelOutputError("the vocoder's sound is not made of numbers; its weights are broken, get them again")
    return samples.clip(-1.0, 1.0)
