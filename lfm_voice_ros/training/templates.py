"""Templates of labelled sentences, in hassil's syntax, and how one sentence is drawn from one.

corpus/templates/README.md tells the format to those who write templates.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from lfm_voice_ros.core.call_syntax import read_calls
from lfm_voice_ros.core.errors import ConfigurationError, ModelOutputError, ResourceError
from lfm_voice_ros.core.numbers import spell
from lfm_voice_ros.core.resources import read_yaml
from lfm_voice_ros.core.types import ToolCall

_LABEL = re.compile(r"([\w{}:]+)(?:\((.*)\))?")
_SLOT = re.compile(r"\{(?:\w+:)?(\w+)\}")

_HALVES = 0.04  # of the numbers have one
_ZEROS = 0.06  # of the angles are none

#: What a list gives: the words that are said, and the value that they stand for.
Drawn = tuple[str, str]


@dataclass(frozen=True)
class Phrase:
    """Words, and the values that they gave to slots."""

    text: str
    slots: Mapping[str, str]


class Template:
    """One way to say something; the unit by which training and test are kept apart."""

    def __init__(self, text: str, lists: Mapping[str, Callable[[Random], Drawn]], split: str = "") -> None:
        """``split`` keeps it for train, dev or test; empty leaves that to a draw.

        Raises ConfigurationError for wrong brackets and unknown lists, ResourceError without hassil.
        """
        try:
            from hassil.parse_expression import parse_sentence
        except ImportError as exc:
            raise ResourceError("templates are read by hassil; run scripts/setup --extra training") from exc
        self.text = text
        self.split = split
        self._lists = lists
        try:
            self._expression: Any = parse_sentence(text).expression
        except Exception as exc:  # hassil raises several kinds
            raise ConfigurationError(f"the template '{text}' can't be read: {exc}") from exc
        if unknown := sorted({slot.partition(":")[0] for slot in re.findall(r"\{([\w:]+)\}", text)} - set(lists)):
            raise ConfigurationError(f"the template '{text}' names lists that don't exist: {', '.join(unknown)}")

    def draw(self, random: Random) -> Phrase:
        """Draw one sentence: each choice is as likely as the others."""
        slots: dict[str, str] = {}
        return Phrase(_tidy(self._draw(self._expression, random, slots)), slots)

    def _draw(self, part: Any, random: Random, slots: dict[str, str]) -> str:
        from hassil.expression import Alternative, ListReference, TextChunk

        if isinstance(part, TextChunk):
            return str(part.original_text)
        if isinstance(part, ListReference):
            text, slots[part.slot_name] = self._lists[part.list_name](random)
            return text
        if isinstance(part, Alternative):
            return self._draw(random.choice(part.items), random, slots)
        return "".join(self._draw(item, random, slots) for item in part.items)


@dataclass(frozen=True)
class Labelled:
    """A template with the calls that its sentences ask for."""

    template: Template
    labels: tuple[str, ...]  # as LFM2-Tool writes calls, with slots in braces
    imperative: bool  # begins with a bare verb, so that "could you" can stand before it

    def calls(self, phrase: Phrase) -> tuple[ToolCall, ...]:
        """The calls of a drawn phrase; an argument whose slot was not said is left out."""
        calls: list[ToolCall] = []
        for label in self.labels:
            match = _LABEL.fullmatch(label)
            if match is None:
                raise ConfigurationError(f"the label '{label}' of '{self.template.text}' is no call")
            said = [
                argument
                for argument in re.split(r",\s*", match[2] or "")
                if all(slot in phrase.slots for slot in _SLOT.findall(argument))
            ]
            written = _SLOT.sub(lambda slot: phrase.slots.get(slot[1], ""), f"{match[1]}({', '.join(said)})")
            try:
                calls += read_calls(written)
            except ModelOutputError as exc:
                raise ConfigurationError(f"the label '{label}' of '{self.template.text}' is no call: {exc}") from exc
        return tuple(calls)


#: How frames use the commands that they hold.
FRAMES = ("polite", "joined", "corrected", "canceled", "unwanted")
#: What can be put around or into any sentence.
DECORATIONS = ("openers", "closers", "hesitations")


@dataclass(frozen=True)
class Templates:
    """All templates of a folder."""

    commands: tuple[Labelled, ...]
    near_misses: tuple[Labelled, ...]
    talk: tuple[Labelled, ...]
    frames: Mapping[str, tuple[Template, ...]]  # by FRAMES; hold {command}, or {first} and {second}
    decorations: Mapping[str, tuple[Template, ...]]  # by DECORATIONS


def read_templates(folder: Path) -> Templates:
    """Read a folder of templates. Raises ConfigurationError with the file or the template, and the reason."""
    lists = _lists(folder / "lists.yaml")
    inside = {**lists, **{name: _placeholder(name) for name in ("command", "first", "second")}}
    frames = _mapping(folder / "frames.yaml", (*FRAMES, *DECORATIONS))
    labelled = {
        path.stem: _labelled(path, lists)
        for path in sorted(folder.glob("*.yaml"))
        if path.stem not in ("lists", "frames")
    }
    return Templates(
        commands=tuple(one for group in labelled.values() for one in group if one.labels),
        near_misses=tuple(one for stem, group in labelled.items() if stem != "talk" for one in group if not one.labels),
        talk=tuple(one for one in labelled.get("talk", ()) if not one.labels),
        frames={kind: tuple(Template(text, inside, split) for text, split in frames[kind]) for kind in FRAMES},
        decorations={kind: tuple(Template(text, lists) for text, _ in frames[kind]) for kind in DECORATIONS},
    )


def _labelled(path: Path, lists: Mapping[str, Callable[[Random], Drawn]]) -> list[Labelled]:
    content = read_yaml(path)
    found: list[Labelled] = []
    try:
        for entry in content["templates"]:
            form = entry.get("form", "imperative")
            if form not in ("imperative", "free"):
                raise ConfigurationError(f"{path}: there is no form '{form}'; there are: imperative, free")
            found += [
                Labelled(
                    Template(str(text), lists, entry.get("split", "")), tuple(entry["calls"]), form == "imperative"
                )
                for text in entry["say"]
            ]
    except (KeyError, TypeError, AttributeError) as exc:
        raise ConfigurationError(f"{path} must hold `templates`, a list of entries with `calls` and `say`") from exc
    return found


def _lists(path: Path) -> dict[str, Callable[[Random], Drawn]]:
    content = read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(items, list | dict) and items for items in content.values()):
        raise ConfigurationError(f"{path} must map the name of each list to words, or to words with their values")
    lists: dict[str, Callable[[Random], Drawn]] = {}
    for name, items in content.items():
        pairs = items.items() if isinstance(items, dict) else ((item, item) for item in items)
        lists[str(name)] = _one_of([(str(text), str(value)) for text, value in pairs])
    return {**lists, **_COMPUTED}


def _mapping(path: Path, keys: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Texts by key, each with the split that it is kept for: ``text``, or ``{say: text, split: train}``."""
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) != set(keys):
        raise ConfigurationError(f"{path} must have exactly the keys: {', '.join(keys)}")
    try:
        return {
            key: [
                (str(each["say"]), str(each["split"])) if isinstance(each, dict) else (str(each), "") for each in items
            ]
            for key, items in content.items()
        }
    except (KeyError, TypeError) as exc:
        raise ConfigurationError(f"{path} must hold lists of texts, or of `say` with `split`") from exc


