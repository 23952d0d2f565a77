"""`lfm-voice data check`, `lfm-voice data stats` and `lfm-voice data split`."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.types import Json

if TYPE_CHECKING:
    from rich.console import Console

    from lfm_voice_ros.dataset.check import Report
    from lfm_voice_ros.dataset.split import Division

_SHOWN = 20  # problems of one kind
_WIDTH_OF_A_FILE = 200  # columns where there is no terminal
_KEYS = ("speaker", "template")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands; what they import is imported when they run."""
    check = commands.add_parser("check", help="list what is wrong with a dataset; exit code 1 where there are errors")
    _add_dataset(check)
    check.add_argument("--tools", type=Path, metavar="FILE", help="default: the package's config/tools.yaml")
    check.add_argument("--json", type=Path, metavar="FILE", help="also write all problems into a file")
    check.set_defaults(run=_check)

    stats = commands.add_parser("stats", help="count what is in a dataset")
    _add_dataset(stats)
    stats.add_argument("--picture", type=Path, metavar="FILE.png", help="also draw it")
    stats.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers into a file")
    stats.set_defaults(run=_stats)

    split = commands.add_parser("split", help="divide a dataset into train.json, dev.json and test.json beside it")
    _add_dataset(split)
    share = "share of the examples of whole speakers or templates (default %(default)s)"
    split.add_argument("--dev", type=float, default=0.1, metavar="SHARE", help=share)
    split.add_argument("--test", type=float, default=0.15, metavar="SHARE", help=share)
    split.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    split.add_argument(
        "--by",
        type=_keys,
        default=_KEYS,
        metavar="KEY[,KEY]",
        help="what may not be in two parts: speaker, template or both (default both)",
    )
    split.set_defaults(run=_split)


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a JSON file, or the folder of a dataset.json")


def _check(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.silero_vad import SileroVad
    from lfm_voice_ros.commands.progress import Bar, say
    from lfm_voice_ros.dataset.check import as_json, check
    from lfm_voice_ros.tools.registry import Registry

    registry = Registry.from_file(arguments.tools or config_file("tools.yaml"))
    try:
        detector = SileroVad()
    except ResourceError as exc:
        detector = None
        say(f"{exc}; until then speech is told from silence by its level alone")
    with ExitStack() as stack:
        bars: list[Bar] = []

        def progress(done: int, whole: int) -> None:
            if not bars:  # how many there are is known only now
                bars.append(stack.enter_context(Bar("examples checked", whole)))
            bars[0].show(done)

        report = check(arguments.dataset, registry, detector, progress)
    _show_problems(report, _console())
    if arguments.json:
        _write_json(arguments.json, as_json(report))
    return 1 if report.count("error") else 0


def _stats(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.dataset.format import read_dataset
    from lfm_voice_ros.dataset.stats import as_json, collect, draw, show
    from lfm_voice_ros.evaluation.scoring import wilson

    stats = collect(read_dataset(arguments.dataset), wilson)
    show(stats, _console())
    if arguments.picture:
        draw(stats, arguments.picture)
    if arguments.json:
        _write_json(arguments.json, as_json(stats))
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.dataset.format import dataset_file, read_dataset, write_dataset
    from lfm_voice_ros.dataset.split import PARTS, divide

    file = dataset_file(arguments.dataset)
    paths = {part: file.with_name(f"{part}.json") for part in PARTS}
    if file in paths.values():
        raise ConfigurationError(f"{file} would be overwritten by a part of itself; give the whole dataset")
    division = divide(read_dataset(file), arguments.dev, arguments.test, arguments.by, arguments.seed)
    for part, members in division.parts.items():
        write_dataset(paths[part], members)
    _show_division(division, file, _console())
    return 0


def _show_problems(report: Report, console: Console) -> None:
    """Print a table of the problems, of each kind the first ones."""
    from rich.table import Table
    from rich.text import Text

    table = Table("severity", "example", "file", "what", "what to do")
    seen = Counter[str]()
    for problem in report.problems:
        seen[problem.kind] += 1
        if seen[problem.kind] <= _SHOWN:
            number = "" if problem.example is None else str(problem.example)
            file = Path(problem.file).name
            style = "red" if problem.severity == "error" else "yellow"
            table.add_row(Text(problem.severity, style), number, Text(file), Text(problem.what), Text(problem.todo))
    if report.problems:
        console.print(table)
    for kind, count in seen.items():
        if count > _SHOWN:
            console.print(f"{kind}: {count - _SHOWN} more; --json FILE lists all")
    left_out = f", {report.rejected} of them rejected and left out by training" if report.rejected else ""
    console.print(
        Text(
            f"{report.dataset}: {report.examples} examples{left_out}; "
            f"{report.count('error')} errors, {report.count('warning')} warnings"
        )
    )


def _show_division(division: Division, file: Path, console: Console) -> None:
    from rich.table import Table

    from lfm_voice_ros.dataset.stats import collect
    from lfm_voice_ros.evaluation.scoring import wilson

    table = Table("part", "examples", "with calls", "near-misses", "talk", "speakers", "templates")
    for column in table.columns[1:]:
        column.justify = "right"
    kept = sum(map(len, division.parts.values()))
    for part, members in division.parts.items():
        stats = collect(members, wilson)
        templates = {template for example in members for template in example.templates}
        talk = stats.examples - stats.with_calls - stats.near_misses - stats.unreadable
        counts = (stats.with_calls, stats.near_misses, talk)
        table.add_row(
            part,
            _share(len(members), kept),
            *(_share(count, len(members)) for count in counts),
            str(len(stats.speakers - Counter([""]))),
            str(len(templates)),
        )
    console.print(table)
    for key, count in division.alone.items():
        if count:
            console.print(f"{count} examples name no {key}: each counts as its own")
    if division.mixed:
        console.print(
            f"{division.mixed} of {kept + division.mixed} examples are left out, for they would bring a speaker or a "
            "template into two parts"
        )
    if division.rejected:
        console.print(f"{division.rejected} rejected examples are left out")
    console.print(f"written beside {file}: {', '.join(f'{part}.json' for part in division.parts)}", markup=False)


def _write_json(path: Path, content: Json) -> None:
    from lfm_voice_ros.dataset.format import replace_file

    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.0f} %)"


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(key.strip() for key in text.split(",")))
    if unknown := [key for key in keys if key not in _KEYS]:
        raise argparse.ArgumentTypeError(f"there is no key '{unknown[0]}'; there are: {', '.join(_KEYS)}")
    return keys
