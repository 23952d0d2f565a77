"""`lfm-voice evaluate`: scores detectors on a corpus, side by side."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lfm_voice_ros.commands import evaluate_adapter
from lfm_voice_ros.commands.options import setting_of
from lfm_voice_ros.commands.training import add_acoustics
from lfm_voice_ros.core.errors import AudioError, ResourceError
from lfm_voice_ros.core.ports import Transcriber
from lfm_voice_ros.core.settings import DETECTORS, ToolDetectorSettings, TranscriberSettings, build
from lfm_voice_ros.evaluation import report
from lfm_voice_ros.evaluation.corpus import Example, read_corpus
from lfm_voice_ros.evaluation.measurement import Heard, measure
from lfm_voice_ros.evaluation.scoring import Score

_WIDTH_OF_A_FILE = 200  # columns where there is no terminal


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = commands.add_parser("evaluate", help="score detectors on a corpus, or a trained LFM2-Audio on a dataset")
    parser.add_argument(
        "--detector",
        type=_detector_names,
        default=["keywords"],
        metavar="NAME[,NAME]",
        help=f"which detectors: {', '.join(DETECTORS)}",
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        required=True,
        metavar="FILE.jsonl",
        help="a dataset (with --model-adapter), or "
        'JSON lines: {"text": …, "calls": [{"name": …, "args": {…}}]}, or "audio" with the path of a WAV file',
    )
    parser.add_argument(
        "--audio",
        action="store_true",
        help="also hear the sentences: the corpus's recordings, or where it has none made ones (--voices, --noise)",
    )
    parser.add_argument(
        "--set",
        type=setting_of(ToolDetectorSettings, "tool_detector"),
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of tool_detector, for example model=LiquidAI/LFM2-1.2B-Tool",
    )
    parser.add_argument(
        "--json", action="store_true", help="the scores as JSON on standard output, the rest on standard error"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write table.md, confusion.png and scores.json into a folder"
    )
    add_acoustics(parser)
    evaluate_adapter.add_arguments(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    if arguments.model_adapter:
        return evaluate_adapter.run(arguments)
    examples = read_corpus(arguments.corpus)
    read = _read(examples)
    sources: dict[str, Heard] = {"": read} if read else {}
    if arguments.audio:
        sources = {" (text)": read} if read else {}
        sources[" (audio)"] = _hear_all(examples, arguments)
    elif len(read) < len(examples):
        sources = {"": {**_hear([one for one in examples if not one.text]), **read}}
    scores: dict[str, Score] = {}
    for source, heard in sources.items():
        for name in arguments.detector:
            settings = build(ToolDetectorSettings, {**dict(arguments.set), "detector": name}, "tool_detector")
            scores[name + source] = measure(settings, [one for one in examples if one.line in heard], heard)
    console = Console(stderr=arguments.json, width=None if _on_terminal(arguments.json) else _WIDTH_OF_A_FILE)
    report.show(scores, console)
    if arguments.report:
        _write(arguments.report, scores)
    if arguments.json:
        print(json.dumps(report.as_json(scores), ensure_ascii=False))
    return 0


def _read(examples: Sequence[Example]) -> dict[int, str | ResourceError]:
    return {one.line: one.text for one in examples if one.text or not one.audio}


def _hear_all(examples: Sequence[Example], arguments: argparse.Namespace) -> Heard:
    recorded = [one for one in examples if one.audio]
    if recorded:
        if missing := len(examples) - len(recorded):
            _progress(f"{missing} of {len(examples)} sentences have no recording; they are left out of what is heard")
        return _hear(recorded)
    from lfm_voice_ros.training.speech_corpus import synthesize

    with tempfile.TemporaryDirectory(prefix="lfm_voice_") as folder:
        out = Path(folder) / "spoken"
        synthesize(arguments.corpus, out, arguments.voices, arguments.noise, 1, None, _progress)
        # Lines without anything to speak are left out there: texts, not line numbers, are the same in both.
        spoken = {one.text: one for one in read_corpus(out / "corpus.jsonl")}
        made = [
            Example(one.line, one.text, spoken[one.text].audio, one.calls) for one in examples if one.text in spoken
        ]
        return _hear(made)


def _hear(recorded: Sequence[Example]) -> dict[int, str | ResourceError]:
    """Transcribe recordings, each file once."""
    transcriber = _load_transcriber()
    known: dict[Path, str | ResourceError] = {}
    for number, one in enumerate(recorded, start=1):
        if one.audio and one.audio not in known:
            known[one.audio] = _transcribed(one.audio, transcriber)
            if number % 50 == 0:
                _progress(f"{number} of {len(recorded)} recordings transcribed")
    return {one.line: known[one.audio] for one in recorded if one.audio}


def _transcribed(path: Path, transcriber: Transcriber) -> str | ResourceError:
    from lfm_voice_ros.backends.wav_file import read_wav

    try:
        transcript = transcriber.transcribe(read_wav(path))
    except (AudioError, ResourceError) as exc:
        return ResourceError(str(exc))
    if transcript.failed:
        return ResourceError(f"{path} could not be transcribed: {transcript.rejection}")
    return transcript.text


def _load_transcriber() -> Transcriber:
    from lfm_voice_ros.backends import load_transcriber

    return load_transcriber(TranscriberSettings())


def _write(folder: Path, scores: dict[str, Score]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(report.as_markdown(scores), "utf-8")
    (folder / "scores.json").write_text(
        json.dumps(report.as_json(scores), ensure_ascii=False, indent=1) + "\n", "utf-8"
    )
    report.draw_confusion(scores, folder / "confusion.png")


def _on_terminal(on_standard_error: bool) -> bool:
    return (sys.stderr if on_standard_error else sys.stdout).isatty()


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _detector_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in DETECTORS:
            raise argparse.ArgumentTypeError(f"there is no detector '{name}'; there are: {', '.join(DETECTORS)}")
    return names
