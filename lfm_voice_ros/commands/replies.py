"""`lfm-voice evaluate-replies`: how often LFM2-Audio contradicts its tools, by the way in which it is told."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import DialogueEngine
from lfm_voice_ros.core.settings import DialogueSettings, build
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples
from lfm_voice_ros.evaluation.replies import ReplyScore, score, tool_turns
from lfm_voice_ros.evaluation.scoring import wilson

_WAYS = ("forced", "prefill", "context")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("evaluate-replies", help="how often LFM2-Audio contradicts what its tools did")
    parser.add_argument("--model", default=DialogueSettings().model, help="a folder, or a name on the Hugging Face hub")
    parser.add_argument(
        "--denier",
        action="store_true",
        help="instead of --model: a tiny model that is trained on the spot to deny whatever it did",
    )
    parser.add_argument("--turns", type=int, default=100, metavar="N", help="tool turns for each way")
    parser.add_argument("--max-reply", type=float, default=10.0, metavar="S", help="s that a reply may have")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="the scores as JSON on standard output")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    scores = {way: _score(way, arguments) for way in _WAYS}
    if arguments.json:
        print(json.dumps({way: _as_json(one) for way, one in scores.items()}, ensure_ascii=False))
    else:
        _show(scores)
    return 0


def _score(way: str, arguments: argparse.Namespace) -> ReplyScore:
    values = {
        "engine": "lfm2_audio",
        "model": arguments.model,
        "device": arguments.device,
        "max_reply": arguments.max_reply,
        "grounding": way,
        "seed": 0,
    }
    settings = build(DialogueSettings, values, "dialogue")
    engine = _denying_engine(settings) if arguments.denier else _engine(settings)
    try:
        return score(engine, tool_turns(arguments.turns), voice())
    finally:
        engine.close()


def _engine(settings: DialogueSettings) -> DialogueEngine:
    from lfm_voice_ros.assembly import load_lfm2_audio
    from lfm_voice_ros.core.resources import config_file
    from lfm_voice_ros.tools.registry import Registry

    tools = Registry.from_file(config_file("tools.yaml")).specs()
    return load_lfm2_audio(settings, tools, lambda condition, message, level: print(message, file=sys.stderr))


def _denying_engine(settings: DialogueSettings) -> DialogueEngine:
    try:
        from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
        from lfm_voice_ros.evaluation.denier import make_denier
    except ImportError as exc:
        raise ResourceError("liquid-audio is not installed; run scripts/setup --lfm") from exc
    with TemporaryDirectory(prefix="lfm_voice_") as folder:
        return Lfm2AudioEngine(make_denier(Path(folder)), settings, [])


def voice() -> Callable[[str], Samples]:
    """Give what speaks a person's sentence, at 16 kHz. Raises ResourceError."""
    import numpy as np
    import soxr

    from lfm_voice_ros.backends import load_synthesizer

    piper = load_synthesizer("piper", "bundled", steady=True)

    @functools.cache
    def speak(text: str) -> Samples:
        sound = np.concatenate(list(piper.synthesize(text)))
        return np.asarray(soxr.resample(sound, piper.sample_rate, SAMPLE_RATE), np.float32)

    return speak


def _show(scores: dict[str, ReplyScore]) -> None:
    table = Table("grounding", "contradicts the result", "says the result", caption="95 % intervals (Wilson)")
    for way, one in scores.items():
        table.add_row(way, _share(one.contradicts, one.turns), _share(one.says, one.turns))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part} of {whole} ({100 * low:.1f}–{100 * high:.1f} %)"


def _as_json(one: ReplyScore) -> dict[str, object]:
    return {
        "turns": one.turns,
        "contradicts": one.contradicts,
        "contradicts_interval": wilson(one.contradicts, one.turns),
        "says": one.says,
        "says_interval": wilson(one.says, one.turns),
        "replies": [
            {"before": turn.before, "said": turn.said, "result": turn.result.speech, "reply": text}
            for turn, text in one.replies
        ],
    }
