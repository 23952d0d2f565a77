"""voice: lets other nodes say something, and ask the person."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle

from lfm_voice_ros.action import Ask, Say
from lfm_voice_ros.backends import load_synthesizer
from lfm_voice_ros.core.asking import Asked, which_answer
from lfm_voice_ros.core.errors import ResourceError
from lfm_voice_ros.core.ports import Synthesizer
from lfm_voice_ros.core.settings import VoiceSettings
from lfm_voice_ros.core.speakable import speakable
from lfm_voice_ros.dialogue.sentence_cache import CachingSynthesizer, SentenceCache
from lfm_voice_ros.dialogue.spoken import pieces
from lfm_voice_ros.msg import Asking, Interrupt, Playback, SpeechAudio, Transcript, VoiceActivity
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import samples_to_field
from lfm_voice_ros.nodes.runtime import run

_CHECK_PERIOD = 0.1  # s between looks for questions that waited too long
_PLAYER_GRACE = 6.0  # s without a word of the player after which a sentence counts as unheard; it gives up after 5
_RECOGNITION = 15.0  # s that the words of an answer may take after it was spoken
_LONGEST_ANSWER = 30.0  # s that one may go on speaking after the time-out
_ACTIVITY_TIMEOUT = 3.0  # s; voice_activity comes once a second
_VOICES = 3  # that are kept
_CANCELED = "canceled"
_INACTIVE = "the node voice is not active any more"


@dataclass
class _Speech:
    """A sentence or several, and what has become of them."""

    text: str
    voice: str
    ended: Callable[[_Speech], None]  # called once, in any thread
    progress: Callable[[float, str], None] = lambda seconds, words: None
    urgent: bool = False
    interruptible: bool = True
    id: str = field(default_factory=lambda: f"say-{uuid4().hex[:12]}")
    state: int | None = None  # of Say.Result, once it is over
    heard_seconds: float = 0.0
    heard_text: str = ""
    message: str = ""
    reported: float = 0.0  # s, monotonic: when the player said something of it
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self, state: int, message: str = "") -> None:
        """It is over; the first reason counts."""
        with self.lock:
            if self.state is not None:
                return
            self.state, self.message = state, message
        self.over.set()
        self.ended(self)


@dataclass
class _Question:
    """A goal's question until it is answered."""

    handle: ServerGoalHandle
    speech: _Speech
    since: float = math.inf  # s, ROS time: from here on an utterance is an answer
    until: float = math.inf  # s, ROS time


