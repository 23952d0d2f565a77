"""A cascade: an engine that makes text, and a synthesizer that speaks it sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.grounding import compose, sentences
from lfm_voice_ros.core.ports import SpeechOut, Synthesizer, TextEngine
from lfm_voice_ros.core.types import Question, Reply, Samples, ToolCall, Utterance

_CHUNK = 0.25  # s of sound in a piece


class SpokenEngine:
    """Port DialogueEngine."""

    hears = False

    def __init__(
        self, engine: TextEngine, synthesizer: Synthesizer | None, voice_failed: Callable[[str], None]
    ) -> None:
        """Without a ``synthesizer`` replies are text only. ``voice_failed`` is told why a reply was not spoken."""
        self.name = engine.name
        self.description = f"{engine.name}, spoken by {synthesizer.name}" if synthesizer else f"{engine.name}, as text"
        self.sample_rate = synthesizer.sample_rate if synthesizer else 0
        self._engine = engine
        self._synthesizer = synthesizer
        self._voice_failed = voice_failed

    def listen(self, utterance: Utterance) -> tuple[ToolCall, ...] | None:
        """The text is enough."""
        return None

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

    def rest(self, waiting: Callable[[], bool]) -> None:
        """There is nothing to tidy up."""

    def close(self) -> None:
        """There are no threads."""


def pieces(synthesizer: Synthesizer, text: str) -> Iterator[tuple[str, Samples]]:
    """Give a text's sound in pieces of a quarter of a second at most, each with the words that begin in it.

    Sentence by sentence, as each is made. Raises ResourceError when the synthesizer fails.
    """
    size = round(_CHUNK * synthesizer.sample_rate)
    for sentence in sentences(text):
        words = sentence
        for sound in synthesizer.synthesize(sentence):
            for start in range(0, sound.size, size):
                yield words, sound[start : start + size]
                words = ""


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

    def answer(self, question: Question, out: SpeechOut) -> None:
        """What the tools did is still told."""
        told = compose(question.results)
        out.reply(told if told.text else Reply(question.problem or self._excuse, "error"))

    def heard(self, question: Question, seconds: float | None, words: str) -> None:
        """Nothing is remembered."""

    def forget(self, utterance_id: str) -> None:
        """Nothing is remembered."""

    def rest(self, waiting: Callable[[], bool]) -> None:
        """Nothing is left over."""

    def close(self) -> None:
        """There are no threads."""
