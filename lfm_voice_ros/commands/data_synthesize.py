"""`lfm-voice data synthesize` and `lfm-voice data speak`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lfm_voice_ros.commands.training import add_acoustics, add_templates_and_seed
from lfm_voice_ros.core.resources import config_file, corpus_file


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands; what they import is imported when they run."""
    synthesize = commands.add_parser("synthesize", help="make a dataset of spoken commands, near-misses and talk")
    synthesize.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets dataset.json and audio/")
    synthesize.add_argument("--examples", type=int, default=1200, metavar="N", help="(default %(default)s)")
    synthesize.add_argument(
        "--split", choices=("train", "dev", "test"), default="train", help="of the templates (default %(default)s)"
    )
    add_acoustics(synthesize)
    synthesize.add_argument("--no-reply-audio", action="store_true", help="the replies stay unspoken: see data speak")
    synthesize.add_argument("--tools", type=Path, metavar="FILE", help="default: the package's config/tools.yaml")
    add_templates_and_seed(synthesize)
    synthesize.set_defaults(run=_synthesize)

    speak = commands.add_parser("speak", help="speak the responses of a dataset that have no sound, with Piper")
    speak.add_argument("dataset", type=Path, metavar="DATASET", help="a JSON file, or the folder of a dataset.json")
    speak.set_defaults(run=_speak)


def _synthesize(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.piper import Piper
    from lfm_voice_ros.core.errors import ConfigurationError
    from lfm_voice_ros.dialogue.lite import LiteEngine
    from lfm_voice_ros.dialogue.small_talk import SmallTalk
    from lfm_voice_ros.tools.clock import Places
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.conversations import HARD, Answerer, Speaker, choose, converse
    from lfm_voice_ros.training.corpus_generator import Generator
    from lfm_voice_ros.training.templates import read_templates

    if arguments.examples < 1:
        raise ConfigurationError("--examples must be 1 or more")
    templates = read_templates(arguments.templates or corpus_file("templates"))
    answerer = Answerer(
        Registry.from_file(arguments.tools or config_file("tools.yaml")),
        Places.from_file(config_file("places.yaml")),
        LiteEngine(SmallTalk.from_file(config_file("small_talk.yaml"))),
    )
    sentences = Generator(templates, arguments.split, arguments.seed).sentences(sys.maxsize)
    summary = converse(
        choose(sentences, arguments.examples, answerer.fits),
        arguments.output,
        answerer,
        arguments.voices,
        arguments.noise,
        arguments.seed,
        None if arguments.no_reply_audio else Speaker(Piper("bundled", steady=True)),
        _progress,
    )
    hard, talk = summary.share(HARD), summary.share({"talk"})
    print(
        f"{summary.dataset}: {len(summary.examples)} examples, "
        f"{1 - hard - talk:.0%} with calls, {hard:.0%} near-misses, {talk:.0%} talk; "
        f"{summary.made} recordings made, {summary.kept} kept, {summary.replies} different replies"
    )
    return 0


def _speak(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.backends.piper import Piper
    from lfm_voice_ros.training.conversations import Speaker, speak

    spoken, silent = speak(arguments.dataset, Speaker(Piper("bundled", steady=True)), _progress)
    print(f"{arguments.dataset}: {spoken} responses spoken, {silent} left as they are")
    return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
