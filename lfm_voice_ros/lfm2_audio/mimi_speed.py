"""Mimi's decoder on the CPU, a few frames at a time, without the detours that PyTorch's kernels take there.

A frame is two positions at the decoder's entrance, where its layers are widest: nearly all the time goes into reading
weights, and the kernels made for long sounds read them badly. Two replacements pay; they make the same sums in another
order:

- The first transposed convolution, 33 MB of weights, falls back to PyTorch's slow kernel while a call has fewer than
  eight frames; it alone takes more than half of the whole decoding. As a matrix product and an overlap-add it takes
  about a tenth of that.
- The first convolution falls back in the same way; as a matrix product it takes about a third, which saves another
  twentieth of what is left.

What did not pay: the later transposed convolutions as matrix products (slower from four frames on), one embedding table
per codebook (the quantizer is half a percent), memory with channels last or weights laid out anew (a few percent), less
copying of masked states (one percent). bfloat16 is faster where the CPU has it, and off by nearly a hundredth.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

#: Layers with so many channels on one side run on few positions; only there a matrix product beats the kernels.
_WIDE = 1024


def speed_up(mimi: Any) -> None:
    """Change the decoding half of a liquid_audio ``MimiModel`` in place, for use on the CPU.

    Its weights stay as they are. What it decodes stays equal to better than 1e-6 of the peak.
    """
    for layer in mimi.decoder.modules():
        if isinstance(layer, torch.nn.ConvTranspose1d) and layer.in_channels >= _WIDE:
            layer.forward = partial(_transposed_convolution, layer)
        elif isinstance(layer, torch.nn.Conv1d) and layer.out_channels >= _WIDE:
            layer.forward = partial(_convolution, layer)


def _transposed_convolution(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
    """What ``layer`` gives for (batch, in, n): (batch, out, (n + 1) * stride). Its kernel is twice its stride."""
    batch, _, length = inputs.shape
    channels, stride = layer.out_channels, layer.stride[0]
    pieces = inputs.transpose(1, 2) @ layer.weight.flatten(1)
    early, late = pieces.view(batch, length, channels, 2, stride).permute(3, 0, 2, 1, 4)
    out = layer.bias.view(1, channels, 1, 1).repeat(batch, 1, length + 1, stride)
    out[:, :, :-1] += early
    out[:, :, 1:] += late
    return out.flatten(2)


def _convolution(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
    """What ``layer`` gives for (batch, in, n): (batch, out, n - kernel + 1). It has no stride and no padding."""
    windows = inputs.transpose(1, 2).unfold(1, layer.kernel_size[0], 1).flatten(2)
    return torch.nn.functional.linear(windows, layer.weight.flatten(1), layer.bias).transpose(1, 2)
