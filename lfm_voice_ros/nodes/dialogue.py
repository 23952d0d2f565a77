"""dialogue: answers each utterance in speech, truthfully."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from lfm_voice_ros.assembly import load_lfm2_audio, load_lite
from lfm_voice_ros.core.asking import Asked
from lfm_voice_ros.core.backchannels import is_backchannel
from lfm_voice_ros.core.drafts import Draft, DraftBook
from lfm_voice_ros.core.errors import AudioError, ResourceError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.latencies import Latencies
from lfm_voice_ros.core.ports import DialogueEngine
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.turns import PROBLEMS, Turn, TurnBook
from lfm_voice_ros.core.types import Question, Reply, Samples, ToolSpec, Transcript
from lfm_voice_ros.core.types import ToolDecision as Decision
from lfm_voice_ros.dialogue.early_listening import EarlyListening
from lfm_voice_ros.dialogue.sentence_cache import SentenceCache
from lfm_voice_ros.dialogue.spoken import SilentEngine, SpokenEngine, parts
from lfm_voice_ros.msg import (
    Asking,
    Interrupt,
    Playback,
    SpeechAudio,
    ToolDecision,
    ToolResult,
    TurnMetrics,
    Utterance,
    VoiceActivity,
)
from lfm_voice_ros.msg import Reply as ReplyMsg
from lfm_voice_ros.msg import Transcript as TranscriptMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import (
    call_from_msg,
    decision_to_msg,
    result_from_msg,
    samples_to_field,
    transcript_from_msg,
    utterance_from_msg,
)
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.srv import ReloadAdapter
from lfm_voice_ros.tools.foretelling import usual_sentences
from lfm_voice_ros.tools.registry import Registry

_CHECK_PERIOD = 0.2  # s between looks for turns that waited too long
_PLAYER_GRACE = 3.0  # s after which a reply that no player reports on counts as over
_REST_PERIOD = 0.5  # s between two things that are done ahead while nobody speaks
_MOMENTS = (
    *("endpoint", "draft", "transcript", "decision", "tools", "prepared"),
    *("reply", "first_audio", "playback", "end"),
)
_REMEMBERED = 64  # utterances of which it is known that a reply was heard when they began
_JOBS = 3  # for the worker in a turn: to listen, to answer, to remember
_MORE_JOBS = 1  # beside the turns: to rest
_DRAFTS = 4  # utterances whose prepared sentence is remembered
_LOADING = "I am sorry, I am still loading my speech model."
_NO_ANSWER = "I am sorry, I can't answer right now."
_TOO_MUCH = "I am sorry, that was too much at once."


class Dialogue(VoiceNode[DialogueSettings]):
    """Takes what belongs to a turn; gives ``reply``, ``audio/output`` and, when it is over, ``turn_metrics``.

    Of drafts it only makes ready what it would say. The books of turns and of drafts belong to the callbacks' thread;
    the worker ``answer`` owns the engine, and writes nothing into a turn but ``reply``, ``times``, ``interrupted`` and
    ``spoken_until``.
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("dialogue", DialogueSettings)
        self._book = self._new_book()
        self._drafts = DraftBook()
        self._latencies = Latencies()
        self._tools: list[ToolSpec] = []
        self._phrases: list[str] = []  # that are often said
        self._cache = SentenceCache(0)
        self._early = EarlyListening()
        self._prepared: OrderedDict[str, tuple[str, float]] = OrderedDict()  # what an utterance's answer begins with
        self._person_speaks = False
        self._unrested = False  # whether there is something that can be done later
        self._engine: DialogueEngine = SilentEngine(_LOADING)
        self._voice = ""  # that is in use, or about to be
        self._loaded: DialogueEngine | None = None  # takes the engine's place before the next job
        self._canceled = threading.Event()
        self._listened = ""  # the utterance that the worker has listened to last
        self._answering = ""  # the utterance that the worker answers
        self._spoken_into: deque[str] = deque(maxlen=_REMEMBERED)  # utterances that began while a reply was heard
        self._answered = ""  # the utterance that it answers or has answered last
        self._jobs = self.add_worker("answer", self._work, _JOBS * self.settings.queue + _MORE_JOBS)
        self._loader = self.add_worker("loader", _call, 2)
        self._adapter = ""  # in use, or about to be
        self._replies = self.create_publisher(ReplyMsg, "reply", qos.EVENT)
        self._sound = self.create_publisher(SpeechAudio, "audio/output", qos.AUDIO)
        self._interrupts = self.create_publisher(Interrupt, "interrupt", qos.EVENT)
        self._own_calls = self.create_publisher(ToolDecision, "own_calls", qos.EVENT)
        self._metrics = self.create_publisher(TurnMetrics, "turn_metrics", qos.EVENT)
        self.listen(Utterance, "utterance", self._on_utterance, qos.EVENT)
        self.listen(TranscriptMsg, "transcript", self._on_transcript, qos.EVENT)
        self.listen(ToolDecision, "tool_decision", self._on_decision, qos.EVENT)
        self.listen(ToolResult, "tool_result", self._on_result, qos.EVENT)
        self.listen(Utterance, "utterance/draft", self._on_utterance_draft, qos.EVENT)
        self.listen(TranscriptMsg, "transcript/draft", self._on_transcript_draft, qos.EVENT)
        self.listen(ToolDecision, "tool_decision/draft", self._on_decision_draft, qos.EVENT)
        self.listen(ToolResult, "tool_result/draft", self._on_result_draft, qos.EVENT)
        self.listen(VoiceActivity, "voice_activity", self._on_activity, qos.STATE)
        self._asked = Asked()
        # A state, which must not be missed while the node isn't active.
        self.create_subscription(
            Asking, "asking", lambda msg: self._asked.update(msg.open, to_seconds(msg.header.stamp)), qos.STATE
        )
        self.listen(Interrupt, "interrupt", self._on_interrupt, qos.EVENT)
        self.listen(Playback, "playback", self._on_playback, qos.EVENT)
        self.create_service(ReloadAdapter, "reload_adapter", self._on_reload, callback_group=ReentrantCallbackGroup())
        self.every(_CHECK_PERIOD, self._advance)
        self.every(_REST_PERIOD, self._rest_now)

    def configure(self) -> None:
        """Load the engine: the lite one in the worker, so that turns wait for it; a large one beside it."""
        registry = Registry.from_file(config_file("tools.yaml", self.settings.tools_file))
        self._tools = registry.specs()
        self._phrases = [*usual_sentences(registry), *PROBLEMS, _NO_ANSWER]
        self._adapter, self._voice = self.settings.adapter, self.settings.voice
        self._book = self._new_book()
        what = "the voice" if self.settings.engine == "lite" else "LFM2-Audio"
        self.health.set("loading", Level.WARN, f"loading {what}")
        if self.settings.engine != "lfm2_audio":
            self._jobs.put(self._load_lite)
        if self.settings.engine != "lite":
            self._loader.put(self._load_lfm2_audio)

    def deactivate(self) -> None:
        """Stop speaking, and forget the turns that are open."""
        self._canceled.set()
        for turn in self._book.all():
            turn.interrupted = True  # what waits is not spoken
            self._interrupts.publish(Interrupt(header=self.header(), utterance_id=turn.utterance_id, reason="inactive"))
        self._book = self._new_book()
        self._drafts = DraftBook()

    def cleanup(self) -> None:
        """Free the engine's models."""
        for condition in ("loading", "engine", "adapter", "voice"):
            self.health.clear(condition)
        self._jobs.put(self._unload)

    def changed(self) -> None:
        """Wait for other times from now on, and speak with another voice as soon as it is loaded."""
        self._book.decision_timeout = self.settings.decision_timeout
        self._book.result_timeout = self.settings.result_timeout
        if self.settings.voice != self._voice and isinstance(self._engine, SpokenEngine):
            self._voice = self.settings.voice
            self._jobs.put(self._load_lite)

    def close(self) -> bool:
        """End the workers, and then the engine that they use."""
        self._canceled.set()
        ended = super().close()
        self._engine.close()
        if self._loaded is not None:
            self._loaded.close()
        return ended

    def _on_utterance(self, msg: Utterance) -> None:
        self._book.utterance(msg.utterance_id, to_seconds(msg.speech_end), self.now())
        self._jobs.put(partial(self._listen, msg))

    def _on_transcript(self, msg: TranscriptMsg) -> None:
        transcript = transcript_from_msg(msg)
        if msg.utterance_id in self._spoken_into and is_backchannel(transcript.text):
            transcript = Transcript("")  # "mhm", for which the reply goes on and which needs none
        self._book.transcript(msg.utterance_id, transcript, self.now())
        self._advance()

    def _on_decision(self, msg: ToolDecision) -> None:
        self._book.decision(msg.utterance_id, len(msg.calls), self.now())
        self._advance()

    def _on_result(self, msg: ToolResult) -> None:
        try:
            result = result_from_msg(msg)
        except ValueError as exc:
            self.get_logger().warning(f"a tool result was dropped: {exc}")
            return
        self._book.result(msg.utterance_id, result, self.now())
        self._advance()

    def _on_utterance_draft(self, msg: Utterance) -> None:
        if self.settings.prepare and self._engine.hears:
            self._jobs.put_behind(partial(self._listen_early, msg), "listen")

    def _on_transcript_draft(self, msg: TranscriptMsg) -> None:
        end = to_seconds(msg.speech_end)
        self._get_ready(self._drafts.transcript(msg.utterance_id, end, transcript_from_msg(msg), self.now()))

    def _on_decision_draft(self, msg: ToolDecision) -> None:
        try:
            calls = tuple(call_from_msg(call) for call in msg.calls)
        except ValueError:  # the decision itself will tell
            return
        self._get_ready(self._drafts.decision(msg.utterance_id, to_seconds(msg.speech_end), calls))

    def _on_result_draft(self, msg: ToolResult) -> None:
        try:
            result = result_from_msg(msg)
        except ValueError:  # the result itself will tell
            return
        self._get_ready(self._drafts.result(msg.utterance_id, result))

    def _get_ready(self, draft: Draft | None) -> None:
        """Have made what would be said to a draft, as far as it is known."""
        question = draft.question() if draft and self.settings.prepare else None
        if question is None or draft is None:
            return
        if question.results or not self._asked.covers(draft.speech_end):
            self._jobs.put_behind(partial(self._prepare, question), "prepare")

    def _on_activity(self, msg: VoiceActivity) -> None:
        self._person_speaks = msg.speaking

    def _rest_now(self) -> None:
        """Have something made ahead, when nobody speaks and nothing is to be answered."""
        if self._unrested and not (self._person_speaks or self._book.all() or self._pressing()):
            self._jobs.put(self._rest)

    def _on_interrupt(self, msg: Interrupt) -> None:
        if msg.reason == Interrupt.BARGE_IN and msg.by:
            self._spoken_into.append(msg.by)  # a pause; the player says whether it becomes a cut
        elif msg.utterance_id in ("", self._answering):
            self._canceled.set()
        elif turn := self._book.get(msg.utterance_id):
            turn.interrupted = True  # it is not spoken when its time comes

    def _on_playback(self, msg: Playback) -> None:
        at = to_seconds(msg.header.stamp)
        self._book.extend(at + msg.queued_seconds + _PLAYER_GRACE)  # also where another node's words are heard
        turn = self._book.get(msg.utterance_id)
        if turn is None:
            return
        if msg.state == Playback.STARTED:
            turn.times["playback"] = at
        elif msg.state in (Playback.FINISHED, Playback.INTERRUPTED):
            turn.times["end"] = at
            turn.interrupted = msg.state == Playback.INTERRUPTED
            if turn.interrupted and msg.utterance_id == self._answering:
                self._canceled.set()
            known = turn.interrupted and math.isfinite(msg.heard_seconds)
            self._close(turn, msg.heard_text, msg.heard_seconds if known else None)

    async def _on_reload(
        self, request: ReloadAdapter.Request, response: ReloadAdapter.Response
    ) -> ReloadAdapter.Response:
        future = Future(executor=self.executor)
        if self.settings.engine == "lite":
            response.message = "the dialogue's engine is lite, which has no adapters; set it to lfm2_audio"
        elif self._loader.put(partial(self._reload, request.adapter or self._adapter, future)):
            response.message, response.success = await future
        else:
            response.message = "another adapter is being loaded; try again when it is done"
        return response

    def _advance(self) -> None:
        for turn in self._book.wordless():
            self._jobs.put(partial(self._forget, turn.utterance_id))
            self._publish_metrics(turn)
        for turn in self._book.unheard(self.now()):
            # No player reports: the person can't have heard it, but for the talk it counts as said.
            self._close(turn, *(("", 0.0) if turn.interrupted else (turn.reply, None)))
        for turn in self._book.ready(self.now()):
            if not turn.calls and not turn.problem and self._asked.covers(turn.speech_end):
                self._leave_to_asker(turn)
            elif self._jobs.put(partial(self._answer, turn)):
                self.well("queue")
            else:
                self.trouble("queue", "turns come faster than they are answered; some were not answered")
                self._replies.publish(
                    ReplyMsg(header=self.header(), utterance_id=turn.utterance_id, text=_TOO_MUCH, source="error")
                )
                self._close(turn, "", 0.0)

    def _leave_to_asker(self, turn: Turn) -> None:
        """The turn was the answer to a question of another node, which is waiting for it."""
        self._replies.publish(ReplyMsg(header=self.header(), utterance_id=turn.utterance_id, source="ask"))
        self._jobs.put(partial(self._forget, turn.utterance_id))
        self._book.close(turn.utterance_id)
        self._publish_metrics(turn)

    def _close(self, turn: Turn, words: str, seconds: float | None) -> None:
        """The reply was heard: so many ``seconds`` of it, or all (None), with these ``words``."""
        self._book.close(turn.utterance_id)
        self._jobs.put(partial(self._remember, _question(turn), seconds, words))
        self._publish_metrics(turn)

    def _publish_metrics(self, turn: Turn) -> None:
        if draft := self._drafts.find(turn.utterance_id, turn.speech_end):
            turn.times["draft"] = draft.worded
        self._drafts.close(turn.utterance_id)
        self._metrics.publish(
            TurnMetrics(
                header=self.header(),
                utterance_id=turn.utterance_id,
                speech_end=to_stamp(turn.speech_end),
                calls=turn.calls or 0,
                interrupted=turn.interrupted,
                **{name: turn.latency(name) for name in _MOMENTS},
            )
        )
        for moment in _MOMENTS:
            self._latencies.add(moment, turn.latency(moment))
            half, most, turns = self._latencies.quantiles(moment)
            if turns:
                self.health.value(f"{moment} p50/p95 s", f"{half:.2f}/{most:.2f} of {turns}")

    def _new_book(self) -> TurnBook:
        return TurnBook(self.settings.decision_timeout, self.settings.result_timeout)

    # What follows runs in the worker.

    def _work(self, job: Callable[[], None]) -> None:
        if self._loaded is not None:
            old, self._engine, self._loaded = self._engine, self._loaded, None
            old.close()
            self.health.value("engine", self._engine.description)
        job()
        self.health.value("cached speech", self._cache)

    def _pressing(self) -> bool:
        """Whether something waits that is more urgent than what can be done ahead."""
        return self._jobs.waiting() > 0

    def _listen_early(self, msg: Utterance) -> None:
        if not self._engine.hears or msg.utterance_id == self._listened:
            return
        with suppress(AudioError, ResourceError):  # the utterance itself will tell
            self._early.draft(self._engine, utterance_from_msg(msg))

    def _prepare(self, question: Question) -> None:
        if not self.active or question.utterance_id == self._answered:
            return
        begun = ""
        with suppress(ResourceError):  # the answer itself will tell
            for sentence in self._engine.prepare(question):
                if not begun:
                    begun = sentence
                    self._note_prepared(question.utterance_id, sentence)
                if self._pressing():
                    self._jobs.put_back(partial(self._prepare, question), "prepare")
                    return

    def _note_prepared(self, utterance_id: str, sentence: str) -> None:
        before, at = self._prepared.pop(utterance_id, ("", 0.0))
        self._prepared[utterance_id] = sentence, at if before == sentence else self.now()
        while len(self._prepared) > _DRAFTS:
            self._prepared.popitem(last=False)

    def _rest(self) -> None:
        self._unrested = self._engine.rest(self._pressing)

    def _listen(self, msg: Utterance) -> None:
        self._listened = msg.utterance_id
        if not self._engine.hears:
            return
        try:
            calls = self._early.utterance(self._engine, utterance_from_msg(msg))
        except AudioError as exc:
            self.get_logger().warning(f"an utterance is answered by its words alone: {exc}")
            return
        if calls is not None:
            decision = Decision(calls, self._engine.name)
            self._own_calls.publish(decision_to_msg(decision, msg.utterance_id, self.header()))

    def _forget(self, utterance_id: str) -> None:
        self._engine.forget(utterance_id)

    def _remember(self, question: Question, seconds: float | None, words: str) -> None:
        self._engine.heard(question, seconds, words)
        self._rest()

    def _answer(self, turn: Turn) -> None:
        if not self.active:
            return
        self._canceled.clear()
        self._answering = self._answered = turn.utterance_id
        voice = _Voice(self, turn, self._engine.sample_rate)
        try:
            self._try_to_answer(_question(turn), voice)
        finally:
            voice.end()
            turn.spoken_until = self.now() + voice.seconds + (_PLAYER_GRACE if voice.seconds else 0.0)
            self._answering = ""

    def _try_to_answer(self, question: Question, voice: _Voice) -> None:
        """Whatever an engine does wrong, the person gets an answer."""
        try:
            self._engine.answer(question, voice)
        except Exception as exc:  # an engine is a large thing
            self.trouble("engine", f"the dialogue engine {self._engine.name} failed: {_reason(exc)}")
            if voice.replied:
                return
            if question.problem == _NO_ANSWER:
                voice.reply(Reply(_NO_ANSWER, "error"))
            else:
                self._try_to_answer(replace(question, results=(), problem=_NO_ANSWER), voice)

    def is_canceled(self, turn: Turn) -> bool:
        """Whether this turn's reply was interrupted."""
        if self._canceled.is_set():
            turn.interrupted = True
        return turn.interrupted

    def publish_reply(self, turn: Turn, reply: Reply) -> None:
        """The text of a reply is known."""
        turn.reply = reply.text
        sentence, prepared = self._prepared.pop(turn.utterance_id, ("", math.nan))
        if parts(reply.text)[:1] == [sentence]:
            turn.times["prepared"] = prepared
        turn.times["reply"] = self.now()
        self._replies.publish(
            ReplyMsg(header=self.header(), utterance_id=turn.utterance_id, text=reply.text, source=reply.source)
        )

    def publish_sound(self, msg: SpeechAudio) -> None:
        """A piece of a reply is ready."""
        msg.header = self.header()
        self._sound.publish(msg)

    def _tell(self, condition: str, message: str, level: Level) -> None:
        if condition == "loading":
            progress = f"loading LFM2-Audio: {message}"
            self.health.set("loading", level, progress)
            self.publish_diagnostics()
            self.get_logger().info(progress)
        else:
            self.trouble(condition, message, level)

    def _unload(self) -> None:
        self._engine.close()
        self._engine = SilentEngine(_LOADING)
        self._cache = SentenceCache(0)

    def _load_lite(self) -> None:
        self.well("voice")
        self._engine.close()
        # Another voice says the same sentences with another sound.
        self._cache = SentenceCache(round(self.settings.cached_speech * 1e6))
        self._engine = load_lite(self.settings, self._tools, self._tell, self._cache, self._phrases)
        self._unrested = self._cache.limit > 0
        self.health.value("engine", self._engine.description)
        if self.settings.engine == "lite":
            self.well("loading")

    # In the worker "loader".

    def _load_lfm2_audio(self) -> None:
        settings = self.settings
        if settings.adapter:
            try:
                self._take(load_lfm2_audio(settings, self._tools, self._tell))
                return
            except Exception as exc:  # what the libraries raise has no common base
                self.trouble("adapter", f"{_reason(exc)}; going on without the adapter")
                self._adapter = ""
                settings = replace(settings, adapter="")
        try:
            self._take(load_lfm2_audio(settings, self._tools, self._tell))
        except Exception as exc:  # as above
            reason = _reason(exc)
            if self.settings.engine == "auto":
                self.trouble("engine", f"{reason}; going on with the lite engine", Level.WARN)
            else:
                self.trouble("engine", f"replies are not spoken: {reason}")
                self._take(SilentEngine("I am sorry, my speech model is missing."))
            self.well("loading")

    def _take(self, engine: DialogueEngine) -> None:
        """Have an engine take the place of the one in use, before the next job."""
        if not self.configured:  # cleaned up while it was loaded
            engine.close()
            return
        if self._loaded is not None:  # has not taken its own yet
            self._loaded.close()
        self._loaded = engine
        self._jobs.put(lambda: None)  # any job lets it take its place
        self.well("loading")

    def _reload(self, adapter: str, future: Future) -> None:
        """Load the model with an adapter; what talks now goes on meanwhile, and afterwards if that fails."""
        try:
            self._take(load_lfm2_audio(replace(self.settings, adapter=adapter), self._tools, self._tell))
        except Exception as exc:  # what the libraries raise has no common base
            self.well("loading")
            message = f"{_reason(exc)}; what was in use goes on"
            self.trouble("adapter", message)
            future.set_result((message, False))
            return
        self._adapter = adapter
        self.well("adapter")
        self.get_logger().info(f"talking with {adapter or 'no adapter'} from now on")
        future.set_result((f"talking with {adapter or 'no adapter'}", True))


