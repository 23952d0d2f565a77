"""`lfm-voice evaluate-stop-words` and `train-stop-words`.

How often stop words are missed, how often others are taken for them, how soon; and a new head for them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.commands.progress import say
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.evaluation.corpus import read_corpus
from lfm_voice_ros.evaluation.scoring import wilson
from lfm_voice_ros.evaluation.stop_words import Recording, Score, score, together

_CORPORA = ("commands.heldout.jsonl", "commands.test.jsonl", "commands.unseen.jsonl", "commands.dev.jsonl")
_TAUGHT = "commands.written.jsonl"
_PERIOD = 10.0  # s between two lines of progress


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands; what they import is imported when they run."""
    parser = commands.add_parser("evaluate-stop-words", help="misses, false stops and delay of the stop words")
    parser.add_argument("--hours", type=float, default=1.0, metavar="H", help="of speech without stop words")
    parser.add_argument("--voices", nargs="+", metavar="VOICE", help="who speaks; by default those unknown to the head")
    parser.add_argument("--conditions", nargs="+", metavar="CONDITION", help="by default all that there are")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="the scores as JSON on standard output")
    parser.set_defaults(run=_run)
    train = commands.add_parser("train-stop-words", help="train the head that spots the stop words; takes ten minutes")
    train.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets head.npz and record.json")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="the same gives the same (default %(default)s)")
    train.add_argument("--steps", type=int, metavar="N", help="of the training")
    train.add_argument("--voices", nargs="+", metavar="VOICE", help="flite:VOICE, espeak:VOICE; who teaches")
    train.add_argument("--held-back", nargs="+", metavar="VOICE", help="by whom the threshold is chosen")
    train.add_argument("--scale", type=float, default=1.0, metavar="X", help="so many times the speech")
    train.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.core.resources import corpus_file
    from lfm_voice_ros.training.stop_word_head import Settings
    from lfm_voice_ros.training.stop_word_speech import HELD_BACK, VOICES, Recipe
    from lfm_voice_ros.training.stop_word_training import train

    if not 0.0 < arguments.scale <= 100.0:
        raise ConfigurationError("--scale must be more than 0 and at most 100")
    recipe = Recipe(
        texts=[example.text for example in read_corpus(corpus_file(_TAUGHT))],
        voices=tuple(arguments.voices or VOICES),
        held_back=tuple(arguments.held_back or HELD_BACK),
        seed=arguments.seed,
    ).scaled(arguments.scale)
    steps = Settings.steps if arguments.steps is None else arguments.steps
    if steps < 1:
        raise ConfigurationError("--steps must be 1 or more")
    point = train(recipe, Settings(steps=steps, seed=arguments.seed), arguments.output, _told())
    print(
        f"{arguments.output}: threshold {point.threshold:g}; the voices held back: {point.missed} of {point.said} "
        f"missed, {point.false_per_hour:.0f} false stops an hour"
    )
    return 0


def _told() -> Callable[[str, int, int], None]:
    """Give what tells how far the speaking is, a line each ten seconds."""
    last = -math.inf

    def tell(what: str, done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PERIOD:
            last = now
            say(f"{what}: {done} of {of}")

    return tell


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
