"""Whether a person who speaks into a reply interrupts it: the words decide, or that there are none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from lfm_voice_ros.core.backchannels import is_backchannel

_PATIENCE = 3.0  # s after somebody was last known to speak in which the words must come
_REMEMBERED = 16  # utterances that were no interruption, so far


class Verdict(Enum):
    """What is to be done with the reply."""

    WAIT = "wait"
    CUT = "cut"
    RESUME = "resume"


@dataclass
class Interruption:
    """One reply and those who spoke into it. Times are s of a clock that never jumps. Not for several threads.

    Utterances that were judged harmless may go on and become more; so a reply can be cut after it was resumed.
    """

    reply: str = ""
    _open: dict[str, float] = field(default_factory=dict)  # utterances without a verdict: when to give up on each
    _harmless: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def begin(self, reply: str, by: str, now: float) -> None:
        """The utterance ``by`` has begun and the reply was paused for it."""
        if reply != self.reply:
            self.clear()
            self.reply = reply
        if by not in self._harmless:
            self._open.setdefault(by, now + _PATIENCE)

    def clear(self) -> None:
        """The reply is over."""
        self.reply = ""
        self._open.clear()
        self._harmless.clear()

    def speaking(self, utterance_id: str, now: float) -> None:
        """Somebody is speaking this utterance; to be said again at least every two seconds."""
        if utterance_id in self._open:
            self._open[utterance_id] = now + _PATIENCE

    def words(self, utterance_id: str, text: str, *, final: bool, failed: bool = False) -> Verdict:
        """Take an utterance's words, so far or all (``final``). ``failed``: somebody spoke, nobody knows what."""
        if not self.reply or (utterance_id not in self._open and utterance_id not in self._harmless):
            return Verdict.WAIT
        if failed or (text and not is_backchannel(text)):
            return Verdict.CUT
        if text or final:
            return self._forgive(utterance_id)
        return Verdict.WAIT

    def check(self, now: float) -> Verdict:
        """Look whether words have stayed out for too long."""
        verdict = Verdict.WAIT
        for by in [by for by, until in self._open.items() if now >= until]:
            verdict = self._forgive(by)
        return verdict

    def _forgive(self, utterance_id: str) -> Verdict:
        if utterance_id not in self._open:
            return Verdict.WAIT
        del self._open[utterance_id]
        self._harmless.append(utterance_id)
        return Verdict.WAIT if self._open else Verdict.RESUME
