"""Functions replayed as CUDA graphs: one launch for hundreds of small operations, which the host issues too slowly.

As https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs describes: warm up on a side stream, capture there,
copy the inputs into the tensors that were captured, replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

#: Runs a function on a device so that it can be replayed; gives the replay and the output, which it overwrites.
Capture = Callable[
    [Callable[[], torch.Tensor], torch.device, torch.Generator | None], tuple[Callable[[], None], torch.Tensor]
]

_WARM_UPS = 3


def capture_on_cuda(
    function: Callable[[], torch.Tensor], device: torch.device, generator: torch.Generator | None
) -> tuple[Callable[[], None], torch.Tensor]:
    """See Capture. Random numbers come from ``generator``, as if the function had not run yet.

    Raises RuntimeError, or what ``function`` raises; the stream and the generators are then as before.
    """
    if device.type != "cuda":
        raise RuntimeError(f"it runs on the {device.type}")
    here = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)
    stream.wait_stream(here)
    # A failed capture leaves its generators unusable, the default one too, and its stream the current one.
    generators = [torch.cuda.default_generators[stream.device_index], *([generator] if generator else [])]
    before = [each.clone_state() for each in generators]
    try:
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                function()
            graph = torch.cuda.CUDAGraph()
            if generator:
                graph.register_generator_state(generator)
            # Other threads may allocate meanwhile: in the default mode that would break the capture, and their work.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                output = function()
    except BaseException:
        for each, state in zip(generators, before, strict=True):
            each.graphsafe_set_state(state)
        raise
    finally:
        here.wait_stream(stream)
    if generator:
        generator.set_state(before[-1].get_state())
    return graph.replay, output


class Graphed:
    """A function of tensors with fixed shapes, replayed as a CUDA graph where that works. For one thread at a time.

    The function must always do the same: no branch and no shape may depend on values, nothing may be read back to the
    host, and tensors that it keeps must stay where they are. It runs in inference mode.
    """

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        example: Sequence[torch.Tensor],
        *,
        name: str,
        failed: Callable[[str], None],
        generator: torch.Generator | None = None,
        restore: Callable[[], None] = lambda: None,
        capture: Capture = capture_on_cuda,
    ) -> None:
        """``example`` has inputs of the right shapes, dtypes and device.

        ``function`` is run several times on them; ``restore`` then undoes what it did to tensors that it keeps. If it
        draws random numbers, it takes them from ``generator``. ``failed`` is told, once, why there is no graph.
        """
        self._function = function
        self._replay: Callable[[], None] | None = None
        # Outside inference mode, so that graphs captured elsewhere can still write to what torch shares among them: the
        # state of the random numbers.
        with torch.inference_mode(False):
            self._inputs = [each.clone() for each in example]
            try:
                self._replay, self._output = capture(self._once, self._inputs[0].device, generator)
            except Exception as exc:  # those of torch, of its backends and of the function have no common base
                first = exc.__context__ or exc  # what went wrong inside, not that the capture then could not be ended
                reason = next(iter(str(first).splitlines()), "") or type(first).__name__
                failed(f"{name} could not be captured as a CUDA graph ({reason}); it runs eagerly")
        restore()

    @property
    def captured(self) -> bool:
        """Whether there is a graph."""
        return self._replay is not None

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Run it. Captured, the output is always the same tensor: clone what must outlive the next call.

        Nothing waits for the device. Raises what the function raises, if it is not captured.
        """
        with torch.inference_mode():
            if self._replay is None:
                return self._function(*inputs)
            for static, given in zip(self._inputs, inputs, strict=True):
                static.copy_(given)
            self._replay()
            return self._output

    def _once(self) -> torch.Tensor:
        with torch.inference_mode():
            return self._function(*self._inputs)
