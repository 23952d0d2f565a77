"""Compares what Whisper hears in its whole window, and in one that ends with the speech, on the same recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lfm_voice_ros.backends.faster_whisper import FasterWhisper
from lfm_voice_ros.backends.wav_file import read_wav
from lfm_voice_ros.core.ports import Detector
from lfm_voice_ros.core.recognition import doubt, judge
from lfm_voice_ros.core.settings import TranscriberSettings
from lfm_voice_ros.core.tool_calls import same_calls
from lfm_voice_ros.evaluation.corpus import Example
from lfm_voice_ros.evaluation.word_errors import interval, word_errors, words

#: The ways to recognize: as the setting window says, and what "speech" would be without its second look.
FULL, UNGUARDED, SPEECH = "full", "speech, never again", "speech"


@dataclass
class WindowScore:
    """What one way made of the recordings; lists have one item a recording."""

    said: list[int] = field(default_factory=list)  # words
    errors: list[int] = field(default_factory=list)  # words
    seconds: list[float] = field(default_factory=list)  # that recognition took
    commands: int = 0
    right: int = 0  # commands whose calls were found in the words, with their arguments
    others: int = 0
    left_alone: int = 0  # recordings without a command in whose words none was found
    again: int = 0  # recordings that were recognized a second time, in the whole window

    @property
    def word_error_rate(self) -> float:
        """Errors a word."""
        return sum(self.errors) / max(1, sum(self.said))

    @property
    def exact(self) -> int:
        """Recordings without an error."""
        return sum(not errors for errors in self.errors)

    def more_than(self, other: WindowScore) -> tuple[float, float, float]:
        """By how much its word error rate is above that of another way, with the 95 % interval of that (paired)."""
        more = [mine - its for mine, its in zip(self.errors, other.errors, strict=True)]
        return self.word_error_rate - other.word_error_rate, *interval(more, self.said)


def compare(
    settings: TranscriberSettings, examples: Sequence[Example], detector: Detector, progress: Callable[[int], None]
) -> dict[str, WindowScore]:
    """Recognize each example's recording in both windows, one after the other; give scores by way.

    Which window comes first changes with each recording. ``progress`` gets the number of recordings that are done.
    Raises ResourceError and AudioError.
    """
    whisper = FasterWhisper(replace(settings, window="speech"))
    scores = {way: WindowScore() for way in (FULL, UNGUARDED, SPEECH)}
    recordings = [(example, example.audio) for example in examples if example.audio]
    for number, (example, path) in enumerate(recordings, start=1):
        samples = read_wav(path)
        found, took = {}, {}
        for whole in (True, False) if number % 2 else (False, True):
            began = time.perf_counter()
            found[whole] = whisper.recognize(samples, whole=whole)
            took[whole] = time.perf_counter() - began
        again = bool(doubt(found[False], settings))
        for way, whole, seconds in (
            (FULL, True, took[True]),
            (UNGUARDED, False, took[False]),
            (SPEECH, again, took[False] + (took[True] if again else 0.0)),
        ):
            recognition = found[whole]
            text = judge(recognition.segments, recognition.seconds, recognition.language, settings).text
            _count(scores[way], example, text, detector)
            scores[way].seconds.append(seconds)
        scores[SPEECH].again += again
        progress(number)
    return scores


def _count(score: WindowScore, example: Example, text: str, detector: Detector) -> None:
    said = words(example.text)
    score.said.append(len(said))
    score.errors.append(word_errors(said, words(text)))
    calls = detector.detect(text).calls if text else ()
    if example.calls:
        score.commands += 1
        score.right += same_calls(calls, example.calls)
    else:
        score.others += 1
        score.left_alone += not calls
