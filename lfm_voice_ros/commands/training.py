"""`lfm-voice generate-corpus`, `synthesize-corpus`, `train-classifier`, `train-nano`, `add-tool-tokens`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lfm_voice_ros.core.resources import config_file, corpus_file

if TYPE_CHECKING:
    from lfm_voice_ros.training.corpus_generator import Sentence

_DEV_SENTENCES = 1500


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands; what they import is imported when they run."""
    generate = commands.add_parser("generate-corpus", help="make labelled sentences from templates")
    generate.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets a file for each split")
    for split, count in (("train", 20_000), ("dev", 1000), ("test", 1000)):
        generate.add_argument(
            f"--{split}", type=int, default=count, metavar="N", help="sentences (default %(default)s)"
        )
    add_templates_and_seed(generate)
    generate.set_defaults(run=_generate)

    synthesize = commands.add_parser("synthesize-corpus", help="speak the sentences of a corpus, in rooms and in noise")
    synthesize.add_argument("corpus", type=Path, metavar="FILE.jsonl")
    synthesize.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets audio/ and corpus.jsonl")
    add_acoustics(synthesize)
    synthesize.add_argument("--limit", type=int, metavar="N", help="only N of the sentences, drawn by the seed")
    synthesize.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same gives the same files (default 1)"
    )
    synthesize.set_defaults(run=_synthesize)

    classifier = commands.add_parser("train-classifier", help="train the classifier's head on generated sentences")
    classifier.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="gets head.npz and record.json"
    )
    classifier.add_argument("--sentences", type=int, default=24_000, metavar="N", help="(default %(default)s)")
    add_templates_and_seed(classifier)
    classifier.set_defaults(run=_train_classifier)

    nano = commands.add_parser("train-nano", help="train the nano tool model from scratch; takes an hour on two cores")
    nano.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="gets the model, nano.gguf, record.json"
    )
    nano.add_argument("--steps", type=int, metavar="N", help="fewer for a trial")
    nano.add_argument("--begin", type=Path, metavar="FOLDER", help="go on with a model that was trained before")
    nano.add_argument("--learning-rate", type=float, metavar="X", help="lower to go on")
    nano.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    add_templates_and_seed(nano)
    nano.set_defaults(run=_train_nano)

    tokens = commands.add_parser("add-tool-tokens", help="give a model the tokens that mark tool calls in its text")
    tokens.add_argument("--model", required=True, metavar="FOLDER_OR_NAME", help="a model that transformers loads")
    tokens.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="gets the model and its tokenizer")
    tokens.set_defaults(run=_add_tool_tokens)


def add_acoustics(parser: argparse.ArgumentParser) -> None:
    """Declare the voices and the conditions of spoken corpora."""
    parser.add_argument(
        "--voices",
        type=_names,
        default=["piper", "piper", "espeak:en-us", "espeak:en-gb+f3"],
        metavar="VOICE[,VOICE]",
        help="piper, flite:VOICE, espeak:VOICE; twice counts twice (default piper,piper,espeak:en-us,espeak:en-gb+f3)",
    )
    parser.add_argument(
        "--noise",
        type=_names,
        default=["clean", "noise:20", "motor:15", "babble:20", "room:0.3", "room:0.4+noise:20"],
        metavar="CONDITION[,CONDITION]",
        help="clean, noise:SNR, motor:SNR, babble:SNR in dB, room:RT60 in s, room:RT60+noise:SNR "
        "(default clean,noise:20,motor:15,babble:20,room:0.3,room:0.4+noise:20)",
    )


def add_templates_and_seed(parser: argparse.ArgumentParser) -> None:
    """Declare the templates that sentences are drawn from, and the seed of the draw."""
    parser.add_argument("--templates", type=Path, metavar="FOLDER", help="default: the package's corpus/templates")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same gives the same (default %(default)s)"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sentences(arguments: argparse.Namespace, split: str, count: int) -> list[Sentence]:
    from lfm_voice_ros.training.corpus_generator import Generator
    from lfm_voice_ros.training.templates import read_templates

    templates = read_templates(arguments.templates or corpus_file("templates"))
    return list(Generator(templates, split, arguments.seed).sentences(count))


