"""Measures detectors, each in a process of its own, so that its memory can be told."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import ToolDetectorSettings
from lfm_voice_ros.evaluation.corpus import Example
from lfm_voice_ros.evaluation.scoring import Score, score

#: A text, or the reason why there is none, by the line of the corpus.
Heard = Mapping[int, str | ResourceError]

#: Sentences that are detected before the clock runs: libraries make themselves ready at the first.
_WARM_UP = ("Look left.", "What time is it?", "Hello.")


def measure(settings: ToolDetectorSettings, examples: Sequence[Example], heard: Heard) -> Score:
    """Score the detector of the settings on what was heard of the examples, with its times and its memory.

    Raises what loading it raises, and ResourceError when its process ends.
    """
    context = multiprocessing.get_context("spawn")  # nothing of this process counts
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_measure, settings, examples, dict(heard)).result()
        except BrokenProcessPool as exc:
            raise ResourceError(f"the process of the detector {settings.detector} has ended; is there memory?") from exc


def _measure(settings: ToolDetectorSettings, examples: Sequence[Example], heard: Heard) -> Score:
    from lfm_voice_ros.assembly import load_detector, load_patterns
    from lfm_voice_ros.tools.registry import Registry

    tools = Registry.from_file(config_file("tools.yaml", settings.tools_file), settings.allowed).specs()
    patterns = load_patterns(settings, tools)
    before = _memory_mb()
    detector: Detector = load_detector(settings, tools, patterns)
    for text in _WARM_UP:
        detector.detect(text)
    result = score(detector, examples, _words(heard))
    result.memory_mb = _memory_mb() - before
    return result


def _words(heard: Heard) -> Callable[[Example], str]:
    def text_of(example: Example) -> str:
        text = heard[example.line]
        if isinstance(text, ResourceError):
            raise text
        return text

    return text_of


def _memory_mb() -> float:
    """The memory that this process holds now (VmRSS)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return math.nan
