"""Book-keeping of the robot's voice: which reply plays, how much of it was heard, and whether the robot is audible."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from lfm_voice_ros.core.ports import AudioSink, Clock, Played
from lfm_voice_ros.core.types import Samples

_REPORT_PERIOD = 0.1  # s between reports while a reply plays
_STALL = 5.0  # s without sound and without an end, after which a reply is given up
_REMEMBERED = 256  # replies whose late chunks are still recognised
_TAIL = 0.3  # s for which the robot's last words still hang in the room
_WATCHDOG = 1.0  # s after which a player that says nothing more no longer counts as playing
_NEARLY_OVER = 0.25  # s; what is left of a reply when a pause would only lengthen it
_SENTENCE = 1.2  # s; a sentence that was cut this early is begun anew
_WORD = (0.45, 0.15)  # s before a pause between which the gap before a word is looked for
_LOOK = 0.02  # s, of such a gap
_FADE = 0.005  # s in which sound comes back after a pause


class PlaybackState(IntEnum):
    """What the speaker does with a reply; the numbers are those of msg/Playback.msg."""

    STARTED = 0
    PLAYING = 1
    FINISHED = 2
    INTERRUPTED = 3
    PAUSED = 4


@dataclass(frozen=True)
class PlaybackReport:
    """One moment of a reply."""

    utterance_id: str
    state: PlaybackState
    age: float  # s ago that the state was reached
    heard: float  # s of the reply that have left the speaker
    queued: float  # s that wait to be played
    text: str  # the words that were begun


@dataclass(frozen=True)
class Chunk:
    """A piece of a reply; the pieces count up from 0."""

    utterance_id: str
    sequence: int
    last: bool
    samples: Samples
    sample_rate: int  # Hz
    text: str = ""  # the words that begin here
    uninterruptible: bool = False  # a person who speaks does not cut it


class ReplySink(AudioSink, Protocol):
    """A sink that knows where replies begin and end. Used from one thread."""

    def begin(self, utterance_id: str) -> None:
        """What is written from now on belongs to this reply."""

    def finish(self) -> None:
        """Nothing more is written for this reply: let no filter hold back its last samples."""

    def end(self) -> None:
        """The reply was heard to its end or cut; what is kept of it is complete when this returns."""

    def check(self) -> None:
        """Raises ResourceError when the sink no longer makes sound, with what to do."""


class TimedSink:
    """A sink that nobody hears: sound passes in real time by ``clock``.

    ``played``, where given, is told what has passed whenever the sink is asked or written to.
    """

    description = "none"

    def __init__(self, clock: Clock, played: Played | None = None) -> None:
        self._clock = clock
        self._tell = played
        self._played = 0.0
        self._queued = 0.0
        self._at = clock()
        self._pieces: deque[tuple[Samples, int]] = deque()  # to be told, with their rates
        self._part = 0.0  # samples of the first piece that have passed
        self._telling = False  # sound was told and no silence after it

    def start(self) -> None:
        """Nothing to open."""

    def stop(self) -> None:
        """Nothing to close."""

    def begin(self, utterance_id: str) -> None:
        """All replies sound the same here."""

    def finish(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        """Nothing is kept."""

    def check(self) -> None:
        """Silence can't break."""

    def write(self, samples: Samples, sample_rate: int) -> None:
        """Queue sound; only its length counts, but to those who are told."""
        self._advance()
        self._queued += samples.size / sample_rate
        if self._tell is not None and samples.size:
            self._pieces.append((samples, sample_rate))

    def flush(self) -> None:
        """Throw away what is queued."""
        self._advance()
        self._queued = 0.0
        self._pieces.clear()
        self._part = 0.0
        self._tell_silence()

    def played_seconds(self) -> float:
        """Seconds of sound that have passed since the start."""
        self._advance()
        return self._played

    def queued_seconds(self) -> float:
        """Seconds of sound that wait."""
        self._advance()
        return self._queued

    def _advance(self) -> None:
        now = self._clock()
        passed = min(self._queued, now - self._at)
        self._tell_sound(passed, self._at)
        self._played += passed
        # A rest far below one sample is the rounding of the subtraction, and would never pass.
        self._queued = self._queued - passed if self._queued - passed > 1e-9 else 0.0
        self._at = now

    def _tell_sound(self, seconds: float, at: float) -> None:
        if self._tell is None:
            return
        while self._pieces and seconds > 0:
            samples, rate = self._pieces[0]
            begin, end = round(self._part), min(samples.size, round(self._part + seconds * rate))
            taken = min(seconds, (samples.size - self._part) / rate)
            if end > begin:
                self._tell(samples[begin:end], rate, at)
                self._telling = True
            self._part += taken * rate
            seconds, at = seconds - taken, at + taken
            if samples.size - self._part < 0.5:
                self._pieces.popleft()
                self._part = 0.0
        if not self._pieces:
            self._tell_silence()

    def _tell_silence(self) -> None:
        if self._tell is not None and self._telling:
            self._telling = False
            self._tell(np.empty(0, np.float32), 0, self._at)


