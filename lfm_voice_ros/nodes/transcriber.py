"""transcriber: utterances to words. Exactly one transcript for each utterance, whatever happens.

What may become an utterance is recognized ahead, as a draft: when nothing else is to do, without a word when it fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lfm_voice_ros.backends import load_transcriber
from lfm_voice_ros.core.errors import AudioError, ConfigurationError, ResourceError
from lfm_voice_ros.core.health import Level
from lfm_voice_ros.core.latencies import Latencies
from lfm_voice_ros.core.ports import Transcriber
from lfm_voice_ros.core.recognition import spoken
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.transcript_drafts import TranscriptDrafts
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples, Transcript
from lfm_voice_ros.msg import Transcript as TranscriptMsg
from lfm_voice_ros.msg import Utterance as UtteranceMsg
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.conversions import transcript_to_msg, utterance_from_msg
from lfm_voice_ros.nodes.runtime import run

_WORKER = "transcriptions"
_LATEST = 15.0  # s; who has waited longer has said it again, and an old command must not move the head
_BUSY = "the transcriber is busy with earlier utterances; say it again, or choose a smaller model"


class TranscriberNode(VoiceNode[TranscriberSettings]):
    """Takes ``utterance`` and ``utterance/draft``; gives ``transcript`` and ``transcript/draft``.

    The model is loaded and used in one worker. An utterance that comes while its draft is being made waits for it.
    """

    rereads = True

    def __init__(self) -> None:
        super().__init__("transcriber", TranscriberSettings)
        self._transcriber: Transcriber | None = None
        self._latencies = Latencies()
        self._drafts = TranscriptDrafts()
        self._loading = False  # waits in the worker's queue
        self._missing = "the Whisper model is not loaded"
        self._transcripts = self.create_publisher(TranscriptMsg, "transcript", qos.EVENT)
        self._draft_transcripts = self.create_publisher(TranscriptMsg, "transcript/draft", qos.EVENT)
        self._jobs = self.add_worker(_WORKER, _run, self.settings.queue)
        self.listen(UtteranceMsg, "utterance", self._on_utterance, qos.EVENT)
        self.listen(UtteranceMsg, "utterance/draft", self._on_draft, qos.EVENT)

    def configure(self) -> None:
        """Begin to load the model, in the worker; utterances wait behind it."""
        self.health.set("model", Level.WARN, f"loading the Whisper model {self.settings.model}")
        self._load_soon()

    def deactivate(self) -> None:
        """Forget the drafts."""
        self._drafts.forget()

    def cleanup(self) -> None:
        """Free the model."""
        self.health.clear("model")
        self._loading = False  # what waits is undone by what comes behind it
        self._jobs.put(self._unload)

    def changed(self) -> None:
        """Recognize with other settings; the model goes on until they are in use."""
        self._load_soon()

    def _load_soon(self) -> None:
        # Several changes, as from a slider, are one.
        if not self._loading:
            self._loading = True
            self._loading = self._jobs.put(self._load)

    def _unload(self) -> None:
        self._transcriber = None

    def _load(self) -> None:
        self._loading = False
        try:
            self._transcriber = load_transcriber(self.settings)
        except (ResourceError, ConfigurationError) as exc:
            self._missing = str(exc)
            self.trouble("model", self._missing)
            return
        self.health.value("model", self._transcriber.name)
        self.health.value("device", self.settings.device)
        self.get_logger().info(f"{self._transcriber.name} is ready")
        self.well("model")

    def _on_utterance(self, msg: UtteranceMsg) -> None:
        arrived = time.monotonic()
        self._drafts.end(msg.utterance_id)
        if not self._jobs.put(lambda: self._work(msg, arrived)):
            self._publish(msg, _failure(_BUSY))

    def _on_draft(self, msg: UtteranceMsg) -> None:
        for _ in self._jobs.put_behind(lambda: self._prepare(msg)):
            self._throw_away()

    def _prepare(self, msg: UtteranceMsg) -> None:
        """Recognize a draft; what is wrong with it is told when its utterance comes."""
        if self._transcriber is None or not self.active or not self._drafts.wanted(msg.utterance_id):
            self._throw_away()
            return
        begun = time.monotonic()
        try:
            transcript = self._transcriber.transcribe(_sound(msg))
        except Exception as exc:
            self._throw_away()
            self.get_logger().debug(f"a draft of {msg.utterance_id} failed: {type(exc).__name__}: {exc}")
            return
        self._took("draft", begun)
        if not self.active:
            self._throw_away()
            return
        self._drafts.keep(msg.utterance_id, _pause(msg), transcript)
        if self._drafts.wanted(msg.utterance_id):
            self._draft_transcripts.publish(self._answer(msg, transcript))

    def _throw_away(self) -> None:
        self._drafts.throw_away()
        self._tell_drafts()

    def _tell_drafts(self) -> None:
        self.health.value("drafts used/thrown away", f"{self._drafts.used}/{self._drafts.thrown_away}")

    def _work(self, msg: UtteranceMsg, arrived: float) -> None:
        transcript = self._drafts.take(msg.utterance_id, _pause(msg)) or self._recognize(msg, arrived)
        self._tell_drafts()
        self.get_logger().debug(f"{msg.utterance_id}: {transcript}")
        self._publish(msg, transcript)

    def _recognize(self, msg: UtteranceMsg, arrived: float) -> Transcript:
        begun = time.monotonic()
        try:
            transcript = self._transcribe(msg, waited=begun - arrived)
        except ResourceError as exc:
            self.trouble(_WORKER, str(exc))
            transcript = _failure(str(exc))
        except Exception as exc:
            self._publish(msg, _failure(f"the transcriber failed: {exc}"))
            raise
        self._took("transcription", begun)
        return transcript

    def _transcribe(self, msg: UtteranceMsg, waited: float) -> Transcript:
        if self._transcriber is None:
            return _failure(self._missing)
        if waited > _LATEST:
            return _failure(f"the utterance had waited {waited:.0f} s for the transcriber; say it again")
        try:
            samples = _sound(msg)
        except AudioError as exc:
            self.get_logger().warning(str(exc))
            return _failure(str(exc))
        transcript = self._transcriber.transcribe(samples)
        self.well(_WORKER)
        return transcript

    def _took(self, what: str, begun: float) -> None:
        self._latencies.add(what, time.monotonic() - begun)
        half, most, count = self._latencies.quantiles(what)
        self.health.value(f"{what} p50/p95 s", f"{half:.2f}/{most:.2f} of {count}")

    def _publish(self, utterance: UtteranceMsg, transcript: Transcript) -> None:
        self._transcripts.publish(self._answer(utterance, transcript))

    def _answer(self, utterance: UtteranceMsg, transcript: Transcript) -> TranscriptMsg:
        msg = transcript_to_msg(transcript, utterance.utterance_id, self.header())
        msg.speech_end = utterance.speech_end
        return msg


def _sound(msg: UtteranceMsg) -> Samples:
    """The sound to recognize. Raises AudioError."""
    utterance = utterance_from_msg(msg)
    if utterance.sample_rate != SAMPLE_RATE:
        raise AudioError(f"an utterance at {utterance.sample_rate} Hz was dropped; send {SAMPLE_RATE} Hz")
    return spoken(utterance)


def _pause(msg: UtteranceMsg) -> tuple[int, int]:
    return msg.speech_end.sec, msg.speech_end.nanosec


def _run(job: Callable[[], None]) -> None:
    job()


def _failure(reason: str) -> Transcript:
    return Transcript("", 0.0, rejection=reason, failed=True)


def main() -> int:
    """Run the node until SIGINT or SIGTERM; give the exit code."""
    return run([TranscriberNode])
