"""Between the messages and the types of the core."""

from __future__ import annotations

import json
import math
from array import array

import numpy as np
from std_msgs.msg import Header

from lfm_voice_ros.core.errors import AudioError
from lfm_voice_ros.core.types import (
    Json,
    Samples,
    ToolCall,
    ToolDecision,
    ToolResult,
    ToolStatus,
    Transcript,
    Utterance,
)
from lfm_voice_ros.core.wire import Piece
from lfm_voice_ros.msg import CompressedAudio
from lfm_voice_ros.msg import ToolCall as ToolCallMsg
from lfm_voice_ros.msg import ToolDecision as ToolDecisionMsg
from lfm_voice_ros.msg import ToolResult as ToolResultMsg
from lfm_voice_ros.msg import Transcript as TranscriptMsg
from lfm_voice_ros.msg import Utterance as UtteranceMsg
from lfm_voice_ros.nodes.base import to_seconds, to_stamp

_LONGEST_JSON = 10_000  # characters; no tool takes that much
_RATES = (8_000, 192_000)  # Hz; what sound cards offer


def samples_to_field(samples: Samples) -> array[float]:
    """Sound to a float32[] field, without a Python float per sample."""
    field = array("f")
    field.frombytes(np.ascontiguousarray(samples, np.float32).tobytes())
    return field


def samples_from_field(field: array[float], sample_rate: int) -> Samples:
    """A float32[] field to sound. Raises AudioError for no samples, NaN, infinity, or a rate that no device has."""
    if not _RATES[0] <= sample_rate <= _RATES[1]:
        raise AudioError(
            f"sound with a sample rate of {sample_rate} Hz was dropped; send {_RATES[0]} to {_RATES[1]} Hz"
        )
    samples = np.asarray(field, np.float32)
    if samples.size == 0:
        raise AudioError("sound without samples was dropped")
    if not np.isfinite(samples).all():
        raise AudioError("sound with NaN or infinite samples was dropped")
    return np.clip(samples, -1.0, 1.0)


def utterance_to_msg(utterance: Utterance) -> UtteranceMsg:
    """To the message."""
    return UtteranceMsg(
        header=Header(stamp=to_stamp(utterance.start)),
        utterance_id=utterance.utterance_id,
        speech_start=to_stamp(utterance.speech_start),
        speech_end=to_stamp(utterance.speech_end),
        sample_rate=utterance.sample_rate,
        samples=samples_to_field(utterance.samples),
    )


def utterance_from_msg(msg: UtteranceMsg) -> Utterance:
    """From the message. Raises AudioError."""
    return Utterance(
        utterance_id=msg.utterance_id,
        samples=samples_from_field(msg.samples, msg.sample_rate),
        sample_rate=msg.sample_rate,
        start=to_seconds(msg.header.stamp),
        speech_start=to_seconds(msg.speech_start),
        speech_end=to_seconds(msg.speech_end),
    )


def piece_to_msg(piece: Piece, utterance_id: str, header: Header) -> CompressedAudio:
    """To the message."""
    return CompressedAudio(
        header=header,
        utterance_id=utterance_id,
        first=piece.first,
        sizes=[len(packet) for packet in piece.packets],
        data=b"".join(piece.packets),
        last=piece.last,
        samples=piece.samples,
        text=piece.text,
    )


def piece_from_msg(msg: CompressedAudio) -> Piece:
    """From the message. Raises AudioError when its sizes don't fit its data."""
    data, ends = bytes(msg.data), np.cumsum(msg.sizes, dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(data) or 0 in msg.sizes:
        raise AudioError("compressed sound whose sizes don't fit its data was dropped")
    packets = tuple(data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True))
    return Piece(msg.first, packets, msg.text, msg.last, msg.samples)


def transcript_to_msg(transcript: Transcript, utterance_id: str, header: Header) -> TranscriptMsg:
    """To the message."""
    return TranscriptMsg(
        header=header,
        utterance_id=utterance_id,
        text=transcript.text,
        confidence=transcript.confidence,
        language=transcript.language,
        rejection=transcript.rejection,
        failed=transcript.failed,
        end_confidence=transcript.end_confidence,
    )


def transcript_from_msg(msg: TranscriptMsg) -> Transcript:
    """From the message."""
    confidence = msg.confidence if math.isfinite(msg.confidence) else 0.0
    end_confidence = msg.end_confidence if math.isfinite(msg.end_confidence) else 1.0
    return Transcript(msg.text, confidence, msg.language, msg.rejection, msg.failed, end_confidence)


def call_to_msg(call: ToolCall) -> ToolCallMsg:
    """To the message."""
    return ToolCallMsg(name=call.name, arguments_json=json.dumps(dict(call.arguments)))


def call_from_msg(msg: ToolCallMsg) -> ToolCall:
    """From the message. Raises ValueError, without what was said in it, when the arguments are not a JSON object."""
    return ToolCall(msg.name, _object(msg.arguments_json, f"the arguments of '{msg.name}'"))


def decision_to_msg(decision: ToolDecision, utterance_id: str, header: Header) -> ToolDecisionMsg:
    """To the message."""
    return ToolDecisionMsg(
        header=header,
        utterance_id=utterance_id,
        calls=[call_to_msg(call) for call in decision.calls],
        detector=decision.detector,
        confidence=decision.confidence,
    )


def result_to_msg(result: ToolResult, utterance_id: str, header: Header) -> ToolResultMsg:
    """To the message."""
    return ToolResultMsg(
        header=header,
        utterance_id=utterance_id,
        call=call_to_msg(result.call),
        index=result.index,
        total=result.total,
        status=int(result.status),
        result_json=json.dumps(dict(result.data)),
        speech=result.speech,
        error=result.error,
    )


def result_from_msg(msg: ToolResultMsg) -> ToolResult:
    """From the message. Raises ValueError when its JSON is broken."""
    return ToolResult(
        call=call_from_msg(msg.call),
        status=ToolStatus(msg.status),
        speech=msg.speech,
        data=_object(msg.result_json, f"the result of '{msg.call.name}'"),
        error=msg.error,
        index=msg.index,
        total=msg.total,
    )


def _object(text: str, what: str) -> dict[str, Json]:
    if len(text) > _LONGEST_JSON:
        raise ValueError(f"{what} are longer than {_LONGEST_JSON} characters")
    try:
        value = json.loads(text or "{}", parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{what} are not JSON") from exc
    if not isinstance(value, dict):
        raise ValueError(f"{what} are not a JSON object")
    return value


def _refuse(name: str) -> None:
    # Python's reader takes NaN and Infinity, which JSON doesn't have and no range check stops.
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value
