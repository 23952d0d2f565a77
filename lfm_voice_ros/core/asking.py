"""Questions of the robot: which utterance is the answer, and which of the expected answers it is."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Sequence

_REMEMBERED = 16  # questions
_LONGEST = 660.0  # s that an answer can be waited for: the longest time-out, and the recognition
_ROUNDING = 1e-6  # s; a stamp that has become a float and a stamp again is another by some hundred nanoseconds
#: What people say for the two commonest answers.
_ALSO = {
    "yes": ("yeah", "yep", "yup", "sure", "of course", "please do", "okay", "ok", "right", "correct", "go ahead"),
    "no": ("nope", "nah", "don't", "do not", "rather not", "never", "wrong"),
}


class Asked:
    """When the robot has waited for answers. For one thread.

    Whoever takes transcripts asks :meth:`covers`, so that all agree on which utterance was an answer.
    """

    def __init__(self) -> None:
        self._times: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)  # s: since when, until when

    def update(self, waiting: bool, at: float) -> None:
        """Take msg/Asking.msg: it waits since ``at`` (s), or waited until then."""
        if self.waiting:  # also where the message that ended it was lost
            self._times[-1] = (self._times[-1][0], at)
        if waiting:
            self._times.append((at, math.inf))

    @property
    def waiting(self) -> bool:
        """Whether it waits now."""
        return bool(self._times) and math.isinf(self._times[-1][1])

    def covers(self, speech_end: float) -> bool:
        """Whether an utterance that ended then (s) is an answer; where the end isn't known (0), whether one is due."""
        if not speech_end:
            return self.waiting
        return any(
            since - _ROUNDING <= speech_end <= min(until, since + _LONGEST) + _ROUNDING for since, until in self._times
        )


def which_answer(text: str, answers: Sequence[str]) -> int:
    """Give which of the expected answers a text is, counted from 0; -1 where it is none of them, or several.

    An answer counts where its words stand in the text in their order; of two that overlap ("no", "no sugar") the
    longer one counts.
    """
    said = _words(text)
    found: list[tuple[int, int, int]] = []  # answer, begin, end
    for number, answer in enumerate(answers):
        for wording in (answer, *_ALSO.get(" ".join(_words(answer)), ())):
            words = _words(wording)
            found += [
                (number, begin, begin + len(words))
                for begin in range(len(said) - len(words) + 1)
                if words and said[begin : begin + len(words)] == words
            ]
    alone = {
        number
        for number, begin, end in found
        if not any(b <= begin and end <= e and e - b > end - begin for _, b, e in found)
    }
    return alone.pop() if len(alone) == 1 else -1


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold().replace("’", "'"))
