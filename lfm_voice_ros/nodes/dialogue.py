"""dialogue: answers each utterance in speech, truthfully."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lfm_voice_ros.backends import load_synthesizer
from lfm_voice_ros.core.errors import ResourceError, VoiceError
from lfm_voice_ros.core.grounding import sentences
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.ports import DialogueEngine, Synthesizer
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import DialogueSettings
from lfm_voice_ros.core.turns import Turn, TurnBook
from lfm_voice_ros.core.types import Reply, Samples, Transcript
from lfm_voice_ros.dialogue.lite import AnswersText, LiteEngine, TellsResults
from lfm_voice_ros.dialogue.small_talk import SmallTalk
from lfm_voice_ros.msg import Interrupt, Playback, SpeechAudio, ToolDecision, ToolResult, TurnMetrics, Utterance
from lfm_voice_ros.msg import Reply as ReplyMsg
from lfm_voice_ros.msg import Transcript as TranscriptMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds, to_stamp
from lfm_voice_ros.nodes.conversions import result_from_msg, samples_to_field, transcript_from_msg
from lfm_voice_ros.nodes.runtime import run

_CHECK_PERIOD = 0.2  # s between looks for turns that waited too long
_CHUNK = 0.25  # s of sound in a message
_PLAYER_GRACE = 3.0  # s after which a reply that no player reports on counts as over
_MOMENTS = ("endpoint", "transcript", "decision", "tools", "reply", "first_audio", "playback", "end")


class Dialogue(VoiceNode[DialogueSettings]):
    """Takes what belongs to a turn; gives ``reply``, ``audio/output`` and, when it is over, ``turn_metrics``.

    The book of turns belongs to the callbacks' thread; the worker makes replies and sound from turns handed to it and
    writes nothing into them but ``reply``, ``times``, ``interrupted`` and ``spoken_until``.
    """

    def __init__(self) -> None:
        super().__init__("dialogue", DialogueSettings)
        self._book = TurnBook(self.settings.decision_timeout, self.settings.result_timeout)
        self._small_talk = SmallTalk.from_file(config_file("small_talk.yaml"))
        self._engine: DialogueEngine = LiteEngine(self._small_talk)
        self._synthesizer: Synthesizer | None = None
        self._canceled = threading.Event()
        self._answering = ""  # the utterance that the worker answers
        self._jobs = self.add_worker("answer", _call, self.settings.queue)
        self._replies = self.create_publisher(ReplyMsg, "reply", qos.EVENT)
        self._sound = self.create_publisher(SpeechAudio, "audio/output", qos.AUDIO)
        self._metrics = self.create_publisher(TurnMetrics, "turn_metrics", qos.EVENT)
        self.create_subscription(Utterance, "utterance", self._on_utterance, qos.EVENT)
        self.create_subscription(TranscriptMsg, "transcript", self._on_transcript, qos.EVENT)
        self.create_subscription(ToolDecision, "tool_decision", self._on_decision, qos.EVENT)
        self.create_subscription(ToolResult, "tool_result", self._on_result, qos.EVENT)
        self.create_subscription(Interrupt, "interrupt", self._on_interrupt, qos.EVENT)
        self.create_subscription(Playback, "playback", self._on_playback, qos.EVENT)
        self.create_timer(_CHECK_PERIOD, self._advance)

    def open(self) -> None:
        """Load the voice and the language model in the worker."""
        self.health.set("loading", Level.WARN, "loading the voice")
        self._jobs.put(self._load)

    def _on_utterance(self, msg: Utterance) -> None:
        self._book.utterance(msg.utterance_id, to_seconds(msg.speech_end), self.now())

    def _on_transcript(self, msg: TranscriptMsg) -> None:
        self._book.transcript(msg.utterance_id, transcript_from_msg(msg), self.now())
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

    def _on_interrupt(self, msg: Interrupt) -> None:
        if msg.utterance_id in ("", self._answering):
            self._canceled.set()
        elif turn := self._book.get(msg.utterance_id):
            turn.interrupted = True  # it is not spoken when its time comes

    def _on_playback(self, msg: Playback) -> None:
        turn = self._book.get(msg.utterance_id)
        if turn is None:
            return
        at = to_seconds(msg.header.stamp)
        self._book.extend(at + msg.queued_seconds + _PLAYER_GRACE)
        if msg.state == Playback.STARTED:
            turn.times["playback"] = at
        elif msg.state in (Playback.FINISHED, Playback.INTERRUPTED):
            turn.times["end"] = at
            turn.interrupted = msg.state == Playback.INTERRUPTED
            self._close(turn, heard=msg.heard_text)

    def _advance(self) -> None:
        for turn in self._book.wordless():
            self._publish_metrics(turn)
        for turn in self._book.unheard(self.now()):
            # No player reports: the person can't have heard it, but for the talk it counts as said.
            self._close(turn, heard="" if turn.interrupted else turn.reply)
        for turn in self._book.ready(self.now()):
            if self._jobs.put(partial(self._answer, turn)):
                self.well("queue")
            else:
                self.trouble("queue", "turns come faster than they are answered; some were not answered")
                too_much = "I am sorry, that was too much at once."
                self._replies.publish(
                    ReplyMsg(header=self.header(), utterance_id=turn.utterance_id, text=too_much, source="error")
                )
                self._close(turn, heard="")

    def _close(self, turn: Turn, heard: str) -> None:
        self._book.close(turn.utterance_id)
        if turn.transcript is not None:
            self._jobs.put(partial(self._remember, turn.transcript, heard))
        self._publish_metrics(turn)

    def _publish_metrics(self, turn: Turn) -> None:
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
        self.health.value("last first audio s", round(turn.latency("first_audio"), 3))

    # What follows runs in the worker.

    def _remember(self, transcript: Transcript, heard: str) -> None:
        self._engine.heard(transcript, heard)

    def _answer(self, turn: Turn) -> None:
        self._canceled.clear()
        self._answering = turn.utterance_id
        seconds = 0.0
        try:
            reply = self._reply(turn)
            turn.reply = reply.text
            turn.times["reply"] = self.now()
            self._replies.publish(
                ReplyMsg(header=self.header(), utterance_id=turn.utterance_id, text=reply.text, source=reply.source)
            )
            seconds = self._speak(turn, reply.text)
        finally:
            turn.spoken_until = self.now() + seconds + (_PLAYER_GRACE if seconds else 0.0)
            self._answering = ""

    def _reply(self, turn: Turn) -> Reply:
        if turn.problem:
            return Reply(turn.problem, "error")
        try:
            return self._engine.reply(turn.transcript or Transcript(""), turn.ordered_results())
        except Exception as exc:  # an engine is a large thing; whatever it does wrong, the person gets an answer
            self.trouble("engine", f"the dialogue engine {self._engine.name} failed: {type(exc).__name__}: {exc}")
            return Reply("I am sorry, I can't answer right now.", "error")

    def _speak(self, turn: Turn, text: str) -> float:
        """Publish the sound sentence by sentence; give its seconds. Ends early when canceled."""
        if self._synthesizer is None or turn.interrupted:
            return 0.0
        rate = self._synthesizer.sample_rate
        sequence = 0
        seconds = 0.0
        try:
            for sentence in sentences(text):
                label = sentence
                for piece in self._synthesizer.synthesize(sentence):
                    for chunk in _chunks(piece, round(_CHUNK * rate)):
                        if self._canceled.is_set():
                            turn.interrupted = True
                            return seconds
                        self._publish_sound(turn, sequence, chunk, rate, label)
                        turn.times.setdefault("first_audio", self.now())
                        sequence += 1
                        seconds += chunk.size / rate
                        label = ""
        except ResourceError as exc:
            self.trouble("voice", str(exc))
        if sequence:
            self._publish_sound(turn, sequence, None, rate, "")
        return seconds

    def _publish_sound(self, turn: Turn, sequence: int, chunk: Samples | None, rate: int, text: str) -> None:
        msg = SpeechAudio(
            header=self.header(), utterance_id=turn.utterance_id, sequence=sequence, sample_rate=rate, text=text
        )
        if chunk is None:
            msg.last = True
        else:
            msg.samples = samples_to_field(chunk)
        self._sound.publish(msg)

    def _on_model_failure(self, reason: str) -> None:
        self.trouble("engine", f"small talk comes from the short list: {reason}", Level.WARN)

    def _load(self) -> None:
        try:
            self._synthesizer = load_synthesizer(self.settings.synthesizer, self.settings.voice)
            self.health.value("voice", self._synthesizer.name)
            # The first sentence of a fresh model takes several times as long as the next.
            list(self._synthesizer.synthesize("Ready."))
        except ResourceError as exc:
            self._synthesizer = None
            self.trouble("voice", f"replies are not spoken: {exc}")
        language_model, tool_model = None, None
        try:
            language_model = _language_model(self.settings.language_model)
        except VoiceError as exc:
            self._on_model_failure(str(exc))
        try:
            tool_model = _tool_model(self.settings)
        except VoiceError as exc:
            self.trouble("tool model", f"results are told in the tools' own words: {exc}", Level.WARN)
        self._engine = LiteEngine(self._small_talk, language_model, self._on_model_failure, tool_model)
        self.health.value("engine", self._engine.name)
        self.well("loading")


def _call(job: Callable[[], None]) -> None:
    job()


def _language_model(path: str) -> AnswersText | None:
    if not path:
        return None
    from lfm_voice_ros.backends.language_model import LanguageModel

    return LanguageModel(Path(path))


def _tool_model(settings: DialogueSettings) -> TellsResults | None:
    if settings.tool_replies == "results":
        return None
    from lfm_voice_ros.assembly import load_text_model
    from lfm_voice_ros.detectors.language_model import LanguageModelDetector
    from lfm_voice_ros.tools.registry import Registry

    tools = Registry.from_file(config_file("tools.yaml")).specs()
    return LanguageModelDetector("llm", load_text_model(settings.tool_model, "auto", "auto", 2), tools)


def _chunks(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, samples.size, size)]


def main() -> int:
    """Run the node."""
    return run([Dialogue])
