"""The memory of one conversation: keys, values and convolution states in a window of fixed size.

Keys and values are only ever appended, so that going back is forgetting a length; the convolution states are
overwritten at each step, so that a mark holds a copy of them (123 KB at the size of LFM2-Audio-1.5B).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
from lfm_voice_ros.lfm2_audio.graphs import Graphed

#: Positions fed in one pass, so that others who share the weights get their turn and a cancel is seen soon.
_CHUNK = 256


@dataclass(frozen=True)
class Mark:
    """A point to which a context can go back, as long as nothing before it has changed."""

    length: int
    convolutions: torch.Tensor


class Context:
    """What the model has read so far. For one thread; several contexts may share one model."""

    def __init__(
        self, model: Lfm2Audio, window: int, *, graphs: bool = False, failed: Callable[[str], None] = lambda why: None
    ) -> None:
        """``window`` is the number of positions; ``graphs`` runs single steps as a CUDA graph where that works.

        ``failed`` is told, once, why it doesn't. Takes 25 KB a position at the size of LFM2-Audio-1.5B.
        """
        self._model = model
        self._window = window
        self._store = _Store(model.net.lfm.config, window, model.device, model.dtype)
        self._positions = torch.arange(window, device=model.device)
        self._graph: Graphed | None = None
        if graphs and model.device.type == "cuda":
            graph = self._captured(failed)
            self._graph = graph if graph.captured else None  # a plain step looks only at what is there

    @property
    def length(self) -> int:
        """How many positions are taken."""
        return self._store.length

    @property
    def window(self) -> int:
        """How many positions there are."""
        return self._window

    def feed(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Read ``embeddings``, shape (n, hidden), n ≥ 1; give the hidden state behind the last, shape (hidden,).

        Raises ResourceError when they don't fit into the window, or when the device has no memory left.
        """
        if self.length + len(embeddings) > self._window:
            raise ResourceError(
                f"this is more than the {self._window} positions that LFM2-Audio was given to remember; say less at "
                "once, or set dialogue's context to a larger number"
            )
        try:
            for chunk in embeddings.split(_CHUNK):
                with torch.inference_mode(), self._model.lock:
                    hidden = self._step(chunk) if len(chunk) == 1 else self._read(chunk)
        except torch.OutOfMemoryError as exc:
            raise ResourceError("the GPU has no memory left for the conversation; set a smaller context") from exc
        return hidden

    def mark(self) -> Mark:
        """The point where it is now."""
        return Mark(self._store.length, self._store.convolutions.clone())

    def back_to(self, mark: Mark) -> None:
        """Forget what was read since ``mark``."""
        self._store.length = mark.length
        self._store.convolutions.copy_(mark.convolutions)

    def clear(self) -> None:
        """Forget everything."""
        self._store.length = 0
        self._store.convolutions.zero_()

    def _read(self, chunk: torch.Tensor) -> torch.Tensor:
        begin, end = self.length, self.length + len(chunk)
        mask = self._positions[:end] <= self._positions[begin:end, None] if begin and len(chunk) > 1 else None
        hidden = self._forward(chunk, self._positions[begin:end], None if mask is None else mask[None, None])
        self._store.length = end
        return hidden

    def _step(self, embedding: torch.Tensor) -> torch.Tensor:
        if self._graph is None:
            return self._read(embedding)
        position = self._positions[self.length : self.length + 1]
        hidden = self._graph(embedding, position).clone()
        self._store.length += 1
        return hidden

    def _static_step(self, embedding: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """One step over the whole window, in which no shape and no Python value depends on how much of it is taken."""
        self._store.position = position
        try:
            # Added to the scores in their own type: a boolean mask would be converted again in each layer.
            hidden = torch.where(self._positions <= position, 0.0, -torch.inf).to(embedding.dtype)
            return self._forward(embedding, position, hidden[None, None, None])
        finally:
            self._store.position = None

    def _forward(self, embeddings: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        out = self._model.net.lfm(
            inputs_embeds=embeddings[None],
            position_ids=positions[None],
            attention_mask={"full_attention": mask, "conv": None},
            cache=self._store,
            use_cache=True,
        )
        hidden: torch.Tensor = out.last_hidden_state[0, -1]
        return hidden

    def _captured(self, failed: Callable[[str], None]) -> Graphed:
        example = self._model.embed_text([0]), self._positions[:1].clone()
        with torch.inference_mode(), self._model.lock:
            return Graphed(self._static_step, example, name="the LFM step", failed=failed, restore=self.clear)


class _Store:
    """What ``Lfm2Model`` takes for its cache, in tensors that never move."""

    def __init__(self, config: Any, window: int, device: torch.device, dtype: torch.dtype) -> None:
        self.length = 0
        self.position: torch.Tensor | None = None  # where a static step writes; None: behind ``length``
        kinds = config.layer_types
        self._index = [kinds[:layer].count(kind) for layer, kind in enumerate(kinds)]
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (len(kinds) - kinds.count("conv"), 2, 1, heads, window, size)
        self._attention = torch.zeros(shape, device=device, dtype=dtype)
        self.convolutions = torch.zeros(
            (kinds.count("conv"), 1, config.hidden_size, config.conv_L_cache), device=device, dtype=dtype
        )

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values, each (1, heads, n, size); give all that there are."""
        all_keys, all_values = self._attention[self._index[layer_idx]]
        if self.position is not None:
            all_keys.index_copy_(2, self.position, keys)
            all_values.index_copy_(2, self.position, values)
            return all_keys, all_values
        end = self.length + keys.shape[2]
        all_keys[:, :, self.length : end] = keys
        all_values[:, :, self.length : end] = values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor:
        """The last inputs of a convolution, (1, hidden, kernel); written in place by a single step."""
        return self.convolutions[self._index[layer_idx]]

    def update_conv_state(self, inputs: torch.Tensor, layer_idx: int, **_: Any) -> torch.Tensor:
        """Take the inputs (1, hidden, n) of several positions; give them with those before them."""
        state = self.get_conv_state(layer_idx)
        whole = torch.cat([state, inputs], dim=-1)
        state.copy_(whole[..., -state.shape[-1] :])
        return whole

    def is_recording_past(self, layer_idx: int) -> bool:
        """Going back is done by :meth:`Context.back_to`."""
        return False