def _one_of(pairs: Sequence[Drawn]) -> Callable[[Random], Drawn]:
    return lambda random: random.choice(pairs)


def _placeholder(name: str) -> Callable[[Random], Drawn]:
    return lambda _: (f"{{{name}}}", "")


def _number(low: int, high: int) -> Callable[[Random], Drawn]:
    def draw(random: Random) -> Drawn:
        # People say round numbers.
        value = random.choice((random.randint(low, high), 5 * random.randint(max(1, low // 5), high // 5)))
        if random.random() < _HALVES:
            return f"{value}.5" if random.random() < 0.5 else f"{spell(value)} and a half", f"{value}.5"
        words = random.choice((str(value), spell(value), spell(value).replace("-", " ")))
        return (words.replace("one hundred", "a hundred") if random.random() < 0.5 else words), str(value)

    return draw


def _signed(random: Random) -> Drawn:
    if random.random() < _ZEROS:
        return random.choice(("0", "zero")), "0"
    words, value = _number(0, 90)(random)
    if random.random() < 0.45 and value != "0":
        return (f"-{value}" if words == value else f"{random.choice(('minus', 'negative'))} {words}"), f"-{value}"
    return words, value


def _cities() -> list[Drawn]:
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Pacific/")
    cities = {
        zone.rpartition("/")[2].replace("_", " ")
        for zone in zoneinfo.available_timezones()
        if zone.startswith(areas) and not re.search(r"\d", zone)
    }
    return [(city, city) for city in sorted(cities)]


_COMPUTED: Mapping[str, Callable[[Random], Drawn]] = {
    "number": _number(1, 180),
    "small": _number(1, 60),
    "signed": _signed,
    "city": _one_of(_cities()),
}


def _tidy(text: str) -> str:
    return re.sub(r"\s+(?=[,.?!])", "", " ".join(text.split())).strip(" ,")