@dataclass
class _Reply:
    utterance_id: str
    newest: float  # s, clock: when a chunk came or sound was waiting, whichever is later
    chunks: list[Chunk] = field(default_factory=list)
    expected: int = 0
    begun: bool = False  # the sink has it
    complete: bool = False
    started: bool = False  # its first sample was heard
    reported: float = 0.0  # s, clock: the newest report
    carried: float = 0.0  # s of the reply before what the sink has of it
    base: float = 0.0  # s, what the present sink had played when that came to it
    furthest: float = 0.0  # s that were heard; after a pause some of it is heard again
    paused: bool = False

    @property
    def uninterruptible(self) -> bool:
        return any(chunk.uninterruptible for chunk in self.chunks)

    @property
    def sample_rate(self) -> int:
        return self.chunks[0].sample_rate if self.chunks else 0

    @property
    def seconds(self) -> float:
        return sum(chunk.samples.size for chunk in self.chunks) / self.sample_rate if self.chunks else 0.0

    def text_until(self, heard: float) -> str:
        """The words that begin before ``heard`` seconds."""
        return " ".join(text for at, text in self._texts() if at < heard)

    def _texts(self) -> Iterator[tuple[float, str]]:
        """When (s) the words of each chunk begin."""
        at = 0.0
        for chunk in self.chunks:
            if chunk.text:
                yield at, chunk.text
            at += chunk.samples.size / chunk.sample_rate

    def rest(self, heard: float) -> Samples:
        """The sound after ``heard`` seconds."""
        samples = np.concatenate([chunk.samples for chunk in self.chunks]) if self.chunks else np.empty(0, np.float32)
        return samples[round(heard * self.sample_rate) :]

    def resumption(self, heard: float) -> float:
        """Where (s) to go on after a pause: the sentence's beginning, or else the quietest place a little before."""
        sentence = max((at for at, _ in self._texts() if at <= heard), default=0.0)
        if heard - sentence < _SENTENCE:
            return sentence
        earliest = heard - _WORD[0]
        sound = self.rest(earliest)[: round((_WORD[0] - _WORD[1]) * self.sample_rate)]
        size = max(1, round(_LOOK * self.sample_rate))
        powers = np.mean(sound[: sound.size // size * size].reshape(-1, size) ** 2, axis=1)
        return earliest + (int(np.argmin(powers)) + 0.5) * size / self.sample_rate if powers.size else heard


class Player:
    """Plays replies one after the other into a sink and reports what is heard of each.

    A reply without any sound gives FINISHED only. A reply whose stream stalls for 5 s ends as FINISHED, and
    ``stalled`` is called with its id. ``dropped`` counts, by reason, the chunks that could not be used.
    Not for several threads; ``clock`` gives seconds and never jumps.
    """

    def __init__(
        self,
        sink: ReplySink,
        report: Callable[[PlaybackReport], None],
        stalled: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._sink = sink
        self._report = report
        self._stalled = stalled
        self._clock = clock
        self._replies: deque[_Reply] = deque()
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def busy(self) -> bool:
        """Whether a reply plays or waits; :meth:`tick` must be called as long as that is so."""
        return bool(self._replies)

    @property
    def paused(self) -> str:
        """The id of the reply that is paused; empty when none is."""
        return self._replies[0].utterance_id if self._replies and self._replies[0].paused else ""

    def add(self, chunk: Chunk) -> None:
        """Take a chunk. One that comes twice, or late, or with another rate than the first, is dropped and counted."""
        if chunk.utterance_id in self._ended:
            self.dropped["late"] += 1
            return
        reply = next((r for r in self._replies if r.utterance_id == chunk.utterance_id), None)
        if reply is None:
            reply = _Reply(chunk.utterance_id, self._clock())
            self._replies.append(reply)
            self._begin()
        if chunk.sequence < reply.expected or reply.complete:
            self.dropped["out of order"] += 1
            return
        self.dropped["missing"] += chunk.sequence - reply.expected
        reply.expected = chunk.sequence + 1
        reply.complete = chunk.last
        reply.newest = self._clock()
        if chunk.samples.size and reply.chunks and chunk.sample_rate != reply.sample_rate:
            self.dropped["rate changed"] += 1
        elif chunk.samples.size or chunk.text:
            reply.chunks.append(chunk)
            if reply.begun and chunk.samples.size and not reply.paused:
                self._sink.write(chunk.samples, chunk.sample_rate)
        if reply.begun and reply.complete and not reply.paused:
            self._sink.finish()
        self.tick()

    def pause(self, utterance_id: str) -> bool:
        """A person speaks into this reply (empty: whichever plays): be silent until :meth:`resume` or a cut.

        False, and nothing is done, when it doesn't play, must not be interrupted, or is over in a moment.
        """
        if not self._replies or utterance_id not in ("", self._replies[0].utterance_id):
            return False
        reply = self._replies[0]
        if reply.paused:
            return True
        if reply.uninterruptible or (reply.complete and self._sink.queued_seconds() < _NEARLY_OVER):
            return False
        self._sink.flush()
        reply.paused = True
        reply.reported = self._clock()
        self._say(reply, PlaybackState.PAUSED, self._heard(reply, self._sink), self._left(reply))
        return True

    def resume(self) -> None:
        """Go on with the reply that is paused, from the beginning of what was cut off."""
        if not self.paused:
            return
        reply = self._replies[0]
        reply.paused = False
        reply.newest = reply.reported = self._clock()
        heard = self._heard(reply, self._sink)
        self._continue(reply, reply.resumption(self._position(reply, self._sink)))
        if reply.started:
            self._say(reply, PlaybackState.PLAYING, heard, self._sink.queued_seconds())
        self.tick()

    def interrupt(self, utterance_id: str, by_person: bool = False) -> None:
        """Cut this reply, also when it has not begun or not come yet; an empty id cuts all that play or wait.

        ``by_person`` says that a person has begun to speak, which doesn't cut what is uninterruptible.
        """
        hit = [r for r in self._replies if utterance_id in ("", r.utterance_id)]
        if by_person and any(reply.uninterruptible for reply in hit):
            return
        for reply in hit:
            if reply.begun:
                self._sink.flush()
                self._close(PlaybackState.INTERRUPTED)
            else:
                self._replies.remove(reply)
                self._ended.append(reply.utterance_id)
                self._report(PlaybackReport(reply.utterance_id, PlaybackState.INTERRUPTED, 0.0, 0.0, 0.0, ""))
        if utterance_id and utterance_id not in self._ended:
            self._ended.append(utterance_id)
        self._begin()

    def tick(self) -> None:
        """See how far the sink has come, and report it."""
        while self._replies:
            reply = self._replies[0]
            self._begin()
            queued = self._sink.queued_seconds()
            heard = self._heard(reply, self._sink)
            now = self._clock()
            if reply.paused:
                if now - reply.reported >= _REPORT_PERIOD:
                    reply.reported = now
                    self._say(reply, PlaybackState.PAUSED, heard, self._left(reply))
                return
            if queued > 0:
                reply.newest = now
            if heard > 0 and not reply.started:
                reply.started = True
                reply.reported = now
                self._say(reply, PlaybackState.STARTED, heard, queued, age=heard)
            elif reply.started and now - reply.reported >= _REPORT_PERIOD:
                reply.reported = now
                self._say(reply, PlaybackState.PLAYING, heard, queued)
            if queued > 0:
                return
            if not reply.complete:
                if now - reply.newest < _STALL:
                    return
                self._stalled(reply.utterance_id)
            self._close(PlaybackState.FINISHED)

    def change_sink(self, sink: ReplySink) -> ReplySink:
        """Go on with another sink, from where the reply was heard to; gives back the old one, silent."""
        old = self._sink
        old.flush()
        self._sink = sink
        if self._replies:
            reply = self._replies[0]
            self._heard(reply, old)
            position = self._position(reply, old)
            old.end()
            self._sink.begin(reply.utterance_id)
            self._continue(reply, position)
        return old

    def check(self) -> None:
        """Raises ResourceError when the sink is broken."""
        self._sink.check()

    def _begin(self) -> None:
        """Hand the first reply to the sink, unless it has it."""
        if self._replies and not self._replies[0].begun:
            self._replies[0].begun = True
            self._sink.begin(self._replies[0].utterance_id)
            self._continue(self._replies[0], 0.0)

    def _continue(self, reply: _Reply, at: float) -> None:
        """Let the sink play the reply from ``at`` (s) on; while it is paused, nothing of it."""
        reply.carried = at
        reply.base = self._sink.played_seconds()
        if reply.paused:
            return
        if (rest := reply.rest(at)).size:
            self._sink.write(_faded_in(rest, reply.sample_rate) if at else rest, reply.sample_rate)
        if reply.complete:
            self._sink.finish()

    def _heard(self, reply: _Reply, sink: ReplySink) -> float:
        reply.furthest = max(reply.furthest, self._position(reply, sink))
        return reply.furthest

    def _position(self, reply: _Reply, sink: ReplySink) -> float:
        return min(reply.carried + sink.played_seconds() - reply.base, reply.seconds)

    def _left(self, reply: _Reply) -> float:
        return reply.seconds - reply.furthest

    def _close(self, state: PlaybackState) -> None:
        reply = self._replies.popleft()
        heard = self._heard(reply, self._sink)
        self._sink.end()
        self._ended.append(reply.utterance_id)
        self._say(reply, state, heard, 0.0)

    def _say(self, reply: _Reply, state: PlaybackState, heard: float, queued: float, age: float = 0.0) -> None:
        self._report(PlaybackReport(reply.utterance_id, state, age, heard, queued, reply.text_until(heard)))


def _faded_in(sound: Samples, rate: int) -> Samples:
    """The sound, without the click of a beginning in the middle of a wave."""
    ramp = np.ones(sound.size, np.float32)
    count = min(round(_FADE * rate), sound.size)
    ramp[:count] = np.linspace(0.0, 1.0, count, endpoint=False, dtype=np.float32)
    return sound * ramp


class RobotVoice:
    """Whether the robot is audible, from what the player says. All methods may be called from any thread.

    Times are seconds of a clock that never jumps, taken when the player's message came.
    """

    def __init__(self) -> None:
        self._state = ("", 0.0, 0.0)  # the reply, until when it plays or is paused, until when it is audible

    def update(self, utterance_id: str, state: int, now: float) -> None:
        """Take a state of msg/Playback.msg. The end of a reply that isn't playing changes nothing."""
        if state in (PlaybackState.STARTED, PlaybackState.PLAYING):
            self._state = (utterance_id, now + _WATCHDOG, now + _WATCHDOG)
        elif state == PlaybackState.PAUSED:
            self._state = (utterance_id, now + _WATCHDOG, min(self._state[2], now + _TAIL))
        elif utterance_id == self._state[0]:
            self._state = (utterance_id, now, now + _TAIL)

    def playing(self, now: float) -> str:
        """The id of the reply that plays or is paused; empty when none is, or the player has said nothing for 1 s."""
        utterance_id, until, _ = self._state
        return utterance_id if now < until else ""

    def audible(self, now: float) -> bool:
        """Whether a microphone hears the robot: while it plays and 0.3 s longer."""
        return now < self._state[2]
