"""Makes labelled sentences from templates: commands, and at least as many sentences that only sound like commands.

Training, development and test sentences come from different templates and frames, so that a test sentence is never
one of a template that was trained on. What decorates any sentence ("okay", "please", "uh") is shared.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.types import ToolCall
from lfm_voice_ros.training.templates import FRAMES, Labelled, Phrase, Template, Templates

SPLITS = ("train", "dev", "test")

#: How often each kind is drawn. Hard near-misses (of their own templates, unwanted, canceled) outnumber commands.
_KINDS: Mapping[str, float] = {
    "command": 0.25,
    "joined": 0.08,
    "corrected": 0.05,
    "near_miss": 0.30,
    "unwanted": 0.18,
    "canceled": 0.04,
    "talk": 0.10,
}
_POLITE = 0.35  # of imperatives
_OPENED, _CLOSED, _HESITATING = 0.25, 0.12, 0.15
_UNPUNCTUATED = 0.3  # as some recognisers write
_TRIES = 50  # for a new sentence of one kind
_EXHAUSTED = 20  # kinds without a new sentence, after which there are no more
_QUESTION = re.compile(
    r"(?:what|where|which|who|why|how|when|whose|do|does|did|is|are|am|was|were|can|could|will|would|have|has|had|may|"
    r"might|shall|should|any)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A labelled sentence."""

    text: str
    calls: tuple[ToolCall, ...]
    kind: str  # of _KINDS
    templates: tuple[str, ...]  # that it is made of


class Generator:
    """Draws sentences of one split. The same seed gives the same sentences."""

    def __init__(self, templates: Templates, split: str, seed: int) -> None:
        """Raises ConfigurationError when a split has no templates of some kind."""
        self._random = Random(f"{seed} {split}")
        self._decorations = templates.decorations
        self._commands = _share(templates.commands, split)
        self._imperatives = [
            one for one in self._commands if one.imperative and not one.template.text.startswith(("don't", "do not"))
        ]
        self._near_misses = _share(templates.near_misses, split)
        self._talk = _share(templates.talk, split)
        self._frames = {kind: _share(templates.frames[kind], split) for kind in FRAMES}
        groups = {"commands": self._imperatives, "near-misses": self._near_misses, "talk": self._talk, **self._frames}
        if empty := [name for name, group in groups.items() if not group]:
            raise ConfigurationError(f"the split '{split}' has no templates for: {', '.join(empty)}; write more")

    def sentences(self, count: int) -> Iterator[Sentence]:
        """Give ``count`` different sentences, or fewer when no new ones are found any more."""
        seen: set[str] = set()
        exhausted = 0
        while len(seen) < count and exhausted < _EXHAUSTED:
            kind = self._random.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
            # Several tries for the same kind, or what has few sentences would be rarer than it should be.
            for sentence in (self._sentence(kind) for _ in range(_TRIES)):
                key = re.sub(r"\W+", " ", sentence.text.lower()).strip()
                if key and key not in seen:
                    break
            else:
                exhausted += 1
                continue
            seen.add(key)
            yield sentence

    def _sentence(self, kind: str) -> Sentence:
        plain: Mapping[str, Callable[[], tuple[str, Sequence[ToolCall], tuple[str, ...]]]] = {
            "command": self._command,
            "near_miss": lambda: self._plain(self._near_misses),
            "talk": lambda: self._plain(self._talk),
        }
        text, calls, used = plain[kind]() if kind in plain else self._framed(kind)
        return Sentence(self._written(self._decorated(text)), tuple(calls), kind, used)

    def _plain(self, group: Sequence[Labelled]) -> tuple[str, Sequence[ToolCall], tuple[str, ...]]:
        one = self._random.choice(group)
        return one.template.draw(self._random).text, (), (one.template.text,)

    def _command(self) -> tuple[str, Sequence[ToolCall], tuple[str, ...]]:
        one, phrase = self._draw(self._commands)
        text = phrase.text
        used: tuple[str, ...] = (one.template.text,)
        if one.imperative and self._random.random() < _POLITE:
            frame = self._random.choice(self._frames["polite"])
            text = self._filled(frame, command=text)
            used = (*used, frame.text)
        return text, one.calls(phrase), used

    def _framed(self, kind: str) -> tuple[str, Sequence[ToolCall], tuple[str, ...]]:
        frame = self._random.choice(self._frames[kind])
        first, one = self._draw(self._imperatives)
        second, other = self._draw(self._imperatives)
        while set(first.labels) & set(second.labels):  # said twice is done once, which is another matter
            second, other = self._draw(self._imperatives)
        if "{command}" in frame.text:
            calls = () if kind in ("unwanted", "canceled") else first.calls(one)
            return self._filled(frame, command=one.text), calls, (frame.text, first.template.text)
        text = self._filled(frame, first=one.text, second=other.text)
        calls = {
            "joined": first.calls(one) + second.calls(other),
            "corrected": second.calls(other),
        }.get(kind, ())
        return text, calls, (frame.text, first.template.text, second.template.text)

    def _draw(self, group: Sequence[Labelled]) -> tuple[Labelled, Phrase]:
        one = self._random.choice(group)
        return one, one.template.draw(self._random)

    def _filled(self, frame: Template, **commands: str) -> str:
        text = frame.draw(self._random).text
        for name, command in commands.items():
            text = text.replace(f"{{{name}}}", command.rstrip(" .?!"))
        return text

    def _decorated(self, text: str) -> str:
        if self._random.random() < _HESITATING:
            words = text.split()
            at = self._random.randrange(len(words) + 1)
            comma = "," if self._random.random() < 0.5 and 0 < at < len(words) else ""
            words.insert(at, self._decoration("hesitations") + comma)
            text = " ".join(words)
        if self._random.random() < _OPENED:
            text = f"{self._decoration('openers')}{self._random.choice((', ', ' '))}{text}"
        if self._random.random() < _CLOSED and not text.endswith("?"):
            text = f"{text.rstrip(' .!')}{self._random.choice((', ', ' '))}{self._decoration('closers')}"
        return text

    def _decoration(self, kind: str) -> str:
        return self._random.choice(self._decorations[kind]).draw(self._random).text

    def _written(self, text: str) -> str:
        """As a speech recogniser writes it."""
        if self._random.random() < _UNPUNCTUATED:
            return re.sub(r"[,.?!]+(?=\s|$)", "", text).lower()
        text = text[:1].upper() + text[1:]
        text = re.sub(r"([.?!]\s+)([a-z])", lambda match: match[1] + match[2].upper(), text)
        if text.endswith(("?", "!", ".")):
            return text
        return text + ("?" if _QUESTION.match(text) else self._random.choice((".", ".", ".", "!", "")))


def _share[Item: (Labelled, Template)](items: Sequence[Item], split: str) -> list[Item]:
    """The part of a split: of each kind a tenth is for development and an eighth for test, chosen by a hash."""
    drawn = [item for item in items if not _template(item).split]
    ranked = sorted(drawn, key=lambda item: hashlib.sha256(_template(item).text.encode()).digest())
    dev, test = math.ceil(len(ranked) / 10), math.ceil(len(ranked) / 8)
    part = {"dev": ranked[:dev], "test": ranked[dev : dev + test], "train": ranked[dev + test :]}[split]
    return part + [item for item in items if _template(item).split == split]


def _template(item: Labelled | Template) -> Template:
    return item.template if isinstance(item, Labelled) else item
