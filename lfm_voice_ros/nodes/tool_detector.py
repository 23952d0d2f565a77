"""tool_detector: decides for each transcript which tools it asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lfm_voice_ros.assembly import load_detector, load_patterns
from lfm_voice_ros.core import end_of_turn
from lfm_voice_ros.core.asking import Asked
from lfm_voice_ros.core.errors import ConfigurationError, VoiceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.resources import config_file
from lfm_voice_ros.core.settings import OWN_TEXT, ToolDetectorSettings
from lfm_voice_ros.core.types import ToolDecision
from lfm_voice_ros.detectors.keywords import KeywordDetector
from lfm_voice_ros.detectors.own_text import OwnText
from lfm_voice_ros.msg import Asking, EndOfTurn, Transcript
from lfm_voice_ros.msg import ToolDecision as ToolDecisionMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode, to_seconds
from lfm_voice_ros.nodes.conversions import call_from_msg, decision_to_msg, transcript_from_msg
from lfm_voice_ros.nodes.runtime import run
from lfm_voice_ros.tools.registry import Registry

_OWN_TEXT_STYLES = ("output_parsing", "special_tokens", "lora")
#: The tool that is heard also while an answer is due.
STOP = "stop"
_CHECK_PERIOD = 0.05  # s between looks for own text that doesn't come


@dataclass(frozen=True)
class _Draft:
    """The words so far, in a pause."""

    transcript: Transcript
    decides: bool  # it isn't left to the dialogue's own text, nor to somebody who asked for an answer


@dataclass(frozen=True)
class Drafted:
    """What was decided for a draft."""

    draft: Transcript
    detector: Detector
    decision: ToolDecision

    def is_of(self, transcript: Transcript, detector: Detector) -> bool:
        """Whether that is the decision for a transcript: same pause, same words, same detector."""
        draft = self.draft
        same = (draft.utterance_id, draft.text) == (transcript.utterance_id, transcript.text)
        return same and draft.speech_end == transcript.speech_end and self.detector is detector


class ToolDetector(VoiceNode[ToolDetectorSettings]):
    """Takes ``transcript``; gives exactly one ``tool_decision`` for each.

    Keywords stand in for a detector that is still loading, whose model is missing, or that fails, visibly in the
    diagnostics; where another is chosen at run time, the one in use does so. With the model "dialogue" the decision is
    what that node's model has written (``own_calls``).

    For a ``transcript/draft`` it gives ``end_of_turn``, and ``tool_decision/draft``, which the transcript of the same
    words then gets without another look. Drafts are decided when nothing else waits, the newest only.
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("tool_detector", ToolDetectorSettings)
        self._loader = self.add_worker("loader", self._load, 1)
        self._transcripts = self.add_worker("detector", self._decide, self.settings.queue + 1)  # one for a draft
        self._decisions = self.create_publisher(ToolDecisionMsg, "tool_decision", qos.EVENT)
        self._draft: _Draft | None = None  # the newest, not begun
        self._drafted: Drafted | None = None
        self._draft_decisions = self.create_publisher(ToolDecisionMsg, "tool_decision/draft", qos.EVENT)
        self._endings = self.create_publisher(EndOfTurn, "end_of_turn", qos.EVENT)
        self.listen(Transcript, "transcript", self._on_transcript, qos.EVENT)
        self.listen(Transcript, "transcript/draft", self._on_draft, qos.EVENT)
        self._asked = Asked()
        # A state, which must not be missed while the node isn't active.
        self.create_subscription(
            Asking, "asking", lambda msg: self._asked.update(msg.open, to_seconds(msg.header.stamp)), qos.STATE
        )
        self.listen(ToolDecisionMsg, "own_calls", self._on_own_calls, qos.EVENT)
        self._looks = self.every(_CHECK_PERIOD, self._decide_by_own_text)

    def check(self, settings: ToolDetectorSettings) -> None:
        """See VoiceNode: not every detector reads the dialogue's own text."""
        if settings.model == OWN_TEXT and settings.detector not in _OWN_TEXT_STYLES:
            raise ConfigurationError(
                f"tool_detector.model is '{OWN_TEXT}', which goes with the detectors {', '.join(_OWN_TEXT_STYLES)}; "
                f"the detector is '{settings.detector}'"
            )

    def configure(self) -> None:
        """Read tools and patterns, and begin to load the detector, if it is another than keywords."""
        path = config_file("tools.yaml", self.settings.tools_file)
        self._tools = Registry.from_file(path, self.settings.allowed).specs()
        self._patterns = load_patterns(self.settings, Registry.from_file(path).specs())
        self._keywords = KeywordDetector(self._patterns)
        self._detector: Detector = self._keywords  # replaced by the loader when it is ready
        self._own: OwnText[Transcript] = OwnText(self.settings.own_text_timeout, self._tools)
        self._by_own_text = self.settings.model == OWN_TEXT
        if self._by_own_text:
            self._looks.reset()
        else:
            self._looks.cancel()
        self.health.value("detector", self._detector.name)
        self.changed()

    def cleanup(self) -> None:
        """Free the detector's model."""
        self._detector = self._keywords
        self.health.clear("model")

    def changed(self) -> None:
        """Begin to load the detector of the settings; the one in use goes on until it is ready."""
        if self._by_own_text:
            self.health.value("detector", f"{self.settings.detector}, by the text of {OWN_TEXT}")
        elif self.settings.detector == self._keywords.name:
            self._loader.clear()
            self._use(self._keywords)
        else:
            self._loader.clear()
            self._loader.put(self.settings)

    def _use(self, detector: Detector) -> None:
        self._detector = detector
        self.health.value("detector", detector.name)
        self.well("model")

    def _on_own_calls(self, msg: ToolDecisionMsg) -> None:
        try:
            calls = [call_from_msg(call) for call in msg.calls]
        except ValueError as exc:
            self.trouble("detection", f"own_calls: {exc}; the sentence is left to keywords", Level.WARN)
            return
        self._own.write(msg.utterance_id, calls)
        self._decide_by_own_text()

    def _decide_by_own_text(self) -> None:
        for transcript, calls in self._own.ready(self.now()):
            if calls is None:
                waited = f"the dialogue's model wrote nothing within {self.settings.own_text_timeout} s"
                self.trouble("detection", f"{waited}; this sentence was left to keywords", Level.WARN)
                self._hand_over(transcript)
            else:
                self.well("detection")
                self._publish(ToolDecision(calls, self.settings.detector), transcript)

    def _on_draft(self, msg: Transcript) -> None:
        decides = not (self._by_own_text or self._asked.covers(to_seconds(msg.speech_end)))
        self._draft = _Draft(msg, decides)
        if self._transcripts.waiting() == 0:
            self._transcripts.put(None)

    def _on_transcript(self, msg: Transcript) -> None:
        self._draft = None  # what was said is there: no draft that has not begun is of use any more
        if msg.text and self._asked.covers(to_seconds(msg.speech_end)):
            stops = tuple(call for call in self._keywords.detect(msg.text).calls if call.name == STOP)
            self._publish(ToolDecision(stops, "ask"), msg)
        elif self._by_own_text and msg.text:
            self._own.ask(msg.utterance_id, msg, self.now())
            self._decide_by_own_text()
        else:
            self._hand_over(msg)

    def _hand_over(self, msg: Transcript) -> None:
        if not self._transcripts.put(msg):
            self.trouble("queue", "transcripts come faster than they are decided; some were taken for no command")
            self._publish(ToolDecision((), self._detector.name, 0.0), msg)
        else:
            self.well("queue")

    def _load(self, settings: ToolDetectorSettings) -> None:
        wanted = settings.detector
        in_use = self._detector.name
        self.trouble("model", f"{wanted} is being loaded; until then decides: {in_use}", Level.WARN)
        try:
            detector = load_detector(settings, self._tools, self._patterns)
        except Exception as exc:  # whatever a model's library raises, the robot still understands keywords
            self.trouble("model", f"{wanted}: {_reason(exc)}; going on with {in_use}", Level.WARN)
            return
        if self.configured and self.settings.detector == wanted:  # has not been changed meanwhile
            self._use(detector)

    def _decide(self, msg: Transcript | None) -> None:
        """Decide a transcript, or for None the newest draft."""
        if msg is None:
            draft, self._draft = self._draft, None
            if draft is not None:
                self._decide_draft(draft)
            return
        began = time.monotonic()
        try:
            decision = self._known(msg) or (
                self._detect(msg.text) if msg.text else ToolDecision((), self._detector.name)
            )
        except Exception:
            self._publish(ToolDecision((), self._detector.name, 0.0), msg)
            raise
        self.health.value("last decision took ms", round(1e3 * (time.monotonic() - began), 1))
        self.health.value("last decision by", decision.detector)
        self._publish(decision, msg)

    def _detect(self, text: str) -> ToolDecision:
        detector = self._detector
        try:
            decision = detector.detect(text)
        except Exception as exc:  # whatever a model's library raises
            self.trouble(
                "detection", f"{detector.name}: {_reason(exc)}; this sentence was left to keywords", Level.WARN
            )
            return self._keywords.detect(text)
        self.well("detection")
        return decision

    def _known(self, msg: Transcript) -> ToolDecision | None:
        """The decision of the draft, where nothing was said after it."""
        drafted, self._drafted = self._drafted, None
        return drafted.decision if drafted is not None and drafted.is_of(msg, self._detector) else None

    def _decide_draft(self, draft: _Draft) -> None:
        msg = draft.transcript
        # Where others decide, the calls only say whether it is a complete command.
        detector = self._detector if draft.decides else self._keywords
        try:
            decision = detector.detect(msg.text) if msg.text else ToolDecision((), detector.name)
        except Exception as exc:  # whatever a model's library raises: the transcript itself will tell
            self.get_logger().debug(f"draft: {detector.name}: {_reason(exc)}")
            decision = None
        ending = end_of_turn.judge(transcript_from_msg(msg), decision.calls if decision else ())
        self._endings.publish(
            EndOfTurn(
                header=self.header(), utterance_id=msg.utterance_id, speech_end=msg.speech_end, ending=int(ending)
            )
        )
        if decision is not None and draft.decides:
            self._drafted = Drafted(msg, detector, decision)
            self._draft_decisions.publish(self._message(decision, msg))

    def _publish(self, decision: ToolDecision, transcript: Transcript) -> None:
        self._decisions.publish(self._message(decision, transcript))

    def _message(self, decision: ToolDecision, transcript: Transcript) -> ToolDecisionMsg:
        msg = decision_to_msg(decision, transcript.utterance_id, self.header())
        msg.speech_end = transcript.speech_end
        return msg


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, VoiceError) else f"{type(error).__name__}: {error}"


def main() -> int:
    """Run the node."""
    return run([ToolDetector])
