"""`lfm-voice evaluate --model-adapter`: a trained LFM2-Audio against the model that it was made from."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lfm_voice_ros.commands.progress import Bar, say
from lfm_voice_ros.core.errors import ConfigurationError, ResourceError
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings

if TYPE_CHECKING:
    from lfm_voice_ros.dataset.format import Example
    from lfm_voice_ros.evaluation.adapter import Side
    from lfm_voice_ros.lfm2_audio.adapter import Trained
    from lfm_voice_ros.lfm2_audio.checkpoint import Source

PICTURE, SCORES = "evaluation.png", "evaluation.json"

_BETTER, _NOT_BETTER = 0, 1  # exit codes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes beside --corpus, which is then a dataset."""
    group = parser.add_argument_group("a trained LFM2-Audio")
    group.add_argument(
        "--model-adapter", type=Path, metavar="FOLDER", help="what lfm-voice train has written; --corpus is a dataset"
    )
    group.add_argument("--base", default="", metavar="FOLDER_OR_NAME", help="default: the model it was trained on")
    group.add_argument(
        "--replies", type=int, default=20, metavar="N", help="tool turns to answer (default %(default)s)"
    )
    group.add_argument(
        "--grounding",
        choices=("forced", "prefill", "context"),
        default="context",
        help="how these are told their results (default %(default)s, where the model is free to contradict)",
    )
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    group.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the table, and add it to the run card; 1 when the adapter wasn't shown to be better."""
    from lfm_voice_ros.evaluation import adapter as comparison
    from lfm_voice_ros.lfm2_audio.adapter import read_trained
    from lfm_voice_ros.lfm2_audio.checkpoint import Source
    from lfm_voice_ros.training.run_card import read_card, write_card

    folder: Path = arguments.model_adapter
    trained = read_trained(folder)
    if trained is None:
        raise ResourceError(f"{folder} holds nothing that was trained; give a folder that lfm-voice train has written")
    examples = _read(arguments.corpus)
    base = arguments.base or trained.base
    before = _measure(arguments, Source(base), trained, examples) if base else _nothing(examples)
    made = Source(base, adapter=str(folder)) if trained.base else Source(str(folder))
    after = _measure(arguments, made, trained, examples)
    verdict = comparison.judge(before, after)
    table = Table("", before.name, after.name, "change", caption="95 % intervals (Wilson; Newcombe for changes)")
    for row in comparison.rows(before, after):
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)
    print(f"{'better' if verdict.better else 'not shown to be better'}: {verdict.why}")
    scores = comparison.as_json(before, after, verdict)
    comparison.draw(before, after, folder / PICTURE)
    (folder / SCORES).write_text(json.dumps(scores, indent=2) + "\n", "utf-8")
    section = {"scores": scores, "markdown": comparison.markdown(before, after, verdict, PICTURE)}
    write_card(folder, read_card(folder) | {"evaluation": section})
    return _BETTER if verdict.better else _NOT_BETTER


def _read(corpus: Path) -> list[Example]:
    from lfm_voice_ros.dataset.format import read_dataset

    examples = [example for example in read_dataset(corpus) if example.review != "rejected"]
    if not examples:
        raise ConfigurationError(f"{corpus} has no examples that weren't rejected")
    return examples


def _nothing(examples: list[Example]) -> Side:
    """A model that never calls: what one that was trained from scratch is compared with."""
    from lfm_voice_ros.evaluation.adapter import Calls, Side

    with_calls = [bool(example.calls) for example in examples]
    calls = Calls(
        names=[False] * sum(with_calls),
        exact=[False] * sum(with_calls),
        left_alone=[True] * (len(examples) - sum(with_calls)),
        near_misses=[True for example in examples if not example.calls and example.kind != "talk"],
    )
    return Side("calling nothing", calls, [])


def _measure(arguments: argparse.Namespace, source: Source, trained: Trained, examples: list[Example]) -> Side:
    from lfm_voice_ros.commands.replies import voice
    from lfm_voice_ros.core import prompts
    from lfm_voice_ros.dialogue.lfm2_audio import Lfm2AudioEngine
    from lfm_voice_ros.evaluation.adapter import Side, ask
    from lfm_voice_ros.evaluation.replies import score, tool_turns
    from lfm_voice_ros.lfm2_audio.checkpoint import load
    from lfm_voice_ros.tools.registry import Registry
    from lfm_voice_ros.training.turns import TurnMaker, losses, make_turns

    model = load(replace(source, device=arguments.device, dtype=arguments.dtype), say)
    known = [tool for tool in Registry.from_file(config_file("tools.yaml")).specs() if tool.name in trained.tools]
    own = model.trained is not None
    settings = DialogueSettings(
        grounding=arguments.grounding,
        seed=1,
        calls="none" if own else trained.form,
        # Who wasn't trained for it must be told how to call.
        system_prompt="" if own else prompts.dialogue(trained.form, known),
    )
    engine = Lfm2AudioEngine(model, settings, known)
    name = model.name if own else f"{model.name}, told how"
    try:
        with Bar(f"asking {name}", len(examples)) as bar:
            calls = ask(engine, examples, bar.show)
        replies = score(engine, tool_turns(arguments.replies), voice()) if arguments.replies else None
    finally:
        engine.close()
    talk = [example for example in examples if not example.calls]
    turns = make_turns(TurnMaker(model, trained.form, trained.system_prompt), talk)
    side = Side(name, calls, losses(model, turns))
    return side if replies is None else replace(side, contradicts=replies.contradicts, replies=replies.turns)
