"""Which recognitions are believed. Whisper hears words in any noise; its own figures give the inventions away.

The thresholds and the constants here were chosen on made noise against short synthetic commands: there,
inventions had a word probability of at most 0.35 with a no-speech probability of 0.37 to 0.95, and spoken commands one
of at least 0.30 with at most 0.54, where the high end of no-speech is that of quiet but clear speech (0.75 and more).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.types import Samples, Transcript, Utterance

#: Seconds of sound below which there is no word to be recognized.
SHORTEST = 0.1

_DOUBTFUL = 0.6  # word probability below which the no-speech probability decides
_TOKENS_PER_SECOND = 10  # two to three times of what a fast speaker says
_TOKENS_AT_LEAST = 12  # a word cut short by the end of the recording still needs its tokens
_TAIL = 0.15  # s of sound behind the last voiced sample: the end of a soft consonant, and what a draft has at least
_ECHO = 6  # words in a row of the prompt that nobody says by chance


@dataclass(frozen=True)
class Segment:
    """What Whisper says about one stretch of at most 30 s."""

    text: str
    tokens: int
    avg_logprob: float  # natural logarithm, mean over the tokens
    no_speech_prob: float  # [0, 1]
    compression_ratio: float  # length of the text over its length when compressed
    end_probability: float = 1.0  # of the last word, [0, 1]; 1 when it isn't known


@dataclass(frozen=True)
class Recognition:
    """What Whisper says about an utterance, believed or not."""

    segments: tuple[Segment, ...]
    seconds: float  # of sound
    language: str  # ISO 639-1


def spoken(utterance: Utterance) -> Samples:
    """Give the sound without the silence that ended it, so that more or less of that doesn't change the words.

    The whole sound, where the end of the speech is not known.
    """
    end = utterance.speech_end - utterance.start + _TAIL
    return utterance.samples[: round(end * utterance.sample_rate)] if end > _TAIL else utterance.samples


def doubt(recognition: Recognition, settings: TranscriberSettings) -> str:
    """Why what was recognized without Whisper's whole window is to be recognized again with it; empty when it isn't.

    Without its window Whisper now and then says things twice, or goes on with its prompt.
    """
    if not recognition.segments:
        return "no words"
    for segment in recognition.segments:
        if reason := _doubt(segment, recognition.seconds, settings):
            return reason
        words = _words(segment.text)
        if repeats(words):
            return "a repetition"
        if _runs(words, _ECHO) & _runs(_words(settings.initial_prompt), _ECHO):
            return "the prompt"
    return ""


def repeats(words: Sequence[str]) -> bool:
    """Whether two or more words come twice in a row, or one word three times."""
    for length in range(1, len(words) // 2 + 1):
        times = 3 if length == 1 else 2
        for begin in range(len(words) - times * length + 1):
            first = words[begin : begin + length]
            if all(words[begin + n * length : begin + (n + 1) * length] == first for n in range(1, times)):
                return True
    return False


def most_tokens(seconds: float) -> int:
    """How many tokens at most can have been said in ``seconds``; the search is stopped there."""
    return _TOKENS_AT_LEAST + int(_TOKENS_PER_SECOND * min(max(seconds, 0.0), 20.0))


def judge(segments: Iterable[Segment], seconds: float, language: str, settings: TranscriberSettings) -> Transcript:
    """The transcript of what was recognized in ``seconds`` of sound.

    Segments that are not believed are left out. The confidence is the mean word probability of the others, weighted by
    their length; when no segment is left, that of all, and ``rejection`` is the reason for the first.
    """
    judged = [(segment, _doubt(segment, seconds, settings)) for segment in segments]
    believed = [segment for segment, reason in judged if not reason]
    if believed:
        text = " ".join(segment.text.strip() for segment in believed)
        return Transcript(text, _confidence(believed), language, end_confidence=believed[-1].end_probability)
    nothing = f"too short ({seconds * 1000:.0f} ms)" if seconds < SHORTEST else "no words"
    rejection = judged[0][1] if judged else nothing
    return Transcript("", _confidence([segment for segment, _ in judged]), language, rejection)


def _doubt(segment: Segment, seconds: float, settings: TranscriberSettings) -> str:
    """Why the segment is not believed; empty when it is."""
    probability = _probability(segment.avg_logprob)
    if not any(character.isalnum() for character in segment.text):
        return "no words"
    if segment.no_speech_prob > settings.max_no_speech and probability < _DOUBTFUL:
        return f"no speech (probability {segment.no_speech_prob:.2f}, words {probability:.2f})"
    if probability < settings.min_confidence:
        return f"not understood (word probability {probability:.2f})"
    if segment.compression_ratio > settings.max_compression:
        return f"a repetition (compression ratio {segment.compression_ratio:.1f})"
    if segment.tokens >= most_tokens(seconds):
        return f"more words than {seconds:.1f} s have room for"
    return ""


def _confidence(segments: list[Segment]) -> float:
    tokens = sum(max(segment.tokens, 1) for segment in segments)
    if not tokens:
        return 0.0
    return _probability(sum(segment.avg_logprob * max(segment.tokens, 1) for segment in segments) / tokens)


def _probability(logprob: float) -> float:
    return math.exp(min(logprob, 0.0)) if not math.isnan(logprob) else 0.0


def _words(text: str) -> list[str]:
    return "".join(character if character.isalnum() else " " for character in text.lower()).split()


def _runs(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[begin : begin + length]) for begin in range(len(words) - length + 1)}
