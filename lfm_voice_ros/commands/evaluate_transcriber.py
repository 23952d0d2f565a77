"""`lfm-voice evaluate-transcriber`: words, calls and time of Whisper on the speech only against its whole window."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lfm_voice_ros.commands.options import setting_of
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.settings import ToolDetectorSettings, TranscriberSettings, build

if TYPE_CHECKING:
    from lfm_voice_ros.core.ports import Detector
    from lfm_voice_ros.core.types import Json
    from lfm_voice_ros.evaluation.windows import WindowScore

_COLUMNS = (
    "window",
    "word errors",
    "more than full",
    "exact",
    "commands right",
    "others left alone",
    "recognized again",
    "median s",
    "p95 s",
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    parser = commands.add_parser(
        "evaluate-transcriber", help="compare Whisper on the speech only with Whisper on its whole window"
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        action="append",
        required=True,
        metavar="FILE.jsonl",
        help="sentences with recordings, as synthesize-corpus makes them; may be given several times",
    )
    parser.add_argument(
        "--set",
        type=setting_of(TranscriberSettings, "transcriber"),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of transcriber, for example model=base.en",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from lfm_voice_ros.evaluation.corpus import read_corpus
    from lfm_voice_ros.evaluation.windows import compare

    settings = build(TranscriberSettings, dict(arguments.set), "transcriber")
    if (settings.backend, settings.device) != ("faster_whisper", "cpu"):
        raise ConfigurationError("only the backend faster_whisper on the device cpu has windows to compare")
    examples = [one for path in arguments.corpus for one in read_corpus(path)]
    if not all(one.audio and one.text for one in examples):
        raise ConfigurationError("the corpus has sentences without a recording; make one with synthesize-corpus")
    scores = compare(settings, examples, _keywords(), lambda number: _progress(number, len(examples)))
    rows = [_row(window, score, scores) for window, score in scores.items()]
    table = Table(*_COLUMNS, caption=f"{len(examples)} recordings; 95 % intervals, those of differences paired")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if arguments.json:
        _write(arguments.json, json.dumps({window: _as_json(one, scores) for window, one in scores.items()}, indent=1))
    if arguments.report:
        lines = [_COLUMNS, ["---"] * len(_COLUMNS), *rows]
        _write(arguments.report, "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return 0


def _keywords() -> Detector:
    from lfm_voice_ros.assembly import load_detector, load_patterns
    from lfm_voice_ros.core.resources import config_file
    from lfm_voice_ros.tools.registry import Registry

    settings = ToolDetectorSettings()
    tools = Registry.from_file(config_file("tools.yaml")).specs()
    return load_detector(settings, tools, load_patterns(settings, tools))


def _row(window: str, score: WindowScore, scores: dict[str, WindowScore]) -> list[str]:
    from lfm_voice_ros.evaluation.scoring import percentile
    from lfm_voice_ros.evaluation.windows import FULL, SPEECH
    from lfm_voice_ros.evaluation.word_errors import interval

    low, high = interval(score.errors, score.said)
    more, least, most = score.more_than(scores[FULL])
    count = len(score.errors)
    return [
        window,
        f"{100 * score.word_error_rate:.2f} % ({100 * low:.2f}–{100 * high:.2f})",
        "" if window == FULL else f"{100 * more:+.2f} ({100 * least:+.2f} to {100 * most:+.2f})",
        f"{score.exact} of {count} ({100 * score.exact / count:.1f} %)",
        f"{score.right} of {score.commands}",
        f"{score.left_alone} of {score.others}",
        f"{score.again} ({100 * score.again / count:.1f} %)" if window == SPEECH else "",
        f"{percentile(score.seconds, 50):.3f}",
        f"{percentile(score.seconds, 95):.3f}",
    ]


def _as_json(score: WindowScore, scores: dict[str, WindowScore]) -> Json:
    from lfm_voice_ros.evaluation.scoring import percentile
    from lfm_voice_ros.evaluation.windows import FULL
    from lfm_voice_ros.evaluation.word_errors import interval

    more, least, most = score.more_than(scores[FULL])
    return {
        "recordings": len(score.errors),
        "words": sum(score.said),
        "word_error_rate": score.word_error_rate,
        "word_error_rate_interval": interval(score.errors, score.said),
        "more_than_full": more,
        "more_than_full_interval": (least, most),
        "exact": score.exact,
        "commands": score.commands,
        "commands_right": score.right,
        "others": score.others,
        "others_left_alone": score.left_alone,
        "recognized_again": score.again,
        "median_s": percentile(score.seconds, 50),
        "p95_s": percentile(score.seconds, 95),
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")


def _progress(number: int, count: int) -> None:
    if number % 50 == 0:
        print(f"{number} of {count} recordings recognized", file=sys.stderr, flush=True)
