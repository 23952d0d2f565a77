"""Functions run as CUDA graphs: what is around the graph on any machine, the graph itself where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lfm_voice_ros.lfm2_audio.graphs import Graphed, capture_on_cuda

GPU = torch.device("cuda", 0)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class FakeCapture:
    """Runs the function once, and again at each replay, into the same output."""

    def __init__(self) -> None:
        self.replays = 0

    def __call__(
        self, function: Callable[[], torch.Tensor], device: torch.device, generator: torch.Generator | None
    ) -> tuple[Callable[[], None], torch.Tensor]:
        self.device, self.generator = device, generator
        output = function()

        def replay() -> None:
            self.replays += 1
            output.copy_(function())

        return replay, output


class Adder:
    """A function that keeps a tensor and remembers what it was given."""

    def __init__(self) -> None:
        self.total = torch.zeros(2)
        self.given: list[tuple[torch.Tensor, ...]] = []

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        self.given.append((a, b))
        self.total += a
        return self.total * b


def refuse(reason: str) -> None:
    pytest.fail(reason)


def test_inputs_are_copied_into_those_captured_and_the_output_is_the_captured_one() -> None:
    add, capture = Adder(), FakeCapture()
    example = torch.zeros(2), torch.ones(2)
    graphed = Graphed(add, example, name="it", failed=refuse, capture=capture)
    first = graphed(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 10.0]))
    assert first.tolist() == [10, 20]
    second = graphed(torch.tensor([3.0, 3.0]), torch.tensor([2.0, 1.0]))

    assert graphed.captured
    assert capture.replays == 2
    assert capture.device == torch.device("cpu")
    assert second is first
    assert second.tolist() == [8, 5]
    assert {(a.data_ptr(), b.data_ptr()) for a, b in add.given} == {tuple(each.data_ptr() for each in add.given[0])}
    assert [each.tolist() for each in example] == [[0, 0], [1, 1]]


def test_what_the_captured_function_did_to_its_tensors_is_undone() -> None:
    add = Adder()
    graphed = Graphed(
        add, [torch.ones(2)] * 2, name="it", failed=refuse, restore=lambda: add.total.zero_(), capture=FakeCapture()
    )
    assert add.given
    assert graphed(torch.ones(2), torch.ones(2)).tolist() == [1, 1]


def test_the_generator_is_handed_to_the_capture() -> None:
    capture, generator = FakeCapture(), torch.Generator()
    Graphed(Adder(), [torch.ones(2)] * 2, name="it", failed=refuse, generator=generator, capture=capture)
    assert capture.generator is generator


def test_too_few_inputs_are_an_error() -> None:
    graphed = Graphed(Adder(), [torch.ones(2)] * 2, name="it", failed=refuse, capture=FakeCapture())
    with pytest.raises(ValueError, match="shorter"):
        graphed(torch.ones(2))


def test_nothing_is_kept_for_gradients_and_the_inputs_can_be_written_to_outside_inference_mode() -> None:
    weight = torch.ones(2, requires_grad=True)
    inputs: list[torch.Tensor] = []

    def function(a: torch.Tensor) -> torch.Tensor:
        inputs.append(a)
        return a * weight

    with torch.inference_mode():
        example = torch.ones(2)
        graphed = Graphed(function, [example], name="it", failed=refuse, capture=FakeCapture())
    assert not graphed(example).requires_grad
    assert not inputs[0].is_inference()


def test_on_the_cpu_the_function_runs_eagerly_and_that_is_said_once() -> None:
    add, reasons = Adder(), list[str]()
    restored: list[bool] = []
    graphed = Graphed(
        add,
        [torch.ones(2)] * 2,
        name="the step",
        failed=reasons.append,
        restore=lambda: restored.append(True),
    )
    given = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])

    assert graphed(*given).tolist() == [3, 8]
    assert graphed(*given).tolist() == [6, 16]
    assert not graphed.captured
    assert reasons == ["the step could not be captured as a CUDA graph (it runs on the cpu); it runs eagerly"]
    assert add.given == [given, given]
    assert restored == [True]
    assert not graphed(*given).requires_grad


def test_the_reason_is_what_went_wrong_first() -> None:
    reasons: list[str] = []

    def capture(*_: Any) -> Any:
        try:
            raise ValueError("operation not permitted\nand a second line")
        finally:
            raise RuntimeError("the capture could not be ended")

    graphed = Graphed(torch.neg, [torch.ones(2)], name="it", failed=reasons.append, capture=capture)
    assert graphed(torch.ones(2)).tolist() == [-1, -1]
    assert reasons == ["it could not be captured as a CUDA graph (operation not permitted); it runs eagerly"]


def test_a_function_that_fails_fails_when_it_is_called() -> None:
    reasons: list[str] = []

    def function(a: torch.Tensor) -> torch.Tensor:
        raise ArithmeticError

    graphed = Graphed(function, [torch.ones(2)], name="it", failed=reasons.append, capture=FakeCapture())
    assert "(ArithmeticError)" in reasons[0]
    with pytest.raises(ArithmeticError):
        graphed(torch.ones(2))


class FakeGenerator:
    """The part of a generator on a GPU that a capture uses."""

    def __init__(self, name: str, state: int, log: list[str]) -> None:
        self.name, self.state, self.log = name, state, log

    def clone_state(self) -> FakeGenerator:
        return FakeGenerator(f"{self.name} before", self.state, self.log)

    def get_state(self) -> int:
        return self.state

    def set_state(self, state: int) -> None:
        self.log.append(f"{self.name} set to {state}")

    def graphsafe_set_state(self, other: FakeGenerator) -> None:
        self.log.append(f"{self.name} set to {other.name}")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called of ``torch.cuda``, which is replaced."""
    log: list[str] = []

    def stream(name: str) -> Any:
        return SimpleNamespace(
            device_index=0, wait_stream=lambda other: log.append(f"{name} waits for {other.name}"), name=name
        )

    here, side = stream("here"), stream("side")

    @contextmanager
    def on(stream: Any) -> Iterator[None]:
        log.append(f"on {stream.name}")
        try:
            yield
        finally:
            log.append(f"off {stream.name}")

    @contextmanager
    def captured(graph: Any, *, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        log.append(f"capture on {stream.name}")
        yield
        log.append("captured")

    graph = SimpleNamespace(
        replay=lambda: log.append("replayed"),
        register_generator_state=lambda generator: log.append(f"{generator.name} registered"),
    )
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: here)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
    monkeypatch.setattr(torch.cuda, "graph", captured)
    monkeypatch.setattr(torch.cuda, "default_generators", [FakeGenerator("default", 5, log)])
    return log


