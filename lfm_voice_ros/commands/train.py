"""`lfm-voice train`: LFM2-Audio, or LFM2-Tool, on recorded and synthesized turns."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lfm_voice_ros.commands.progress import Bar, say
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.resources import config_file, model_file

if TYPE_CHECKING:
    from lfm_voice_ros.dataset.format import Example
    from lfm_voice_ros.lfm2_audio.checkpoint import Lfm2Audio
    from lfm_voice_ros.training.finetune import Finetuning, History, TrainSettings
    from lfm_voice_ros.training.lessons import Turns
    from lfm_voice_ros.training.turns import TurnMaker

SMALL, TOOL = "small", "tool"
TOOL_MODEL = "LiquidAI/LFM2-1.2B-Tool"
# Of OUTPUT while a training from scratch goes on: the model that it begins with, and how far its lessons have come.
_BEGINNING = "beginning"
_LESSONS = {
    "hearing": "the encoder learns to write down the phonemes that it hears",
    "reading": "the language model learns what to call, by the words of generated sentences",
    "words": "the encoder learns to write down words as the language model reads them",
}
_LESSON_WARM_UP = 300  # steps: the rate is higher than that of answering, and the encoder new


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command; what it imports is imported when it runs."""
    train = commands.add_parser("train", help="train LFM2-Audio or LFM2-Tool to call this robot's tools")
    train.add_argument(
        "--data", type=Path, required=True, action="append", metavar="DATASET", help="to learn from; may be repeated"
    )
    train.add_argument("--dev", type=Path, metavar="DATASET", help="to validate on, such as dev.json of data split")
    train.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="gets the adapter or the model, and its run card"
    )
    train.add_argument(
        "--model",
        default="LiquidAI/LFM2.5-Audio-1.5B",
        metavar="FOLDER_OR_NAME",
        help=f"an LFM2-Audio (default %(default)s); {TOOL}: LFM2-Tool; {SMALL}: a new LFM2-Audio of 19 million "
        "parameters, of which all are trained; its language model is the nano model",
    )
    train.add_argument(
        "--base",
        metavar="FOLDER_OR_NAME",
        help=f"with --model {TOOL}: the model, or bundled: the nano model (default {TOOL_MODEL})",
    )
    train.add_argument("--weights", choices=("lora", "all"), help="an adapter (default), or all weights of the model")
    train.add_argument(
        "--form",
        choices=("lora", "special_tokens"),
        default="lora",
        help="how calls are written: <tool>…</tool> (lora, the default), or with tokens of their own",
    )
    train.add_argument(
        "--calls-only",
        action="store_true",
        help="learn what to call and no replies; where nothing is called, one short sentence",
    )
    train.add_argument(
        "--longest", type=float, metavar="S", help="leave out turns in which the person's sound is longer"
    )
    train.add_argument("--steps", type=int, default=1000, metavar="N", help="(default %(default)s)")
    for name, what in _LESSONS.items():
        train.add_argument(
            f"--{name}-steps",
            type=int,
            metavar="N",
            help=f"with all weights: steps before these in which {what} (default: as many with --model {SMALL}, or "
            "else none)",
        )
    train.add_argument(
        "--lesson-rate", type=float, default=1e-3, metavar="X", help="the learning rate of these (default %(default)s)"
    )
    train.add_argument("--batch", type=int, default=16, metavar="N", help="examples a step (default %(default)s)")
    train.add_argument("--learning-rate", type=float, metavar="X", help="(default 0.0002; 0.0005 for all weights)")
    train.add_argument("--rank", type=int, default=16, metavar="N", help="of LoRA (default %(default)s)")
    train.add_argument("--validate-every", type=int, default=100, metavar="N", help="steps (default %(default)s)")
    train.add_argument("--save-every", type=int, default=100, metavar="N", help="steps (default %(default)s)")
    train.add_argument("--system-prompt", default="", metavar="TEXT", help="default: the one LFM2-Audio was made with")
    train.add_argument("--tools", default="", metavar="FILE", help="default: the package's config/tools.yaml")
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    train.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    train.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    train.add_argument("--seed", type=int, default=1, metavar="N", help="the same gives the same (default %(default)s)")
    train.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    for name in ("steps", "batch", "rank", "validate_every", "save_every"):
        if getattr(arguments, name) < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} must be 1 or more")
    for name in _LESSONS:
        if (getattr(arguments, f"{name}_steps") or 0) < 0:
            raise ConfigurationError(f"--{name}-steps must be 0 or more")
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    examples = [example for path in arguments.data for example in _read(path, arguments.longest)]
    dev = _read(arguments.dev, arguments.longest) if arguments.dev else []
    if arguments.model == TOOL:
        return _train_tool(arguments, examples, dev)
    return _train_audio(arguments, examples, dev)


