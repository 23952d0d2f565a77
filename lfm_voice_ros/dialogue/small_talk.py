"""Short, honest answers from a list, for talk that asks for no tool."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.grounding import claims_an_act
from lfm_voice_ros.core.resources import read_yaml


class Answers:
    """Answers that take turns."""

    def __init__(self, says: Sequence[str]) -> None:
        """Raises ConfigurationError for no answer, or one that claims an act."""
        if not says:
            raise ConfigurationError("there is a pattern without an answer")
        for text in says:
            if claims_an_act(text):
                raise ConfigurationError(f"an answer claims what only a tool can make true: {text}")
        self.all = tuple(says)
        self._given = 0

    @property
    def next(self) -> str:
        """The answer whose turn it is."""
        return self.all[self._given % len(self.all)]

    def give(self) -> None:
        """The answer was given: it is another's turn."""
        self._given += 1


class SmallTalk:
    """Answers by pattern."""

    def __init__(self, answers: Sequence[tuple[str, Sequence[str]]], otherwise: Sequence[str]) -> None:
        """Raises ConfigurationError for a wrong pattern, no answer, or an answer that claims an act."""
        self._answers: list[tuple[re.Pattern[str], Answers]] = []
        for pattern, says in answers:
            try:
                self._answers.append((re.compile(pattern, re.IGNORECASE), Answers(says)))
            except re.error as exc:
                raise ConfigurationError(f"the small talk pattern {pattern} is wrong: {exc}") from exc
        #: What to say when there is no answer.
        self.excuses = Answers(otherwise)

    @classmethod
    def from_file(cls, path: Path) -> SmallTalk:
        """Read config/small_talk.yaml or another of its form. Raises ConfigurationError."""
        content = read_yaml(path)
        try:
            if unknown := set(content) - {"answers", "otherwise"}:
                raise ConfigurationError(f"unknown keys: {', '.join(sorted(unknown))}")
            entries: Sequence[Mapping[str, object]] = content["answers"]
            return cls([(str(entry["pattern"]), _texts(entry["says"])) for entry in entries], content["otherwise"])
        except (KeyError, TypeError, ConfigurationError) as exc:
            raise ConfigurationError(f"{path} is not a list of small talk: {exc}") from exc

    def answers(self, text: str) -> Answers:
        """The answers to a sentence; whoever says the next one gives it."""
        return next((says for pattern, says in self._answers if pattern.search(text)), self.excuses)

    def all(self) -> list[str]:
        """Whatever it can say."""
        return [text for says in (*(says for _, says in self._answers), self.excuses) for text in says.all]


def _texts(entry: object) -> Sequence[str]:
    if not isinstance(entry, list) or not all(isinstance(text, str) for text in entry):
        raise TypeError(f"`says` must be a list of sentences, not {entry!r}")
    return entry
