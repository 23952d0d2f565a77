"""A tiny LFM2-Audio with random weights, written and loaded once. Without liquid-audio its tests are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio


class _LeftOut(pytest.Module):
    """A file that can't be imported; it is told of at the end of the run like any other that is skipped."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        pytest.skip("needs scripts/setup --lfm", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Leave the tests out where liquid-audio is missing."""
    if find_spec("liquid_audio"):
        return None
    module: pytest.Module = _LeftOut.from_parent(parent, path=module_path)
    return module


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: beside other work, handing out such small pieces takes far longer than doing them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the tiny checkpoint, without Mimi, or of the one of --real-weights. For reading."""
    real: Path | None = request.config.getoption("--real-weights")
    if real is not None:
        return real
    from lfm_voice_ros.lfm2_audio import random_checkpoint

    return random_checkpoint.write(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture(scope="session")
def model(request: pytest.FixtureRequest, tiny: Path) -> Lfm2Audio:
    """Give the tiny model on the CPU in float32, or the real one where there is a GPU."""
    from lfm_voice_ros.lfm2_audio.checkpoint import Source, load

    device = "auto" if request.config.getoption("--real-weights") else "cpu"
    return load(Source(str(tiny), device=device, dtype="float32"))