class _Voice:
    """Port SpeechOut: publishes one reply as it is made."""

    def __init__(self, node: Dialogue, turn: Turn, sample_rate: int) -> None:
        self.replied = False
        self.seconds = 0.0  # of sound that were published
        self._node = node
        self._turn = turn
        self._rate = sample_rate
        self._sequence = 0

    def canceled(self) -> bool:
        return self._node.is_canceled(self._turn)

    def reply(self, reply: Reply) -> None:
        self.replied = True
        self._node.publish_reply(self._turn, reply)

    def say(self, words: str, samples: Samples) -> None:
        msg = self._message(text=words)
        if samples.size:
            msg.samples = samples_to_field(samples)
            self._turn.times.setdefault("first_audio", self._node.now())
            self.seconds += samples.size / self._rate
        self._node.publish_sound(msg)

    def end(self) -> None:
        """The reply is complete; one that was interrupted has no end."""
        if self._sequence and not self.canceled():
            self._node.publish_sound(self._message(last=True))

    def _message(self, *, text: str = "", last: bool = False) -> SpeechAudio:
        sequence, self._sequence = self._sequence, self._sequence + 1
        return SpeechAudio(
            utterance_id=self._turn.utterance_id, sequence=sequence, sample_rate=self._rate, text=text, last=last
        )


def _question(turn: Turn) -> Question:
    return Question(turn.utterance_id, turn.transcript or Transcript(""), turn.ordered_results(), turn.problem)


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, VoiceError) else f"{type(exc).__name__}: {exc}"


def _call(job: Callable[[], None]) -> None:
    job()


def main() -> int:
    """Run the node."""
    return run([Dialogue])