def _generate(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.training.corpus_generator import SPLITS

    arguments.output.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        sentences = _sentences(arguments, split, getattr(arguments, split))
        path = arguments.output / f"{split}.jsonl"
        path.write_text("".join(f"{line}\n" for line in _lines(sentences)), "utf-8")
        near_misses = sum(not one.calls and one.kind != "talk" for one in sentences)
        commands = sum(bool(one.calls) for one in sentences)
        print(f"{path}: {len(sentences)} sentences, {commands} commands, {near_misses} near-misses")
    return 0


def _lines(sentences: Iterable[Sentence]) -> Iterable[str]:
    for one in sentences:
        calls = [{"name": call.name, "args": dict(call.arguments)} for call in one.calls]
        line = {"text": one.text, "calls": calls, "kind": one.kind, "templates": list(one.templates)}
        yield json.dumps(line, ensure_ascii=False)


def _synthesize(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.training.speech_corpus import synthesize

    summary = synthesize(
        arguments.corpus,
        arguments.output,
        arguments.voices,
        arguments.noise,
        arguments.seed,
        arguments.limit,
        _progress,
    )
    print(f"{summary.corpus}: {summary.made} recordings made, {summary.kept} kept, {summary.skipped} skipped")
    return 0


def _train_classifier(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.assembly import load_patterns
    from lfm_voice_ros.backends.minilm import MiniLM
    from lfm_voice_ros.core.resources import model_file
    from lfm_voice_ros.core.settings import ToolDetectorSettings
    from lfm_voice_ros.detectors.classifier import Features
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.classifier import train_head

    tools = Registry.from_file(config_file("tools.yaml")).specs()
    patterns = load_patterns(ToolDetectorSettings(), tools)
    features = Features(MiniLM(model_file("classifier/vocab.txt")), patterns)
    train, dev = _sentences(arguments, "train", arguments.sentences), _sentences(arguments, "dev", _DEV_SENTENCES)
    head, record = train_head(train, dev, features, arguments.seed, _progress)
    head.save(arguments.output / "head.npz")
    (arguments.output / "record.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(
        f"{len(train)} sentences, {record['seconds']} s; right on the development split: {record['dev_accuracy']:.1%}"
    )
    return 0


def _train_nano(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.corpus_generator import Generator
    from lfm_voice_ros.training.gguf_export import export_gguf
    from lfm_voice_ros.training.nano import NanoSettings, train
    from lfm_voice_ros.training.templates import read_templates

    settings = NanoSettings(seed=arguments.seed, threads=arguments.threads or 0)
    if arguments.steps:
        settings = replace(settings, steps=arguments.steps)
    if arguments.learning_rate:
        settings = replace(settings, learning_rate=arguments.learning_rate)
    if arguments.begin:
        settings = replace(settings, short_first=0.0)
    generator = Generator(read_templates(arguments.templates or corpus_file("templates")), "train", arguments.seed)
    tools = Registry.from_file(config_file("tools.yaml")).specs()
    record = {"sha256_of_templates": _digest(arguments.templates or corpus_file("templates"))} | train(
        generator, tools, settings, arguments.output, _progress, begin=arguments.begin
    )
    export_gguf(arguments.output, arguments.output / "nano.gguf")
    (arguments.output / "record.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(f"{arguments.output}: {record['parameters']:,} parameters, {record['seconds']} s")
    return 0


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.yaml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _add_tool_tokens(arguments: argparse.Namespace) -> int:
    from lfm_voice_ros.training.tool_tokens import extend

    added = extend(arguments.model, arguments.output)
    print(f"{arguments.output}: {len(added)} tokens added{': ' if added else ''}{' '.join(added)}")
    return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