def _read(path: Path, longest: float | None) -> list[Example]:
    from lfm_voice_ros.backends.wav_file import seconds_of
    from lfm_voice_ros.dataset.format import read_dataset

    examples = [example for example in read_dataset(path) if example.review != "rejected"]
    return examples if longest is None else [one for one in examples if seconds_of(one.audio) <= longest]


def _train_audio(arguments: argparse.Namespace, examples: list[Example], dev: list[Example]) -> int:
    from lfm_voice_ros.backends.piper import Piper
    from lfm_voice_ros.lfm2_audio.adapter import Trained
    from lfm_voice_ros.lfm2_audio.checkpoint import Source, load
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.checks import with_checks
    from lfm_voice_ros.training.finetune import Finetuning
    from lfm_voice_ros.training.lessons import Turns
    from lfm_voice_ros.training.turns import STOCK_PROMPT, TurnMaker, learner, make_turns

    tools = Registry.from_file(config_file("tools.yaml", arguments.tools)).specs()
    settings = _settings(arguments)
    source = Source(_beginning(arguments, examples), device=arguments.device, dtype=arguments.dtype)
    model = load(source, say)
    prompt = arguments.system_prompt or STOCK_PROMPT
    maker = TurnMaker(model, settings.form, prompt, arguments.calls_only)
    with Bar("preparing", len(examples) + len(dev)) as bar:
        turns = make_turns(maker, [*examples, *dev], lambda done, total: bar.show(done))
    train, held_out = turns[: len(examples)], turns[len(examples) :]
    lessons: dict[str, History] = {}
    if settings.weights == "all":
        lessons = _teach_lessons(arguments, model, maker, Turns(examples, train), Turns(dev, held_out))
    finetuning = Finetuning(learner(model), settings, arguments.output)
    _teach("training", finetuning, train, held_out)
    base = "" if settings.weights == "all" else str(arguments.model)
    trained = Trained(settings.form, prompt, tuple(tool.name for tool in tools), base)
    if finetuning.is_main:
        model.net.eval().requires_grad_(False)
        trained = with_checks(model, trained, examples, tools, Piper("bundled", steady=True))
        say(f"{len(trained.checks)} sentences for its self-check")
    finetuning.save(trained)
    if finetuning.is_main:
        for made in (_BEGINNING, *_LESSONS):
            shutil.rmtree(arguments.output / made, ignore_errors=True)
        _write_card(arguments, finetuning, examples, dev, lessons)
    return 0


def _settings(arguments: argparse.Namespace) -> TrainSettings:
    from lfm_voice_ros.training.finetune import TrainSettings

    weights: Literal["lora", "all"] = arguments.weights or ("all" if arguments.model == SMALL else "lora")
    if arguments.model == SMALL and weights == "lora":
        raise ConfigurationError("an adapter on a new model teaches it nothing; leave --weights out")
    settings = TrainSettings(
        weights=weights,
        form=arguments.form,
        steps=arguments.steps,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate or (5e-4 if weights == "all" else TrainSettings.learning_rate),
        rank=arguments.rank,
        seed=arguments.seed,
        validate_every=arguments.validate_every,
        save_every=arguments.save_every,
    )
    # What has never heard speech needs to be kept from learning the few voices by heart.
    return replace(settings, spec_augment=True) if weights == "all" else settings


def _beginning(arguments: argparse.Namespace, examples: list[Example]) -> str:
    if arguments.model != SMALL:
        return str(arguments.model)
    from lfm_voice_ros.lfm2_audio.random_checkpoint import write

    mimi = any(example.response_audio for example in examples)
    nano = model_file("nano")
    return str(write(arguments.output / _BEGINNING, "small", seed=arguments.seed, mimi=mimi, language_model=nano))


