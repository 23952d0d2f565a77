"""`lfm-voice evaluate-stop-words`: how often stop words are missed, how often others are taken for them, how soon."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.evaluation.scoring import wilson
from lfm_voice_ros.evaluation.stop_words import Recording, Score, score, together

_CORPORA = ("commands.heldout.jsonl", "commands.test.jsonl", "commands.unseen.jsonl", "commands.dev.jsonl")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("evaluate-stop-words", help="misses, false stops and delay of the stop words")
    parser.add_argument("--hours", type=float, default=1.0, metavar="H", help="of speech without stop words")
    parser.add_argument("--voices", nargs="+", metavar="VOICE", help="who speaks; by default those unknown to the head")
    parser.add_argument("--conditions", nargs="+", metavar="CONDITION", help="by default all that there are")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="the scores as JSON on standard output")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.open_wake_word import StopWords
    from lfm_voice_ros.core.resources import corpus_file
    from lfm_voice_ros.training import stop_words

    if not 0.0 <= arguments.hours <= 100.0:
        raise ConfigurationError("--hours must be 0 to 100")
    voices = arguments.voices or stop_words.EVALUATION_VOICES
    conditions = arguments.conditions or stop_words.CONDITIONS
    if unknown := [condition for condition in conditions if condition not in stop_words.CONDITIONS]:
        raise ConfigurationError(f"there is no condition '{unknown[0]}'; there are: {', '.join(stop_words.CONDITIONS)}")
    corpora = [corpus_file(name) for name in _CORPORA]
    others: Iterator[Recording] = stop_words.other_recordings(
        corpora, voices, conditions, arguments.hours * 3600.0, arguments.seed
    )
    spotter = StopWords(stop_words.WORDS)
    scores = score(spotter, chain(stop_words.stop_recordings(voices, conditions, arguments.seed), others))
    if arguments.json:
        print(json.dumps(_as_json(scores), ensure_ascii=False))
    else:
        _show(scores)
    return 0


def _groups(scores: Mapping[tuple[str, str], Score]) -> dict[str, Score]:
    """The scores by condition, by voice, and all."""
    conditions = dict.fromkeys(condition for _, condition in scores)
    voices = dict.fromkeys(voice for voice, _ in scores)
    by_condition = {name: together(one for (_, c), one in scores.items() if c == name) for name in conditions}
    by_voice = {name: together(one for (v, _), one in scores.items() if v == name) for name in voices}
    return {**by_condition, **by_voice, "all": together(scores.values())}


def _show(scores: Mapping[tuple[str, str], Score]) -> None:
    table = Table(
        "", "missed", "false stops an hour", "known after p50", "p95", "of one core", caption="95 % intervals"
    )
    for name, one in _groups(scores).items():
        table.add_row(
            name,
            _share(one.missed, one.said),
            "–" if math.isnan(one.false_per_hour) else f"{one.false_per_hour:.1f} ({one.false})",
            *(_milliseconds(one.delay(percent)) for percent in (50, 95)),
            f"{100 * one.cpu_share:.1f} %",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole) if whole else (0.0, 0.0)
    return f"{part} of {whole} ({100 * low:.1f}–{100 * high:.1f} %)" if whole else "–"


def _milliseconds(seconds: float) -> str:
    return "–" if math.isnan(seconds) else f"{1000 * seconds:.0f} ms"


def _as_json(scores: Mapping[tuple[str, str], Score]) -> dict[str, object]:
    return {
        name: {
            "said": one.said,
            "missed": one.missed,
            "missed_interval": _number(wilson(one.missed, one.said)) if one.said else None,
            "other_seconds": one.other_seconds,
            "false": one.false,
            "false_per_hour": _number([one.false_per_hour])[0],
            "delay_p50": _number([one.delay(50)])[0],
            "delay_p95": _number([one.delay(95)])[0],
            "cpu_share": _number([one.cpu_share])[0],
        }
        for name, one in _groups(scores).items()
    }


def _number(values: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]