class Voice(VoiceNode[VoiceSettings]):
    """Actions ``say`` and ``ask``; their sound goes to the audio player, which plays one thing after the other.

    The worker ``saying`` has one goal at a time at the player, so that an urgent one cuts no more than what is heard.
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("voice", VoiceSettings)
        self._voices: dict[str, Synthesizer] = {}
        self._cache = SentenceCache(0)
        self._cache = SentenceCache(0)
        self._speaking_person = False
        self._activity_at = 0.0  # s, monotonic: when that was said last
        self._spoken_at = 0.0  # s, ROS time: when the person was last known to speak
        self._present: _Speech | None = None
        self._question: _Question | None = None
        self._goals: dict[bytes, _Speech] = {}  # of say, by goal
        self._asked = Asked()
        self._saying = self.add_worker("saying", self._say, self.settings.queue)
        self._sound = self.create_publisher(SpeechAudio, "audio/output", qos.AUDIO)
        self._interrupts = self.create_publisher(Interrupt, "interrupt", qos.EVENT)
        self._asking = self.create_publisher(Asking, "asking", qos.STATE)
        self.listen(Playback, "playback", self._on_playback, qos.EVENT)
        self.listen(VoiceActivity, "voice_activity", self._on_activity, qos.STATE)
        self.listen(Transcript, "transcript", self._on_transcript, qos.EVENT)
        self.every(_CHECK_PERIOD, self._on_check)
        #: The results of goals that are over, by goal.
        self._results: dict[bytes, Say.Result | Ask.Result] = {}
        self._servers = [
            ActionServer(
                self,
                Say,
                "say",
                self._conclude,
                goal_callback=self._on_say,
                handle_accepted_callback=self._begin_say,
                cancel_callback=self._on_cancel,
            ),
            ActionServer(
                self,
                Ask,
                "ask",
                self._conclude,
                goal_callback=self._on_ask,
                handle_accepted_callback=self._begin_ask,
                cancel_callback=self._on_cancel,
            ),
        ]

    def configure(self) -> None:
        """Begin to load the voice, so that the first sentence need not wait for it."""
        self._saying.put(None)

    def activate(self) -> None:
        """No answer is due, also where an earlier life of this node has left a question open."""
        self._asking.publish(Asking(header=self.header(), open=False))

    def deactivate(self) -> None:
        """Fall silent; goals end as failed."""
        for speech in [*self._saying.clear(), self._present]:
            if speech is not None:
                self._cut(speech, Say.Result.FAILED, _INACTIVE)
        self._answer(Ask.Result.FAILED, message=_INACTIVE)

    def cleanup(self) -> None:
        """Free the voices and what they have said."""
        self._voices = {}
        self._cache = SentenceCache(0)

    def changed(self) -> None:
        """Load another voice before it is needed."""
        self._saying.put(None)

    def close(self) -> bool:
        """End the goals, the worker and the action servers."""
        self.deactivate()
        ended = super().close()
        for server in self._servers:
            server.destroy()
        return ended

    # Goals. One that was accepted is executed when its result is known: rclpy's executor would poll a coroutine that
    # waits, and take a core for it.

    def _on_say(self, _goal: Say.Goal) -> GoalResponse:
        return GoalResponse.ACCEPT if self.active else GoalResponse.REJECT

    def _on_ask(self, _goal: Ask.Goal) -> GoalResponse:
        # One question at a time.
        return GoalResponse.ACCEPT if self.active and self._question is None else GoalResponse.REJECT

    def _begin_say(self, handle: ServerGoalHandle) -> None:
        goal = handle.request
        speech = _Speech(
            goal.text,
            goal.voice,
            partial(self._said, handle),
            lambda seconds, words: handle.publish_feedback(Say.Feedback(heard_seconds=seconds, heard_text=words)),
            urgent=goal.priority == Say.Goal.URGENT,
            interruptible=goal.interruptible,
        )
        self._goals[_key(handle)] = speech
        self._hand_over(speech)

    def _begin_ask(self, handle: ServerGoalHandle) -> None:
        speech = _Speech(handle.request.question, "", self._asked_out)
        self._question = _Question(handle, speech)
        handle.publish_feedback(Ask.Feedback(listening=False))
        self._hand_over(speech)

    def _on_cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        if speech := self._goals.get(_key(handle)):
            self._cut(speech, Say.Result.INTERRUPTED, _CANCELED)
        elif self._question is not None and _key(self._question.handle) == _key(handle):
            self._cut(self._question.speech, Say.Result.FAILED, _CANCELED)
            self._answer(Ask.Result.FAILED, message=_CANCELED)
        return CancelResponse.ACCEPT

    def _said(self, handle: ServerGoalHandle, speech: _Speech) -> None:
        self._goals.pop(_key(handle), None)
        self._results[_key(handle)] = Say.Result(
            state=int(speech.state or 0),
            heard_text=speech.heard_text,
            heard_seconds=speech.heard_seconds,
            message=speech.message,
        )
        handle.execute()

    def _conclude(self, handle: ServerGoalHandle) -> Say.Result | Ask.Result:
        result = self._results.pop(_key(handle))
        if handle.is_cancel_requested and result.message == _CANCELED:
            handle.canceled()
        elif result.state == type(result).FAILED:
            handle.abort()
        else:
            handle.succeed()
        return result

    def _hand_over(self, speech: _Speech) -> None:
        """Have it said; it ends at once where that can't be."""
        if not speakable(speech.text):
            speech.end(Say.Result.FAILED, "there are no words in the text")
        elif not self._queue(speech):
            speech.end(Say.Result.FAILED, f"{self.settings.queue} sentences wait already; try again later")

    def _queue(self, speech: _Speech) -> bool:
        if not speech.urgent:
            return self._saying.put(speech)
        # What the assistant says is cut as well: an empty id cuts all that plays. Before its own sound can come.
        self._interrupts.publish(Interrupt(header=self.header(), reason="urgent"))
        waiting = self._saying.clear()
        done = self._saying.put(speech)
        for other in waiting:
            if not self._saying.put(other) and other is not None:
                other.end(Say.Result.FAILED, "something urgent took its place")
        if (present := self._present) is not None:
            self._cut(present, Say.Result.INTERRUPTED, "something urgent came first")
        return done

    def _cut(self, speech: _Speech, state: int, message: str) -> None:
        self._interrupts.publish(Interrupt(header=self.header(), utterance_id=speech.id, reason=message))
        speech.end(state, message)

    # The person.

    def _on_activity(self, msg: VoiceActivity) -> None:
        self._speaking_person = msg.speaking
        self._activity_at = time.monotonic()
        if msg.speaking:
            self._spoken_at = self.now()

    def _on_transcript(self, msg: Transcript) -> None:
        question = self._question
        end = to_seconds(msg.speech_end)
        if question is None or not msg.text or not self._asked.covers(end):
            return
        answers = question.handle.request.answers
        answer = which_answer(msg.text, answers)
        expected = answer >= 0 or not answers
        state = Ask.Result.ANSWERED if expected else Ask.Result.UNEXPECTED
        self._answer(state, msg.text, answer, msg.confidence, end)

    def _on_check(self) -> None:
        question = self._question
        if question is None:
            return
        if question.speech.over.is_set() and math.isinf(question.since):
            self._wait_for_answer(question)
        now = self.now()
        if now < question.until or (self._person_speaks() and now < question.until + _LONGEST_ANSWER):
            return
        # Who has just spoken is being understood.
        if self._spoken_at < question.since or now - self._spoken_at > _RECOGNITION or now > self._last(question):
            self._answer(Ask.Result.TIMED_OUT, message="nobody has answered")

    def _person_speaks(self) -> bool:
        """Whether the person speaks, as long as somebody listens who says so."""
        return self._speaking_person and time.monotonic() - self._activity_at < _ACTIVITY_TIMEOUT

    def _last(self, question: _Question) -> float:
        return question.until + _LONGEST_ANSWER + _RECOGNITION

    def _asked_out(self, speech: _Speech) -> None:
        """Leave the rest to the next check: this may be the worker's thread."""

    def _wait_for_answer(self, question: _Question) -> None:
        if question.speech.state == Say.Result.FAILED:
            self._answer(Ask.Result.FAILED, message=question.speech.message)
            return
        question.since = self.now()
        question.until = question.since + (question.handle.request.timeout or self.settings.answer_timeout)
        question.handle.publish_feedback(Ask.Feedback(listening=True))
        self._asked.update(True, question.since)
        self._asking.publish(Asking(header=self.header(question.since), open=True))

    def _answer(
        self,
        state: int,
        transcript: str = "",
        answer: int = -1,
        confidence: float = 0.0,
        at: float = 0.0,
        message: str = "",
    ) -> None:
        question, self._question = self._question, None
        if question is None:
            return
        if self._asked.waiting:
            at = at or self.now()
            self._asked.update(False, at)
            self._asking.publish(Asking(header=self.header(at), open=False))
        self._results[_key(question.handle)] = Ask.Result(
            state=state, transcript=transcript, answer=answer, confidence=confidence, message=message
        )
        question.handle.execute()

    def _on_playback(self, msg: Playback) -> None:
        speech = self._present
        if speech is None:
            return
        speech.reported = time.monotonic()  # also of what it waits behind
        if msg.utterance_id != speech.id:
            return
        speech.heard_seconds, speech.heard_text = float(msg.heard_seconds), msg.heard_text
        speech.progress(speech.heard_seconds, speech.heard_text)
        if msg.state == Playback.FINISHED:
            speech.end(Say.Result.FINISHED)
        elif msg.state == Playback.INTERRUPTED:
            speech.end(Say.Result.INTERRUPTED, "the person has begun to speak")

    # What follows runs in the worker.

    def _say(self, speech: _Speech | None) -> None:
        if speech is None:
            with suppress(ResourceError):  # the diagnostics have it
                self._synthesizer("")
            return
        if speech.state is not None:
            return  # canceled while it waited
        if not self.active:
            speech.end(Say.Result.FAILED, _INACTIVE)
            return
        self._present = speech
        try:
            if not speech.urgent:
                self._wait_for_silence(speech)
            seconds = self._publish(speech)
            speech.reported = time.monotonic()
            while not speech.over.wait(_CHECK_PERIOD):
                if self.ending or time.monotonic() - speech.reported > _PLAYER_GRACE + seconds:
                    unheard = "nothing has played it; is audio_player running and active?"
                    self._cut(speech, Say.Result.FAILED, unheard)
        except ResourceError as exc:  # the diagnostics have it
            speech.end(Say.Result.FAILED, str(exc))
        except Exception as exc:  # whatever a voice does wrong, its goal has an end
            speech.end(Say.Result.FAILED, f"{type(exc).__name__}: {exc}")
            raise
        finally:
            self._present = None

    def _wait_for_silence(self, speech: _Speech) -> None:
        deadline = time.monotonic() + self.settings.polite
        while self._person_speaks() and time.monotonic() < deadline and not self.ending:
            if speech.over.wait(_CHECK_PERIOD):
                return

    def _publish(self, speech: _Speech) -> float:
        """Publish its sound as it is made; give its length (s)."""
        synthesizer = self._synthesizer(speech.voice)
        rate = synthesizer.sample_rate
        sequence, total = 0, 0
        for words, piece in pieces(synthesizer, speech.text):
            if speech.state is not None:
                return total / rate
            self._sound.publish(
                SpeechAudio(
                    header=self.header(),
                    utterance_id=speech.id,
                    sequence=sequence,
                    sample_rate=rate,
                    samples=samples_to_field(piece),
                    text=words,
                    uninterruptible=not speech.interruptible,
                )
            )
            sequence += 1
            total += piece.size
        self._sound.publish(
            SpeechAudio(header=self.header(), utterance_id=speech.id, sequence=sequence, sample_rate=rate, last=True)
        )
        return total / rate

    def _synthesizer(self, voice: str) -> Synthesizer:
        voice = voice or self.settings.voice
        if voice not in self._voices:
            try:
                made = load_synthesizer(self.settings.synthesizer, voice)
                # The first sentence of a fresh model takes longer than the next.
                list(made.synthesize("Ready."))
            except ResourceError as exc:
                self.trouble("voice", f"what other nodes have to say is not spoken: {exc}")
                raise
            while len(self._voices) >= _VOICES:
                self._voices.pop(next(iter(self._voices)))
            if self._cache.limit:
                self._cache.clear()  # what another voice has said is hardly wanted again
            else:
                self._cache = SentenceCache(round(self.settings.cached_speech * 1e6))
            self._voices[voice] = CachingSynthesizer(made, self._cache, voice)
        self.well("voice")
        self.health.value("voice", self._voices[voice].name)
        self.health.value("cached speech", self._cache)
        return self._voices[voice]


def _key(handle: ServerGoalHandle) -> bytes:
    return bytes(handle.goal_id.uuid)


def main() -> int:
    """Run the node."""
    return run([Voice])