def test_it_is_captured_on_a_side_stream_after_three_runs_and_with_the_generator_as_it_was(cuda: list[str]) -> None:
    generator: Any = FakeGenerator("ours", 7, cuda)
    output = torch.ones(1)

    def function() -> torch.Tensor:
        cuda.append("run")
        return output

    replay, captured = capture_on_cuda(function, GPU, generator)
    replay()

    assert captured is output
    assert cuda == [
        "side waits for here",
        "on side",
        *["run"] * 3,
        "ours registered",
        "capture on side",
        "run",
        "captured",
        "off side",
        "here waits for side",
        "ours set to 7",
        "replayed",
    ]


def test_a_failed_capture_leaves_the_stream_and_the_generators_usable(cuda: list[str]) -> None:
    generator: Any = FakeGenerator("ours", 7, cuda)

    def function() -> torch.Tensor:
        if "capture on side" in cuda:
            raise RuntimeError("operation not permitted when stream is capturing")
        return torch.ones(1)

    with pytest.raises(RuntimeError, match="not permitted"):
        capture_on_cuda(function, GPU, generator)

    assert cuda[-4:] == [
        "off side",
        "default set to default before",
        "ours set to ours before",
        "here waits for side",
    ]


@needs_gpu
def test_on_a_gpu_a_graph_gives_what_the_function_gives() -> None:
    def function(a: torch.Tensor) -> torch.Tensor:
        return (a @ a.T).softmax(-1).cumsum(0)

    graphed = Graphed(function, [torch.zeros(8, 8, device=GPU)], name="it", failed=refuse)
    assert graphed.captured
    for _ in range(3):
        given = torch.randn(8, 8, device=GPU)
        torch.testing.assert_close(graphed(given), function(given))


@needs_gpu
def test_on_a_gpu_a_graph_draws_the_random_numbers_of_its_generator() -> None:
    def generator() -> torch.Generator:
        return torch.Generator(GPU).manual_seed(3)

    def draw(from_: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda a: torch.empty_like(a).exponential_(generator=from_)

    seeded, given = generator(), torch.zeros(100, device=GPU)
    graphed = Graphed(draw(seeded), [given], name="it", failed=refuse, generator=seeded)
    eager = draw(generator())
    for _ in range(3):
        assert graphed(given).tolist() == eager(given).tolist()


@needs_gpu
def test_on_a_gpu_a_function_that_reads_values_back_runs_eagerly_and_random_numbers_go_on() -> None:
    reasons: list[str] = []
    seeded = torch.Generator(GPU).manual_seed(3)

    def function(a: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(a).exponential_(generator=seeded)
        return noise + float(a.sum())

    stream = torch.cuda.current_stream()
    given = torch.ones(2, device=GPU)
    graphed = Graphed(function, [given], name="it", failed=reasons.append, generator=seeded)
    assert len(reasons) == 1
    assert torch.cuda.current_stream() == stream
    expected = torch.empty_like(given).exponential_(generator=torch.Generator(GPU).manual_seed(3)) + 2
    assert graphed(given).tolist() == expected.tolist()
    assert torch.rand(2, device=GPU).shape == (2,)
