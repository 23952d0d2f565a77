"""ROS4HRI (REP-155): the voice that is heard, its words, and what it asks for; and words from another recognizer."""

from __future__ import annotations

from typing import Any

from std_msgs.msg import Bool

from lfm_voice_ros.core.endpointing import UtteranceIds
from lfm_voice_ros.core.errors import ConfigurationError
from lfm_voice_ros.core.hri import PRIORITY, VOICE, intent_constant, intent_data, language_of, locale_of
from lfm_voice_ros.core.outside_words import transcript_of
from lfm_voice_ros.core.sound_formats import to_int16
from lfm_voice_ros.msg import Audio, ToolDecision, Transcript, VoiceActivity
from lfm_voice_ros.nodes import qos
from lfm_voice_ros.nodes.base import VoiceNode
from lfm_voice_ros.nodes.bridges.audio_common import Kind, bytes_field, kind_of
from lfm_voice_ros.nodes.bridges.packages import fields, messages
from lfm_voice_ros.nodes.conversions import call_from_msg, transcript_to_msg

_VOICES = "humans/voices"
_SPEECH = f"{_VOICES}/{VOICE}/speech"
#: The field of LiveSpeech with the language: today's name and the one before it.
_LOCALE_FIELDS = ("locale", "language")


class Voices:
    """Publishes the one voice that is heard: that it is there, whether it speaks, its sound and its words."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        """Make the topics. Raises ConfigurationError without hri_msgs."""
        hri = messages("hri_msgs", "bridge.ros4hri")
        self._node = node
        self._ids_list = hri.IdsList
        self._live_speech = hri.LiveSpeech
        self._locale_field = next((name for name in _LOCALE_FIELDS if name in fields(hri.LiveSpeech)), "")
        self._tracked = node.create_publisher(hri.IdsList, f"{_VOICES}/tracked", qos.STATE)
        self._speaking = node.create_publisher(Bool, f"{_VOICES}/{VOICE}/is_speaking", qos.STATE)
        self._speech = node.create_publisher(hri.LiveSpeech, _SPEECH, qos.EVENT)
        node.listen(VoiceActivity, "voice_activity", self._on_activity, qos.STATE)
        node.listen(Transcript, "transcript", self._on_transcript, qos.EVENT)
        self._offer_sound()

    def _offer_sound(self) -> None:
        try:
            sound = messages("audio_common_msgs", "the voice's sound")
            if kind_of(sound) is not Kind.ROS_DRIVERS:
                return  # REP-155 means the AudioData of ros-drivers
        except ConfigurationError:
            return
        self._audio_data = sound.AudioData
        self._sound = self._node.create_publisher(sound.AudioData, f"{_VOICES}/{VOICE}/audio", qos.AUDIO)
        self._node.listen(Audio, "audio/input", self._on_audio, qos.AUDIO)

    def _on_activity(self, msg: VoiceActivity) -> None:
        self._tracked.publish(self._ids_list(header=msg.header, ids=[VOICE]))
        self._speaking.publish(Bool(data=msg.speaking))

    def _on_transcript(self, msg: Transcript) -> None:
        if not msg.text:
            return
        speech = self._live_speech(header=msg.header, incremental=msg.text, final=msg.text, confidence=msg.confidence)
        if self._locale_field:
            setattr(speech, self._locale_field, locale_of(msg.language))
        self._speech.publish(speech)

    def _on_audio(self, msg: Audio) -> None:
        self._sound.publish(self._audio_data(data=bytes_field(to_int16(msg.samples))))


class Intents:
    """Publishes what is asked for: an intent for each call of a decision."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        """Make the topics. Raises ConfigurationError without hri_actions_msgs."""
        self._node = node
        self._intent = messages("hri_actions_msgs", "bridge.ros4hri").Intent
        self._intents = node.create_publisher(self._intent, "intents", qos.EVENT)
        node.listen(ToolDecision, "tool_decision", self._on_decision, qos.EVENT)

    def _on_decision(self, msg: ToolDecision) -> None:
        for each in msg.calls:
            try:
                call = call_from_msg(each)
            except ValueError as exc:
                self._node.get_logger().warning(f"a call gave no intent: {exc}")
                continue
            constant = intent_constant(call)
            self._intents.publish(
                self._intent(
                    intent=getattr(self._intent, constant) if constant else call.name,
                    data=intent_data(call),
                    source=VOICE,
                    modality=self._intent.MODALITY_SPEECH,
                    priority=PRIORITY,
                    confidence=msg.confidence,
                )
            )


class LiveSpeechWords:
    """Takes the final words of another recognizer's LiveSpeech as our transcripts."""

    def __init__(self, node: VoiceNode[Any]) -> None:
        """Make the topics. Raises ConfigurationError without hri_msgs."""
        hri = messages("hri_msgs", "bridge.transcripts: live_speech")
        self._node = node
        self._ids = UtteranceIds()
        self._locale_field = next((name for name in _LOCALE_FIELDS if name in fields(hri.LiveSpeech)), "")
        self._transcripts = node.create_publisher(Transcript, "transcript", qos.EVENT)
        node.listen(hri.LiveSpeech, _SPEECH, self._on_speech, qos.EVENT)

    def _on_speech(self, msg: Any) -> None:
        language = language_of(getattr(msg, self._locale_field)) if self._locale_field else ""
        transcript = transcript_of(msg.final, msg.confidence, language)
        if not transcript.text:
            return  # no turn was begun that would have to be ended
        header = self._node.header()
        message = transcript_to_msg(transcript, self._ids(self._node.now()), header)
        message.speech_end = header.stamp
        self._transcripts.publish(message)
