"""Short, honest answers from a list, for talk that asks for no tool."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.grounding import claims_an_act
from lfm_voice_ros.core.resources import read_yaml


class SmallTalk:
    """Answers by pattern; the answers of one pattern take turns."""

    def __init__(self, answers: Sequence[tuple[str, Sequence[str]]], otherwise: Sequence[str]) -> None:
        """Raises ConfigurationError for a wrong pattern, no answer, or an answer that claims an act."""
        self._answers: list[tuple[re.Pattern[str], Iterator[str]]] = []
        for pattern, says in answers:
            try:
                self._answers.append((re.compile(pattern, re.IGNORECASE), _turns(says)))
            except re.error as exc:
                raise ConfigurationError(f"the small talk pattern {pattern} is wrong: {exc}") from exc
        self._otherwise = _turns(otherwise)

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

    def answer(self, text: str) -> str:
        """An answer to a sentence."""
        for pattern, says in self._answers:
            if pattern.search(text):
                return next(says)
        return self.excuse()

    def excuse(self) -> str:
        """What to say when there is no answer."""
        return next(self._otherwise)


def _texts(entry: object) -> Sequence[str]:
    if not isinstance(entry, list) or not all(isinstance(text, str) for text in entry):
        raise TypeError(f"`says` must be a list of sentences, not {entry!r}")
    return entry


def _turns(says: Sequence[str]) -> Iterator[str]:
    if not says:
        raise ConfigurationError("there is a pattern without an answer")
    for text in says:
        if claims_an_act(text):
            raise ConfigurationError(f"an answer claims what only a tool can make true: {text}")
    return itertools.cycle(says)
