"""Puts the messages of turns together for the recorder, whatever order they come in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from lfm_voice_ros.core.playback import Chunk
from lfm_voice_ros.core.types import Samples, ToolCall, ToolResult, Transcript, Utterance
from lfm_voice_ros.dataset.recording import RecordedMessage, RecordedTurn

#: How many ended turns are remembered, so that their late messages don't open them again.
_REMEMBERED = 256


@dataclass
class OpenTurn:
    """A turn of which messages come. Times are seconds of one monotonic clock."""

    utterance_id: str
    changed: float  # when the last message came
    recorded: datetime
    utterance: Utterance | None = None
    transcript: Transcript | None = None
    calls: tuple[ToolCall, ...] = ()
    results: dict[int, ToolResult] = field(default_factory=dict)
    reply: str | None = None
    failed: bool = False  # the reply tells of an error
    chunks: dict[int, Chunk] = field(default_factory=dict)  # of the reply's sound, by their sequence
    heard: float | None = None  # s of the reply that were heard before it was cut
    interrupted: bool = False
    closed: float | None = None
    messages: list[RecordedMessage] = field(default_factory=list)
    size: int = 0  # bytes of the messages

    @property
    def wordless(self) -> bool:
        """Nothing was understood: nobody meant the robot."""
        return self.transcript is not None and not self.transcript.text

    def whole(self) -> RecordedTurn | None:
        """The turn, to be written; None as long as what was said, its words or the reply are missing."""
        if self.utterance is None or self.transcript is None or self.reply is None:
            return None
        sound, rate = self._sound()
        return RecordedTurn(
            utterance=self.utterance,
            transcript=self.transcript.text,
            calls=self.calls,
            results=tuple(self.results[index] for index in sorted(self.results)),
            reply=self.reply,
            reply_sound=sound,
            reply_rate=rate,
            kind="interrupted" if self.interrupted else "error" if self.failed else "",
            recorded=self.recorded,
            messages=tuple(self.messages),
        )

    def _sound(self) -> tuple[Samples | None, int]:
        """What was heard of the reply, with its rate in Hz; None where nothing was, or where a part was lost."""
        chunks = [self.chunks[sequence] for sequence in sorted(self.chunks)]
        ended = self.interrupted or any(chunk.last for chunk in chunks)
        rates = {chunk.sample_rate for chunk in chunks if chunk.samples.size}
        if not ended or len(rates) != 1 or max(self.chunks) != len(chunks) - 1:
            return None, 0
        rate = rates.pop()
        sound = np.concatenate([chunk.samples for chunk in chunks])
        if self.interrupted and self.heard is not None:
            sound = sound[: round(self.heard * rate)]
        return (sound, rate) if sound.size else (None, 0)


class Collector:
    """The open turns, few and small enough for any memory. For one thread; ``now`` is a monotonic time in seconds."""

    def __init__(
        self, grace: float = 1.0, timeout: float = 60.0, most_turns: int = 16, most_bytes: int = 32_000_000
    ) -> None:
        """A turn is waited for ``grace`` seconds after its end, since topics have no order among one another.

        One that never ends is given up ``timeout`` seconds after its last message; one of more than ``most_bytes``,
        and those that come while ``most_turns`` are open, are dropped.
        """
        self.dropped = 0  # turns
        self._grace = grace
        self._timeout = timeout
        self._most_turns = most_turns
        self._most_bytes = most_bytes
        self._open: dict[str, OpenTurn] = {}
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    def take(self, utterance_id: str, message: RecordedMessage, now: float, begins: bool = True) -> OpenTurn | None:
        """Keep a message; give the turn, so that its meaning can be noted there. None: it is of no turn of ours.

        ``begins`` says whether such a message can be the first of a turn that is known.
        """
        if not utterance_id or utterance_id in self._ended:
            return None
        turn = self._open.get(utterance_id)
        if turn is None and not begins:
            return None
        if turn is None:
            if len(self._open) >= self._most_turns:
                self.drop(utterance_id)
                return None
            recorded = datetime.fromtimestamp(message.received * 1e-9, UTC).astimezone()
            turn = self._open[utterance_id] = OpenTurn(utterance_id, now, recorded)
        turn.changed = now
        turn.messages.append(message)
        turn.size += len(message.cdr)
        if turn.size > self._most_bytes:
            self.drop(utterance_id)
            return None
        return turn

    def leave(self, utterance_id: str) -> None:
        """It is none that is kept."""
        self._end(utterance_id)

    def drop(self, utterance_id: str) -> None:
        """Give a turn up."""
        self._end(utterance_id)
        self.dropped += 1

    def drop_all(self) -> None:
        """Give all open turns up: messages were lost, nobody knows of which."""
        for utterance_id in list(self._open):
            self.drop(utterance_id)

    def ready(self, now: float) -> Iterator[RecordedTurn]:
        """The turns that can be written, each given once."""
        for turn in list(self._open.values()):
            over = turn.closed is not None and now >= turn.closed + self._grace
            if turn.wordless:
                self._end(turn.utterance_id)
            elif over or now >= turn.changed + self._timeout:
                yield from self._give(turn)

    def rest(self) -> Iterator[RecordedTurn]:
        """At the end of the recorder: the turns that have ended; those that have not are dropped."""
        for turn in list(self._open.values()):
            if turn.closed is None or turn.wordless:
                self._end(turn.utterance_id)
            else:
                yield from self._give(turn)

    def _give(self, turn: OpenTurn) -> Iterator[RecordedTurn]:
        whole = turn.whole()
        if whole is None:
            self.drop(turn.utterance_id)
        else:
            self._end(turn.utterance_id)
            yield whole

    def _end(self, utterance_id: str) -> None:
        self._open.pop(utterance_id, None)
        self._ended.append(utterance_id)