def _teach_lessons(
    arguments: argparse.Namespace, model: Lfm2Audio, maker: TurnMaker, train: Turns, dev: Turns
) -> dict[str, History]:
    """Teach what a new model needs before it can learn from turns, and give what was measured, by lesson."""
    from lfm_voice_ros.training.finetune import Finetuning
    from lfm_voice_ros.training.lessons import LESSONS, Pupil

    histories = {}
    for name, prepare in LESSONS.items():
        steps = getattr(arguments, f"{name}_steps")
        if steps is None:
            steps = arguments.steps if arguments.model == SMALL else 0
        if steps == 0:
            continue
        settings = replace(
            _settings(arguments),
            steps=steps,
            learning_rate=arguments.lesson_rate,
            warm_up=_LESSON_WARM_UP,
            short_first=name == "hearing",
        )
        lesson = prepare(Pupil(model, maker, train, dev, steps * arguments.batch, arguments.seed))
        finetuning = Finetuning(lesson.learner, settings, arguments.output / name)
        _teach(f"lesson {name}", finetuning, lesson.train, lesson.dev)
        histories[name] = finetuning.history
    return histories


def _write_card(
    arguments: argparse.Namespace,
    finetuning: Finetuning,
    examples: list[Example],
    dev: list[Example],
    lessons: Mapping[str, History] | None = None,
) -> None:
    from lfm_voice_ros.training.run_card import describe_data, machine, write_card

    trained, total = finetuning.parameters
    history = finetuning.history
    what = "all weights" if finetuning.settings.weights == "all" else "an adapter"
    card: dict[str, Any] = {
        "title": f"{arguments.output.name}: {what} of {Path(arguments.model).name}",
        "model": {
            "base": finetuning.learner.base if arguments.model == TOOL else arguments.model,
            "trained parameters": trained,
            "parameters": total,
            "form of calls": arguments.form,
            "learned of replies": "calls only" if arguments.calls_only else "calls and words",
        },
        "settings": asdict(finetuning.settings),
        "data": describe_data(arguments.data, examples),
        "dev_data": describe_data([arguments.dev], dev) if dev else None,
        "machine": machine(),
        "history": asdict(history),
        "result": {"minutes": round(history.seconds / 60, 1)},
    }
    if lessons:
        card["lessons"] = {
            name: {
                "steps": history.train[-1][0],
                "learning_rate": arguments.lesson_rate,
                "minutes": round(history.seconds / 60, 1),
                "loss a symbol, held out": [round(loss, 3) for _, loss in history.dev],
            }
            for name, history in lessons.items()
        }
    write_card(arguments.output, card)
    if history.dev:
        say(f"loss on held-out turns: {history.dev[0][1]:.3f} before, {history.dev[-1][1]:.3f} after")
    print(f"{arguments.output}: {trained:,} of {total:,} parameters trained in {history.seconds / 60:.1f} min")


def _train_tool(arguments: argparse.Namespace, examples: list[Example], dev: list[Example]) -> int:
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.finetune import Finetuning
    from lfm_voice_ros.training.tool_turns import ToolTurnMaker, learner, load_tool_model

    if arguments.form != "lora" or arguments.weights == "all":
        raise ConfigurationError(
            "LFM2-Tool has its own form of calls, and is trained by an adapter; leave the rest out"
        )
    tools = Registry.from_file(config_file("tools.yaml", arguments.tools)).specs()
    base = str(model_file("nano")) if arguments.base == "bundled" else arguments.base or TOOL_MODEL
    model, tokenizer = load_tool_model(base, arguments.device)
    finetuning = Finetuning(learner(model, tokenizer, base), _settings(arguments), arguments.output)
    maker = ToolTurnMaker(tokenizer, tools)
    turns, held_out = ([maker.make(example) for example in some] for some in (examples, dev))
    _teach("training", finetuning, turns, held_out)
    finetuning.save(None)
    if finetuning.is_main:
        tokenizer.save_pretrained(str(arguments.output))
        _write_card(arguments, finetuning, examples, dev)
    return 0


def _teach(what: str, finetuning: Finetuning, turns: Sequence[Any], dev: Sequence[Any]) -> None:
    with Bar(what, finetuning.settings.steps) as bar:
        finetuning.run(turns, dev, lambda where: bar.show(where.step, f"loss {where.loss:.3f}", where.seconds_left))
