"""The noise of the head's own motors, which sounds like speech for moments: more must be heard while they move."""

from __future__ import annotations

from collections import deque

from lfm_voice_ros.core.ports import VoiceActivityDetector
from lfm_voice_ros.core.types import SAMPLE_RATE, Samples

AFTERWARDS = 0.1  # s for which a gear still rattles
_WATCHDOG = 1.0  # s of sound after which a head that says nothing more no longer counts as moving
#: Of 60 motions that nobody spoke over, one passes for speech at this, and 24 without it; see docs/turn-taking.md.
_LIFTED = 0.9  # mean probability over _FRAMES at which speech begins
_FRAMES = 4  # 0.13 s
_BEGINS, _GOES_ON = 0.5, 0.35  # probability of speech
_ENDS = 0.5  # s without speech


class MotorAware:
    """A VoiceActivityDetector that believes less while the head moves. The port's methods are for one thread.

    ``mode`` is "lift": speech that begins then must be sure for 0.13 s, and speech that had begun goes on as ever;
    "gate": nothing is heard; "off".
    """

    def __init__(self, detector: VoiceActivityDetector, mode: str) -> None:
        self.frame_samples = detector.frame_samples
        #: Any thread may set it.
        self.mode = mode
        self._detector = detector
        self._moving = False
        self._left = 0  # samples for which the motion counts still
        self._recent: deque[float] = deque(maxlen=_FRAMES)
        self._begun = False
        self._silent = 0  # samples

    def moving(self, moving: bool) -> None:
        """Say whether the head moves, some times a second while it does. May be called from any thread."""
        if moving:
            self._left = round(_WATCHDOG * SAMPLE_RATE)
        elif self._moving:
            self._left = round(AFTERWARDS * SAMPLE_RATE)
        self._moving = moving

    def probability(self, frame: Samples) -> float:
        """See the port; 0 for what isn't believed."""
        probability = self._detector.probability(frame)
        moving, mode = self._left > 0, self.mode
        self._left -= frame.size
        if mode == "gate" and moving:
            self._begun = False
            return 0.0
        self._recent.append(probability)
        if self._begun:
            self._silent = 0 if probability >= _GOES_ON else self._silent + frame.size
            self._begun = self._silent < _ENDS * SAMPLE_RATE
            return probability
        if mode == "lift" and moving:
            self._begun = len(self._recent) == _FRAMES and sum(self._recent) >= _LIFTED * _FRAMES
            probability = probability if self._begun else 0.0
        else:
            self._begun = probability >= _BEGINS
        self._silent = 0
        return probability

    def reset(self) -> None:
        """See the port."""
        self._detector.reset()
        self._recent.clear()
        self._begun = False
