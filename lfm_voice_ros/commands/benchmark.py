"""`lfm-voice benchmark`: how fast the assistant answers on this machine, or one of its engines."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lfm_voice_ros.commands import benchmark_engine
from lfm_voice_ros.commands.progress import say
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.settings import DETECTORS

_INTERRUPTED = 130  # the exit code of a program that ^C has ended
_WIDTH_OF_A_FILE = 140  # columns where there is no terminal


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    parser = commands.add_parser(
        "benchmark",
        help="how fast the assistant, or one of its engines, answers on this machine",
        description="Starts the whole assistant on a ROS domain of its own with a simulated head, talks to it as "
        "config/benchmark.yaml says, and times it by the sound and the joints; beside it a plain pipeline on the same "
        "recordings. Exit code 1 when turns were lost or contradicted, or errors occurred. With --engine it measures "
        "that engine alone.",
    )
    parser.add_argument("--turns", type=int, metavar="N", help="how many turns (default: the whole script)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers into a file")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write the tables as Markdown into a file")
    graph = parser.add_argument_group("the whole assistant")
    graph.add_argument("--picture", type=Path, metavar="FILE", help="draw the turns (default: beside the report)")
    graph.add_argument("--detector", choices=DETECTORS, help="what finds tool calls (default: as in the file)")
    graph.add_argument("--dialogue", choices=("lite", "lfm2_audio", "auto"), help="what answers, likewise")
    graph.add_argument("--params-file", type=Path, metavar="FILE", help="parameters of the nodes")
    graph.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NODE:NAME:=VALUE",
        help="a parameter above those of the file; may be given several times",
    )
    graph.add_argument("--echo", action="store_true", help="the microphone hears the robot's own voice, as in a room")
    graph.add_argument("--seed", type=int, metavar="N", help="of the voices and the noises (default: 1)")
    benchmark_engine.add_to(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    of_graph = ("picture", "detector", "dialogue", "params_file", "param", "echo", "seed")
    if arguments.engine:
        _refuse(arguments, of_graph, "is for the whole assistant; leave out --engine")
        return benchmark_engine.run(arguments)
    _refuse(arguments, benchmark_engine.OPTIONS, "is for an engine; add --engine lfm2_audio")
    return _run_graph(arguments)


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value is not False and value != []:
            raise ConfigurationError(f"--{name.replace('_', '-')} {why}")


def _run_graph(arguments: argparse.Namespace) -> int:
    picture = arguments.picture
    if picture is None and arguments.report:
        picture = arguments.report.with_suffix(".png")
    benchmark_engine.check_files(arguments.json, arguments.report, picture)
    if arguments.turns is not None and arguments.turns < 1:
        raise ConfigurationError("--turns must be at least 1")
    if arguments.seed is not None and arguments.seed < 0:
        raise ConfigurationError("--seed must be at least 0")
    parameters = _parameters(arguments)
    from lfm_voice_ros.demo.benchmark import Plan, run

    seed = 1 if arguments.seed is None else arguments.seed
    plan = Plan(parameters, arguments.params_file, arguments.turns, seed, arguments.echo)
    results = run(plan, say)
    if results is None:
        return _INTERRUPTED
    from rich.console import Console

    from lfm_voice_ros.evaluation import turn_report
    from lfm_voice_ros.evaluation.process_load import cpu_name

    header = [cpu_name(), f"Settings beside the defaults: {_settings(arguments)}; seed {seed}"]
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
    for line in header:
        console.print(line, markup=False)
    for table in turn_report.as_tables(results):
        console.print(table)
    if picture:
        from lfm_voice_ros.evaluation.turn_picture import draw

        draw(results, header[0], picture)
    if arguments.report:
        name = picture.name if picture.parent == arguments.report.parent else str(picture)
        benchmark_engine.write(arguments.report, turn_report.as_markdown(header, results, name))
    if arguments.json:
        data = turn_report.as_json(header, results)
        benchmark_engine.write(arguments.json, json.dumps(data, indent=1, allow_nan=False) + "\n")
    unsound = results.unsound()
    for problem in unsound:
        print(f"lfm-voice benchmark: {problem}", file=sys.stderr)
    return 1 if unsound else 0


def _parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """The assistant's parameters that the options ask for, by NODE:NAME. Raises ConfigurationError."""
    parameters = {}
    if arguments.detector:
        parameters["tool_detector:detector"] = arguments.detector
    if arguments.dialogue:
        parameters["dialogue:engine"] = arguments.dialogue
    for text in arguments.param:
        name, found, value = text.partition(":=")
        if not found or name.count(":") != 1:
            raise ConfigurationError(f"--param {text} must be NODE:NAME:=VALUE, as audio_capture:silence_window:=0.4")
        parameters[name] = value
    return parameters


def _settings(arguments: argparse.Namespace) -> str:
    told = [f"{name}={value}" for name, value in _parameters(arguments).items()]
    told += [f"parameters of {arguments.params_file.name}"] if arguments.params_file else []
    told += ["the robot's echo in the microphone"] if arguments.echo else []
    return ", ".join(told) or "none"
