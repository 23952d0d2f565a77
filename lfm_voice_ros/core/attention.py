"""Which utterances are meant for the robot, where it listens for a wake word. No clocks: all times are of the sound."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from lfm_voice_ros.core.asking import Asked
from lfm_voice_ros.core.types import Utterance

AFTER_WAKE = 5.0  # s for which a wake word alone is remembered
_REST = 0.2  # s of speech after the wake word, below which it was said alone
_LONGEST = 600.0  # s that a reply can last; a player that has gone tells no end
_REMEMBERED = 16  # wake words


class Attention:
    """Decides for each utterance whether it is for the robot. For one thread.

    It is when the wake word was spoken in it or up to AFTER_WAKE before it, when it begins while the robot speaks or up
    to ``follow_up`` s later, when it answers a question of the robot, and while a button is pressed.
    """

    def __init__(self, follow_up: float) -> None:
        """Take ``follow_up`` in s; 0 wants the wake word before each utterance."""
        self._follow_up = follow_up
        self._wakes: deque[float] = deque(maxlen=_REMEMBERED)  # s, ends of wake words
        self._asked = Asked()
        self._talk_since = -math.inf  # s, when the robot's last reply began
        self._talk_until = -math.inf  # s, when it ended
        self._pressed_since = math.inf  # s
        self._pressed_until = -math.inf  # s

    def use(self, follow_up: float) -> None:
        """Take another ``follow_up``, in s."""
        self._follow_up = follow_up

    def woken(self, end: float) -> None:
        """The wake word was spoken until ``end`` (s)."""
        self._wakes.append(end)

    def talking(self, at: float) -> None:
        """The robot speaks at ``at`` (s)."""
        if math.isfinite(self._talk_until) or not math.isfinite(self._talk_since):
            self._talk_since = at
        self._talk_until = math.inf

    def fell_silent(self, at: float) -> None:
        """The robot's reply has ended at ``at`` (s)."""
        self._talk_until = at

    def asked(self, waiting: bool, at: float) -> None:
        """The robot waits for the answer to a question since ``at`` (s), or waited until then."""
        self._asked.update(waiting, at)

    def pressed(self, down: bool, at: float) -> None:
        """The button to talk was pressed or let go of at ``at`` (s)."""
        if down:
            self._pressed_since, self._pressed_until = at, math.inf
        else:
            self._pressed_until = at

    def takes(self, utterance: Utterance) -> Utterance | None:
        """Give the utterance without the wake word and what was before it; None where it isn't for the robot.

        One that is nothing but the wake word is no turn either: it opens the robot's ears for what comes next.
        """
        begin, end = utterance.speech_start, utterance.speech_end
        inside = [wake for wake in self._wakes if begin < wake <= end + _REST]
        if inside:
            wake = inside[-1]
            return _after(utterance, wake) if end - wake >= _REST else None
        return utterance if self._is_expected(begin, end) else None

    def _is_expected(self, begin: float, end: float) -> bool:
        return (
            any(wake <= begin <= wake + AFTER_WAKE for wake in self._wakes)
            or self._in_talk(begin)
            or self._asked.covers(end)
            or (self._pressed_since <= end and begin <= self._pressed_until)
        )

    def _in_talk(self, begin: float) -> bool:
        until = min(self._talk_until, self._talk_since + _LONGEST)
        return self._follow_up > 0 and self._talk_since <= begin <= until + self._follow_up


def _after(utterance: Utterance, at: float) -> Utterance:
    """The utterance from ``at`` (s) on."""
    cut = round((at - utterance.start) * utterance.sample_rate)
    return replace(
        utterance,
        samples=utterance.samples[cut:],
        start=utterance.start + cut / utterance.sample_rate,
        speech_start=max(utterance.speech_start, at),
    )
