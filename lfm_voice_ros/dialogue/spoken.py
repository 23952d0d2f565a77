"""A cascade: an engine that makes text, and a synthesizer that speaks it sentence by sentence."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.grounding import compose, sentences
from lfm_voice_ros.core.ports import SpeechOut, Synthesizer, TextEngine
from lfm_voice_ros.core.types import Question, Reply, Samples, ToolCall, Utterance
from lfm_voice_ros.dialogue.sentence_cache import CachingSynthesizer

_CHUNK = 0.25  # s of sound in a piece
_LONG = 60  # characters, some four seconds; what is shorter is made soon enough
_SHORTEST = 18  # characters of a clause
#: Where a speaker stops for a moment anyway; the mark stays with the clause before it, whose voice it keeps up.
_COMMA = re.compile(r"(?<=[,;:])\s+")


class SpokenEngine:
    """Port DialogueEngine."""

    hears = False

    def __init__(
        self,
        engine: TextEngine,
        synthesizer: CachingSynthesizer | None,
        voice_failed: Callable[[str], None],
        phrases: Sequence[str] = (),
    ) -> None:
        """Without a ``synthesizer`` replies are text only. ``voice_failed`` is told why a reply was not spoken.

        The sound of ``phrases``, and of the engine's own, is made ahead when there is time.
        """
        self.name = engine.name
        self.description = f"{engine.name}, spoken by {synthesizer.name}" if synthesizer else f"{engine.name}, as text"
        self.sample_rate = synthesizer.sample_rate if synthesizer else 0
        self._engine = engine
        self._synthesizer = synthesizer
        self._voice_failed = voice_failed
        self._ahead = deque(part for text in [*phrases, *engine.phrases()] for part in parts(text))

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """The text is enough."""
        return None

    def prepare(self, question: Question) -> Iterator[str]:
        """See the port."""
        if self._synthesizer is None:
            return
        for part in parts(self._engine.prepare(question.transcript, question.results).text):
            if self._synthesizer.keep(part):
                yield part

    def answer(self, question: Question, out: SpeechOut) -> None:
        """See the port."""
        reply = (
            Reply(question.problem, "error")
            if question.problem
            else self._engine.reply(question.transcript, question.results)
        )
        out.reply(reply)
        if self._synthesizer is None:
            return
        try:
            for words, piece in pieces(self._synthesizer, reply.text):
                if out.canceled():
                    return
                out.say(words, piece)
        except ResourceError as exc:
            self._voice_failed(str(exc))

    def heard(self, question: Question, seconds: float | None, words: str) -> None:
        """See the port."""
        if question.transcript.text:
            self._engine.heard(question.transcript, words)

    def forget(self, utterance_id: str) -> None:
        """Nothing was remembered."""

    def rest(self, waiting: Callable[[], bool]) -> bool:
        """Make one of the phrases; the next one when it is called again."""
        if self._synthesizer is not None and self._ahead and not waiting():
            try:
                self._synthesizer.keep(self._ahead.popleft())
            except ResourceError as exc:
                self._ahead.clear()
                self._voice_failed(str(exc))
        return self._synthesizer is not None and bool(self._ahead)

    def close(self) -> None:
        """There are no threads."""


def pieces(synthesizer: Synthesizer, text: str) -> Iterator[tuple[str, Samples]]:
    """Give a text's sound in pieces of a quarter of a second at most, each with the words that begin in it.

    Part by part, as each is made. Raises ResourceError when the synthesizer fails.
    """
    size = round(_CHUNK * synthesizer.sample_rate)
    for part in parts(text):
        words = part
        for sound in synthesizer.synthesize(part):
            for start in range(0, sound.size, size):
                yield words, sound[start : start + size]
                words = ""


def parts(text: str) -> list[str]:
    """What is made and spoken at once: sentences, of which a long first one is begun with a clause of its own.

    A synthesizer gives a sentence when all of it is made: the first sound of a long one would come late.
    """
    whole = sentences(text)
    return [*_clauses(whole[0]), *whole[1:]] if whole else []


def _clauses(sentence: str) -> list[str]:
    if len(sentence) > _LONG:
        for comma in _COMMA.finditer(sentence):
            begin, rest = sentence[: comma.start()], sentence[comma.end() :]
            if len(begin) >= _SHORTEST and len(rest) >= _SHORTEST:
                return [begin, rest]
    return [sentence]


class SilentEngine:
    """Port DialogueEngine for a robot without one: it says so as text, and nothing else."""

    name = "none"
    description = "none"
    sample_rate = 0
    hears = False

    def __init__(self, excuse: str) -> None:
        """``excuse`` answers what no tool answers."""
        self._excuse = excuse

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """Nothing is heard."""
        return None

    def prepare(self, question: Question) -> Iterator[str]:
        """Nothing is spoken."""
        return iter(())

    def answer(self, question: Question, out: SpeechOut) -> None:
        """What the tools did is still told."""
        told = compose(question.results)
        out.reply(told if told.text else Reply(question.problem or self._excuse, "error"))

    def heard(self, question: Question, seconds: float | None, words: str) -> None:
        """Nothing is remembered."""

    def forget(self, utterance_id: str) -> None:
        """Nothing is remembered."""

    def rest(self, waiting: Callable[[], bool]) -> bool:
        """Nothing is left over."""
        return False

    def close(self) -> None:
        """There are no threads."""
